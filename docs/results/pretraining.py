"""A small BERT after minutes of pre-training."""

import pictures
from pictures import BLUE, GREY

from experiments.results import read

from .shared import machine_of


def pages():
    yield "pretraining.md", pretraining_table()
    yield "pretraining_gaps.md", pretraining_gaps()
    yield from ((f"{name}.svg", svg) for name, svg in pictures.drawn((pretraining_curves,)))


def pretraining_table():
    """The last scores beside those of who does not look, and below it on what."""
    found = read("pretraining")
    last, guess, settings = found["records"][-1], found["baseline"], found["settings"]
    rows = [
        "| held out | the model | without looking around |",
        "| --- | ---: | ---: |",
        f"| masked tokens that are right | {last['masked_accuracy']:.1%} | {guess['masked_accuracy']:.1%} |",
        f"| loss of a masked token, in nats | {last['masked_loss']:.2f} | {guess['masked_loss']:.2f} |",
        f"| next sentences that are right | {last['next_sentence_accuracy']:.1%} | 50% |",
        "",
        f"{settings['layers']} layers of width {settings['width']}, {settings['steps']:,} steps of {settings['batch']} "
        f"rows of {settings['context']} tokens, from a text of {found['learnt']:,}. "
        f"{machine_of(found)}.",
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
        at = {"xytext": (0, -4), "textcoords": "offset points", "ha": "right", "va": "top", "color": GREY}
        ax.annotate("without looking around", (steps[-1], guess), **at)  # below its line: above it is the curve
        ax.set(title=title, xlabel="step", ylabel="right, of those held out", xlim=(0, None))
        ax.set(ylim=(0, None) if guess < 0.5 else (0.4, 1))
        ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
        ax.grid(alpha=0.25)
    return made
