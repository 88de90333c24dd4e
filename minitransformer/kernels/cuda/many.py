"""Many arrays in one launch: all leaves of a gradient, or of what an optimizer moves.

A model has hundreds of leaves, most of them small, and the host needs longer to launch a kernel than the device to go
through one. So a kernel is given a table instead, a row to each leaf:

    the chunk with which it begins, its size, and where in memory it begins; and so its partners of the same shape

Every leaf is cut into chunks of CHUNK elements, all chunks are numbered, and a block takes one: it finds the leaf of
its chunk in the table, by halving, and makes an array of the address that stands there.
"""

import numpy as np

from .arrays import to_device
from .device import SIMULATED, THREADS, inlined, launch

CHUNK = THREADS * (2 if SIMULATED else 16)  # elements
BEGIN, SIZE, ADDRESSES = 0, 1, 2  # columns of the table


def by_dtype(*lists):
    """[(places, lists), ...]: the leaves of each precision apart, and where they were in the lists that are given"""
    found = {}
    for place, leaf in enumerate(lists[0]):
        found.setdefault(leaf.dtype, []).append(place)
    return [(places, [[leaves[place] for place in places] for leaves in lists]) for places in found.values()]


def launch_chunks(kernel, lists, *args):
    """The kernel over every chunk of the leaves in lists[0]; lists[1], ... are their partners, leaf by leaf.

    All of one dtype, and contiguous. The kernel is given the table, a leaf to know the dtype by, and then args.
    """
    sizes = np.array([leaf.size for leaf in lists[0]])
    ends = np.cumsum(-(-sizes // CHUNK))
    table = [[0, *ends[:-1]], sizes, *map(addresses, lists)]
    table = to_device(np.ascontiguousarray(np.array(table, np.int64).T))
    launch(kernel, int(ends[-1]), THREADS, table, lists[0][0].reshape(-1), *args)


def n_chunks(leaves):
    return sum(-(-leaf.size // CHUNK) for leaf in leaves)


def addresses(arrays):
    return [array.ctypes.data for array in arrays] if SIMULATED else [array.data.ptr for array in arrays]


@inlined
def leaf_of(chunk, table):
    """The row of the leaf that has this chunk: the last that begins with it or before, and is not empty"""
    low, high = 0, table.shape[0]
    while high - low > 1:
        middle = (low + high) // 2
        if table[middle, BEGIN] <= chunk:
            low = middle
        else:
            high = middle
    return low


if SIMULATED:

    def array_at(address, size, like):
        """The array of so many numbers of the kind of `like` that begins there"""
        numbers = (np.ctypeslib.as_ctypes_type(like.dtype) * int(size)).from_address(int(address))
        return np.ctypeslib.as_array(numbers)

else:
    from llvmlite import ir
    from numba import types
    from numba.cuda.extending import intrinsic

    GLOBAL = 1  # the address space of arrays

    @intrinsic
    def array_at(typing, address, size, like):
        """The array of so many numbers of the kind of `like` that begins there"""

        def code(context, builder, signature, values):
            begin, count, other = values
            array = context.make_array(like)(context, builder, other)  # the same but for where it is, and its length
            there = builder.inttoptr(begin, ir.PointerType(array.data.type.pointee, GLOBAL))
            array.data = builder.addrspacecast(there, array.data.type)
            array.shape = builder.insert_value(array.shape, count, 0)
            array.nitems = count
            return array._getvalue()

        return like(types.int64, types.int64, like), code
