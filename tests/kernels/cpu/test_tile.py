"""A tile of a product: the same as NumPy's, however its factors lie, on registers of any width."""

from functools import cache

import numba
import numpy as np
import pytest

from minitransformer.kernels.cpu import tile

WIDTHS = {"AVX-512": (64, 12, 8), "AVX": (32, 6, 4), "SSE": (16, 6, 4), "NEON": (16, 12, 8)}
KINDS = {
    "high": ("multiply_tile", "ROWS", "VECTORS"),
    "low": ("multiply_low_tile", "LOW_ROWS", "LOW_VECTORS"),
    "thin": ("multiply_thin_tile", "THIN_ROWS", "THIN_VECTORS"),
}


@pytest.fixture(params=WIDTHS)
def registers(request, monkeypatch):
    """Tiles as another processor has them; what its registers do not hold, this one's memory does."""
    size, rows, low_rows = WIDTHS[request.param]
    monkeypatch.setattr(tile, "BYTES", size)
    monkeypatch.setattr(tile, "ROWS", rows)
    monkeypatch.setattr(tile, "LOW_ROWS", low_rows)


@pytest.fixture(params=[True, False], ids=["fused", "multiplied, then added"])
def fused(request, monkeypatch):
    monkeypatch.setattr(tile, "FUSED", request.param and tile.FUSED)


def multiply(kind="high"):
    """Compiled for the tile as it is now."""
    return compiled_for(kind, tile.BYTES, tile.ROWS, tile.LOW_ROWS, tile.FUSED)


@cache
def compiled_for(kind, *tile_as_it_is):
    multiply_tile, place = getattr(tile, KINDS[kind][0]), tile.place

    def product(a, a_row, a_step, b, d, d_row, c, c_row, steps):
        multiply_tile(place(a, 0), a_row, a_step, place(b, 0), place(d, 0), d_row, place(c, 1), c_row, steps)

    return numba.njit(product)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("registers", "fused")
def test_a_tile_is_what_numpy_says(kind, dtype, rng):
    rows, vectors = (getattr(tile, name) for name in KINDS[kind][1:])
    width, product = vectors * tile.BYTES // np.dtype(dtype).itemsize, multiply(kind)
    for steps in (1, 2, 17, 0, -3):
        K = max(steps, 0)
        a, b, d = (rng.normal(size=s).astype(dtype) for s in ((rows, K), (K, width), (rows, width)))
        expected = d.astype(np.float64) + a.astype(np.float64) @ b.astype(np.float64)
        for factor, strides in ((a, (K, 1)), (a.T.copy(), (1, rows))):
            for begin, d_row in ((d, width), (d[0], 0)):
                c = np.full(1 + rows * (width + 3), np.nan, dtype)
                product(
                    np.append(factor, dtype(0)), *strides, np.append(b, dtype(0)), begin, d_row, c, width + 3, steps
                )
                found = c[1:].reshape(rows, width + 3)
                wanted = expected if d_row else expected - d + d[0]
                np.testing.assert_allclose(found[:, :width], wanted, rtol=0, atol=40 * np.finfo(dtype).eps)
                assert np.isnan(found[:, width:]).all()


@pytest.mark.usefixtures("registers")
def test_a_tile_can_be_added_to_itself(rng):
    rows, width, product = tile.ROWS, tile.VECTORS * tile.BYTES // 8, multiply()
    a, b, c = rng.normal(size=(rows, 5)), rng.normal(size=(5, width)), rng.normal(size=1 + rows * width)
    expected = c[1:].reshape(rows, width) + a @ b
    product(a, 5, 1, b, c[1:], width, c, width, 5)
    np.testing.assert_allclose(c[1:].reshape(rows, width), expected, rtol=0, atol=1e-14)


def test_how_many_columns_there_are():
    columns = numba.njit(lambda x: tile.columns(x))
    assert columns(np.zeros(1, np.float32)) == 2 * columns(np.zeros(1)) == tile.VECTORS * tile.BYTES // 4
    columns = numba.njit(lambda x: tile.low_columns(x))
    assert columns(np.zeros(1, np.float32)) == 2 * columns(np.zeros(1)) == tile.LOW_VECTORS * tile.BYTES // 4
    columns = numba.njit(lambda x: tile.thin_columns(x))
    assert columns(np.zeros(1, np.float32)) == 2 * columns(np.zeros(1)) == tile.THIN_VECTORS * tile.BYTES // 4
