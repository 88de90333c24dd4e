"""A tile of a matrix product, whose sums stay in the processor's registers from the first term to the last.

    c_ij = d_ij + Σ_k a_ik b_kj          for ROWS rows i and `columns` columns j

A step k loads VECTORS registers full of b and ROWS numbers of a, copies each of those to every lane of one more, and
multiplies all with all: ROWS × VECTORS multiply-adds for ROWS + VECTORS loads. A loop whose sums stand in memory loads
and stores them for every multiply-add, and waits for that. How large a tile may be, the registers say: ROWS × VECTORS
of them hold the sums, VECTORS a row of b, and one a number of a.

BLAS does the same, but for large matrices: it copies a and b first so that they lie as they are read. Here whoever
calls has laid them out already, and uses them many times.

This is the one place that is written in LLVM's words and not in Python: Numba has no array that lives in registers.
"""

import platform

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

FEATURES = llvm.get_host_cpu_features()
ARM = platform.machine().lower() in ("arm64", "aarch64")
X86 = platform.machine().lower() in ("x86_64", "amd64")
BYTES = 64 if FEATURES.get("avx512f") else 32 if FEATURES.get("avx") else 16  # of a register
FUSED = ARM or bool(FEATURES.get("fma"))  # to multiply and add is one instruction
ROWS, VECTORS = (12, 2) if ARM or FEATURES.get("avx512f") else (6, 2)  # of 32 registers, or of 16
LOW_ROWS, LOW_VECTORS = (8, 3) if ARM or FEATURES.get("avx512f") else (4, 3)  # the same for matrices of few rows
THIN_ROWS, THIN_VECTORS = 8, 1  # and for those of few columns
INDEX, LANE = ir.IntType(64), ir.IntType(32)


@register_jitable
def whole(n, size):
    """n, or the next larger multiple of size"""
    return (n + size - 1) // size * size


@register_jitable
def columns(x):
    """How many numbers of this array's kind a row of a tile has."""
    return VECTORS * BYTES // x.itemsize


@register_jitable
def low_columns(x):
    """And a row of a low one."""
    return LOW_VECTORS * BYTES // x.itemsize


@register_jitable
def thin_columns(x):
    """And a row of a thin one."""
    return THIN_VECTORS * BYTES // x.itemsize


def multiply_add_tile(rows_and_vectors, a, a_row, a_step, b, d, d_row, c, c_row, steps):
    """The signature and the code of a tile of so many rows and registers a row."""

    def code(context, builder, signature, args):
        rows, vectors = rows_and_vectors()
        a, a_row, a_step, b, d, d_row, c, c_row, steps = args
        real = a.type.pointee
        bits = 32 if real == ir.FloatType() else 64
        lanes = 8 * BYTES // bits
        vector = ir.VectorType(real, lanes)
        fma = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, fma, f"llvm.fma.v{lanes}f{bits}") if FUSED else None

        def at(pointer, row, i, j=0):
            """The vector that begins at j of row i"""
            number = builder.gep(builder.gep(pointer, [builder.mul(row, INDEX(i))]), [INDEX(j * lanes)])
            return builder.bitcast(number, vector.as_pointer())

        def in_every_lane(number):
            one = builder.insert_element(vector(ir.Undefined), number, LANE(0))
            return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(LANE, lanes), [0] * lanes))

        def multiply_add(x, y, total):
            return builder.call(fma, [x, y, total]) if FUSED else builder.fadd(builder.fmul(x, y), total)

        tile = [(i, j) for i in range(rows) for j in range(vectors)]
        begin = [builder.load(at(d, d_row, i, j), align=bits // 8) for i, j in tile]
        before, step, after = builder.block, builder.append_basic_block("step"), builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed(">", steps, INDEX(0)), step, after)

        builder.position_at_end(step)
        k, sums = builder.phi(INDEX), [builder.phi(vector) for _ in tile]
        b_row = builder.gep(b, [builder.mul(k, INDEX(vectors * lanes))])
        b_vectors = [builder.load(at(b_row, INDEX(0), 0, j), align=bits // 8) for j in range(vectors)]
        a_column, more = builder.gep(a, [builder.mul(k, a_step)]), []
        for i in range(rows):
            number = in_every_lane(builder.load(builder.gep(a_column, [builder.mul(a_row, INDEX(i))])))
            more += [multiply_add(number, b_vectors[j], sums[i * vectors + j]) for j in range(vectors)]
        next_k = builder.add(k, INDEX(1))
        branch = builder.cbranch(builder.icmp_signed("<", next_k, steps), step, after)
        branch.set_metadata("llvm.loop", not_unrolled(builder.module))
        for running, first, following in zip([k, *sums], [INDEX(0), *begin], [next_k, *more], strict=True):
            running.add_incoming(first, before)
            running.add_incoming(following, step)

        builder.position_at_end(after)
        totals = [builder.phi(vector) for _ in tile]
        for total, first, last in zip(totals, begin, more, strict=True):
            total.add_incoming(first, before)
            total.add_incoming(last, step)
        for (i, j), total in zip(tile, totals, strict=True):
            builder.store(total, at(c, c_row, i, j), align=bits // 8)
        return context.get_dummy_value()

    return types.void(a, types.intp, types.intp, b, d, types.intp, c, types.intp, types.intp), code


def not_unrolled(module):
    """Metadata of a loop that stays as it is: two steps in one would need more registers than there are."""
    loop = module.add_metadata([INDEX(len(module.metadata))])  # one of its own, whose first part is to be itself
    loop.operands = (loop, module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")]))
    return loop


@intrinsic
def multiply_tile(context, a, a_row, a_step, b, d, d_row, c, c_row, steps):
    """c = d + a b for a tile; c may be d

    a, b, d, c   places in memory (`place`): a_ik is at i a_row + k a_step, d_ij at i d_row + j, c_ij at i c_row + j,
                 and b is a panel, `columns` numbers for each step, one after another
    steps        how many k there are; none at all where it is below 1
    """
    return multiply_add_tile(lambda: (ROWS, VECTORS), a, a_row, a_step, b, d, d_row, c, c_row, steps)


@intrinsic
def multiply_low_tile(context, a, a_row, a_step, b, d, d_row, c, c_row, steps):
    """The same with LOW_ROWS rows, and `low_columns` columns."""
    return multiply_add_tile(lambda: (LOW_ROWS, LOW_VECTORS), a, a_row, a_step, b, d, d_row, c, c_row, steps)


@intrinsic
def multiply_thin_tile(context, a, a_row, a_step, b, d, d_row, c, c_row, steps):
    """The same with THIN_ROWS rows, and `thin_columns` columns."""
    return multiply_add_tile(lambda: (THIN_ROWS, THIN_VECTORS), a, a_row, a_step, b, d, d_row, c, c_row, steps)


@intrinsic
def place(context, x, n):
    """The place in memory n numbers after the first of the array x, for `multiply_tile`"""

    def code(context, builder, signature, args):
        return builder.gep(context.make_array(signature.args[0])(context, builder, args[0]).data, [args[1]])

    return types.CPointer(x.dtype)(x, types.intp), code
