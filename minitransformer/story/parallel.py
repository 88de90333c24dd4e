"""Sequential against parallel: how long a training step takes, for sequences of more and more tokens.

Two layers of an LSTM, and two of a Transformer with as many weights (feed-forward networks of twice the width), on one
sequence: forward and backward. Step t of an LSTM begins when step t - 1 has ended, so T steps are T small products, one
after another, and a second core has nothing to do meanwhile. A Transformer has all positions in one product; what it
pays is attention, whose work grows with T².
"""

import time

import numpy as np

from ..blocks import pre_norm_layer, recurrence, stack
from ..convention import current_backend, use_backend
from ..models.recurrent import affine, cell
from ..ops import gelu_tanh, lstm
from ..threads import available_cores, workers
from .learning import say
from .pictures import COLOURS, figure

WIDTH, HEADS, LAYERS, BATCH = 128, 4, 2, 1
LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
SECONDS, REPEATS = 1.0, 5  # of repeating each, at least; and how often, at least


def lstm_step(rng):
    p, layers = [cell(rng, "lstm", WIDTH, WIDTH, np.float32) for _ in range(LAYERS)], recurrence(lstm)

    def step(x, dy):
        _, saved = layers(p, x)
        return layers.backward(dy, None, None, saved)

    return step


def transformer_step(rng):
    def norm():
        return {"weight": np.ones(WIDTH, np.float32), "bias": np.zeros(WIDTH, np.float32)}

    def layer():
        up, down = affine(rng, 2 * WIDTH, WIDTH, np.float32), affine(rng, WIDTH, 2 * WIDTH, np.float32)
        attention = {name: affine(rng, WIDTH, WIDTH, np.float32) for name in ("q", "k", "v", "out")}
        return {"norm1": norm(), "attention": attention, "norm2": norm(), "feed_forward": {"up": up, "down": down}}

    p, layers = [layer() for _ in range(LAYERS)], stack(pre_norm_layer)

    def step(x, dy):
        _, saved = layers(p, x, n_heads=HEADS, activation=gelu_tanh, causal=True)
        return layers.backward(dy, saved)

    return step


STEPS = {"LSTM": lstm_step, "Transformer": transformer_step}


def measure(seconds=SECONDS, lengths=LENGTHS, tell=say):
    """Milliseconds a step with one thread, and with one for each core, for BLAS as for the heads of an attention.

    One thread's are of its own processor time, whatever else the machine does; several have the wall clock alone, so
    let nothing else run for them.
    """
    from threadpoolctl import threadpool_limits

    backend, rng, found = current_backend(), np.random.default_rng(0), []
    threads = sorted({1, available_cores()})
    use_backend("cpu")
    try:
        for name, make in STEPS.items():
            step = make(rng)
            for T in lengths:
                x, dy = (rng.normal(size=(BATCH, T, WIDTH)).astype(np.float32) for _ in range(2))
                for n in threads:
                    clock = time.process_time if n == 1 else time.perf_counter
                    with workers(n), threadpool_limits(n):  # a product and a spread wait for each other
                        milliseconds = least_of(step, x, dy, seconds, clock)
                    found.append({"model": name, "tokens": T, "threads": n, "milliseconds": milliseconds})
                    tell(f"{name:12} {T:5} tokens  {milliseconds:8.2f} ms a step with {of(n)}")
    finally:
        use_backend(backend)
    settings = {"width": WIDTH, "layers": LAYERS, "heads": HEADS, "batch": BATCH, "seconds": seconds}
    return {"settings": settings, "threads": threads, "times": found}


def of(threads):
    """What was measured with so many."""
    return "1 thread" if threads == 1 else f"{threads} threads (wall clock)"


def least_of(step, x, dy, seconds, clock):
    """The least of many: whatever else the machine does can only add to it, and to one thread's own time but little."""
    step(x, dy)  # what is compiled, is compiled now
    taken, until = [], time.perf_counter() + seconds
    while len(taken) < REPEATS or time.perf_counter() < until:
        begin = clock()
        step(x, dy)
        taken.append(1000 * (clock() - begin))
    return round(min(taken), 3)


def times(found, name, threads):
    """tokens, milliseconds"""
    rows = [row for row in found["times"] if (row["model"], row["threads"]) == (name, threads)]
    return np.array([[row["tokens"], row["milliseconds"]] for row in rows]).T


def chain(name, T):
    """How many products must wait for one another, in a step of all layers, forward and backward.

    An LSTM's: W x, and U h at every step. A Transformer's: q, k and v; scores; what is seen; out; up; down.
    """
    return 2 * LAYERS * (1 + T if name == "LSTM" else 6)


def draw(found):
    """A step, and what of it falls to a token."""
    made, axes = figure(8.8, 3.6, 2)
    for name, colour in zip(STEPS, (COLOURS[0], COLOURS[-1])):
        for threads, style in zip(found["threads"], ("--", "-") if len(found["threads"]) > 1 else ("-",)):
            lengths, milliseconds = times(found, name, threads)
            how = {"color": colour, "ls": style, "marker": "o", "ms": 3.5}
            axes[0].plot(lengths, milliseconds, **how, label=f"{name}, {of(threads)}")
            axes[1].plot(lengths, 1000 * milliseconds / lengths, **how)
    axes[0].set(ylabel="milliseconds a step", yscale="log")
    axes[1].set(ylabel="microseconds a token", ylim=(0, None))
    for ax in axes:
        ax.set_xscale("log", base=2)
        ax.set(xlabel="tokens in the sequence")
        ax.set_xticks(lengths, [f"{int(n):,}" for n in lengths])
        ax.tick_params(axis="x", rotation=45)
    axes[0].legend(frameon=False, loc="upper left", fontsize=7.5)
    return made


def tables(found):
    """One. A row a length: the times, and how many products must wait for one another."""
    columns = [(name, threads) for name in STEPS for threads in found["threads"]]
    titles = [f"{name}, {of(threads)}" for name, threads in columns]
    rows = [["tokens", *titles, *(f"{name}: products in a row" for name in STEPS)]]
    rows.append(["---:"] * len(rows[0]))
    for i, T in enumerate(map(int, times(found, *columns[0])[0])):
        cells = [f"{times(found, *column)[1][i]:.2f} ms" for column in columns]
        rows.append([f"{T:,}", *cells, *(f"{chain(name, T):,}" for name in STEPS)])
    return [rows]
