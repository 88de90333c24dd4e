"""What the pages show of the experiments: tables and pictures, made from the results that are committed beside them."""

import numpy as np
import pictures
from pictures import BLUE, GREEN, GREY, ORANGE

from experiments.results import read
from minitransformer.plots.attention import Attention, Text, draw_attention
from minitransformer.story import CLAIMS
from minitransformer.story.pictures import svg as svg_of

COLOURS = (BLUE, ORANGE, GREEN)  # one a seed, or a cluster


def everything():
    """(file, content) of all of it."""
    for name in ("copy_task", "copy_task_published_rate", "addition"):
        yield f"{name}.md", table_of_runs(read(name))
    yield from ((f"{name}.svg", svg) for name, svg in pictures.drawn((copy_task_curves, addition_curves)))
    yield "copy_task_cross_attention.svg", copy_task_cross_attention()
    yield "dates_bahdanau.svg", dates_bahdanau()
    yield "elmo_words.md", elmo_words()
    yield "elmo_layers.md", elmo_layers()
    yield "ulmfit.md", ulmfit_table()
    yield from ((f"{name}.svg", svg) for name, svg in pictures.drawn((elmo_neighbours, ulmfit_curves)))
    yield "sentences.md", sentences_table()
    yield "parity.md", parity_table()
    yield "loading_memory.md", loading_memory_table()
    yield "pretraining.md", pretraining_table()
    yield "pretraining_gaps.md", pretraining_gaps()
    yield from ((f"{name}.svg", svg) for name, svg in pictures.drawn((sentences, pretraining_curves)))
    for name, claim in CLAIMS.items():
        found = read(f"story_{name}")
        yield f"story_{name}.md", table_of_claim(claim, found)
        yield f"story_{name}.svg", svg_of(claim.draw(found))


def table_of_runs(found):
    """A row a seed, and below it what they were measured on."""
    rows = ["| seed | right, of those held out | steps | processor time |", "| ---: | ---: | ---: | ---: |"]
    for run in found["runs"]:
        right = f"{run['right']:,} of {run['held_out']:,}"
        rows.append(f"| {run['seed']} | {right} | {run['steps']:,} | {run['cpu_seconds']:.0f} s |")
    return "\n".join([*rows, "", f"Time is that of both threads together. {machine_of(found)}.", ""])


def machine_of(found):
    """With what it was measured."""
    machine = found["machine"]
    return f"NumPy {machine['numpy']}, {', '.join(machine['blas'])}, Python {machine['python']}, {machine['platform']}"


def table_of_claim(claim, found):
    """The claim's own table, and below it what it was measured on."""
    rows = ["| " + " | ".join(row) + " |" for row in claim.table(found)]
    return "\n".join([*rows, "", f"{machine_of(found)}.", ""])


def parity_table():
    """A row for each published architecture and head, and below it what they were compared with."""
    found = read("parity")
    rows = ["| | arrays compared | logits | the worst, gradients among them |", "| --- | ---: | ---: | ---: |"]
    for row in found["rows"]:
        name = row["name"].removesuffix(", published").removesuffix(" published")
        rows.append(f"| {name} | {row['compared']} | {row['logits']:.1e} | {row['worst']:.1e} |")
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return "\n".join([*rows, "", f"{versions}; {found['date']}.", ""])


def loading_memory_table():
    """A row for each precision in which the file is, and below it on what it was measured."""
    found = read("loading_memory")
    rows = ["| file | its size | as float32 | the most memory meanwhile | |", "| --- | ---: | ---: | ---: | ---: |"]
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    for row in found["rows"]:
        sizes = " | ".join(f"{row[name] / 1e6:,.0f} MB" for name in ("file", "bytes", "peak"))
        rows.append(f"| {names[row['stored']]} | {sizes} | {row['peak'] / row['bytes']:.2f} × |")
    machine = found["machine"]
    about = f"NumPy {machine['numpy']}, Python {machine['python']}, {machine['platform']}; {found['date']}."
    return "\n".join([*rows, "", about, ""])


def axes_of_share():
    made, (ax,) = pictures.figure(7, 2.8)
    ax.set(xlabel="step", ylabel="right, of those held out", ylim=(0, 1.03))
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
    ax.grid(alpha=0.25)
    return made, ax


