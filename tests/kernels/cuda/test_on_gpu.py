"""Every kernel but attention's on a GPU, where there is one: it is the reference, in float64 and in float32.

The simulator sees the same kernels, with blocks of eight threads, NumPy in CuPy's place, and launches made by Numba.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minitransformer.kernels.cuda.backend  # noqa: F401  which brings the kernels
from minitransformer import ops
from minitransformer.convention import THINGS
from minitransformer.kernels.cuda import device, direct, kept
from minitransformer.kernels.cuda.arrays import library, over, to_device, to_host
from minitransformer.trees import tree_map

from ..cpu import agreement
from ..cpu.calls import CALLS, Call, draw_call, draw_calls

KERNELS = [name for name in CALLS if "cuda" in THINGS[name].implementations and name not in ("attention", "dropout")]
every_kernel = pytest.mark.parametrize("name", KERNELS)
few = settings(max_examples=6, deadline=None)
on_host = agreement.outcome


def brought(tree):
    """Floating arrays on the device; ids and masks come from the host, as they do in training"""
    return over(tree, lambda array: library().asarray(array) if array.dtype.kind == "f" else array)


class OnDevice:
    """A call whose arguments, and what is felt of what comes out, lie on the device"""

    def __init__(self, call):
        self.op, self.call = call.op, call

    def arguments(self, dtype):
        args, static = self.call.arguments(dtype)
        return brought(args), static

    def upstream(self, y):
        return brought(self.call.upstream(y))


@pytest.fixture(autouse=True)
def outcome_on_device(monkeypatch):
    def outcome(call, dtype, by):
        return to_host(on_host(OnDevice(call) if by == "cuda" else call, dtype, by))

    monkeypatch.setattr(agreement, "outcome", outcome)


@every_kernel
@few
@given(st.data())
def test_in_float64_it_is_the_reference(name, data):
    agreement.hold_to_reference(draw_call(name, data), by="cuda")


@every_kernel
@few
@given(st.data())
def test_in_float32_it_errs_at_most_twice_as_much(name, data):
    agreement.hold_float32(draw_calls(name, data, 3), by="cuda")


WIDE = {
    "linear": {"p": {"weight": (200, 300), "bias": (200,)}, "x": (3, 500, 300)},
    "layer_norm": {"p": {"weight": (777,), "bias": (777,)}, "x": (2, 300, 777)},
    "rms_norm": {"p": {"weight": (777,)}, "x": (2, 300, 777)},
    "gelu_tanh": {"x": (5, 700_001)},
    "global_norm": {"g": {"a": (3_000_000,), "b": [(5,), (4096,), (0,), (4097,)]}},
}


@pytest.mark.parametrize("name", WIDE)
def test_sizes_that_fill_the_device(name, rng):
    def draw(shape):
        return rng.normal(size=shape).astype(np.float32).astype(np.float64)

    call = Call(THINGS[name], tree_map(draw, WIDE[name]), {})
    agreement.hold_to_reference(call, by="cuda")
    agreement.hold_float32([call], by="cuda")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_leaves_move_together_as_they_do_alone(dtype, rng):
    leaves = [[rng.uniform(0.5, 1, n).astype(dtype) for n in (3, 4096, 0, 4097, 1_000_000)] for _ in range(4)]
    how = {"t": 3, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "factor": 0.5}
    how |= {name: rng.random(5).tolist() for name in ("learning_rate", "weight_decay")}
    expected = ops.adamw_many(*leaves, **how)
    with agreement.backend("cuda"):
        w, g, m, v = to_device(leaves)
        found = to_host(ops.adamw_many(w, g, m, v, **how, out=(w, m, v)))
    for ours, theirs in zip(sum(found, []), sum(expected, []), strict=True):
        assert ours.dtype == dtype and np.abs(ours - theirs).max(initial=0) <= 20 * np.finfo(dtype).eps


def test_a_kernel_is_launched_without_numba_and_so_is_one_that_was_kept(tmp_path, monkeypatch):
    """Launches that fail are made by Numba instead, and nothing but their time would tell."""
    x, kernel = library().zeros(1, np.float32), device.say_so
    for _ in range(2):
        device.launch(kernel, 1, device.THREADS, x)
    (ready,) = [ready for kinds, ready in kernel.ready.items() if kinds == ("f1C",)]
    again = direct.Ready(direct.Code(*ready.code), ("f1C",))
    for launch in (ready, again):
        x[0] = 0
        assert launch(1, device.THREADS, [direct.seen(x)[1]]) and float(x[0]) == 42
    monkeypatch.setattr(kept, "folder", lambda: tmp_path)
    kept.save(kernel, ("f1C",), *ready.code)
    monkeypatch.setattr(kernel, "ready", {})
    monkeypatch.setattr(type(kernel), "__getitem__", None)
    x[0] = 0
    device.launch(kernel, 1, device.THREADS, x)
    assert float(x[0]) == 42
