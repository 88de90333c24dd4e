"""The kernels of the backend as machine code, compiled without a GPU: what the simulator cannot see.

It compiles at all (the simulator knows no types), nothing spills out of the registers, no kernel in float32 reckons in
float64, sums over a block go through registers by shuffles, and what no thread reads twice comes without shared memory.
"""

import pytest
from numba import types

import minitransformer.kernels.cuda.backend  # noqa: F401  which brings the kernels
from minitransformer.convention import THINGS
from minitransformer.kernels.cuda import (
    adamw,
    cross_entropy,
    device,
    dropout,
    embedding,
    global_norm,
    layer_norm,
    linear,
    rms_norm,
)
from minitransformer.kernels.cuda.attention import offline

REGISTERS = 64  # a thread: with 256 threads a block, four blocks fit a multiprocessor's 65,536


def signatures(real):
    """{name: (kernel, types of its arguments)} of every kernel, for numbers of this type"""
    row, table = real[::1], real[:, ::1]
    ids, flags, word, addresses = types.int64[::1], types.boolean[::1], types.uint64, types.int64[:, ::1]
    found = {
        "layer_norm forward": (layer_norm.forward, (table, row, row, real, table, table)),
        "layer_norm backward": (layer_norm.backward, (table, table, row, table, table)),
        "layer_norm of parameters": (layer_norm.of_parameters, (table,) * 4),
        "rms_norm forward": (rms_norm.forward, (table, row, real, table, row)),
        "rms_norm backward": (rms_norm.backward, (table, table, row, row, table)),
        "rms_norm of weight": (rms_norm.of_weight, (table, table, row, table)),
        "cross_entropy forward": (cross_entropy.forward, (table, ids, flags, real, table)),
        "cross_entropy mean": (cross_entropy.mean, (table, real, row)),
        "cross_entropy backward": (cross_entropy.backward, (table, ids, flags, real, real, real, table, table)),
        "dropout forward": (dropout.draw_and_drop, (row, *[word] * 5, real, row, flags)),
        "dropout of weights": (dropout.draw, (*[word] * 5, flags)),
        "dropout backward": (dropout.drop, (row, flags, real, row)),
        "bias": (linear.add_to_rows, (table, row)),
        "embedding backward": (embedding.sum_runs, (table, ids, ids, table)),
        "embedding, atomic": (embedding.scatter_add_atomic, (table, ids, table)),
        "adamw": (adamw.update, (addresses, row, table) + (real,) * 7),
        "global_norm": (global_norm.sum_of_squares, (addresses, row, row)),
        "a kernel of one line": (device.say_so, (row,)),
    }
    for name in ("gelu", "gelu_tanh", "silu"):
        for way, (kernel, arguments) in THINGS[name].implementations["cuda"][0].kernels.items():
            found[f"{name} {way}"] = kernel, (row,) * len(arguments)
    return found


SUMS = (
    *("layer_norm forward", "layer_norm backward", "rms_norm forward", "rms_norm backward"),
    *("cross_entropy forward", "cross_entropy mean"),
)
IN_FLOAT64 = ("gelu backward", "layer_norm forward", "cross_entropy forward", "dropout forward", "adamw")
POSSIBLE = [] if offline.missing() else list(signatures(types.float32))


@pytest.fixture(scope="module")
def codes():
    """code(name, architecture), each compiled once"""
    made = {}

    def code(name, architecture):
        if (name, architecture) not in made:
            made[name, architecture] = offline.compiled(*signatures(types.float32)[name], architecture)
        return made[name, architecture]

    return code


def test_every_kernel_stands_in_the_table():
    """Whatever a module of the backend has compiled is there with its types."""
    modules = (adamw, cross_entropy, device, dropout, embedding, global_norm, layer_norm, linear, rms_norm)
    kind = type(layer_norm.forward)
    inlined = {"four_numbers", "block_sum", "block_max", "column_of", "strip_of", "sigmoid", "leaf_of"}
    there = {id(kernel) for kernel, _ in signatures(types.float32).values()}
    for module in modules:
        for name, thing in vars(module).items():
            if isinstance(thing, kind) and name not in inlined:
                assert id(thing) in there, f"{module.__name__}.{name}"
    entered = [name for name, thing in THINGS.items() if "cuda" in getattr(thing, "implementations", ())]
    assert len(entered) == 14 and len(there) == 24