def draw_shares(ax, runs, **style):
    for run, color in zip(runs, COLOURS, strict=True):
        steps, right = np.array(run["curve"]).T
        ax.plot(steps, right / run["held_out"], **{"color": color, "label": f"seed {run['seed']}"} | style)


def addition_curves():
    made, ax = axes_of_share()
    draw_shares(ax, read("addition")["runs"])
    ax.legend(frameon=False)
    return made


def copy_task_curves():
    """Both learning rates; the published one in grey."""
    made, ax = axes_of_share()
    draw_shares(ax, read("copy_task_published_rate")["runs"], color=GREY, label=None, lw=1)
    ax.plot([], [], color=GREY, lw=1, label="published rate, each seed")
    draw_shares(ax, read("copy_task")["runs"])
    ax.legend(frameon=False, loc="lower right")
    return made


def copy_task_cross_attention():
    """Of the first seed and the first sequence held out, as SVG."""
    found = read("copy_task")["runs"][0]["cross_attention"]
    weights, symbols = np.array(found["weights"]) / 1000, tuple(map(str, found["symbols"]))
    sides = Text("target, as it is written", symbols[1:]), Text("source", symbols)
    layers, heads = (list(range(1, n + 1)) for n in weights.shape[:2])
    shown = Attention("decoder cross-attention", *sides, weights, layers, heads)
    return draw_attention([shown], " ".join(symbols), "svg")


def dates_bahdanau():
    """Where a recurrent decoder looks while it writes a date, as SVG."""
    found = read("dates_bahdanau")["cross_attention"]
    weights = np.array(found["weights"])[None, None] / 1000
    sides = Text("target, as it is written", tuple(found["target"])), Text("source", tuple(found["source"]))
    return draw_attention([Attention("decoder cross-attention", *sides, weights, [1], [1])], found["title"], "svg")


def sentences():
    """The similarity of every two, and the sentences in a plane."""
    found = read("sentences")
    made, axes = pictures.figure(9, 4.2, 2, width_ratios=(1.1, 1))
    names = [f"{subject[0].upper()}{i % 3 + 1}" for i, subject in enumerate(found["subjects"])]
    image = axes[0].imshow(found["similarity"], cmap="Blues", vmin=0, vmax=1)
    axes[0].set(xticks=range(len(names)), xticklabels=names, yticks=range(len(names)), yticklabels=names)
    made.colorbar(image, ax=axes[0], label="cosine", shrink=0.8)
    for (x, y), cluster in zip(found["plane"], found["clusters"], strict=True):
        axes[1].scatter(x, y, color=(*COLOURS, GREY)[cluster])
    for subject in dict.fromkeys(found["subjects"]):
        places = np.array([place for place, of in zip(found["plane"], found["subjects"]) if of == subject])
        above = places[:, 0].mean(), places[:, 1].max()
        axes[1].annotate(subject, above, xytext=(0, 8), textcoords="offset points", ha="center")
    axes[1].set(aspect="equal", xticks=(), yticks=(), xlabel="first direction", ylabel="second")
    axes[1].margins(0.12)
    return made


def sentences_table():
    """Each sentence, its cluster, and the sentence that is nearest to it."""
    found, rows = read("sentences"), ["| | sentence | cluster | nearest |", "| --- | --- | ---: | --- |"]
    alike = np.array(found["similarity"]) - 2 * np.eye(len(found["sentences"]))
    names = [f"{subject[0].upper()}{i % 3 + 1}" for i, subject in enumerate(found["subjects"])]
    for i, (name, text) in enumerate(zip(names, found["sentences"], strict=True)):
        j = alike[i].argmax()
        rows.append(f"| {name} | {text} | {found['clusters'][i] + 1} | {names[j]}, {alike[i, j]:.2f} |")
    return "\n".join([*rows, ""])


def pretraining_table():
    """The last scores beside those of who does not look, and below it on what."""
    found, machine = read("pretraining"), read("pretraining")["machine"]
    last, guess, settings = found["records"][-1], found["baseline"], found["settings"]
    rows = [
        "| held out | the model | without looking around |",
        "| --- | ---: | ---: |",
        f"| masked tokens that are right | {last['masked_accuracy']:.1%} | {guess['masked_accuracy']:.1%} |",
        f"| loss of a masked token, in nats | {last['masked_loss']:.2f} | {guess['masked_loss']:.2f} |",
        f"| next sentences that are right | {last['next_sentence_accuracy']:.1%} | 50% |",
        "",
        f"{settings['layers']} layers of width {settings['width']}, {settings['steps']:,} steps of {settings['batch']} "
        f"rows of {settings['context']} tokens, from a text of {found['learnt']:,}. NumPy {machine['numpy']}, "
        f"{', '.join(machine['blas'])}, Python {machine['python']}, {machine['platform']}.",
    ]
    return "\n".join([*rows, ""])


