"""Every rung on a GPU, where there is one: the cases of the simulator, and longer ones, held to float64.

How far off they may be is what rounding can do at most (on_a_gpu.py). These tests say whether the lanes of a warp hold
what the manual says, on which the kernels and their twins both rely.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from minitransformer.kernels.cuda.arrays import library, to_device, to_host
from minitransformer.kernels.cuda.attention import RUNGS, flash_atomic
from minitransformer.kernels.cuda.attention.bfloat16 import to_bfloat16

from .cases import LARGE, SMALL, Case
from .on_a_gpu import hold_on_a_gpu

LONG = [
    Case(B=1, G=2, R=2, T=257, S=257),
    Case(B=2, G=1, R=3, T=31, S=300, mask="full"),
    Case(B=2, G=2, R=1, T=300, S=33, mask="padded"),
    Case(B=1, G=1, R=2, T=1, S=129, causal=False, mask="by query"),
]
RUNS = [
    pytest.param(name, case._replace(K=K), id=f"{name}-{case._replace(K=K)}")
    for name, rung in RUNGS.items()
    for K in (32, 64, 128)
    for case in (*(SMALL if rung.widths is None else LARGE), *LONG)
]


def on_device(rung):
    """The rung, over arrays that are brought to the device and back"""

    def attention(q, k, v, mask=None, **settings):
        mask = None if mask is None else to_device(mask)
        y, saved = rung.attention(*to_device((q, k, v)), mask=mask, **settings)
        return to_host(y), (saved, to_host(saved[-1]))

    def attention_backward(dy, saved):
        *gradients, dbias = rung.attention_backward(to_device(dy), saved[0])
        return *to_host(gradients), dbias

    given = {name: getattr(rung, name) for name in ("name", "precision", "backward")}
    return SimpleNamespace(**given, attention=attention, attention_backward=attention_backward)


@pytest.mark.parametrize("name, case", RUNS)
def test_every_rung(name, case):
    hold_on_a_gpu(on_device(RUNGS[name]), case)


@pytest.mark.parametrize("name", [name for name, rung in RUNGS.items() if rung.precision == "float32"])
def test_a_single_key_comes_through_to_the_last_bit(name):
    q, k, v, _ = Case(B=1, G=1, R=2, T=70, S=1, K=64, causal=False).arrays()
    y, _ = on_device(RUNGS[name]).attention(q, k, v)
    assert np.array_equal(y, np.broadcast_to(v, y.shape))


@pytest.mark.parametrize("name", RUNGS)
def test_heads_that_lie_between_the_tokens(name):
    """As they come out of a linear map, and as what comes out goes into one"""
    rung, case = RUNGS[name], Case(B=2, G=2, R=2, T=100, S=130, K=64)
    given = to_device([x if rung.precision == "float32" else to_bfloat16(x) for x in case.arrays()])
    elsewhere, found = [library().ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2) for x in given], []
    for *qkv, dy in (given, elsewhere):
        y, saved = rung.attention(*qkv, causal=True)
        found.append(to_host((y, *(rung.attention_backward(dy, saved)[:3] if rung.backward else ()))))
    assert all(np.array_equal(one, other) for one, other in zip(*found))


def bits_of_many(rung, times):
    case = Case(B=2, G=2, R=2, T=300, S=400, K=64)
    q, k, v, dy = (x if rung.precision == "float32" else to_bfloat16(x) for x in case.arrays())
    found = set()
    for _ in range(times):
        _, saved = rung.attention(q, k, v, causal=True)
        found.add(b"".join(x.tobytes() for x in rung.attention_backward(dy, saved)[:3]))
    return found


@pytest.mark.parametrize("name", ["naive", "flash", "flash_registers", "tensor_cores", "tensor_cores_float32"])
def test_the_same_bits_thirty_times(name):
    assert len(bits_of_many(on_device(RUNGS[name]), 30)) == 1


def test_the_atomic_sum():
    atomic = SimpleNamespace(
        name="flash_atomic",
        precision="float32",
        backward=True,
        attention=flash_atomic.attention,
        attention_backward=flash_atomic.attention_backward,
    )
    hold_on_a_gpu(on_device(atomic), LONG[0]._replace(K=64))
