"""Timings on the pages and in the README are those of the results that are kept, and no others."""

import json

import pytest

from .test_pages import DOCS, load

timings = load("timings")
NAMES = [path.stem for path in timings.comparisons()]


def test_what_the_pages_include_is_there():
    page = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("kernels/timings.md", "tokenizers/index.md"))
    assert len(NAMES) >= 7
    for name in NAMES:
        assert f"_generated/bench_{name}.md" in page
    assert page.count("_generated/bench_") >= len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_result_says_on_what_it_was_measured(name):
    result = timings.read(name)
    assert result["machine"]["cores"] >= 1 and {"python", "numpy", "numba"} <= result["machine"]["versions"].keys()
    assert len(result["date"]) == 10
    for size in result["sizes"].values():
        for row in size["rows"]:
            assert len(row["rounds"]) >= 5 and row["least"] <= row["median"] <= row["most"]
            assert row["off"] <= 1e-3  # it was held to the reference


def test_what_stands_between_products_is_what_is_left_of_the_step():
    lines = timings.between_table().splitlines()
    assert len(lines) == 2 + len(timings.read("step")["sizes"]) + 2
    step, products = (timings.medians(timings.read(name)["sizes"]["small"]) for name in ("step", "products"))
    times = (step["PyTorch"], step["kernels"], products["kernels"], step["kernels"] - products["kernels"])
    ratios = (f"{step['PyTorch'] / least:.2f} ×" for least in (products["kernels"], step["kernels"]))
    assert lines[2] == timings.line(["small", *map(timings.time, times), *ratios])


def test_a_profile_adds_up_to_its_step():
    result = timings.read("profile_small")
    assert sum(row["seconds"] for row in result["rows"]) == pytest.approx(result["step"])
    assert "| linear, backward |" in timings.profile_table(result)


def test_the_readme_has_what_the_results_say():
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert timings.IN_README.search(text) and timings.with_timings(text) == text


def test_a_table_has_a_line_for_each_contender():
    result = json.loads(json.dumps(timings.read("step")))
    size = result["sizes"]["small"]
    size["rows"][0]["median"] = 1.2345
    lines = timings.table(result).splitlines()
    assert len(lines) == 2 + sum(len(size["rows"]) for size in result["sizes"].values()) + 2
    assert "1.23 s" in lines[2] and lines[-1] == timings.machine_line(result)


def test_an_empty_column_is_left_out():
    head = timings.table(timings.read("start")).splitlines()[0]
    assert head == "| size | contender | median | from … to | speed |"


@pytest.mark.parametrize(
    "seconds, text",
    [
        (1.234, "1.23 s"),
        (0.0123, "12.3 ms"),
        (0.2345, "234 ms"),
        (4.5e-7, "0.45 µs"),
        (120, "120 s"),
        (0.99996e-3, "1 ms"),
    ],
)
def test_times_in_a_unit_that_suits(seconds, text):
    assert timings.time(seconds) == text


def test_a_table_has_a_line_for_each_tokenizer():
    result = timings.read("tokenizers")
    lines = timings.tokenizers_table(result).splitlines()
    kinds = {size["what"]["kind"] for size in result["sizes"].values()}
    assert len(lines) == 2 + len(kinds) + 2 and len(kinds) == 5
    for kind in kinds:
        rows = result["sizes"][f"{kind}, encode"]["rows"]
        assert [row["contender"] for row in rows] == ["ours", "tokenizers"] and all(row["off"] == 0 for row in rows)
        (line,) = (line for line in lines if line.startswith(f"| {kind} |"))
        assert f"| {rows[0]['about']['bytes'] / 1e6 / rows[0]['median']:.2f} MB/s |" in line
