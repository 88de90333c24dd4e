"""What the pages show of a GPU is what its report says; without one they say that there is none."""

import json

import pytest

from bench.cuda import bars

from .test_pages import DOCS, load

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(DOCS)  # for the modules beside it
    gpu = load("gpu")


def row(contender, way, T, warm):
    place = {"K": 64, "causal": True, "T": T, "way": way, "group": way, "memory": 1e6}
    return place | {"kind": "attention", "contender": contender, "warm": warm, "rate": 1e13, "share": 0.1}


def step(contender, warm):
    place = {"kind": "step", "group": "gpt2", "contender": contender}
    return place | {"warm": warm, "rate": 1e13, "share": None, "compile": 60.0}


RESULT = {
    "date": "2000-01-02",
    "gpu": {"device": "NVIDIA H200", "capability": "sm_90", "memory": 140 << 30, "driver": 13000, "toolkit": 12080},
    "machine": {"versions": {"numpy": "2.4.6"}},
    "complete": True,
    "rows": [
        {"kind": "layout", "what": "mma", "wrong": []},
        {"kind": "correct", "what": "a", "rung": "flash", "cases": 8, "worst": 0.1, "wrong": []},
        {"kind": "correct", "what": "b", "rung": "flash", "cases": 8, "worst": float("inf"), "wrong": ["T1-S1"]},
        {"kind": "correct", "what": "naive 64", "refused": "180 seconds were over"},
        {"kind": "attention", "contender": "naive, float32", "refused": "off by 1", "what": "naive", "T": 512},
        *(row("flash, float32", way, 512, 2e-3) for way in bars.SHARES),
        *(row("flash_registers, float32", way, 512, 1e-3) for way in bars.SHARES),
        *(row(bars.FLOAT32, way, 512, 1.5e-3) for way in bars.SHARES),
        row("tensor_cores, bfloat16", "forward", 4096, 1e-3) | {"causal": False},
        row(bars.FLASH, "forward", 4096, 0.3e-3) | {"causal": False},
        row("tensor_cores, bfloat16", "forward", 8192, 9e-3) | {"run": "the day before"},
        step("backend cuda", 0.04),
        step("PyTorch eager", 0.02),
    ],
}


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """{file: content} with this report"""
    path = tmp_path / "gpu_report.json"
    path.write_text(json.dumps(RESULT), encoding="utf-8")
    monkeypatch.setattr(gpu, "RESULT", path)
    return dict(gpu.everything())


def test_without_a_report_the_pages_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "RESULT", tmp_path / "none.json")
    assert set(dict(gpu.everything()).values()) == {"No GPU has run and timed these kernels yet.\n"}


def test_everything_is_shown_on_a_page(shown):
    pages = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "kernels" / "cuda").rglob("*.md"))
    assert [name for name in shown if f"_generated/{name}" not in pages + shown["gpu_picture.md"]] == []


def test_the_picture_has_few_panels(shown):
    assert shown["gpu_attention.png"].startswith(b"\x89PNG")
    rows = [
        row("flash, float32", "forward", 512, 1e-3) | {"K": K, "causal": causal} for K in (64, 128) for causal in (0, 1)
    ]
    assert gpu.drawn({"rows": rows}) == rows[:1]


def test_where_and_what_was_right(shown):
    said = shown["gpu_where.md"]
    assert "NVIDIA H200 (sm_90, 140 GB; driver of CUDA 13.0, toolkit 12.8; numpy 2.4.6), 2000-01-02" in said
    assert "Of 4 checks 2 found everything right." in said
    assert (
        "| `flash` | 16 | inf | T1-S1 |" in shown["gpu_correct.md"]
        and "| mma |  |  | right |" in shown["gpu_correct.md"]
    )


def test_the_best_rung_stands_beside_pytorchs_kernels(shown):
    lines = shown["gpu_attention.md"].splitlines()
    assert "| K\u00a064,\u00a0causal | 512 | `flash_registers` | 1 ms | 10.0 | 1.5 ms | 1.50 |" in lines
    assert "| K\u00a064 | 4,096 | `tensor_cores` | 1 ms | 10.0 | 300 µs | 0.30 |" in shown["gpu_compared.md"]
    assert "| `tensor_cores` | 1 ms<br>10.0 TFLOP/s, 10% |  |  |  |" in shown["gpu_rungs.md"]
    assert "| gpt2 | backend cuda | 40 ms | 10.0 | 2.00 × | 60 s |" in shown["gpu_steps.md"]


def test_rungs_stand_as_on_the_ladder():
    names = "tensor_cores", "NumPy", "flash", "naive", "CPU kernels", "flash_registers"
    rows = [{"kind": "correct", "what": name, "rung": name, "cases": 1, "worst": 0.5, "wrong": []} for name in names]
    rows += [row(f"{name}, float32", "forward", 512, 1e-3) | {"causal": False} for name in names]
    for table in gpu.correct({"rows": rows}), gpu.rungs({"rows": rows}):
        shown = [line.split("`")[1] for line in table.splitlines() if "`" in line]
        assert shown == ["naive", "flash", "flash_registers", "tensor_cores", "CPU kernels", "NumPy"]


def test_every_kernel_has_its_line():
    row = {"kind": "launches", "contender": "tensor_cores, bfloat16", "way": "forward"}
    row |= {"T": 512, "K": 64, "causal": True}
    rows = [
        row | {"launches": {"tensor_cores_forward": 2e-4}},
        row | {"way": "backward", "launches": {"tensor_cores_rows": 2e-5}, "K": 128, "causal": False},
        row | {"contender": "flash, float32", "launches": {"flash_forward": 3e-3}},
        row | {"launches": {"tensor_cores_forward": 4e-4}, "K": 128, "causal": False},
        {"kind": "launches", "contender": "flash, float32", "what": "flash", "refused": "gone"},
    ]
    assert gpu.launches({"rows": rows}).splitlines() == [
        "| T 512 |  | K 64, causal | K 128 |",
        "| --- | --- | ---: | ---: |",
        "| `flash_forward` | forward | 3 ms |  |",
        "| `tensor_cores_forward` | forward | 200 µs | 400 µs |",
        "| `tensor_cores_rows` | backward |  | 20 µs |",
    ]
    assert "No device has told that yet" in gpu.launches({"rows": rows[-1:]})


def test_the_bars_are_told_as_they_are(shown):
    lines = shown["gpu_bars.md"].splitlines()[2:]
    assert [line.split("**")[1] for line in lines] == [
        "met",
        "met",
        "missed",
        "not measured",
        "missed",
        "not measured",
        *["not measured"] * 2,
    ]
    assert "1.50 × (K 64, causal, T 512)" in lines[0]


def test_rows_of_another_run_are_told_apart(shown):
    assert "What it says of T 8,192 is of another run (the day before)." in shown["gpu_where.md"]
    assert "another run" not in gpu.where(RESULT | {"rows": RESULT["rows"][:4]})


def test_a_report_that_was_cut_short_says_so():
    assert "Not everything was reached" in gpu.where(RESULT | {"complete": False})
