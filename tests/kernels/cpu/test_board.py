"""Maps of few rows, alone and with helpers: the same numbers, whoever takes which chunk; nobody is waited for."""

import multiprocessing
import sys
import threading

import numpy as np
import pytest

from minitransformer import ops
from minitransformer.kernels.cpu import board as module
from minitransformer.kernels.cpu.board import DONE, LEFT, Board, help_for_a_while, multiply_together
from minitransformer.kernels.cpu.few_rows import FEW, ROW_BY_ROW, in_panels, some_outputs
from minitransformer.kernels.cpu.tile import BYTES, THIN_ROWS
from minitransformer.threads import workers

from ...arrays import same_bits

COLUMNS = {np.float32: BYTES // 4, np.float64: BYTES // 8}
E, D = 5 * THIN_ROWS + 3, 21


def problem(rng, rows, dtype, bias=True, E=E):
    """W, b, x, room for y, and y as float64 has it"""
    weight, b, x = (rng.normal(size=s).astype(dtype) for s in ((E, D), (E if bias else 0,), (rows, D)))
    exact = x.astype(float) @ weight.astype(float).T + (b.astype(float) if bias else 0)
    return weight, b, x, np.full((rows, E), np.nan, dtype), exact


@pytest.fixture
def helpers(monkeypatch):
    """A board of its own, where even the smallest map is for three"""
    monkeypatch.setattr(module, "WORTH_HELP", 0)
    monkeypatch.setattr(module, "available_cores", lambda: 3)
    monkeypatch.setattr(module.numba.config, "NUMBA_NUM_THREADS", 3)
    return Board()


def near(found, exact, dtype):
    np.testing.assert_allclose(found, exact, rtol=0, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("outputs", [0, 1, THIN_ROWS - 1, THIN_ROWS, E])
@pytest.mark.parametrize("rows", sorted({1, ROW_BY_ROW, ROW_BY_ROW + 1, *COLUMNS.values(), FEW - 1, FEW, FEW + 1}))
def test_it_is_the_map(rows, outputs, bias, dtype, rng):
    weight, b, x, y, exact = problem(rng, rows, dtype, bias, outputs)
    some_outputs(weight, b, x, in_panels(x), y, 0, outputs)
    near(y, exact, dtype)


@pytest.mark.parametrize("begin, end", [(0, 0), (3, 5), (8, 24), (5, E)])
@pytest.mark.parametrize("rows", [1, FEW])
def test_only_the_outputs_asked_for_are_written(begin, end, rows, rng):
    weight, b, x, y, exact = problem(rng, rows, np.float64)
    some_outputs(weight, b, x, in_panels(x), y, begin, end)
    near(y[:, begin:end], exact[:, begin:end], np.float64)
    assert np.isnan(y[:, :begin]).all() and np.isnan(y[:, end:]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, ROW_BY_ROW + 1, FEW])
def test_with_helpers_it_is_the_same_to_the_last_bit(rows, dtype, helpers, rng):
    for _ in range(50):  # whoever comes first
        weight, b, x, y, exact = problem(rng, rows, dtype)
        alone = np.empty_like(y)
        some_outputs(weight, b, x, in_panels(x), alone, 0, E)
        helpers.multiply(weight, b, x, y)
        near(y, exact, dtype)
        assert same_bits([y], [alone])
    assert len(helpers.bells) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, FEW])
def test_a_helper_finds_all_it_needs_on_the_board(rows, bias, dtype, rng):
    """A map that was done is put up again, and no one but a helper is there."""
    weight, b, x, y, exact = problem(rng, rows, dtype, bias)
    places, panels = np.zeros(32, np.int64), in_panels(x)
    multiply_together(places, 4, weight, b, x, panels, y)
    chunks = places[DONE]
    assert chunks == 3 and places[LEFT] < 1  # of whole tiles
    y[:], places[DONE], places[LEFT] = np.nan, 0, chunks
    help_for_a_while(places, 1)
    near(y, exact, dtype)
    assert places[DONE] == chunks and places[LEFT] == 0
    y[:] = np.nan
    help_for_a_while(places, 5)
    assert np.isnan(y).all() and places[DONE] == chunks  # nothing is done twice


def test_a_chunk_that_a_helper_has_is_waited_for(helpers, rng):
    weight, x = rng.normal(size=(2 * THIN_ROWS, 50_000)), rng.normal(size=(1, 50_000))  # chunks that take a while
    expected, y = x @ weight.T, np.empty((1, len(weight)))
    for _ in range(60):
        y[:] = np.nan
        helpers.multiply(weight, np.empty(0), x, y)
        found = y.copy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_helpers_are_called_for_each_map_and_not_waited_for(helpers, monkeypatch, rng):
    weight, b, x, y, exact = problem(rng, 2, np.float64)
    came, posted, post = threading.Semaphore(0), [], multiply_together

    def help(places, patience):
        if places is helpers.places:  # helpers of other boards may still be about to begin
            came.release()

    monkeypatch.setattr(module, "help_for_a_while", help)
    monkeypatch.setattr(
        module, "multiply_together", lambda places, chunks, *map: (posted.append(chunks), post(places, chunks, *map))
    )
    for _ in range(3):
        y[:] = np.nan
        helpers.multiply(weight, b, x, y)
        near(y, exact, np.float64)  # though none of them does anything
        assert all(came.acquire(timeout=20) for _ in range(2)) and not came.acquire(timeout=0.05)
        assert not helpers.posting.locked()
    assert posted == [3 * module.CHUNKS] * 3 and len(helpers.bells) == 2


