"""The linear map of few rows by all cores: memory sets the pace, and one core alone does not reach it.

The outputs are cut into chunks, and whoever is free takes the next: this thread, and a helper for every other core. A
map of GPT-2 takes 50 µs, about as long as a thread that sleeps takes to wake. So helpers stay awake for a while, and
look for work from within compiled code, where Python's lock is not needed. Who still sleeps is not waited for: the
others take all chunks. Only a chunk that somebody has is waited for.

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
from .compiled import compiled
from .few_rows import in_panels, panels_of, some_outputs
from .tile import ARM, LANE, THIN_ROWS, X86, thin_columns, whole

WORTH_HELP = 1 << 20  # bytes of weights
CHUNKS = 4  # for each who takes them: long ones, which memory likes, and yet nobody waits long for the last
PATIENCE = 1 << 14  # looks at the board, half a millisecond: as long as there may be between two maps of a token
MOST = 8  # who take part: no memory is fast enough for more
LEFT, DONE, *GIVEN = 0, 8, *range(16, 27)  # places on the board, far enough apart to share no line of a cache
WEIGHT, BIAS, BIASED, X, PANELS, Y, ROWS, IN, OUT, ITEMSIZE, CHUNK = GIVEN


class Board:
    """Where maps are posted, one at a time, and the helpers who look there"""

    def __init__(self):
        self.places, self.posting, self.bells = np.zeros(32, np.int64), threading.Lock(), []

    def multiply(self, weight, bias, x, y):
        """y (R, E) = x (R, D) Wᵀ + b, with 1 or more rows; all of one dtype and contiguous, bias (E) or empty"""
        panels = in_panels(x)
        if weight.nbytes < WORTH_HELP or alone() or self.posting.locked():
            return some_outputs(weight, bias, x, panels, y, 0, len(weight))
        with self.posting:  # and who takes it just before this one is waited for: an interrupt finds no gap in `with`
            self.ring()
            multiply_together(self.places, CHUNKS * (1 + len(self.bells)), weight, bias, x, panels, y)

    def ring(self):
        """Wake the helpers who sleep: a bell is a lock that one of them waits for, and is rung by letting go of it."""
        for _ in range(len(self.bells) + 1, min(available_cores(), numba.config.NUMBA_NUM_THREADS, MOST)):
            bell = threading.Lock()
            bell.acquire()
            try:
                threading.Thread(target=self.help, args=(bell,), daemon=True).start()
            except RuntimeError:  # no more threads are to be had
                break
            self.bells.append(bell)
        for bell in self.bells:
            if bell.locked():
                bell.release()

    def help(self, bell):
        while bell.acquire():
            help_for_a_while(self.places, PATIENCE)


@compiled
def multiply_together(places, chunks, weight, bias, x, panels, y):
    E, D = weight.shape
    each = whole((E + chunks - 1) // chunks, THIN_ROWS)
    chunks = (E + each - 1) // each
    places[WEIGHT], places[BIAS], places[BIASED] = weight.ctypes.data, bias.ctypes.data, bias.size
    places[X], places[PANELS], places[Y] = x.ctypes.data, panels.ctypes.data, y.ctypes.data
    places[ROWS], places[IN], places[OUT], places[ITEMSIZE], places[CHUNK] = len(x), D, E, weight.itemsize, each
    write(places, DONE, 0)
    write(places, LEFT, chunks)
    left = add(places, LEFT, -1)
    while left > 0:
        some_outputs(weight, bias, x, panels, y, (left - 1) * each, min(left * each, E))
        add(places, DONE, 1)
        left = add(places, LEFT, -1)
    while read(places, DONE) < chunks:
        relax()


@compiled
def help_for_a_while(places, patience):
    looks = 0
    while looks < patience:
        looks += 1
        relax()
        left = add(places, LEFT, -1) if read(places, LEFT) > 0 else 0
        if left > 0:
            if places[ITEMSIZE] == 4:
                do_chunk(places, left - 1, np.float32(0))
            else:
                do_chunk(places, left - 1, np.float64(0))
            add(places, DONE, 1)
            looks = 0


@register_jitable
def do_chunk(places, chunk, zero):
    """One chunk of the map on the board, whose numbers are of zero's kind"""
    R, D, E, each = places[ROWS], places[IN], places[OUT], places[CHUNK]
    weight, bias = carray(at(places[WEIGHT], zero), (E, D)), carray(at(places[BIAS], zero), places[BIASED])
    x, y = carray(at(places[X], zero), (R, D)), carray(at(places[Y], zero), (R, E))
    panels = carray(at(places[PANELS], zero), (panels_of(R, places[ITEMSIZE]), D, thin_columns(x)))
    some_outputs(weight, bias, x, panels, y, chunk * each, min((chunk + 1) * each, E))


# ------------------------------------------------------------------------ what all see, in LLVM's words (as in tile.py)


def place_of(context, builder, signature, args):
    """The place in memory of places[i]"""
    return builder.gep(context.make_array(signature.args[0])(context, builder, args[0]).data, [args[1]])


@intrinsic
def read(context, places, i):
    def code(context, builder, signature, args):
        return builder.load_atomic(place_of(context, builder, signature, args), "acquire", 8)

    return types.int64(places, types.int64), code


@intrinsic
def write(context, places, i, value):
    def code(context, builder, signature, args):
        builder.store_atomic(args[2], place_of(context, builder, signature, args), "release", 8)
        return context.get_dummy_value()

    return types.void(places, types.int64, types.int64), code


@intrinsic
def add(context, places, i, value):
    """places[i] += value, in one for all who see it; and what it was before"""

    def code(context, builder, signature, args):
        return builder.atomic_rmw("add", place_of(context, builder, signature, args), args[2], "acq_rel")

    return types.int64(places, types.int64, types.int64), code


@intrinsic
def relax(context):
    """Tell the processor that this thread only waits."""

    def code(context, builder, signature, args):
        if X86 or ARM:
            name, hint = ("llvm.x86.sse2.pause", []) if X86 else ("llvm.aarch64.hint", [LANE(1)])
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
