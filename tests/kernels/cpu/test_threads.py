"""Work over threads: what is done by how many never changes what comes out, to the last bit."""

import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from minitransformer import threads
from minitransformer.kernels.cpu import attention as kernel
from minitransformer.models import GPT2
from minitransformer.ops import attention, attention_backward, global_norm
from minitransformer.threads import spread, workers
from minitransformer.training.clipping import clip_by_global_norm
from minitransformer.training.losses import next_token_loss
from minitransformer.training.optimizer import AdamW
from minitransformer.training.parallel import cut, value_and_gradient

from ...arrays import same_bits
from .test_attention import problem, tiles

COUNTS = (1, 2, 3, 4)


def at_the_same_time(n):
    """Work that can end only if n threads do it at once."""
    barrier = threading.Barrier(n, timeout=20)

    def work(item):
        barrier.wait()
        return item, threading.get_ident()

    return work


# ------------------------------------------------------------------------------------------------- workers and spread


@pytest.mark.parametrize("n", [2, 3, 4])
def test_so_many_work_at_once(n):
    with workers(n) as map_over:
        for over in (map_over, spread):
            done = list(over(at_the_same_time(n), range(n)))
            assert [item for item, _ in done] == list(range(n))
            assert len({thread for _, thread in done}) == n


@pytest.mark.parametrize("n", COUNTS)
def test_the_order_of_the_items_is_kept(n):
    """Though the first one takes longest."""
    first_may_end = threading.Event()

    def work(i):
        if i == 0 and n > 1:
            assert first_may_end.wait(20)
        first_may_end.set()
        return i * i

    with workers(n) as map_over:
        for over in (spread, map_over):
            first_may_end.clear()
            assert list(over(work, iter(range(9)))) == [i * i for i in range(9)]


@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize("at", [0, 3, 8])
def test_an_exception_comes_out(n, at):
    def work(i):
        if i == at:
            raise ZeroDivisionError(f"item {i}")
        return i

    with workers(n) as map_over:
        for over in (spread, lambda work, items: list(map_over(work, items))):
            with pytest.raises(ZeroDivisionError, match=f"item {at}"):
                over(work, range(9))
        assert spread(abs, [-1, 2]) == [1, 2]  # and work goes on


def test_without_workers_this_thread_does_everything():
    assert {thread for _, thread in spread(lambda i: (i, threading.get_ident()), range(5))} == {threading.get_ident()}
    assert spread(abs, []) == []


def test_one_item_is_not_handed_over():
    with workers(2):
        assert spread(lambda _: threading.get_ident(), [0]) == [threading.get_ident()]


def test_a_worker_hands_nothing_on():
    """Four workers that wait for four workers would wait for ever."""

    def outer(_):
        return {threading.get_ident()} == set(spread(lambda _: threading.get_ident(), range(5)))

    with workers(2) as map_over:
        assert list(map_over(outer, range(8))) == [True] * 8
        assert spread(outer, range(8)) == [True] * 8


def test_workers_within_workers():
    """The innermost have the work, and those around them have it again afterwards."""

    def names(n):
        """Of the helpers: this thread does a share, too."""
        return {thread for _, thread in spread(at_the_same_time(n), range(n))} - {threading.get_ident()}

    with workers(2):
        outer = names(2)
        with workers(3):
            inner = names(3)
            assert len(inner) == 2 and len(outer) == 1 and not inner & outer
        with workers(1):
            assert spread(lambda _: threading.get_ident(), range(3)) == [threading.get_ident()] * 3
        assert names(2) == outer


def test_afterwards_the_workers_are_gone():
    before = threading.active_count()
    with pytest.raises(KeyError), workers(3):
        assert len({thread for _, thread in spread(at_the_same_time(3), range(3))}) == 3
        assert threading.active_count() == before + 2  # and this one
        raise KeyError
    assert threading.active_count() == before
    assert spread(lambda _: threading.get_ident(), range(3)) == [threading.get_ident()] * 3


@pytest.mark.parametrize("n", [0, -1])
def test_fewer_than_one_are_refused(n):
    with pytest.raises(ValueError, match=f"at least 1 thread, not {n}"), workers(n):
        pass
    assert spread(lambda _: threading.get_ident(), range(3)) == [threading.get_ident()] * 3


@pytest.mark.parametrize("n", COUNTS)
def test_blas_has_one_thread_meanwhile(n):
    def blas():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(limits=2):
        assert blas() == {2}
        with workers(n) as map_over:
            assert blas() == {1}
            assert list(map_over(lambda _: blas(), range(4))) == [{1}] * 4
        assert blas() == {2}


# --------------------------------------------------------------------------------------------------- the same bits