def pretraining_gaps():
    """A row a sentence, and what the model says where it has a gap."""
    rows = ["| sentence | the model says |", "| --- | --- |"]
    for text, guesses in read("pretraining")["gaps"]:
        said = ", ".join(f"{token} {chance:.2f}" for token, chance in guesses)
        rows.append(f"| {text} | {said} |")
    return "\n".join([*rows, ""])


def pretraining_curves():
    """Both scores over the steps, each above its dashed line: what one has without looking around."""
    found = read("pretraining")
    steps = [record["step"] for record in found["records"]]
    made, axes = pictures.figure(8, 2.9, 2)
    for ax, (name, title, guess) in zip(
        axes,
        (
            ("masked_accuracy", "masked tokens", found["baseline"]["masked_accuracy"]),
            ("next_sentence_accuracy", "next sentences", 0.5),
        ),
        strict=True,
    ):
        ax.plot(steps, [record[name] for record in found["records"]], color=BLUE, marker="o", markersize=3)
        ax.axhline(guess, color=GREY, ls="--", lw=1)
        ax.annotate(
            "without looking around", (steps[-1], guess), (0, 4), textcoords="offset points", ha="right", color=GREY
        )
        ax.set(title=title, xlabel="step", ylabel="right, of those held out", xlim=(0, None))
        ax.set(ylim=(0, None) if guess < 0.5 else (0.45, 1))
        ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
        ax.grid(alpha=0.25)
    return made


def mean_and_spread(values, form="{:.1f}"):
    """mean ± standard deviation of the seeds (that of a sample)"""
    return f"{form.format(np.mean(values))} ± {form.format(np.std(values, ddof=1))}"


def measured_on(found):
    """A line on the machine, and the processor time of a seed."""
    machine, times = found["machine"], ", ".join(f"{run['cpu_seconds']:.0f}" for run in found["runs"])
    on = f"NumPy {machine['numpy']}, {', '.join(machine['blas'])}, Python {machine['python']}, {machine['platform']}"
    return f"Processor time of the seeds: {times} s. {on}."


def elmo_words():
    """Of each word: how many occurrences in each sense, cosines, nearest neighbours; the mean of the seeds"""
    rows = ["| word | of each sense | | within a sense | across | nearest is of the same sense |"]
    rows += ["| --- | ---: | --- | ---: | ---: | ---: |"]
    for words in zip(*(run["words"] for run in read("elmo")["runs"]), strict=True):
        for layer in (1, 2):
            within, across, same = np.mean([word["layers"][layer] for word in words], 0)
            share, n = 100 * same / (2 * words[0]["each"]), words[0]["each"]
            name = (f"`{words[0]['word']}`", f"{n}") if layer == 1 else ("", "")
            rows.append(f"| {name[0]} | {name[1]} | layer {layer} | {within:.3f} | {across:.3f} | {share:.0f} % |")
    return "\n".join([*rows, ""])


def elmo_shares(run):
    """Of a run: the share of occurrences whose nearest is of their sense, by layer; 0 has one vector for both"""
    n = sum(2 * word["each"] for word in run["words"])
    return [100 * sum(word["layers"][layer][2] for word in run["words"]) / n for layer in (1, 2)]


def elmo_layers():
    """What can be read off each layer, and off the mixture"""
    found = read("elmo")
    runs, rows = (
        found["runs"],
        ["| read off | senses told rightly | nearest is of the same sense | weight in the mixture |"],
    )
    rows.append("| --- | ---: | ---: | ---: |")
    for layer, name in enumerate(("layer 0, the bare token", "layer 1", "layer 2")):
        right = mean_and_spread([100 * run["alone"][layer] / run["held_out"] for run in runs])
        nearest = mean_and_spread([elmo_shares(run)[layer - 1] for run in runs]) + " %" if layer else "–"
        weight = mean_and_spread([run["mixture"][layer] for run in runs], "{:.2f}")
        rows.append(f"| {name} | {right} % | {nearest} | {weight} |")
    right = mean_and_spread([100 * run["right"] / run["held_out"] for run in runs])
    rows.append(f"| the mixture | {right} % | | |")
    perplexity = mean_and_spread([run["perplexity"] for run in runs])
    note = f"Mean and standard deviation of {len(runs)} seeds; perplexity of what is held out, both ways: {perplexity}."
    return "\n".join([*rows, "", note, "", measured_on(found), ""])


