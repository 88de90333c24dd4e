"""Which module does a docstring belong to? Ten labelled examples of each of twelve, and a language model's knowledge.

The three steps of ULMFiT (Howard & Ruder 2018, section 3): a language model learns from plain text, here the language
reference, and the docstrings and comments of all other modules; goes on with those of the task's modules, without
labels; and becomes a classifier, thawed layer by layer from the top. Beside it, the same classifier begins from
nothing, one from the table of words alone, and one without the second step; and there is what mere counts of words say.
The first step is by averaged gradient descent, as Merity et al. 2018 have it, and once more by AdamW.

The rates, dropout and the number of epochs were chosen on a seed that is not among those reported, for either side.

The first step is done once by either, as its authors did. All else follows from the seed: which examples are labelled
and which are held out, what is drawn anew, the order of the examples, dropout.
"""

from functools import cache

import numpy as np
from tqdm import tqdm

from minitransformer import use_backend
from minitransformer.convention import fold, generator
from minitransformer.data.streams import pieces, streams
from minitransformer.data.text import hold_out, python_reference
from minitransformer.finetuning.freezing import frozen, without_frozen
from minitransformer.finetuning.layer_decay import layer_decay
from minitransformer.models import AWDLSTM, ULMFiT
from minitransformer.threads import workers
from minitransformer.training.averaged_sgd import AveragedSGD
from minitransformer.training.clipping import clipping_factor
from minitransformer.training.language_model_losses import carried_next_token_loss
from minitransformer.training.loop import Training, train_step
from minitransformer.training.losses import label_loss
from minitransformer.training.optimizer import AdamW
from minitransformer.training.schedules import slanted_triangular
from minitransformer.trees import tree_map

from .results import measure
from .words import Vocabulary, comments, docstrings, words

MODULES = ("asyncio", "email", "http", "importlib", "logging", "mailbox", "multiprocessing", "tkinter", "turtle")
MODULES += ("unittest", "urllib", "xml")
LABELLED, EXAM, SHORTEST, LONGEST = 10, 30, 8, 50  # of each module, and how long its docstrings are, in words
VOCABULARY = {"least": 3, "size": 3000}
SIZE = {"n_layers": 2, "d_model": 64, "d_hidden": 128}
RATES = {"word_rate": 0.0, "input_rate": 0.05, "hidden_rate": 0.05, "output_rate": 0.05, "weight_rate": 0.05}
PRETRAINING = {"epochs": 5, "rows": 32, "length": 32, "clip": 0.25, "see_every": 50}
PRETRAINING |= {"patience": 5, "rates": {"averaged SGD": 10.0, "AdamW": 2e-2}}
MAIN = "averaged SGD"  # whose language model ULMFiT goes on with
TUNING = {"epochs": 10, "rate": 1e-2, "decay": 1.0, "rows": 16, "length": 32, "clip": 0.25}
CLASSIFYING = {"epochs": (10, 10, 10, 30), "rate": 1e-2, "decay": 0.7, "batch": 30, "clip": 1.0}  # a stage each
CLASSIFYING |= {"word_rate": 0.1, "input_rate": 0.2, "hidden_rate": 0.2, "weight_rate": 0.2}
FROM_NOTHING = {"epochs": (60,), "rate": 1e-2, "decay": 1.0, "batch": 30, "clip": 1.0}
FROM_NOTHING |= {"word_rate": 0.3, "input_rate": 0.4, "hidden_rate": 0.4, "weight_rate": 0.2}
ADAM = {"betas": (0.7, 0.99), "weight_decay": 0.01}  # as the paper has it
SETTINGS = {"modules": MODULES, "labelled": LABELLED, "exam": EXAM, "words": (SHORTEST, LONGEST)}
SETTINGS |= {"vocabulary": VOCABULARY, "model": SIZE | RATES, "pretraining": PRETRAINING, "tuning": TUNING}
SETTINGS |= {"classifying": CLASSIFYING, "from_nothing": FROM_NOTHING, "optimizer": ADAM}
SPLIT, INIT, CUTS, DROPOUT, ORDER = range(5)  # what the keys folded from the seed are for


def key_of(seed, *numbers):
    key = np.random.SeedSequence(seed)
    for number in numbers:
        key = fold(key, number)
    return key


# ------------------------------------------------------------------------------------------------------------ the data


def general_texts():
    """Texts, as words, that have nothing to do with the task's modules: what step one learns from"""
    paragraphs = [("", paragraph) for paragraph in python_reference().split("\n\n")]
    return [words(text) for module, text in comments() + paragraphs + docstrings() if module not in MODULES]


