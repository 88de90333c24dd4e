"""Whether the loops of the kernels are vectorised: looked for in what they are compiled to, for this processor.

LLVM says nothing when it gives a loop up. Then the results are the same and the kernel is eight times as slow.
"""

import ast
import functools
import importlib
import inspect
import os
import pkgutil
import platform
import re
import textwrap

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from numba import types
from numba.core.dispatcher import Dispatcher

import minitransformer.kernels.cpu as package
from minitransformer import ops
from minitransformer.convention import THINGS
from minitransformer.gradcheck import Draw, draw_cases
from minitransformer.kernels.cpu.board import help_for_a_while, multiply_together
from minitransformer.kernels.cpu.few_rows import FEW, in_panels
from minitransformer.kernels.cpu.repeated import WORTH_IT, Repeated
from minitransformer.kernels.cpu.tile import LOW_ROWS, LOW_VECTORS, ROWS, THIN_ROWS, THIN_VECTORS
from minitransformer.kernels.cpu.tile import VECTORS as VECTORS_OF_A_ROW
from minitransformer.trees import tree_map

from .calls import KERNELS
from .test_functions import top

ONE_BY_ONE = {  # what does not vectorise, and why not
    "attention.add_to_bias": "it reads along the queries, and writes along the keys",
    "cross_entropy.add_up": "a row's target is one number of many, and a loop over rows is not the one that takes long",
}
OVER_TILES = {  # whose loops are such: what happens in a tile is called
    "attention.forward_heads",
    "attention.backward_heads",
    *(
        PRODUCTS := {  # and how many sums a tile of it has
            "attention_tiles.keys_by_queries": ROWS * VECTORS_OF_A_ROW,
            "attention_tiles.add_over_keys": ROWS * VECTORS_OF_A_ROW,
            "attention_tiles.add_over_queries": ROWS * VECTORS_OF_A_ROW,
            "repeated.multiply": LOW_ROWS * LOW_VECTORS,
            "few_rows.by_tiles": THIN_ROWS * THIN_VECTORS,
        }
    ),
    "few_rows.some_outputs",
    "board.multiply_together",
    "board.help_for_a_while",
    "lstm.forward_steps",
    "lstm.backward_steps",
    "philox.draw_kept",
}
VECTORS = {  # by processor: the widest registers, arithmetic on them, and the rounding down that exp begins with
    "x86_64": (r"%[yz]mm", r"v(?:add|sub|mul|div|max|sqrt|fn?m(?:add|sub)\d+)p[sd]", r"v(?:round|rndscale)ps"),
    "arm64": (r"\.(?:4s|2d)", r"f(?:add|sub|mul|div|max\w*|sqrt|ml[as])", r"frintm"),
}
MULTIPLY_ADDS = {"x86_64": r"vfmadd\d+ps", "arm64": r"fmla"}
STACK = {"x86_64": r"%rsp", "arm64": r"\[sp"}
COPIES = {"attention_tiles.to_strips", "few_rows.lay_out"}
COPYING = {"x86_64": r"vmovup[sd]", "arm64": r"(?:ld|st)[rp]"}
WHOLE_NUMBERS = {"philox.words", "philox.compare"}
ON_WHOLE_NUMBERS = {"x86_64": r"vp(?:muludq|cmp\w+|maxud|minud)", "arm64": r"(?:umull2?|cmh[is])"}
SCALAR_CALLS = r"(?:^|[\s$*@])_?((?:exp|exp2|expm1|tanh|pow|erf)f?)\b"


