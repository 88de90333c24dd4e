"""The benchmarks: nothing is timed that is wrong, and what is printed follows from what was measured."""

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from bench import __main__ as command
from bench import attention, block, decoding, operation, picture, products, reading, step
from bench.compare import Wrong, compare, error
from bench.contender import sketch
from minitransformer.convention import THINGS
from minitransformer.trees import leaves

from .toy import BENCHMARK as TOY

FLOOR = {"flops": 1e9, "bytes": 1e9}


def rows(names, size="long"):
    return compare("tests.bench.toy", TOY, size, names, rounds=5, seconds=1e-4, say=lambda line: None)


def test_each_contender_is_timed_in_a_process_of_its_own():
    first, second = rows(["NumPy", "near"])
    assert (first["contender"], first["off"]) == ("NumPy", 0) and 1e-7 < second["off"] < 1e-5
    for row in (first, second):
        assert len(row["rounds"]) == 5 and 0 < row["least"] <= row["median"] <= row["most"]
        assert row["median"] == np.median(row["rounds"]) and row["peak"] >= 0
    assert second["about"] == {"factor": 1 + 1e-6}


def test_who_is_wrong_is_not_timed():
    with pytest.raises(Wrong, match=r"wrong at short is off by 1\.0e-03, more than 1e-04: not timed"):
        rows(["NumPy", "wrong"], "short")


def test_a_contender_that_ends_is_named():
    with pytest.raises(RuntimeError, match="nobody ended with status 1"):
        rows(["NumPy", "nobody"])


def test_the_error_of_an_answer():
    expected = {"a": np.array([100.0, -3.0]), "b": np.array([1e-9, 0.0])}
    assert error(expected, expected) == 0
    assert error(expected | {"a": np.array([101.0, -3.0])}, expected) == pytest.approx(0.01)
    assert error(expected | {"b": np.array([2e-9, 0.0])}, expected) < 1e-7  # but for rounding, zero
    assert not error(expected | {"a": np.array([np.nan, -3.0])}, expected) <= 1
    with pytest.raises(ValueError):
        error({"a": expected["a"]}, expected)


def test_a_sketch_tells_arrays_apart(rng):
    x = rng.normal(size=(30, 40))
    for other in (x.T, -x, x[::-1], 1.001 * x, x + 1e-2 * rng.normal(size=x.shape)):
        assert error(sketch({"x": other}), sketch({"x": x})) > 1e-4
    assert error(sketch({"x": x.astype(np.float32)}), sketch({"x": x})) < 1e-6


MEMORY = """
import numpy as np
from bench.child import begin_peak, peak
before = begin_peak()
for megabytes in (40, 80):
    np.ones(megabytes << 17).sum()
    print((peak() - before) / 2**20)
"""


def test_the_most_memory_is_seen():
    """In a process of its own, in which nothing that was there before is given back meanwhile."""
    said = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True).stdout
    for megabytes, seen in zip((40, 80), map(float, said.split()), strict=True):
        assert megabytes - 1 < seen < megabytes + 20


# ------------------------------------------------------------------------------------------- what must be done at least


def test_the_work_of_a_step():
    """Of one layer of width 2, one head, three tokens, ids below 5, counted by hand."""
    matrices = 4 * 2 * 2 + 2 * 2 * 8 + 5 * 2
    attention = 2 * (2 * 3 * 3 * 2) * 3 / 2  # two products, twice as much backward, half of it above the diagonal
    assert step.work(step.Size(1, 1, 2, 3, 1, 5))["flops"] == 3 * 2 * 3 * matrices + attention


def test_the_work_of_an_attention():
    assert attention.work(attention.Size(8, 3, 5))["flops"] == 7 * 2 * 3 * (8 * 8 / 2) * 5


def test_the_work_of_the_products_is_the_steps_without_attention():
    size = step.Size(2, 1, 3, 8, 5, 7)
    attention_in_step = 6 * size.layers * size.width * size.context * (size.batch * size.context)
    assert products.work(size)["flops"] == step.work(size)["flops"] - attention_in_step
    assert [w.shape for _, w, _ in products.inputs(size)] == [(e, d) for d, e in products.maps(size)]


def test_the_work_of_decoding():
    """Of one layer of width 2, ids below 5, two texts: all weights for every token of 32, by every text."""
    matrices = 4 * 2 * 2 + 2 * 2 * 8 + 5 * 2
    found = decoding.work(decoding.Size(1, 1, 2, 64, 2, 5))
    assert found == {"bytes": 32 * 4 * matrices, "flops": 32 * 2 * matrices * 2, "tokens": 64}


def test_the_work_of_decoding_is_that_of_the_matrices_it_has():
    size = decoding.LlamaSize(2, 3, 12, 64, 2, 5)
    _, p = decoding.model_of(size)
    matrices = sum(w.size for path, w in leaves(p) if w.ndim == 2 and path != "token.weight")
    assert decoding.work(size)["bytes"] == pytest.approx(32 * 4 * matrices)


