"""What `bench.gpu_report` asks of a device before it times anything, asked of the simulator: it can say yes and no."""

import pytest

from bench.cuda import fragments
from bench.cuda.correct import cases, check_rungs
from minitransformer.kernels.cuda.attention import RUNGS
from tests.kernels.cuda.attention.cases import Case, shrink

FEW = [Case(B=1, G=1, R=2, T=5, S=6, K=16, mask="full"), Case(B=1, G=1, R=1, T=6, S=5, K=16, causal=False)]
HERE = ("naive", "flash", "tensor_cores")


@pytest.fixture
def small(monkeypatch):
    for name in HERE:
        shrink(name, RUNGS[name].module, monkeypatch.setattr)


def test_rungs_that_are_right_are_found_right(small):
    found = list(check_rungs({name: RUNGS[name] for name in HERE}, [*FEW, FEW[0]]))
    assert [(row["rung"], row["cases"], row["wrong"]) for row in found] == [(name, 3, []) for name in HERE]
    assert all(0 < row["worst"] <= 1 for row in found)
    for row in found:
        told = [tuple(variant) for *variant, seconds in row["compiled"] if seconds > 0]
        each = [(16, True, True), (16, False, False)]  # K, causal, masked
        assert told == [(*variant, way) for variant in each for way in ("forward", "backward")]


@pytest.mark.parametrize("damage", ["y", "dk", "error"])
def test_a_rung_that_is_wrong_is_found_wrong(damage, small):
    rung = RUNGS["naive"]

    class Wrong:
        name, precision, backward, offers = rung.name, rung.precision, rung.backward, rung.offers

        def attention(self, q, k, v, **settings):
            y, saved = rung.attention(q, k, v, **settings)
            return y * (1.001 if damage == "y" else 1), saved

        def attention_backward(self, dy, saved):
            dq, dk, dv, dbias = rung.attention_backward(dy, saved)
            assert damage != "error"
            return dq, dk * (1.001 if damage == "dk" else 1), dv, dbias

    (row,) = check_rungs({"naive": Wrong()}, FEW[:1])
    assert row["wrong"] == [str(FEW[0])] and not row["worst"] <= 1


def test_the_cases_on_a_device_have_every_width_length_and_mask():
    there = list(cases())
    assert {case.K for case in there} == {32, 64, 128} and {case.T for case in there} >= {1, 31, 33, 257}
    assert {(case.causal, case.mask) for case in there} >= {(True, None), (False, None), (True, "padded")}
    assert len({case.seed for case in there}) == len(there) and any(case.T != case.S for case in there)


def test_fragments_lie_as_is_said():
    assert fragments.check_fragments() == {"mma": None, "ldmatrix": None, "ldmatrix, transposed": None}


@pytest.mark.parametrize("what, other", [("mma", "ldmatrix"), ("ldmatrix_transposed", "ldmatrix, transposed")])
def test_fragments_that_lie_elsewhere_are_found(what, other, monkeypatch):
    right = getattr(fragments, what)

    def wrong(*operands):
        first, second, *rest = right(*operands)
        return second, first, *rest

    monkeypatch.setattr(fragments, what, wrong)
    found = fragments.check_fragments()
    assert found["mma" if what == "mma" else other] is not None and sum(map(bool, found.values())) == 1
