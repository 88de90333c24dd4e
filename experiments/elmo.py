"""One word, two senses: an ELMo reads the Python Language Reference, and tells `for` from for.

"with" stands there as a keyword of Python, and as a word of English. Which of the two is meant, the reference says by
quotation marks. They are taken away before the model reads: what it knows of the sense, it has from what stands around.

A language model of the characters of words learns to say the next word and the one before (Peters et al. 2018). Then
each occurrence of such a word is a vector, in every layer. Are those of one sense nearer to each other? And can a sense
be read off one of them, or off a mixture of the layers whose weights are learnt?
"""

import re
from functools import cache

import numpy as np
from tqdm import tqdm

from minitransformer import use_backend
from minitransformer.blocks import layer_mix, layer_mix_backward
from minitransformer.convention import fold, generator
from minitransformer.data.text import python_reference
from minitransformer.models import ELMo
from minitransformer.ops import cross_entropy, cross_entropy_backward, linear, linear_backward
from minitransformer.threads import workers
from minitransformer.training.language_model_losses import both_ways_loss
from minitransformer.training.loop import Training, train_step
from minitransformer.training.optimizer import AdamW
from minitransformer.training.parallel import cut, mean_loss
from minitransformer.training.schedules import warmup_cosine

from .results import measure
from .words import UNKNOWN, Vocabulary

QUOTED = re.compile(r'"([^"\n]{1,40})"|([^"]+|")')
WORD = re.compile(r'[a-z]+|[0-9]+|[^\sa-z0-9"*=+-]')
WORDS = ("case", "class", "for", "from", "if", "in", "is", "not", "or", "return", "set", "with")
MOST, AROUND = 40, 16  # occurrences of each sense of a word, and how much of the text is read on either side of one
LONGEST, LEAST = 12, 3  # characters of a word that are read; how often a word stands that can be predicted
FILTERS = ((1, 16), (2, 16), (3, 32), (4, 32))
SIZE = {"n_characters": 130, "d_character": 16, "filters": FILTERS, "n_highway": 1, "d_model": 64}
OPTIMIZER = {"betas": (0.9, 0.99), "weight_decay": 0.01}
SCHEDULE = {"peak": 4e-3, "end": 0.0, "warmup": 40, "steps": 600}
PROBE = {"rate": 1e-2, "steps": 300}
BATCH, LENGTH, PIECES, CLIP = 16, 32, 2, 1.0
SETTINGS = {"words": WORDS, "occurrences": MOST, "model": SIZE, "optimizer": OPTIMIZER, "schedule": SCHEDULE}
SETTINGS |= {"probe": PROBE, "batch": BATCH, "length": LENGTH, "pieces": PIECES, "clip": CLIP}
INIT, SAMPLING, DROPOUT, HALVES = range(4)  # what the keys folded from the seed are for
FIRST, LAST = 128, 129  # what stands before and behind the characters of a word


# ------------------------------------------------------------------------------------------------------------ the text


@cache
def text():
    """The reference, every paragraph once   ->   words, senses: 0 English, 1 Python, None in an example"""
    plain = python_reference().lower().replace("“", '"').replace("”", '"').replace('""', '"')
    said, senses = [], []
    for paragraph in dict.fromkeys(plain.split("\n\n")):
        for inside, outside in QUOTED.findall(paragraph):
            found = WORD.findall(inside or outside)
            said += found
            senses += [None if paragraph.startswith("   ") else int(bool(inside))] * len(found)
    return said, senses


def occurrences(word, said, senses):
    """The places of a word in either sense, none with the same four words around it as another"""
    places, seen = ([], []), set()
    for at in range(AROUND, len(said) - AROUND):
        around = tuple(said[at - 4 : at + 5])
        if said[at] == word and senses[at] is not None and around not in seen:
            seen.add(around)
            places[senses[at]].append(at)
    return places


def spelling(vocabulary):
    """The characters of every word (V, W), and which of them are there"""
    spelt = np.zeros((len(vocabulary), LONGEST + 2), np.int64)
    there = np.zeros(spelt.shape, bool)
    for i, word in enumerate(vocabulary.words):
        characters = [FIRST, *(min(ord(c), FIRST - 1) for c in word[:LONGEST]), LAST]
        spelt[i, : len(characters)], there[i, : len(characters)] = characters, True
    return spelt, there


class Reference:
    """The text as ids of all its words, their spelling, and as targets, in which rare words do not count."""

    def __init__(self):
        self.said, self.senses = text()
        self.vocabulary = Vocabulary.of([self.said], least=1, size=len(self.said))
        self.spelt, self.there = spelling(self.vocabulary)
        self.ids = self.vocabulary.encode(self.said)[1:]
        common = Vocabulary.of([self.said], least=LEAST, size=len(self.said))
        self.n_targets = len(common)
        targets = common.encode(self.said)[1:]
        self.targets = np.where(targets == UNKNOWN, -100, targets)
        self.end = len(self.ids) * 9 // 10  # what stands behind it is held out

    def windows(self, starts, length=LENGTH):
        """characters, mask (B, T, W), after, before (B, T), what stands on either side of each"""
        at = np.asarray(starts)[:, None] + np.arange(length)
        ids = self.ids[at]
        return self.spelt[ids], self.there[ids], self.targets[at + 1], self.targets[at - 1]