def split(seed):
    """The task's texts as words: labelled [(text, class)], those without labels, exam [(text, class)]

    Those without labels are whole, and those too short to be asked for are among them, and so are comments.
    """
    texts, rng = {module: [] for module in MODULES}, generator(key_of(seed, SPLIT))
    labelled, plain, exam = [], [words(text) for module, text in comments() if module in texts], []
    for module, text in docstrings():
        if module in texts:
            texts[module].append(words(text))
    for label, of_module in enumerate(texts.values()):
        long = [i for i, text in enumerate(of_module) if len(text) >= SHORTEST]
        order = [long[i] for i in rng.permutation(len(long))]
        asked, shown = order[:EXAM], order[EXAM : EXAM + LABELLED]
        exam += [(of_module[i][:LONGEST], label) for i in asked]
        labelled += [(of_module[i][:LONGEST], label) for i in shown]
        plain += [text for i, text in enumerate(of_module) if i not in asked]
    plain = [plain[i] for i in rng.permutation(len(plain))]  # their order must not tell of what module they are
    return labelled, plain, exam


def batch_of(examples):
    """[(ids, class), ...]   ->   ids, types, mask, targets, as `label_loss` takes them"""
    lengths = np.array([[len(ids)] for ids, _ in examples])
    there = np.arange(lengths.max()) < lengths
    ids = np.zeros(there.shape, np.int64)
    ids[there] = np.concatenate([ids for ids, _ in examples])
    return ids, None, there[:, None, None], np.array([label for _, label in examples])


# ------------------------------------------------------------------------------------------------------- language model


def constant(*, peak, steps):
    """What averaged gradient descent asks for, in place of a triangle: the mean brings the steps to rest"""
    return lambda step: peak


