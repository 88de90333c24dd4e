"""The instructions of warp.py, as functions that Numba compiles into a kernel: each is a line of PTX.

Which operands an instruction has is written as a string, a letter each, first what it gives and then what it takes:

    r  a word of 32 bits        f  a float32
    s  a place in shared memory, g in global memory: for the caller two arguments, a flat array and an index into it
"""

import inspect

from llvmlite import ir
from numba import types
from numba.cuda.extending import intrinsic

WORD, LONG, REAL = ir.IntType(32), ir.IntType(64), ir.FloatType()
TYPES = {"r": types.uint32, "f": types.float32}
IN_ASSEMBLY = {"r": (WORD, "r"), "f": (REAL, "f"), "s": (WORD, "r"), "g": (LONG, "l")}
ADDRESS_SPACES = {"s": 3, "g": 1}


def instruction(text, gives="", takes=""):
    """A function of a kernel that is this PTX, its operands numbered $0, $1, ... in the order of `gives`, `takes`."""
    pure = not set(takes) & set(ADDRESS_SPACES) and "sync" not in text  # only numbers in and out
    outputs, inputs = ([IN_ASSEMBLY[letter] for letter in letters] for letters in (gives, takes))
    constraints = ["=" + kind for _, kind in outputs] + [kind for _, kind in inputs] + ["~{memory}"] * (not pure)
    kinds = [kind for kind, _ in outputs]
    result = ir.LiteralStructType(kinds) if len(kinds) > 1 else kinds[0] if kinds else ir.VoidType()
    assembly = ir.InlineAsm(
        ir.FunctionType(result, [kind for kind, _ in inputs]), text, ",".join(constraints), side_effect=not pure
    )

    def code(context, builder, signature, values):
        given = iter(zip(signature.args, values))
        found = builder.call(assembly, [operand(context, builder, letter, given) for letter in takes])
        if len(gives) < 2:
            return found if gives else context.get_dummy_value()
        parts = [builder.extract_value(found, i) for i in range(len(gives))]
        return context.make_tuple(builder, signature.return_type, parts)

    def typed(typing, *arguments):
        arguments, expected = iter(arguments), []
        for letter in takes:
            argument = next(arguments)
            expected += [TYPES[letter]] if letter in TYPES else [argument, (next(arguments), types.int64)[1]]
        results = [TYPES[letter] for letter in gives]
        returned = types.UniTuple(results[0], len(results)) if len(results) > 1 else (results or [types.void])[0]
        return returned(*expected), code

    names = ["typing", *(f"operand{i}" for i in range(sum(1 + (letter not in TYPES) for letter in takes)))]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    typed.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    return intrinsic(typed)


def operand(context, builder, letter, given):
    """The next of the given (type, value) as the instruction wants it: a number, or where an element of an array is"""
    kind, value = next(given)
    if letter in TYPES:
        return value
    _, index = next(given)
    place = builder.gep(context.make_array(kind)(context, builder, value).data, [index], inbounds=True)
    place = builder.addrspacecast(place, ir.PointerType(place.type.pointee, ADDRESS_SPACES[letter]))
    place = builder.ptrtoint(place, LONG)
    return builder.trunc(place, WORD) if letter == "s" else place


load4 = instruction("ld.global.nc.v4.f32 {$0,$1,$2,$3}, [$4];", "ffff", "g")
load2 = instruction("ld.global.nc.v2.f32 {$0,$1}, [$2];", "ff", "g")
load_shared4 = instruction("ld.shared.v4.f32 {$0,$1,$2,$3}, [$4];", "ffff", "s")
load_shared2 = instruction("ld.shared.v2.f32 {$0,$1}, [$2];", "ff", "s")
store_shared4 = instruction("st.shared.v4.f32 [$0], {$1,$2,$3,$4};", "", "sffff")

copy_async16 = instruction("cp.async.cg.shared.global [$0], [$1], 16, $2;", "", "sgr")
copy_async4 = instruction("cp.async.ca.shared.global [$0], [$1], 4, $2;", "", "sgr")
wait_for_copies = instruction("cp.async.wait_all;")

ldmatrix = instruction("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {$0,$1,$2,$3}, [$4];", "rrrr", "s")
ldmatrix_transposed = instruction("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {$0,$1,$2,$3}, [$4];", "rrrr", "s")
mma = instruction(
    "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};",
    "ffff",
    "rrrrrrffff",
)

pack = instruction("cvt.rn.bf16x2.f32 $0, $2, $1;", "r", "ff")
low = instruction("shl.b32 $0, $1, 16;", "f", "r")
high = instruction("and.b32 $0, $1, 0xffff0000;", "f", "r")
exp2 = instruction("ex2.approx.ftz.f32 $0, $1;", "f", "f")
