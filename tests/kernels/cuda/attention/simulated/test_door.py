"""What does not fit is met at the door, in words that say what would."""

import numpy as np
import pytest

from minitransformer.kernels.cuda import arrays, attend
from minitransformer.kernels.cuda.attention import RUNGS, problem
from minitransformer.kernels.cuda.attention.bfloat16 import to_bfloat16

Q, K = np.zeros((2, 4, 5, 32), np.float32), np.zeros((2, 2, 7, 32), np.float32)


@pytest.mark.parametrize(
    "name, given, settings, error, said",
    [
        ("flash", (Q, K, K, np.zeros((1, 1, 5, 7), np.float32)), {}, ValueError, "no rung on CUDA adds a bias"),
        ("flash", (Q, K, K), {"dropout_rate": 0.1, "key": np.random.SeedSequence(1)}, ValueError, "drops weights"),
        ("flash", (Q[0], K, K), {}, ValueError, r"q has shape \(4, 5, 32\), expected four axes"),
        ("flash", (Q, K[:, :, :, :16], K), {}, ValueError, r"k has shape .*K = 32"),
        ("flash", (Q, K, K[:, :, :3]), {}, ValueError, r"v has shape .*S = 7"),
        ("flash", (Q, K[:, [0, 1, 1]], K[:, [0, 1, 1]]), {}, ValueError, "4 query heads are not a multiple of 3"),
        ("flash", (Q, K, K), {"mask": np.ones((2, 4, 5, 7))}, TypeError, "mask is float64, expected bool"),
        (
            "flash",
            (Q, K, K),
            {"mask": np.ones((2, 4, 7, 5), bool)},
            ValueError,
            "expected .2 or 1, 4 or 1, 5 or 1, 7 or 1",
        ),
        ("flash", (Q.astype(float), K, K), {}, TypeError, "q is float64, but the rung 'flash' takes float32"),
        ("flash", [to_bfloat16(x) for x in (Q, K, K)], {}, TypeError, "'tensor_cores' take bfloat16"),
        ("tensor_cores", (Q, K, K), {}, TypeError, "'flash_registers' and 'flash' .*take float32"),
        (
            "flash_registers",
            [x[..., :16] for x in (Q, K, K)],
            {},
            ValueError,
            "width 32, 64, 128, not 16; 'flash' .*can",
        ),
        ("flash", [x[..., :20] for x in (Q, K, K)], {}, ValueError, "not 20; 'naive' can"),
        ("flash", ([], K, K), {}, TypeError, "q is a builtins.list, not an array of CuPy's"),
    ],
)
def test_what_does_not_fit(name, given, settings, error, said):
    with pytest.raises(error, match=said):
        RUNGS[name].attention(*given, **settings)


@pytest.mark.parametrize(
    "name, can", [("tensor_cores_float32", "'flash_registers' and 'flash'"), ("tensor_cores", "no")]
)
def test_a_device_that_lacks_the_instructions(name, can, monkeypatch):
    given = [to_bfloat16(x) for x in (Q, K, K)] if name == "tensor_cores" else (Q, K, K)
    monkeypatch.setattr(problem, "capability", lambda: (7, 5))
    with pytest.raises(ValueError, match=f"{name}.* takes a device of sm_80 or newer, and this is sm_75; {can}"):
        RUNGS[name].attention(*given)


@pytest.mark.parametrize(
    "capability, K, name",
    [
        ((7, 5), 64, "flash_registers"),
        ((8, 0), 64, "tensor_cores_float32"),
        ((12, 0), 128, "tensor_cores_float32"),
        (None, 32, "tensor_cores_float32"),
        (None, 16, "flash"),
        ((8, 0), 20, "naive"),
    ],
)
def test_the_backend_takes_the_best_that_the_device_can(capability, K, name, monkeypatch):
    monkeypatch.setattr(attend, "capability", lambda: capability)
    q = np.zeros((1, 1, 2, K), np.float32)
    assert attend.best_rung(q, q).name == name
    assert attend.best_rung(q.astype(float), q) is None


def test_what_begins_between_two_sixteens_is_copied():
    room = np.zeros(1 + 2 * 4 * 5 * 32, np.float32)
    odd = room[1:].reshape(Q.shape)
    begins = [x.ctypes.data % 16 for x in (arrays.contiguous(odd), arrays.aligned(odd), arrays.aligned(Q))]
    assert begins == [4, 0, 0] and arrays.aligned(Q) is Q
    given = problem.problem("flash", odd, K, K, None, None, False, 0.0, None)
    assert given.q.ctypes.data % 16 == 0 and problem.upstream(odd, given).ctypes.data % 16 == 0


def test_too_many_heads():
    q = np.zeros((16384, 4, 1, 8), np.float32)
    with pytest.raises(ValueError, match="16384 sequences of 4 heads are more than 65535"):
        RUNGS["naive"].attention(q, q, q)


def test_a_rung_without_a_backward_names_those_that_have_one():
    y, saved = RUNGS["tiled"].attention(Q, K, K)
    with pytest.raises(
        NotImplementedError,
        match="no backward; 'tensor_cores_float32' and 'flash_registers' and 'flash' and 'naive' can",
    ):
        RUNGS["tiled"].attention_backward(y, saved)
    assert not RUNGS["tiled"].backward


def test_dy_that_does_not_fit():
    _, saved = RUNGS["flash"].attention(Q, K, K)
    with pytest.raises(ValueError, match=r"dy is float32 of shape \(2, 4, 5, 31\)"):
        RUNGS["flash"].attention_backward(Q[..., :31], saved)
    with pytest.raises(ValueError, match="dy is float64"):
        RUNGS["flash"].attention_backward(Q.astype(float), saved)