def machine():
    """A key of VECTORS. What other processors call their vectors is for those to say who have one."""
    name = {"AMD64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    assert name in VECTORS, f"nothing is known of the vector instructions of {name}: add them to VECTORS"
    return name


def compiled_functions():
    """{"layer_norm.forward": what Numba made of it}: everything under @compiled in the folder."""
    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{module.name}")
        for name, value in vars(module).items():
            if isinstance(value, Dispatcher) and value.__module__ == module.__name__:
                found[f"{module.__name__.rpartition('.')[2]}.{name}"] = value
    return found


COMPILED = compiled_functions()


@pytest.fixture(scope="module", autouse=True)
def called():
    """Every kernel has been called with plain float32 arrays, so that it knows its signature."""
    rng = np.random.default_rng(0)

    def plain(value):
        floating = isinstance(value, np.ndarray) and value.dtype.kind == "f"
        return np.ascontiguousarray(value, np.float32) if floating else value

    for name in KERNELS:
        if THINGS[name].gradient:
            for case in draw_cases(name, Draw(rng)):
                forward, _ = THINGS[name].implementations["cpu"]
                _, backward = THINGS[name].implementations["cpu"]
                y, values = forward(*tree_map(plain, case.args).values(), **tree_map(plain, case.static))
                parts = y if isinstance(y, tuple) else (y,)
                backward(*(np.ascontiguousarray(part) if np.ndim(part) else part for part in parts), values)
    one = np.ones(4, np.float32)
    ops.adamw.implementations["cpu"][0](
        one, one, one, one, t=1, learning_rate=0.1, beta1=0.9, beta2=0.9, eps=1e-8, weight_decay=0.1
    )
    ops.global_norm.implementations["cpu"][0]({"a": one})
    long, wide = (LOW_ROWS, WORTH_IT, 50), {"weight": np.ones((200, 50), np.float32)}
    forward, backward = ops.lstm.implementations["cpu"]
    (y, *_), values = forward({"input": wide, "hidden": wide}, np.ones(long, np.float32))
    backward(y, None, None, values)
    few, wide = np.ones((LOW_ROWS, 3), np.float32), np.ones((3, 100), np.float32)
    Repeated(wide, LOW_ROWS, WORTH_IT)(few, np.empty((LOW_ROWS, 100), np.float32))
    weight = np.ones((2 * THIN_ROWS, 3), np.float32)
    for rows in (1, FEW, FEW + 1):
        x, bias, y = np.ones((rows, 3), np.float32), weight[:, 0].copy(), np.empty((rows, len(weight)), np.float32)
        ops.linear.implementations["cpu"][0]({"weight": weight, "bias": bias}, x)
        multiply_together(np.zeros(32, np.int64), 1, weight, bias, x, in_panels(x), y)
    help_for_a_while(np.zeros(32, np.int64), 1)
    for name in OVER_TILES:  # loaded from the disk, they have not asked for what they call
        if all_in_float32(COMPILED[name]):
            compile_anew(name, in_float32(COMPILED[name]))


def all_in_float32(kernel):
    floats = [
        {each.dtype for each in signature if isinstance(each, types.Array) and isinstance(each.dtype, types.Float)}
        for signature in kernel.signatures
    ]
    return [signature for signature, kinds in zip(kernel.signatures, floats, strict=True) if kinds <= {types.float32}]


def in_float32(kernel):
    """The signature of the plainest call in float32: arrays that lie straight and may be written to, where any may."""

    def strangeness(signature):
        arrays = [each for each in signature if isinstance(each, types.Array)]
        return sum((each.layout != "C") + (not each.mutable) + (not each.aligned) for each in arrays)

    candidates = all_in_float32(kernel)
    assert candidates, "it has never been called in float32"
    return min(candidates, key=strangeness)


@functools.cache
def compile_anew(name, signature):
    kernel = COMPILED[name] if name != "largest" else top
    options = {option: value for option, value in kernel.targetoptions.items() if option != "nopython"}
    again = numba.njit(kernel.py_func, **options)
    again.compile(signature)
    return again


@functools.cache
def anew(name):
    """Its LLVM code and its assembly in float32, compiled anew: what came from the disk cannot be looked at."""
    signature = in_float32(COMPILED[name] if name != "largest" else top)
    again = compile_anew(name, signature)
    return again.inspect_llvm(signature), again.inspect_asm(signature)


def innermost_loops(name):
    """How many loops of its source have no loop within."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(COMPILED[name].py_func)))
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For)]
    return sum(not any(isinstance(inner, ast.For) for inner in ast.walk(loop) if inner is not loop) for loop in loops)


def vectorised_loops(name, llvm):
    """How many loops of the function itself, not of what it calls, LLVM has vectorised: one `vector.body` each."""
    function = name.rpartition(".")[2]
    bodies = re.findall(r"^define (.*?)^}", llvm, re.MULTILINE | re.DOTALL)
    own = [body for body in bodies if re.match(rf"[^@]*@[^(]*{len(function)}{function}B", body)]
    assert own, f"no function of this name in its code: {name}"
    return max(len(re.findall(r"^vector\.body\d*:", body, re.MULTILINE)) for body in own)


def packed(assembly, operations):
    """The instructions of this kind on whole vectors."""
    registers, *_ = VECTORS[machine()]
    lines = re.findall(rf"^\s+(?:{operations})\b.*$", assembly, re.MULTILINE)
    return [line for line in lines if re.search(registers, line)]


@pytest.mark.parametrize("name", sorted(COMPILED.keys() - ONE_BY_ONE.keys() - OVER_TILES))
def test_every_loop_is_vectorised(name):
    llvm, assembly = anew(name)
    assert vectorised_loops(name, llvm) >= innermost_loops(name) > 0
    work = ON_WHOLE_NUMBERS[machine()] if name in WHOLE_NUMBERS else VECTORS[machine()][1]
    assert packed(assembly, COPYING[machine()] if name in COPIES else work), (
        f"{name}: no arithmetic on {VECTORS[machine()][0]}; does this processor have AVX?"
    )


@pytest.mark.parametrize("name", ["layer_norm.forward", "gelu_tanh.backward", "attention.online_softmax"])
def test_the_whole_width_of_the_registers_is_used(name):
    """Where the processor has AVX-512, and nobody has said otherwise."""
    wide = llvm.get_host_cpu_features().get("avx512f") and "NUMBA_CPU_FEATURES" not in os.environ
    found = [line for line in packed(anew(name)[1], VECTORS[machine()][1]) if "%zmm" in line]
    assert bool(found) == bool(wide)


@pytest.mark.parametrize("name", PRODUCTS)
def test_the_sums_of_a_product_stay_in_registers(name):
    """A step has a multiply-add of whole vectors for each sum, and no vector is put aside meanwhile, on the stack."""
    blocks = re.split(r"^\.?L\w+:", anew(name)[1], flags=re.MULTILINE)
    steps = [block for block in blocks if packed(block, MULTIPLY_ADDS[machine()])]
    assert steps
    for step in steps:
        assert len(packed(step, MULTIPLY_ADDS[machine()])) == PRODUCTS[name]
        assert not [line for line in packed(step, r"\w+") if re.search(STACK[machine()], line)]


def uses_exp(name):
    return {"exp_negative", "normal", "sigmoid", "tanh"} & set(COMPILED[name].py_func.__code__.co_names)


@pytest.mark.parametrize("name", sorted(name for name in COMPILED if uses_exp(name)))
def test_its_exp_is_vectorised(name):
    _, assembly = anew(name)
    assert packed(assembly, VECTORS[machine()][2])


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_the_c_library_is_not_asked_for_every_number(name):
    _, assembly = anew(name)
    called = set(re.findall(SCALAR_CALLS, assembly, re.MULTILINE))
    assert called == set()


def test_the_largest_of_a_row_is_vectorised():
    top(np.zeros(3, np.float32))
    _, assembly = anew("largest")
    assert len(packed(assembly, VECTORS[machine()][1])) >= 2  # lanes against the row; in the end, lanes against lanes


def test_what_does_not_vectorise_is_still_there():
    """Or its name and its reason are to be taken from the list; and nothing is on it that could do better."""
    for name in ONE_BY_ONE.keys() & COMPILED.keys():
        assert vectorised_loops(name, anew(name)[0]) == 0
    assert {"attention.add_to_bias", "cross_entropy.add_up"} <= COMPILED.keys()


def test_a_loop_that_does_not_vectorise_is_seen():
    """The check above sees a running maximum and a sum in order, which LLVM leaves alone."""

    def running(x, y):
        for i in range(1, x.size):
            y[i] = max(y[i - 1], x[i]) + x[i]

    again = numba.njit(running, error_model="numpy")
    signature = types.void(types.float32[::1], types.float32[::1])
    again.compile(signature)
    (args,) = again.signatures
    assert len(re.findall(r"^vector\.body\d*:", again.inspect_llvm(args), re.MULTILINE)) == 0
    assert not packed(again.inspect_asm(args), VECTORS[machine()][1])


def test_a_call_of_the_c_library_is_seen():
    def tanh(x):
        for i in range(x.size):
            x[i] = np.tanh(x[i])

    again = numba.njit(tanh, error_model="numpy")
    again.compile((types.float32[::1],))
    assert set(re.findall(SCALAR_CALLS, again.inspect_asm(again.signatures[0]), re.MULTILINE)) == {"tanhf"}