# ------------------------------------------------------------------------------------------------------------ the model


def train(reference, seed, map):
    """One language model   ->   model, parameters, perplexity of what is held out"""
    root = np.random.SeedSequence(seed)
    model = ELMo(vocab_size=reference.n_targets, **SIZE)
    training = Training(model.init(generator(fold(root, INIT))), AdamW(**OPTIMIZER))
    loss, rate = both_ways_loss(model), warmup_cosine(**SCHEDULE)
    for step in tqdm(range(SCHEDULE["steps"]), desc=f"seed {seed}", unit="step", leave=False, disable=None):
        starts = generator(fold(fold(root, SAMPLING), step)).integers(1, reference.end - LENGTH, BATCH)
        batch = cut(reference.windows(starts), PIECES)
        keys = [fold(fold(fold(root, DROPOUT), step), i) for i in range(len(batch))]
        train_step(training, loss, batch, keys, rate(step), clip=CLIP, map=map)
    starts = np.arange(reference.end, len(reference.ids) - LENGTH - 1, LENGTH)
    held_out = mean_loss(loss, training.p, cut(reference.windows(starts), 8), map)
    return model, training.p, round(float(np.exp(held_out)), 1)


def vectors(model, p, reference, places):
    """What every layer says of the words at these places, each with the text around it: (L + 1, N, 2D)"""
    characters, mask, *_ = reference.windows(np.array(places) - AROUND, 2 * AROUND)
    h, _ = model.hidden(p, characters, mask=mask)
    return h[:, :, AROUND]


# ----------------------------------------------------------------------------------------------------------- the senses


def nearness(h, senses):
    """h (N, D), senses (N)   ->   mean cosine within a sense and across, how many of whose nearest is of their sense"""
    unit = h / np.linalg.norm(h, axis=1, keepdims=True)
    cosine, same = unit @ unit.T, senses[:, None] == senses
    others = ~np.eye(len(h), dtype=bool)
    nearest = np.where(others, cosine, -2).argmax(1)
    return cosine[same & others].mean(), cosine[~same].mean(), int((senses[nearest] == senses).sum())


def probe(h, senses, learnt):
    """A linear map of mixed layers: h (L, N, D), learnt (N)   ->   s (L), how many of the others it tells rightly"""
    p = {"mix": {"weight": np.zeros(len(h), h.dtype), "scale": np.ones(1, h.dtype)}}
    p["sense"] = {"weight": np.zeros((2, h.shape[-1]), h.dtype), "bias": np.zeros(2, h.dtype)}
    optimizer = AdamW(weight_decay=0.01)
    for _ in range(PROBE["steps"]):
        y, saved_mix = layer_mix(p["mix"], h[:, learnt])
        logits, saved_sense = linear(p["sense"], y)
        _, saved = cross_entropy(logits, senses[learnt])
        dy, g_sense = linear_backward(cross_entropy_backward(1.0, saved), saved_sense)
        _, g_mix = layer_mix_backward(dy, saved_mix)
        optimizer.step(p, {"mix": g_mix, "sense": g_sense}, PROBE["rate"])
    said = linear(p["sense"], layer_mix(p["mix"], h)[0])[0].argmax(-1)
    s = np.exp(p["mix"]["weight"])
    return (s / s.sum()).round(3).tolist(), int((said == senses)[~learnt].sum())


def learn(seed, threads=1):
    """One model, and what it makes of the words with two senses."""
    use_backend("cpu")
    reference = Reference()
    with workers(threads) as map:
        model, p, perplexity = train(reference, seed, map)
        rng, found = generator(fold(np.random.SeedSequence(seed), HALVES)), []
        every_h, every_sense = [], []
        for word in WORDS:
            both = occurrences(word, reference.said, reference.senses)
            n = min(MOST, *(len(sense) for sense in both))
            places = [at for sense in both for at in rng.permutation(sense)[:n]]
            senses, h = np.repeat([0, 1], n), vectors(model, p, reference, places)
            layers = [[round(float(x), 3) for x in nearness(layer, senses)] for layer in h]
            found.append({"word": word, "each": n, "layers": layers})
            every_h.append(h)
            every_sense.append(senses)
    h, senses = np.concatenate(every_h, 1), np.concatenate(every_sense)
    learnt = rng.permutation(len(senses)) < len(senses) // 2
    s, right = probe(h, senses, learnt)
    alone = [probe(h[j : j + 1], senses, learnt)[1] for j in range(len(h))]
    run = {"right": right, "held_out": int((~learnt).sum()), "steps": SCHEDULE["steps"], "mixture": s, "alone": alone}
    return run | {"perplexity": perplexity, "words": found}


if __name__ == "__main__":
    measure("elmo", learn, SETTINGS)
