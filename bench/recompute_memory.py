"""What a forward keeps for its backward, with `recompute` and without, and what the second forward costs."""

import platform
import statistics
import time

import numpy as np

from minitransformer.models import GPT2
from minitransformer.training.losses import next_token_loss
from minitransformer.trees import leaves

SIZE = dict(vocab_size=65, context_length=256, n_layers=6, n_heads=6, d_model=192, dropout_rate=0.1)
ROUNDS = 5


def kept_bytes(saved, p):
    """The bytes of all arrays that can be reached from saved, each memory once, parameters not counted."""
    seen = {id(leaf) for _, leaf in leaves(p)}
    total, ways = 0, [saved]
    while ways:
        thing = ways.pop()
        if isinstance(thing, dict):
            ways += thing.values()
        elif isinstance(thing, (list, tuple)):
            ways += thing
        elif isinstance(thing, np.ndarray):
            while isinstance(thing.base, np.ndarray):
                thing = thing.base
            if id(thing) not in seen:
                seen.add(id(thing))
                total += thing.nbytes
    return total


def main():
    rng = np.random.default_rng(0)
    ids, key = rng.integers(0, 65, (4, 256)), np.random.SeedSequence(1)
    print(f"NumPy {np.__version__}, Python {platform.python_version()}, GPT-2 of {SIZE}, batch 4")
    gradients = []
    for recompute in (False, True):
        model = GPT2(**SIZE, recompute=recompute)
        p, loss, times = model.init(np.random.default_rng(0)), next_token_loss(model), []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            _, saved = loss(p, ids, ids, key=key)
            g = loss.backward(1.0, saved)
            times.append(time.perf_counter() - begin)
        gradients.append([leaf.tobytes() for _, leaf in leaves(g)])
        kept, took = kept_bytes(saved, p) / 1e6, statistics.median(times)
        print(f"recompute={recompute!s:5}  saved {kept:7.1f} MB   forward and backward {took:.3f} s")
    print("the same gradients, bit for bit:", gradients[0] == gradients[1])


if __name__ == "__main__":
    main()
