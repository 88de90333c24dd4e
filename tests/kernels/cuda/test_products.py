"""What cuBLAS is asked, by one that reads memory as it does: column by column, from addresses."""

import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from minitransformer.kernels.cuda import products

from .test_direct import OnDevice


def columns(address, rows, columns, lead, kind):
    """The matrix that begins there, each column `lead` numbers after the one before"""
    assert lead >= max(rows, 1)
    size = lead * (columns - 1) + rows
    numbers = np.ctypeslib.as_array((np.ctypeslib.as_ctypes_type(kind) * size).from_address(address))
    return np.lib.stride_tricks.as_strided(numbers, (rows, columns), (numbers.itemsize, lead * numbers.itemsize))


def number(address, kind):
    return np.ctypeslib.as_ctypes_type(kind).from_address(address).value


class Cublas:
    """As much of it as is asked for, by its own signatures"""

    def __init__(self, kind):
        self.kind = kind

    def gemm(self, handle, turn_a, turn_b, m, n, k, alpha, a, a_lead, b, b_lead, beta, c, c_lead):
        a = columns(a, *((k, m) if turn_a else (m, k)), a_lead, self.kind)
        b = columns(b, *((n, k) if turn_b else (k, n)), b_lead, self.kind)
        c = columns(c, m, n, c_lead, self.kind)
        made = (a.T if turn_a else a) @ (b.T if turn_b else b)
        assert handle == "handle" and number(beta, self.kind) == 0
        c[...] = number(alpha, self.kind) * made

    def gemv(self, handle, turn, m, n, alpha, a, lead, x, x_step, beta, y, y_step):
        assert (handle, turn, x_step, y_step, number(beta, self.kind)) == ("handle", 0, 1, 1, 0)
        x, y = (columns(part, size, 1, size, self.kind)[:, 0] for part, size in ((x, n), (y, m)))
        y[...] = number(alpha, self.kind) * (columns(a, m, n, lead, self.kind) @ x)


@pytest.fixture(autouse=True)
def stream(monkeypatch):
    """CuPy's current one"""
    found = SimpleNamespace(ptr=0)
    cuda = SimpleNamespace(get_current_stream=lambda: found)
    library = SimpleNamespace(ones=lambda n, kind: OnDevice(np.ones(n, kind)), cuda=cuda)
    monkeypatch.setattr(products, "blas", lambda kind: (Cublas(kind).gemm, Cublas(kind).gemv))
    monkeypatch.setattr(products, "handle", lambda: "handle")
    monkeypatch.setattr(products, "library", lambda: library)
    monkeypatch.setattr(products, "current_device", lambda: 0)
    monkeypatch.setattr(products, "empty", lambda shape, like: OnDevice(np.full(shape, np.nan, like.dtype)))
    monkeypatch.setattr(products, "SIMULATED", False)
    monkeypatch.setattr(products, "_ones", {})
    return found


@pytest.mark.parametrize("kind", "fd")
@pytest.mark.parametrize("turns", [(False, False), (False, True), (True, False), (True, True)], ids=str)
@pytest.mark.parametrize("sizes", ["234", "135", "412", "321", "111", "023", "203", "230"])
def test_a_product(sizes, turns, kind, rng):
    M, N, K = map(int, sizes)
    a, b = (rng.normal(size=shape).astype(kind) for shape in ((M, K), (K, N)))
    out = OnDevice(np.full((M, N), np.nan, kind))
    given = [OnDevice(np.ascontiguousarray(part.T if turn else part)) for part, turn in zip((a, b), turns)]
    products.product(*given, out, turn_a=turns[0], turn_b=turns[1])
    np.testing.assert_allclose(out.array, a @ b, rtol=1e-5, atol=1e-5 if kind == "f" else 1e-14)


@pytest.mark.parametrize("kind", "fd")
def test_sums_down_the_columns(kind, rng):
    """One after another, for the ones are kept: more rows, fewer, none"""
    for N, D in ((3, 4), (7, 2), (5, 1), (1, 3), (0, 3), (2, 0)):
        x = rng.normal(size=(N, D)).astype(kind)
        found = products.column_sums(OnDevice(x))
        np.testing.assert_allclose(found.array, x.sum(0), rtol=1e-5, atol=1e-6)
    assert {place: ones.size for place, ones in products._ones.items()} == {(0, 0, kind): 7}


def test_each_stream_has_its_ones(stream):
    """They are written in one, and another does not wait for it."""
    for stream.ptr in (0, 8, 0):
        products.column_sums(OnDevice(np.zeros((3, 2))))
    assert list(products._ones) == [(0, 0, "d"), (0, 8, "d")]


def test_each_device_has_its_ones(monkeypatch):
    for device in (0, 1, 0):
        monkeypatch.setattr(products, "current_device", lambda device=device: device)
        products.column_sums(OnDevice(np.zeros((3, 2))))
    assert list(products._ones) == [(0, 0, "d"), (1, 0, "d")]


def test_ones_are_not_given_back_before_they_are_asked_for(monkeypatch):
    """Though another thread, which needs more of them, puts others in their place"""
    held = []

    class Sums(OnDevice):
        """Whose address is asked for last"""

        @property
        def data(self):
            ((_, ones),) = products._ones.items()
            held.append(weakref.ref(ones))
            products._ones.clear()
            return SimpleNamespace(ptr=self.array.ctypes.data)

        @data.setter
        def data(self, value):
            pass

    monkeypatch.setattr(products, "empty", lambda shape, like: Sums(np.zeros(shape, like.dtype)))
    monkeypatch.setattr(products, "blas", lambda kind: (None, lambda *args: held.append(held[0]())))
    products.column_sums(OnDevice(np.zeros((3, 2))))
    assert held[1] is not None