def test_the_work_of_reading():
    """Of one layer of width 4: the products of the maps of every token, and of each text's attention."""
    size = reading.Size(1, 2, 4, 20, 3)
    lengths = reading.lengths_of(size)
    maps, attention = (4 + 8) * 4 * 4 * lengths.sum(), 2 * 4 * (lengths**2).sum()
    assert reading.work(size) == {"flops": 2 * maps + 2 * attention, "tokens": lengths.sum()}


def test_the_work_of_a_block():
    assert block.work(block.Size(2, 1, 3, 1))["flops"] == 3 * 2 * 3 * 12 * 4 + 2 * (2 * 3 * 3 * 2) * 3 / 2


def test_the_least_time_is_that_of_the_slower_part():
    assert command.least_time({"flops": 3e9, "bytes": 1e9}, FLOOR) == 3
    assert command.least_time({"bytes": 2e9}, FLOOR) == 2


@pytest.mark.parametrize(
    "name", sorted(name for name in operation.CASES if THINGS[name].gradient and name != "dropout")
)
def test_parts_joined_are_the_whole(name, monkeypatch, rng):
    """As the benchmark cuts them for its threads."""
    monkeypatch.setattr(operation, "N", 20)
    monkeypatch.setattr(operation, "D", 24)
    monkeypatch.setattr(operation, "V", 7)
    thing, (args, static) = THINGS[name], operation.CASES[name]()
    y, saved = thing(*args, **static)
    dy = operation.upstream(y)
    whole = operation.outputs(y, thing.backward(dy, saved))
    parts = operation.cut(args, 3)
    dys = np.array_split(dy, 3) if y.shape else [len(part[-1]) / len(args[-1]) for part in parts]
    results = []
    for part, dy_part in zip(parts, dys, strict=True):
        y, saved = thing(*part, **static)
        results.append(((y if y.shape else y * dy_part), thing.backward(dy_part, saved)))
    found = operation.outputs(*operation.joined(results))
    assert found.keys() == whole.keys()
    for key, array in whole.items():
        np.testing.assert_allclose(found[key], array, rtol=1e-4, atol=1e-4)


# ----------------------------------------------------------------------------------------------------- the command line


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """python -m bench with these arguments, the toy in place of the steps: status, what was printed, and to where."""
    monkeypatch.setattr(command, "import_module", lambda name: sys.modules[TOY.work.__module__])
    monkeypatch.setattr(command, "measured_floor", lambda: FLOOR)
    monkeypatch.setattr(command, "compare", lambda module, *args, **more: compare("tests.bench.toy", *args, **more))

    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["bench", "step", *arguments, "--seconds", "0.0001", "--out", str(tmp_path)])
        status = command.main()
        return status, capsys.readouterr()

    return called


def test_a_table_a_file_and_a_picture(run, tmp_path):
    status, printed = run("--without", "wrong")
    assert status == 0 and "0.00 x" not in printed.out
    for name, size in itertools.product(("NumPy", "near"), ("short", "long")):
        assert f"{size}: at best" in printed.out and name in printed.out
    assert {path.name for path in tmp_path.iterdir()} == {"step.json", "step.png"}
    with Image.open(tmp_path / "step.png") as image:
        assert image.size[0] > 500


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["huge"], "unknown size 'huge'; there are: short, long"),
        (["--without", "near", "nobody"], "unknown contender 'nobody'; there are: NumPy, near, wrong"),
        (["--rounds", "4"], "--rounds must be at least 5, not 4"),
        (["--without", "NumPy"], "without NumPy there is nothing to hold the others to"),
        ([], "wrong at short is off by"),
    ],
)
def test_mistakes_are_named(run, arguments, message):
    status, printed = run(*arguments)
    assert status == 1 and message in printed.err and "Traceback" not in printed.err


def test_bars_are_as_long_as_the_medians():
    from matplotlib.figure import Figure

    found = [
        {"contender": name, "median": t, "least": 0.9 * t, "most": 1.2 * t} for name, t in (("NumPy", 2), ("k", 1))
    ]
    axes = Figure().subplots()
    picture.bars(axes, "size", {"rows": found, "work": {"flops": 1e9}, "floor": FLOOR})
    assert sorted(patch.get_width() for patch in axes.patches) == [1000, 2000]


def test_a_picture_of_what_grows():
    def size(T):
        row = {"contender": "NumPy", "median": T / 1e3, "least": T / 1e3, "most": T / 1e3, "peak": T << 20}
        return {"what": {"T": T}, "rows": [row], "work": {"flops": 1e6 * T}, "floor": FLOOR}

    result = {
        "about": "growth",
        "machine": {"processor": "p", "cores": 2},
        "sizes": {f"T{T}": size(T) for T in (8, 64)},
    }
    with Image.open(io.BytesIO(picture.draw(result))) as image:
        assert image.format == "PNG" and image.size[1] > 400
