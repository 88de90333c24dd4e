"""The copy task: a Transformer of two layers learns to say again what it was told, ten symbols of ten.

    1 7 3 3 10 2 5 9 1 4    →    1 7 3 3 10 2 5 9 1 4        the first symbol is always 1, and begins the answer too

It is the first example of the Annotated Transformer (Rush 2018; Huang et al. 2022): V = 11, N = 2, no label smoothing,
20 epochs of 20 batches of 80. There the width is 512, with dropout; here it is 64, without, so that it takes seconds.

Two learning rates are tried on the same model and the same batches. The published one rises with every step to the very
last, so that the last steps are the longest. The other falls to nothing along half a cosine, and the model settles.
"""

from dataclasses import asdict
from functools import partial

import numpy as np
from tqdm import tqdm

from minitransformer.convention import fold, generator
from minitransformer.decoding import decode
from minitransformer.models import Transformer
from minitransformer.plots.attention import attention_weights
from minitransformer.threads import workers
from minitransformer.training.loop import Training, train_step
from minitransformer.training.losses import translation_loss
from minitransformer.training.optimizer import AdamW
from minitransformer.training.parallel import cut
from minitransformer.training.schedules import inverse_square_root, published_peak, warmup_cosine

from .results import measure

MODEL = Transformer(vocab_size=11, n_layers=2, n_heads=2, d_model=64, d_ff=256, dropout_rate=0.0, shared=False)
OPTIMIZER = {"betas": (0.9, 0.98), "eps": 1e-9, "weight_decay": 0.0}
SCHEDULE = {"peak": 2e-3, "end": 0.0, "warmup": 40, "steps": 20 * 20}
PUBLISHED = {"peak": 0.5 * published_peak(d_model=MODEL.d_model, warmup=400), "warmup": 400}
BATCH, PIECES, CLIP = 80, 2, 1.0
LENGTH, HELD_OUT, EXAM_EVERY = 10, 1000, 20
SETTINGS = {"model": asdict(MODEL), "optimizer": OPTIMIZER, "schedule": SCHEDULE}
SETTINGS |= {"batch": BATCH, "pieces": PIECES, "clip": CLIP, "held_out": HELD_OUT}
EXAM, INIT, SAMPLING = range(3)  # what the keys folded from the seed are for


def sequences(key, number):
    """So many sequences (number, 10) of symbols from 1 to 10, the first of each 1."""
    symbols = generator(key).integers(1, MODEL.vocab_size, (number, LENGTH))
    symbols[:, 0] = 1
    return symbols


def batch(seed, step):
    """The sequences to learn from in a step."""
    return sequences(fold(fold(np.random.SeedSequence(seed), SAMPLING), step), BATCH)


def held_out(seed):
    """The sequences of the exam: none that is learnt from. There are 10⁹, and still one or the other comes twice."""
    learnt = {tuple(row) for step in range(SCHEDULE["steps"]) for row in batch(seed, step).tolist()}
    drawn = sequences(fold(np.random.SeedSequence(seed), EXAM), HELD_OUT + 100)
    return drawn[[tuple(row) not in learnt for row in drawn.tolist()]][:HELD_OUT]


def examples(sequences):
    """What the loss takes: the source, all of it there; the target that the decoder reads, and what it should say."""
    everything = np.ones((len(sequences), 1, 1, LENGTH), bool)
    return sequences, everything, sequences[:, :-1], sequences[:, 1:]


def copies(p, sequences):
    """What the model says to each, greedily, after the 1 that it is given: (B, 9)"""
    return np.array(decode(MODEL, p, MODEL.start(p, sequences, length=LENGTH), sequences[:, :1], max_tokens=LENGTH - 1))


def right(p, sequences):
    """How many are copied exactly."""
    return int((copies(p, sequences) == sequences[:, 1:]).all(1).sum())


def cross_attention(p, symbols):
    """What the decoder looks at while it copies these (10): (L, H, 9, 10), in thousandths"""
    weights = attention_weights(MODEL, p, symbols[None], symbols[None, :-1])["decoder.cross_attention"]
    return {"symbols": symbols.tolist(), "weights": np.rint(1000 * weights).astype(int).tolist()}


def learn(seed, threads=1, rate=None):
    """One run, from nothing to the exam; rate: of each step, by default along the cosine."""
    exam, key = held_out(seed), fold(np.random.SeedSequence(seed), INIT)
    training = Training(MODEL.init(generator(key)), AdamW(**OPTIMIZER))
    loss, rate, curve = translation_loss(MODEL, label_smoothing=0.0), rate or warmup_cosine(**SCHEDULE), []
    with workers(threads) as map:
        for step in tqdm(range(SCHEDULE["steps"]), desc=f"seed {seed}", unit="step", leave=False, disable=None):
            pieces = cut(examples(batch(seed, step)), PIECES)
            train_step(training, loss, pieces, None, rate(step), clip=CLIP, map=map)
            if training.step % EXAM_EVERY == 0:
                curve.append((training.step, right(training.p, exam)))
    found = {"right": curve[-1][1], "held_out": HELD_OUT, "steps": training.step, "curve": curve}
    return found | {"cross_attention": cross_attention(training.p, exam[0])}


if __name__ == "__main__":
    measure("copy_task", learn, SETTINGS)
    published = partial(learn, rate=inverse_square_root(**PUBLISHED))
    measure("copy_task_published_rate", published, SETTINGS | {"schedule": PUBLISHED})
