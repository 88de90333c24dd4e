"""The linear map of few rows by all cores: memory sets the pace, and one core alone does not reach it.

The outputs are cut into chunks, and whoever is free takes the next: this thread, and a helper for every other core. A
map of GPT-2 takes 50 µs, about as long as a thread that sleeps takes to wake. So helpers stay awake for a while, and
look for work from within compiled code, where Python's lock is not needed. One that sleeps, or that the system has
sent away, is not waited for: the others take its chunks.

What is to be done stands on a board of whole numbers that all of them see:

    LEFT        chunks that nobody has taken. To take one is to subtract 1: who finds n > 0 there has chunk n - 1
    DONE        chunks that are finished: when all are, so is the map, and only then may the board be written anew
    the rest    where W, b, x and y lie in memory, and how large they are: for those to read who have a chunk

Both counters are atomic: who reads one of them sees all that was written before it was. How many helpers there are
never changes what comes out, for each output is one sum, taken by one of them.
"""

import os
import threading

import numba
import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from ...threads import alone, available_cores
from .attention_tiles import whole
from .compiled import compiled
from .few_rows import in_panels, panels_of, some_outputs
from .tile import ARM, LANE, THIN_ROWS, thin_columns

WORTH_HELP = 1 << 20  # bytes of weights
CHUNKS = 4  # for each who takes them: long ones, which memory likes, and yet nobody waits long for the last
PATIENCE = 1 << 17  # looks at the board, some milliseconds
LEFT, DONE, *GIVEN = 0, 8, *range(16, 27)  # places on the board, far enough apart to share no line of a cache
WEIGHT, BIAS, BIASED, X, PANELS, Y, ROWS, IN, OUT, SIZE, EACH = GIVEN


class Board:
    """Where maps are posted, one at a time, and the helpers who look there"""

    def __init__(self):
        self.places, self.posting, self.bells = np.zeros(32, np.int64), threading.Lock(), []

    def multiply(self, weight, bias, x, y):
        """y (R, E) = x (R, D) Wᵀ + b, with 1 or more rows; all of one dtype and contiguous, bias (E) or empty"""
        panels = in_panels(x)
        if weight.nbytes < WORTH_HELP or alone() or not self.posting.acquire(blocking=False):
            return some_outputs(weight, bias, x, panels, y, 0, len(weight))
        try:
            self.ring()
            multiply_together(self.places, CHUNKS * (1 + len(self.bells)), weight, bias, x, panels, y)
        finally:
            self.posting.release()

    def ring(self):
        if not self.bells:
            cores = min(available_cores(), numba.config.NUMBA_NUM_THREADS)
            self.bells = [threading.Event() for _ in range(cores - 1)]
            for bell in self.bells:
                threading.Thread(target=self.help, args=(bell,), daemon=True).start()
        for bell in self.bells:
            bell.set()

    def help(self, bell):
        while bell.wait():
            bell.clear()
            help_for_a_while(self.places, PATIENCE)


@compiled
def multiply_together(board, chunks, weight, bias, x, panels, y):
    E, D = weight.shape
    each = whole((E + chunks - 1) // chunks, THIN_ROWS)
    chunks = (E + each - 1) // each
    board[WEIGHT], board[BIAS], board[BIASED] = weight.ctypes.data, bias.ctypes.data, bias.size
    board[X], board[PANELS], board[Y] = x.ctypes.data, panels.ctypes.data, y.ctypes.data
    board[ROWS], board[IN], board[OUT], board[SIZE], board[EACH] = len(x), D, E, weight.itemsize, each
    write(board, DONE, 0)
    write(board, LEFT, chunks)
    left = add(board, LEFT, -1)
    while left > 0:
        some_outputs(weight, bias, x, panels, y, (left - 1) * each, min(left * each, E))
        add(board, DONE, 1)
        left = add(board, LEFT, -1)
    while read(board, DONE) < chunks:
        relax()


@compiled
def help_for_a_while(board, patience):
    looks = 0
    while looks < patience:
        looks += 1
        relax()
        left = add(board, LEFT, -1) if read(board, LEFT) > 0 else 0
        if left > 0:
            if board[SIZE] == 4:
                do_chunk(board, left - 1, np.float32(0))
            else:
                do_chunk(board, left - 1, np.float64(0))
            add(board, DONE, 1)
            looks = 0


@register_jitable
def do_chunk(board, chunk, zero):
    """One chunk of the map on the board, whose numbers are of zero's kind"""
    R, D, E, each, n_panels = board[ROWS], board[IN], board[OUT], board[EACH], panels_of(board[ROWS], board[SIZE])
    weight, bias = carray(at(board[WEIGHT], zero), (E, D)), carray(at(board[BIAS], zero), board[BIASED])
    x, y = carray(at(board[X], zero), (R, D)), carray(at(board[Y], zero), (R, E))
    panels = carray(at(board[PANELS], zero), (n_panels, D, thin_columns(x)))
    some_outputs(weight, bias, x, panels, y, chunk * each, min((chunk + 1) * each, E))


# ------------------------------------------------------------------------ what all see, in LLVM's words (as in tile.py)


def place_of(context, builder, signature, args):
    """The place in memory of board[i]"""
    return builder.gep(context.make_array(signature.args[0])(context, builder, args[0]).data, [args[1]])


@intrinsic
def read(context, board, i):
    def code(context, builder, signature, args):
        return builder.load_atomic(place_of(context, builder, signature, args), "acquire", 8)

    return types.int64(board, types.int64), code


@intrinsic
def write(context, board, i, value):
    def code(context, builder, signature, args):
        builder.store_atomic(args[2], place_of(context, builder, signature, args), "release", 8)
        return context.get_dummy_value()

    return types.void(board, types.int64, types.int64), code


@intrinsic
def add(context, board, i, value):
    """board[i] += value, in one for all who see it; and what it was before"""

    def code(context, builder, signature, args):
        return builder.atomic_rmw("add", place_of(context, builder, signature, args), args[2], "acq_rel")

    return types.int64(board, types.int64, types.int64), code


@intrinsic
def relax(context):
    """Tell the processor that this thread only waits."""

    def code(context, builder, signature, args):
        name, hint = ("llvm.aarch64.hint", [LANE(1)]) if ARM else ("llvm.x86.sse2.pause", [])
        kind = ir.FunctionType(ir.VoidType(), [number.type for number in hint])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), hint)
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def at(context, address, like):
    """The place in memory with this address, of numbers like that one"""

    def code(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(like)(address, like), code


board = Board()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=board.__init__)  # helpers stay with the parent