def test_how_many_helpers_there_are(helpers, monkeypatch, rng):
    """As many as there are other cores, as Numba is to use, and as memory may need; none for a small map."""
    weight, b, x, y, exact = problem(rng, 2, np.float64)
    monkeypatch.setattr(module, "WORTH_HELP", weight.nbytes + 1)
    helpers.multiply(weight, b, x, y)
    assert helpers.bells == []
    monkeypatch.setattr(module, "WORTH_HELP", weight.nbytes)
    for cores, allowed, most, found in [(1, 3, 8, 0), (3, 1, 8, 0), (3, 3, 2, 1), (2, 9, 8, 1), (9, 3, 8, 2)]:
        monkeypatch.setattr(module, "available_cores", lambda cores=cores: cores)
        monkeypatch.setattr(module.numba.config, "NUMBA_NUM_THREADS", allowed)
        monkeypatch.setattr(module, "MOST", most)
        helpers.multiply(weight, b, x, y)
        assert len(helpers.bells) == found
    near(y, exact, np.float64)


def test_where_no_thread_can_be_started_the_map_is_done_all_the_same(helpers, monkeypatch, rng):
    weight, b, x, y, exact = problem(rng, 2, np.float64)

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as nothing_left:
        nothing_left.setattr(threading.Thread, "start", refuse)
        helpers.multiply(weight, b, x, y)
    near(y, exact, np.float64)
    assert helpers.bells == [] and not helpers.posting.locked()
    helpers.multiply(weight, b, x, y)
    assert len(helpers.bells) == 2


def test_who_finds_the_board_taken_multiplies_alone(helpers, rng):
    weight, b, x, y, exact = problem(rng, 2, np.float64)
    with helpers.posting:
        helpers.multiply(weight, b, x, y)
    near(y, exact, np.float64)
    assert not helpers.bells
    many = [problem(rng, 2, np.float64) for _ in range(200)]
    threads = [
        threading.Thread(target=lambda part: [helpers.multiply(*each[:4]) for each in part], args=(many[i::4],))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for *_, y, exact in many:
        near(y, exact, np.float64)


def test_an_interrupt_as_soon_as_the_board_is_taken_leaves_it_free(helpers, rng):
    """Ctrl-C may come between any two steps of Python."""

    def interrupt(frame, event, argument):
        frame.f_trace_opcodes = True
        if helpers.posting.locked():
            raise KeyboardInterrupt
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            helpers.multiply(*problem(rng, 2, np.float64)[:4])
    finally:
        sys.settrace(before)
    assert not helpers.posting.locked()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_worker_asks_nobody(threads, helpers, rng):
    """Nor does who was told to be the only thread."""
    weight, b, x, y, exact = problem(rng, 2, np.float64)
    with workers(threads) as map_over:
        list(map_over(lambda _: helpers.multiply(weight, b, x, y), [0]))
        assert not helpers.bells
    near(y, exact, np.float64)


def multiply_in_a_child(queue, weight, b, x):
    y = np.empty((len(x), len(weight)))
    module.board.multiply(weight, b, x, y)
    queue.put((y, threading.active_count()))


def test_a_forked_process_has_helpers_of_its_own(monkeypatch, rng):
    monkeypatch.setattr(module, "WORTH_HELP", 0)
    monkeypatch.setattr(module, "available_cores", lambda: 2)
    monkeypatch.setattr(module.numba.config, "NUMBA_NUM_THREADS", 2)
    weight, b, x, y, exact = problem(rng, 2, np.float64)
    module.board.multiply(weight, b, x, y)
    fork = multiprocessing.get_context("fork")
    queue = fork.SimpleQueue()
    child = fork.Process(target=multiply_in_a_child, args=(queue, weight, b, x))
    child.start()
    found, threads = queue.get()
    child.join(20)
    near(found, exact, np.float64)
    assert child.exitcode == 0 and threads == 2


@pytest.mark.parametrize("rows", [FEW, FEW + 1])
def test_an_operation_of_few_rows_comes_here_and_one_of_many_does_not(rows, monkeypatch, rng):
    weight, b, x, _, exact = problem(rng, rows, np.float64)
    posted = []
    real = module.board.multiply
    monkeypatch.setattr(module.board, "multiply", lambda *map: (posted.append(len(map[2])), real(*map)))
    y, _ = ops.linear({"weight": weight, "bias": b}, x)
    near(y, exact, np.float64)
    assert posted == ([rows] if rows <= FEW else [])
    near(ops.linear({"weight": np.asfortranarray(weight), "bias": b}, x)[0], exact, np.float64)
    assert len(posted) == (rows <= FEW)


def test_whatever_is_posted_lies_straight(monkeypatch, rng):
    """Helpers are told where it begins, and how large it is."""
    weight, b, x, *_ = problem(rng, 2, np.float64)
    posted = []
    monkeypatch.setattr(module.board, "multiply", lambda *map: posted.extend(map))
    ops.linear({"weight": weight, "bias": np.repeat(b, 2)[::2]}, np.asfortranarray(x))
    assert len(posted) == 4 and all(part.flags.c_contiguous for part in posted)
