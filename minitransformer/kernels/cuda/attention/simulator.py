"""Numba's simulator of a GPU, made to take turns. For tests: it runs a kernel in Python, a thread for a thread.

What Numba brings lets all threads of a block run at once. A race then shows now and then, and waiting threads take the
processor from those that have something to do. Here one thread runs at a time, and hands on only where it must wait for
others: at a barrier, or where a warp does something together (twins.py). Who comes next, and in which order the blocks
come, is drawn from a seed. So

    a missing barrier shows every time      whoever comes first runs on, and reads what nobody has written yet
    so does one that not all reach          nobody is left to run
    a sum that depends on who comes first   differs from seed to seed, and one that does not, does not

Shared and local memory is filled with NaN before it is used, and may be asked for with an alignment.
"""

import os
import random
import sys
import threading
from contextlib import contextmanager

import numpy as np
from numba import cuda
from numba.cuda.simulator import kernel, kernelapi
from numba.cuda.simulator.cudadrv.devicearray import FakeWithinKernelCUDAArray

WARP = 32
order = random.Random(0)


@contextmanager
def seed(number):
    """Threads and blocks take turns in another order."""
    global order
    before, order = order, random.Random(number)
    try:
        yield
    finally:
        order = before


@contextmanager
def one_core():
    """Threads started here stay on one core, where the system lets us say so: one of many would sleep between turns."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cores)[os.getpid() % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


class Meeting:
    """Threads that wait for one another, and what they do together once all have come."""

    def __init__(self, members):
        self.expected = len(members)  # who have not ended
        self.here = {}  # thread: what it brings
        self.together = self.result = None


class Block(kernel.BlockManager):
    """A block of threads, of which one runs at a time"""

    def run(self, grid_point, *args):
        point = another_block(grid_point, self._grid_dim)
        self.threads = sorted(
            (Thread(lambda: self._f(*args), self, point, at, self._debug) for at in np.ndindex(*self._block_dim)),
            key=lambda thread: thread.thread_id,
        )
        self.alive = len(self.threads)
        self.ready = list(self.threads)
        order.shuffle(self.ready)
        self.done = threading.Event()
        self.failed = None
        self.block = Meeting(self.threads)
        self.warps = [Meeting(self.threads[i : i + WARP]) for i in range(0, len(self.threads), WARP)]
        with one_core():
            for thread in self.threads:
                thread.start()
            self.next()
            self.done.wait()
            for thread in self.threads:
                thread.join()
        if self.failed:
            raise self.failed

    def next(self):
        """Let the next thread run."""
        if self.ready:
            self.ready.pop().turn.release()
        elif self.alive:
            self.fail(RuntimeError("threads wait for others that will not come"))
        else:
            self.done.set()

    def fail(self, error):
        """All threads end."""
        self.failed = self.failed or error
        for thread in self.threads:
            thread.abort = True
            if thread.turn.locked():
                thread.turn.release()
        self.done.set()


class Thread(kernel.BlockThread):
    """One thread of a block, which runs when it is its turn"""

    def __init__(self, *args):
        super().__init__(*args)
        self.turn = threading.Lock()  # locked as long as it is another's
        self.turn.acquire()

    def run(self):
        block = self._manager
        self.wait()
        try:
            if not self.abort:
                self._target()
        except BaseException as error:
            if not self.abort:
                error.add_note(f"thread {tuple(self.threadIdx)} of block {tuple(self.blockIdx)}")
                block.fail(error)
        if not self.abort:
            block.alive -= 1
            for meeting in (block.block, block.warps[self.thread_id // WARP]):
                meeting.expected -= 1  # who has ended is waited for no longer
                conclude(meeting, block)
            block.next()

    def wait(self):
        self.turn.acquire()

    def meet(self, meeting, brought=None, together=dict):
        """Wait for the others of a meeting; what `together` makes of {thread_id: what it brought}, once for all"""
        meeting.here[self] = brought
        meeting.together = together
        conclude(meeting, self._manager)
        self._manager.next()
        self.wait()
        if self.abort:
            raise RuntimeError("another thread failed")
        return meeting.result

    def syncthreads(self):
        self.meet(self._manager.block)

    def with_warp(self, brought=None, together=dict):
        return self.meet(self._manager.warps[self.thread_id // WARP], brought, together)


def conclude(meeting, block):
    """All are here who will come: let them go on, in an order drawn."""
    if meeting.here and len(meeting.here) == meeting.expected:
        meeting.result = meeting.together({thread.thread_id: what for thread, what in meeting.here.items()})
        gone_on = sorted(meeting.here, key=lambda thread: thread.thread_id)
        meeting.here = {}
        order.shuffle(gone_on)
        block.ready += gone_on


def another_block(point, grid):
    """The blocks of a launch in an order drawn: a permutation of the grid, drawn when its first block comes."""
    global permutation
    if not any(point):
        permutation = list(np.ndindex(*grid))
        order.shuffle(permutation)
    return permutation[np.ravel_multi_index(point, grid)]


def poisoned(shape, dtype):
    """Memory in which every number is NaN"""
    if isinstance(dtype, kernelapi.types.Type):
        dtype = kernelapi.numpy_support.as_dtype(dtype)
    memory = np.empty(shape, dtype)
    memory.view(np.uint8)[...] = 0xFF
    return memory


def shared_array(self, shape, dtype, alignment=None):
    """One array for all threads of a block; which, is told from the line that asks for it."""
    caller = sys._getframe(1)
    place = caller.f_code.co_filename, caller.f_lineno
    block = threading.current_thread()._manager
    if self._allocations.get("block") is not block:  # another block's shared memory holds nothing of the last one's
        self._allocations.clear()
        self._allocations["block"] = block
    if place not in self._allocations:
        self._allocations[place] = poisoned(shape, dtype)
    return self._allocations[place]


def local_array(self, shape, dtype, alignment=None):
    return poisoned(shape, dtype)


@contextmanager
def swapped(function, simulated):
    """The module of a function has the simulated `cuda` meanwhile. Numba looks for it among all names of the module."""
    names = function.__globals__
    swap = names.get("cuda") is cuda
    if swap:
        names["cuda"] = simulated
    try:
        yield
    finally:
        if swap:
            names["cuda"] = cuda


def attribute(self, name):
    """Of an array in a kernel. Numba lists all that an array has before it gives one of them."""
    return getattr(self._item._ary, name)


kernel.BlockManager = Block
kernel.swapped_cuda_module = swapped
FakeWithinKernelCUDAArray.__getattr__ = attribute
kernelapi.FakeCUDAShared.array = shared_array
kernelapi.FakeCUDALocal.array = local_array
kernelapi.FakeCUDAModule.syncwarp = lambda self, mask=0xFFFFFFFF: threading.current_thread().with_warp() and None