@pytest.fixture
def helpers(monkeypatch):
    """The threads in which parts of an attention were done."""
    seen = set()
    for name in ("forward_heads", "backward_heads"):
        monkeypatch.setattr(kernel, name, remembering(getattr(kernel, name), seen))
    return seen


def remembering(function, seen):
    def called(*args):
        seen.add(threading.get_ident())
        return function(*args)

    return called


@pytest.fixture
def little_is_worth_it(monkeypatch):
    """However little there is to do, it is spread; and it has been seen that somebody else did some of it."""
    monkeypatch.setattr(threads, "WORTH_WAKING", 0)
    shares, call = [], threads.spread

    def watched(work, items, *more):
        return call(lambda item: (shares.append(threading.get_ident()), work(item))[1], items, *more)

    for module in ("ops.adamw", "training.parallel", "kernels.cpu.global_norm"):
        monkeypatch.setattr(sys.modules[f"minitransformer.{module}"], "spread", watched)
    yield
    assert set(shares) - {threading.get_ident()}


def test_what_is_done_before_another_is_awake_is_done_here():
    def here(n_bytes):
        return {threading.get_ident()} == set(spread(lambda _: threading.get_ident(), range(4), n_bytes))

    with workers(2):
        assert here(threads.WORTH_WAKING - 1) and not here(threads.WORTH_WAKING)


@pytest.mark.parametrize("dropped", [{}, {"dropout_rate": 0.3, "key": np.random.SeedSequence(1)}], ids=["", "dropped"])
def test_attention(dropped, helpers, rng, monkeypatch):
    monkeypatch.setattr(kernel, "MANY", 0)
    call = problem(rng, B=3, G=4, R=2, T=19, S=23, bias=(1, 8, 1, 23), **dropped)
    args, settings = call.arguments(np.float32)
    dy = rng.normal(size=(3, 8, 19, 3)).astype("f")
    found = {}
    for n in COUNTS:
        helpers.clear()
        with workers(n), tiles(4, 8):
            y, saved = attention(*args.values(), **settings)
            found[n] = [y, *attention_backward(dy, saved)]
        assert threading.get_ident() in helpers and (len(helpers) > 1) == (n > 1)
    assert all(same_bits(found[1], found[n]) for n in COUNTS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_the_length_of_a_gradient(dtype, rng, little_is_worth_it):
    g = {f"leaf{i}": rng.normal(size=1000 + i).astype(dtype) for i in range(40)}
    found = set()
    for n in COUNTS:
        with workers(n):
            found.add(global_norm(g))
    assert len(found) == 1


def step(n, n_pieces=3):
    """The parameters and the loss after two steps by so many threads."""
    model = GPT2(vocab_size=29, context_length=24, n_layers=2, n_heads=2, d_model=12, dropout_rate=0.1)
    rng = np.random.default_rng(0)
    p = model.init(rng, np.float32)
    ids, optimizer, losses = rng.integers(0, 29, (7, 24)), AdamW(), []
    with workers(n) as map_over:
        for i in range(2):
            keys = [np.random.SeedSequence([i, piece]) for piece in range(n_pieces)]
            pieces = cut((ids[:, :-1], ids[:, 1:]), n_pieces)
            loss, g = value_and_gradient(next_token_loss(model), p, pieces, keys, map=map_over)
            g, norm = clip_by_global_norm(g, 0.5)[:2]
            optimizer.step(p, g, 1e-2)
            losses += [loss, norm]
    return p, losses


def test_a_step_of_training(little_is_worth_it):
    one = step(1)
    assert len(set(one[1])) == 4
    for n in COUNTS[1:]:
        p, losses = step(n)
        assert losses == one[1] and same_bits(p, one[0])


def test_leaves_with_learning_rates_of_their_own_are_spread_together(monkeypatch):
    """Layer by layer another rate, as fine-tuning has it: a layer alone would not be worth waking anybody."""
    leaf, asked = np.ones(threads.WORTH_WAKING // 8 // 4, np.float32), []

    def watched(work, items, n_bytes):
        asked.append((len(items := list(items)), n_bytes >= threads.WORTH_WAKING))
        return [work(item) for item in items]

    monkeypatch.setattr(sys.modules["minitransformer.ops.adamw"], "spread", watched)
    p = [{"weight": leaf.copy()} for _ in range(12)]
    AdamW(rate_factor=lambda path: 0.9 ** int(path.split(".")[0])).step(p, [{"weight": leaf}] * 12, 0.1)
    assert asked == [(12, True)]
    moved = [1 - part["weight"][0] for part in p]
    np.testing.assert_allclose(moved, 0.1 * 0.9 ** np.arange(12), rtol=1e-4)


def test_a_step_is_not_that_of_other_pieces():
    """How a batch is cut does show, in the last bits: or the test above could not see anything."""
    assert not same_bits(step(1, n_pieces=2)[0], step(1, n_pieces=3)[0])
