"""Work over threads: the pieces of a batch, the heads of an attention, the leaves of an optimizer's step.

NumPy and the kernels let go of Python's lock, so threads do compute at the same time. While there are workers, BLAS has
one thread: two pools on the same cores ruin each other. How many threads there are never changes what comes out.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

WORTH_WAKING = 1 << 23  # bytes

_pools = []  # of the `workers` that are at work, the innermost last
_here = threading.local()  # _here.working: this thread is a worker, and hands nothing on


def available_cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def workers(threads):
    """A `map` over this many threads, which `spread` uses too. ValueError below 1."""
    from threadpoolctl import threadpool_limits

    if threads < 1:
        raise ValueError(f"work takes at least 1 thread, not {threads}")
    with threadpool_limits(limits=1):
        if threads == 1:
            _pools.append(None)
            try:
                yield map
            finally:
                _pools.remove(None)
            return
        with ThreadPoolExecutor(threads, initializer=begin_work) as pool:
            pool.size = threads
            _pools.append(pool)
            try:
                yield pool.map
            finally:
                _pools.remove(pool)


def begin_work():
    _here.working = True


def helping():
    """How many workers `spread` has here; 1 where this thread does everything itself, as a worker does."""
    return _pools[-1].size if _pools and _pools[-1] and not getattr(_here, "working", False) else 1


def alone():
    """Whether this thread has been told to do everything itself: it is a worker, or the only one there is to be."""
    return getattr(_here, "working", False) or bool(_pools) and not _pools[-1]


def spread(work, items, n_bytes=WORTH_WAKING):
    """[work(item) for item in items], by the workers if there are any and this thread is none of them.

    Each worker has its share at once: to hand a thread a single item costs more than many an item's work. n_bytes: how
    many bytes all of the work goes through, where that may be so few that this thread is done before another is awake.
    """
    items, n = list(items), helping()
    if len(items) < 2 or n == 1 or n_bytes < WORTH_WAKING:
        return [work(item) for item in items]
    done, shares = [None] * len(items), [items[i::n] for i in range(n)]
    others = _pools[-1].map(lambda share: [work(item) for item in share], shares[1:])
    _here.working = True  # one of them is this thread's, which is awake
    try:
        done[0::n] = [work(item) for item in shares[0]]
    finally:
        _here.working = False
    for i, share in enumerate(others, 1):
        done[i::n] = share
    return done
