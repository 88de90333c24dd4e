"""A product with one matrix many times over: what NumPy says, whatever the sizes are to the tiles."""

import numpy as np
import pytest

from minitransformer import ops
from minitransformer.kernels.cpu import repeated
from minitransformer.kernels.cpu.repeated import Repeated, lay_out, multiply
from minitransformer.kernels.cpu.tile import BYTES, LOW_ROWS, LOW_VECTORS


def width_of(dtype):
    return LOW_VECTORS * BYTES // np.dtype(dtype).itemsize


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [-1, 0, 1, LOW_ROWS - 1, LOW_ROWS, LOW_ROWS + 1])
@pytest.mark.parametrize("columns", [-1, 0, 1, 5])
@pytest.mark.parametrize("transposed", [True, False])
def test_it_is_a_product(dtype, rows, columns, transposed, rng):
    """A row, or a column, less than tiles have, and more; the last panel ends with the matrix; no more is written."""
    M, K, N = LOW_ROWS + rows, 7, width_of(dtype) + columns
    b = rng.normal(size=(N, K)).astype(dtype).T if transposed else rng.normal(size=(K, N)).astype(dtype)
    product = Repeated(b, M, repeated.WORTH_IT)
    assert (product.panels is None) == (rows < 0 or columns < 0)
    for _ in range(2):
        a, room = rng.normal(size=(M, K)).astype(dtype), np.full((M + 2, N), 7, dtype)
        product(a, room[1:-1])
        np.testing.assert_allclose(room[1:-1], a.astype(float) @ b.astype(float), atol=40 * np.finfo(dtype).eps)
        assert (room[[0, -1]] == 7).all()


def test_what_is_laid_out_is_every_column(rng):
    width = width_of(np.float64)
    b = rng.normal(size=(3, 2 * width + 1))
    panels = np.empty((3, 3, width))
    lay_out(b, panels)
    assert np.array_equal(np.concatenate([panels[0], panels[1], panels[2][:, -1:]], 1), b)


def test_few_products_are_not_worth_it(rng):
    b = rng.normal(size=(4, width_of(np.float64)))
    assert Repeated(b, 32, repeated.WORTH_IT - 1).panels is None
    assert Repeated(b, 32, repeated.WORTH_IT).panels is not None


def test_what_is_no_number_stays_in_its_row(rng):
    M, width = LOW_ROWS + 3, width_of(np.float64)
    a, b = rng.normal(size=(M, 5)), rng.normal(size=(5, width + 2))
    a[2, 1] = np.nan
    panels, c = np.empty((2, 5, width)), np.empty((M, width + 2))
    lay_out(b, panels)
    multiply(a, panels, c)
    assert np.isnan(c[2]).all() and np.isfinite(np.delete(c, 2, 0)).all()


@pytest.mark.parametrize("cell", [ops.rnn, ops.gru, ops.lstm], ids=lambda cell: cell.name)
@pytest.mark.parametrize("truncate", [None, 4])
def test_a_run_with_tiles_is_a_run_with_blas(cell, truncate, rng, monkeypatch):
    """In float64, masks, cuts and all: as many rows, columns and steps as make both products of a step tiles."""
    gates, H, B, T = {"rnn": 1, "gru": 3, "lstm": 4}[cell.name], width_of(np.float64) + 3, LOW_ROWS + 1, 9
    p = {
        name: {"weight": rng.normal(size=(gates * H, H)) / H**0.5, "bias": rng.normal(size=gates * H)}
        for name in ("input", "hidden")
    }
    x, dy, mask = rng.normal(size=(B, T, H)), rng.normal(size=(B, T, H)), rng.random((B, T)) < 0.7
    mask[:, 0] = True
    forward, backward = cell.implementations["cpu"]
    states, dstates = rng.normal(size=(2, 2 if cell is ops.lstm else 1, B, H))

    def run():
        (y, *last), saved = forward(p, x, *states, mask=mask, truncate=truncate)
        dx, *dfirst, g = backward(dy, *dstates, saved)
        return [y, *last, dx, *dfirst, *(g[part][kind] for part in ("input", "hidden") for kind in ("weight", "bias"))]

    with_tiles = run()
    made = []
    monkeypatch.setattr(repeated, "WORTH_IT", 10**9)
    monkeypatch.setattr(
        repeated.np, "matmul", lambda *args, matmul=np.matmul, **how: made.append(1) or matmul(*args, **how)
    )
    with_blas = run()
    assert len(made) == 2 * T
    for ours, theirs in zip(with_tiles, with_blas, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-11)