@pytest.mark.parametrize("architecture", offline.ARCHITECTURES)
@pytest.mark.parametrize("name", POSSIBLE)
def test_a_kernel_stays_in_its_registers_and_in_float32(name, architecture, codes):
    code = codes(name, architecture)
    assert code.spills == 0 and code.local == 0 and code.registers <= REGISTERS
    assert code.in_float64 == [] and ".f64\t" not in code.ptx and ".f64 " not in code.ptx
    assert (code.count("SHFL") >= 5) == (name in SUMS or name == "global_norm")
    assert code.shared <= 4 * device.WARPS  # a number for each warp, and that only where there is a sum
    assert (code.count("ATOMG") + code.count("RED") + code.count("REDG") > 0) == (name == "embedding, atomic")


@pytest.mark.parametrize("name", [name for name in POSSIBLE if name in IN_FLOAT64])
def test_a_kernel_compiles_in_float64_too(name):
    kernel, arguments = signatures(types.float64)[name]
    code = offline.compiled(kernel, arguments, "sm_90")
    assert code.spills == 0 and code.registers <= 2 * REGISTERS


@pytest.mark.parametrize("architecture", [*offline.ARCHITECTURES] if POSSIBLE else [])
def test_a_plain_literal_would_be_seen(architecture):
    """The check can fail: 0.1 is a float64, and widens what it meets."""

    @device.kernel
    def wider(x):
        x[0] = x[0] + 0.1

    assert offline.compiled(wider, (types.float32[::1],), architecture).in_float64


def test_a_direct_launch_hands_over_what_numba_does(monkeypatch):
    """Byte by byte: arrays of every number of axes and every layout, and with nothing in them; numbers of every kind"""
    import ctypes
    from types import SimpleNamespace

    import numpy as np
    from numba.cuda import dispatcher
    from numba.cuda.typing.typeof import typeof

    from minitransformer.kernels.cuda import direct

    def as_numba_sees(array):
        layout = SimpleNamespace(strides_in_bytes=array.strides)
        seen = SimpleNamespace(size=array.size, dtype=array.dtype, ptr=array.ctypes.data, shape=array.shape)
        return SimpleNamespace(to_device=lambda retr, stream: SimpleNamespace(_layout=layout, **vars(seen)))

    class OnDevice(np.ndarray):
        __cuda_array_interface__ = None
        data = property(lambda array: SimpleNamespace(ptr=array.ctypes.data))

    monkeypatch.setattr(dispatcher, "wrap_arg", as_numba_sees)
    floats, bits = np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.arange(5, dtype=np.uint16)
    strided = [floats.T, floats.swapaxes(0, 1), floats[:, ::2]]
    args = [True, floats, 7, np.float32(1.5), bits, -1, 2.5, np.zeros((0, 0, 0, 0), bool), np.uint8(200), np.int64(3)]
    args += strided
    words = []
    for arg in args:
        dispatcher._Kernel._prepare_args(SimpleNamespace(extensions=[]), typeof(arg), arg, 0, [], words)
    words = [word if isinstance(word, ctypes._SimpleCData) else ctypes.c_ssize_t(word) for word in words]
    fields = [(f"word{i}", type(word)) for i, word in enumerate(words)]
    theirs = type("Struct", (ctypes.Structure,), {"_fields_": fields})(*words)
    ours = [arg.view(OnDevice) if isinstance(arg, np.ndarray) else arg for arg in args]
    kinds, words = zip(*map(direct.seen, ours))
    assert all(kind[-1] == typeof(arg).layout for kind, arg in zip(kinds, args) if isinstance(arg, np.ndarray))
    ready = direct.Ready(None, kinds)
    ready.pack(words)
    assert ready.struct.raw == bytes(theirs)