def elmo_neighbours():
    """Word by word, how often the nearest neighbour is of the same sense, beside what guessing would give"""
    made, (ax,) = pictures.figure(7, 2.9)
    runs = read("elmo")["runs"]
    words = [word["word"] for word in runs[0]["words"]]
    for layer, color in ((1, ORANGE), (2, BLUE)):
        shares = [[100 * w["layers"][layer][2] / (2 * w["each"]) for w in run["words"]] for run in runs]
        at = np.arange(len(words)) + 0.2 * (2 * layer - 3)
        ax.bar(at, np.mean(shares, 0), 0.38, color=color, alpha=0.75, label=f"layer {layer}")
        for share in shares:
            ax.plot(at, share, ".", color="black", ms=3)
    ax.axhline(50, color=GREY, lw=1, ls="--", label="guessing")
    ax.set(ylabel="nearest is of the same sense", ylim=(0, 105), xticks=range(len(words)))
    ax.set_xticklabels(words, rotation=30)
    ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0f}%")
    ax.legend(frameon=False, ncols=3, loc="upper right", bbox_to_anchor=(1, 1.16))
    return made


ULMFIT_WAYS = ("from nothing", "without step two", "ULMFiT")


def ulmfit_shares(name):
    """In percent, seed by seed"""
    runs = read("ulmfit")["runs"]
    last = [run[name] if isinstance(run[name], int) else run[name][-1][1] for run in runs]
    return np.array([100 * right / run["held_out"] for right, run in zip(last, runs, strict=True)])


def ulmfit_table():
    """Ways by seeds, their mean and spread; whether the gain is above two standard deviations; what was pre-trained"""
    found = read("ulmfit")
    runs = found["runs"]
    rows = [f"| | {' | '.join('seed ' + str(run['seed']) for run in runs)} | mean ± sd |"]
    rows.append(f"| --- |{' ---: |' * (len(runs) + 1)}")
    for name in ("counts of words", *ULMFIT_WAYS):
        shares = ulmfit_shares(name)
        rows.append(f"| {name} | {' | '.join(f'{share:.1f}' for share in shares)} | {mean_and_spread(shares)} |")
    return "\n".join([*rows, "", ulmfit_gain(), "", ulmfit_language_model(found), "", measured_on(found), ""])


def ulmfit_gain():
    """A sentence: is it above two standard deviations of the difference of two runs?"""
    ours, theirs = ulmfit_shares("ULMFiT"), ulmfit_shares("from nothing")
    gain, spread = ours.mean() - theirs.mean(), np.sqrt(ours.var(ddof=1) + theirs.var(ddof=1))
    verdict = "better by more than two standard deviations" if gain > 2 * spread else "**not better**"
    return (
        f"In percent. ULMFiT is {abs(gain):.1f} points {'above' if gain > 0 else 'below'} training from nothing, where "
        f"the standard deviation of such a difference is {spread:.1f}: it is {verdict}."
    )


def ulmfit_language_model(found):
    """A sentence on the first two steps"""
    about, runs = found["runs"][0]["pretraining"], found["runs"]
    before, after = np.mean([run["perplexity"] for run in runs], 0)
    return (
        f"The language model learnt from {about['words']:,} words in {about['steps']:,} steps. Its perplexity on the "
        f"exam's texts, which it never reads, is {before:.0f} then, and {after:.0f} after step two (mean of the seeds)."
    )


def ulmfit_curves():
    """How many are right, over the steps of the classifier, each way and seed; a mark ends each stage"""
    made, (ax,) = pictures.figure(7, 2.9)
    for name, color in zip(ULMFIT_WAYS, (GREY, ORANGE, BLUE)):
        for run in read("ulmfit")["runs"]:
            steps, right = np.array(run[name]).T
            label = name if run["seed"] == 0 else None
            ax.plot(steps, 100 * right / run["held_out"], ".-", color=color, lw=1.2, label=label)
    ax.set(xlabel="step of the classifier", ylabel="right, of those held out", ylim=(0, 100))
    ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0f}%")
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    return made
