"""Where the time of a training step goes: python -m bench.profile [SIZE]

One thread does one piece of the batch, as each core does in training, and every operation is timed from within; medians
over the steps. Beside each stands what its matrix products alone would take at the rate of a large one on one core.
"""

import statistics
import sys
import time
from collections import defaultdict
from datetime import date

import numpy as np

from minitransformer.files import to_json, write_atomically

from .machine import cores, machine
from .step import SIZES, batch_of, model_of

STEPS = 30


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "small"
    if name not in SIZES:
        print(f"python -m bench.profile: unknown size {name!r}; there are: {', '.join(SIZES)}", file=sys.stderr)
        return 1
    result = profile(name)
    from .__main__ import RESULTS

    RESULTS.mkdir(parents=True, exist_ok=True)
    write_atomically(RESULTS / f"profile_{name}.json", to_json(result))
    print(
        f"a step of one piece on one thread: {result['step'] * 1e3:.1f} ms; a core: {result['flops'] / 1e9:.0f} GFLOP/s"
    )
    for row in result["rows"]:
        least = f"{row['least'] * 1e3:8.2f} ms of products" if row["least"] else ""
        print(f"  {row['what']:32} {row['calls']:4} calls {row['seconds'] * 1e3:8.2f} ms  {least}")
    return 0


def profile(name):
    import minitransformer
    from minitransformer.convention import THINGS
    from minitransformer.memory import keep_freed_memory
    from minitransformer.threads import workers
    from minitransformer.training.loop import Training, train_step
    from minitransformer.training.losses import next_token_loss
    from minitransformer.training.optimizer import AdamW
    from minitransformer.training.parallel import cut

    keep_freed_memory()
    minitransformer.use_backend("cpu")
    spent = defaultdict(list)  # (operation, pass) -> seconds of every call
    for thing in THINGS.values():
        for backend, pair in getattr(thing, "implementations", {}).items():
            watched = (watch(part, spent, (thing.name, way)) for part, way in zip(pair, ("forward", "backward")))
            thing.implementations[backend] = tuple(watched)
    size = SIZES[name]
    model, p = model_of(size)
    training, loss, steps = Training(p, AdamW()), next_token_loss(model), []
    with workers(1) as map:
        flops = rate()
        piece = cut(batch_of(size), cores())[:1]
        for i in range(STEPS + 3):
            if i == 3:
                spent.clear()
            begin = time.perf_counter()
            train_step(training, loss, piece, [None], 1e-3, clip=1.0, map=map)
            steps.append(time.perf_counter() - begin)
    rows = [
        {"what": f"{op}, {way}", "calls": len(times) // STEPS, "seconds": sum(times) / STEPS, "least": 0.0}
        for (op, way), times in spent.items()
    ]
    N, D = len(piece[0][0]) * size.context, size.width
    products = 2 * N * (size.layers * 12 * D * D + size.vocab * D)
    least = {"linear, forward": products / flops, "linear, backward": 2 * products / flops}
    rows = sorted((row | {"least": least.get(row["what"], 0.0)} for row in rows), key=lambda row: -row["seconds"])
    step = statistics.median(steps[3:])
    rest = {"what": "Python, and sums of two arrays", "calls": 1, "least": 0.0}
    rows.append(rest | {"seconds": step - sum(row["seconds"] for row in rows)})
    about = {"machine": machine(), "date": str(date.today()), "size": size._asdict(), "tokens": N}
    return {"profile": name, **about, "step": step, "flops": flops, "rows": rows}


def watch(part, spent, key):
    if part is None:
        return None

    def timed(*args, **static):
        begin = time.perf_counter()
        try:
            return part(*args, **static)
        finally:
            spent[key].append(time.perf_counter() - begin)

    return timed


def rate():
    """Operations a second of a large product on one core."""
    a, b = np.ones((2, 1024, 1024), np.float32)
    times = []
    for _ in range(12):
        begin = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - begin)
    return 2 * 1024**3 / min(times)


if __name__ == "__main__":
    sys.exit(main())
