"""What becomes of rows: lines."""

import io

import pytest
from matplotlib.figure import Figure
from PIL import Image

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


@pytest.mark.parametrize("n_groups, n_names", [(0, 0), (1, 12), (4, 12), (7, 12), (2, 25)])
def test_a_picture_of_however_many(n_groups, n_names, monkeypatch):
    """Its legend is all within it, though the names are as long as any."""
    drawn, legend = [], Figure.legend
    monkeypatch.setattr(Figure, "legend", lambda figure, **how: drawn.append(legend(figure, **how)) or drawn[-1])
    kept = [
        {"group": f"group {g}", "contender": f"PyTorch EFFICIENT_ATTENTION{i}, float32", "T": T, "warm": T / 1e6}
        for g in range(n_groups)
        for i in range(n_names)
        for T in (512, 1024)
    ]
    with Image.open(io.BytesIO(rows.picture(kept, "a title"))) as image:
        width, height = image.size
    (legend,) = drawn
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height and len(legend.get_texts()) == n_names


def test_one_legend_has_a_name_and_a_colour_for_each_in_all_panels(monkeypatch):
    drawn, legend = [], Figure.legend
    monkeypatch.setattr(Figure, "legend", lambda figure, **how: drawn.append(figure) or legend(figure, **how))
    kept = [
        {"group": f"{precision} {way}", "contender": f"{name}, {precision}", "T": T, "warm": T / 1e6}
        for precision in ("float32", "bfloat16")
        for way in ("forward", "backward")
        for name in ("a rung", "PyTorch X")
        for T in (512, 1024)
    ]
    with Image.open(io.BytesIO(rows.picture(kept, "a title"))) as image:
        assert image.size[0] > 500
    (figure,) = drawn
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a rung", "PyTorch X"]
    colours = [{line.get_label(): line.get_color() for line in axes.lines} for axes in figure.axes]
    assert len(colours) == 4 and all(each == colours[0] for each in colours) and len(set(colours[0].values())) == 2
    assert all(axes.get_legend() is None for axes in figure.axes)