def read(model, p, optimizer, ids, seed, about, after=lambda step: None, schedule=slanted_triangular):
    """So many epochs through one long text, the state carried from piece to piece   ->   steps done"""
    loss, rows, step = carried_next_token_loss(model), streams(ids, about["rows"]), 0
    steps = about["epochs"] * (rows.shape[1] // about["length"] + 1)  # as far as is known before the text is cut
    rate = schedule(peak=about["rate"], steps=steps)
    for epoch in range(about["epochs"]):
        states = ()
        cut = pieces(rows, about["length"], generator(key_of(seed, CUTS, epoch)))
        title = f"{type(optimizer).__name__}, epoch {epoch + 1}"
        for ids, targets in tqdm(cut, desc=title, unit="step", leave=False, disable=None):
            (_, *states), saved = loss(p, ids, targets, *states, key=key_of(seed, DROPOUT, step))
            *_, g = loss.backward(1.0, *[None] * len(states), saved)  # the state is a constant to the next piece
            factor, _ = clipping_factor(g, about["clip"])
            optimizer.step(p, g, rate(step) * ids.shape[1] / about["length"], factor)  # a short piece counts less
            step += 1
            after(step)
    return step


def loss_of(model, p, ids):
    """The mean loss over a text, read as one"""
    loss, states, sums, n = carried_next_token_loss(model), (), 0.0, 0
    for piece, targets in pieces(streams(ids, 8), 128):
        (value, *states), _ = loss(p, piece, targets, *states)
        sums, n = sums + targets.size * float(value), n + targets.size
    return sums / n


@cache
def general():
    """What step one learns from   ->   vocabulary, ids, ids that are held out"""
    texts = general_texts()
    vocabulary = Vocabulary.of(texts, **VOCABULARY)
    return vocabulary, *hold_out(np.concatenate([vocabulary.encode(text) for text in texts]), 0.02)


@cache
def pretrained(by, seed=0):
    """Step one, by AdamW down a slanted triangle or by averaged SGD at one rate   ->   parameters, what was found"""
    (vocabulary, ids, held_out), about = general(), PRETRAINING | {"rate": PRETRAINING["rates"][by]}
    model, curve, averaging = AWDLSTM(len(vocabulary), **SIZE, **RATES), [], by == "averaged SGD"
    p = model.init(generator(key_of(seed, INIT)))
    optimizer = AveragedSGD(patience=about["patience"]) if averaging else AdamW(**ADAM)
    learnt = optimizer.averaged if averaging else lambda p: p

    def after(step):
        if step % about["see_every"] == 0:
            loss = loss_of(model, learnt(p), held_out)
            curve.append((step, round(float(np.exp(loss)), 1)))
            if averaging:
                optimizer.see(loss)

    steps = read(model, p, optimizer, ids, seed, about, after, constant if averaging else slanted_triangular)
    found = {"words": len(ids), "steps": steps, "averaged": optimizer.n if averaging else None, "curve": curve}
    return learnt(p), found | {"held_out": round(float(np.exp(loss_of(model, learnt(p), held_out))), 1)}


def with_new_words(p, n):
    """The table with n more rows, each the mean of those it has (Howard & Ruder's program does the same)"""
    table = p["token"]["weight"]
    return {**p, "token": {"weight": np.concatenate([table, np.repeat(table.mean(0, keepdims=True), n, 0)])}}


def tuned(model, p, ids, seed):
    """Step two: the language model goes on with the task's texts"""
    read(model, p, AdamW(**ADAM, rate_factor=layer_decay(model, TUNING["decay"])), ids, seed, TUNING)
    return p


# ----------------------------------------------------------------------------------------------------------- classifier


def classifier(n_words, body, seed, about):
    """A model and its parameters: what is given of the body, all else drawn anew"""
    rates = {name: about[name] for name in ("word_rate", "input_rate", "hidden_rate", "weight_rate")}
    model = ULMFiT(AWDLSTM(n_words, **SIZE, **rates), n_classes=len(MODULES))
    p = model.init(generator(key_of(seed, INIT)))
    return model, p | {"body": p["body"] | tree_map(np.copy, body)}


def learn_classes(model, p, labelled, exam, seed, about, map):
    """Step three: epoch after epoch, with fewer frozen parts in every stage   ->   curve of (step, right)"""
    n = about["batch"]
    steps = sum(about["epochs"]) * -(-len(labelled) // n)
    training = Training(p, AdamW(**ADAM, rate_factor=layer_decay(model, about["decay"])))
    rate, curve, epoch = slanted_triangular(peak=about["rate"], steps=steps), [], 0
    parts = ["token", *(f"layers.{i}" for i in range(model.body.n_layers))]  # from the bottom up
    for stage, epochs in enumerate(about["epochs"], 1):
        still = parts[: len(about["epochs"]) - stage]
        loss = without_frozen(label_loss(frozen(model, p, still)), [f"body.{part}" for part in still])
        for _ in range(epochs):
            order = generator(key_of(seed, ORDER, epoch)).permutation(len(labelled))
            for begin in range(0, len(order), n):
                rows = batch_of([labelled[i] for i in order[begin : begin + n]])
                keys = [key_of(seed, DROPOUT, training.step)]
                train_step(training, loss, [rows], keys, rate(training.step), clip=about["clip"], map=map)
            epoch += 1
        curve.append((training.step, right(model, p, exam)))
    return curve


def right(model, p, exam):
    """How many of the exam's texts are given to their module"""
    ids, _, mask, labels = batch_of(exam)
    return int((model.forward(p, ids, mask=mask)[0].argmax(-1) == labels).sum())


def right_by_counts(labelled, exam, n_words):
    """The same of naive Bayes: P(class | text) ∝ Π P(word | class), words counted, each once more than it was there"""
    counts = np.ones((len(MODULES), n_words))
    for ids, label in labelled:
        np.add.at(counts[label], ids, 1)
    chances = np.log(counts / counts.sum(1, keepdims=True))
    return sum(int(chances[:, ids].sum(1).argmax() == label) for ids, label in exam)


def learn(seed, threads=1):
    """One run: the three steps, and what they are held to."""
    use_backend("cpu")
    labelled, plain, exam = split(seed)
    with workers(threads) as map:
        known, *_ = general()
        vocabulary = known.widened(plain, VOCABULARY["least"])
        n, encode = len(vocabulary), vocabulary.encode
        model, read_on = AWDLSTM(n, **SIZE, **RATES), np.concatenate([encode(text) for text in plain])
        asked = np.concatenate([encode(text) for text, _ in exam])
        labelled, exam = ([(encode(text), label) for text, label in part] for part in (labelled, exam))
        found, first, second = {"pretraining": {}, "perplexity": {}}, {}, {}
        for by in PRETRAINING["rates"]:
            p, found["pretraining"][by] = pretrained(by)
            first[by] = with_new_words(p, n - len(known))
            second[by] = tuned(model, tree_map(np.copy, first[by]), read_on, seed)
            losses = [loss_of(model, p, asked) for p in (first[by], second[by])]
            found["perplexity"][by] = [round(float(np.exp(loss)), 1) for loss in losses]
        ways = {
            "from nothing": ({}, FROM_NOTHING),
            "ULMFiT's words alone": ({"token": second[MAIN]["token"]}, FROM_NOTHING),
            "without step two": (first[MAIN], CLASSIFYING),
            "ULMFiT": (second[MAIN], CLASSIFYING),
            "ULMFiT by AdamW": (second["AdamW"], CLASSIFYING),
        }
        for name, (body, how) in ways.items():
            found[name] = learn_classes(*classifier(n, body, seed, how), labelled, exam, seed, how, map)
    found["counts of words"] = right_by_counts(labelled, exam, n)
    right, steps = found["ULMFiT"][-1][1], found["pretraining"][MAIN]["steps"]
    return {"right": right, "held_out": len(exam), "steps": steps} | found


if __name__ == "__main__":
    measure("ulmfit", learn, SETTINGS)
