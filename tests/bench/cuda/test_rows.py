"""What becomes of rows: lines."""

from bench import picture
from bench.cuda import rows


def test_what_pytorch_launched_is_told_once():
    row = {"contender": "PyTorch X, float32", "way": "forward", "causal": False, "kernels": ["a", "b"]}
    kept = [row | {"K": 64}, row | {"K": 128, "causal": True}, row | {"K": 64, "kernels": []}]
    assert rows.kernels(kept) == ["PyTorch X, float32, forward: a, b (K 64, K 128 causal)"]


def test_lengths_become_lines():
    kept = [{"group": "g", "contender": "c", "T": T, "warm": T / 1e3} for T in (16, 8)] + [{"group": "g", "T": 4}]
    assert rows.growth(kept) == {("g", "c"): [(8, 0.008), (16, 0.016)]}
    assert rows.exponents(kept) == ["g: c grows as T^1.00 from T 8 to 16"]
    assert rows.shown(2.5e-3) == "2.5 ms" and rows.shown(4e-6) == "4 µs" and rows.shown(None) == "-"
    assert rows.shown(0.9996) == "1 s" and rows.shown(0.9996e-3) == "1 ms" and rows.shown(0.999) == "999 ms"
    assert picture.shown(999.6) == "1 s" and picture.shown(999.4) == "999 ms"
