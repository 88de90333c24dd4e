"""The command `minitransformer gradcheck`: its table, its status, and what it says of somebody's own functions."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from minitransformer.cli import main

RIGHT = """
import numpy as np

def gelu(x):
    t = np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))
    return 0.5 * x * (1 + t), (x, t)

def gelu_backward(dy, saved):
    x, t = saved
    du = 0.7978845608028654 * (1 + 3 * 0.044715 * x * x)
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * du)

def scaled(p, x, *, power):
    return p["s"] * x**power, (p["s"], x, power)

def scaled_backward(dy, saved):
    s, x, power = saved
    return dy * s * power * x ** (power - 1), {"s": (dy * x**power).sum()[None]}
"""
CASES = """
def cases(rng):
    yield dict(p={"s": rng.normal(size=1)}, x=rng.normal(size=(2, 3)), power=2)
    yield dict(p={"s": rng.normal(size=1)}, x=rng.normal(size=4), power=3)
"""


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """check(code, name) -> (exit status, what was printed) of the pair `name` in a file with this code"""
    monkeypatch.chdir(tmp_path)

    def run(code, name):
        (tmp_path / "mine.py").write_text(code, encoding="utf-8")
        status = main(["gradcheck", f"mine.py:{name}"])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return status, out + err

    return run


def test_it_may_be_asked_from_another_thread():
    """Signals reach the main thread alone, and only there may one say what is to be done about them."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, ["gradcheck", "relu"]).result() == 0


def test_the_table(capsys):
    assert main(["gradcheck", "linear", "gelu", "layer_norm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "kind", "gradients", "float64", "extended", "seconds"]
    rows = {words[0]: words for words in map(str.split, lines[1:4])}
    assert rows["linear"][1:3] == ["operation", "5"] and rows["linear"][-1] == "pass"
    assert float(rows["layer_norm"][3]) < 1e-7
    assert rows["gelu"][4] == "-" and "gelu: a function in it exists only up to float64" in "\n".join(lines)
    assert lines[-1] == "12 gradients of 3 things: none failed"


def test_columns_stand_below_each_other_however_long_a_path_is(tmp_path, capsys):
    path = tmp_path / "far" / "down" / "mine.py"
    path.parent.mkdir(parents=True)
    path.write_text(RIGHT, encoding="utf-8")
    assert main(["gradcheck", "softmax", f"{path}:gelu"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()[:3]
    assert [row.split()[0] for row in rows] == ["softmax", f"{path}:gelu"]
    for row, kind in zip(rows, ("operation", "own")):
        assert row.index(f" {kind} ") + 1 == head.index("kind") and row.index("  pass") == len(head)


def test_json_and_the_seed(capsys):
    found = []
    for seed in "001":
        assert main(["gradcheck", "softmax", "--json", "--seed", seed]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert row["passed"] and row["name"] == "softmax" and row["gradients"] == 1
        found.append(row["float64"])
    assert found[0] == found[1] != found[2]


def test_a_wrong_backward_fails_the_command(capsys, monkeypatch):
    from minitransformer.ops import silu

    forward, backward = silu.implementations["reference"]
    monkeypatch.setitem(silu.implementations, "reference", (forward, lambda dy, saved: 1.001 * backward(dy, saved)))
    assert main(["gradcheck", "relu", "silu"]) == 1
    out = capsys.readouterr().out
    assert "silu: the gradient of x is wrong at [" in out and out.endswith("2 gradients of 2 things: 1 failed\n")
    assert main(["gradcheck", "silu", "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)[0]["passed"]


def test_names_and_backends_that_do_not_exist(capsys):
    for words, message in [
        (["lineer"], "lineer is not registered; there are: "),
        (["adamw"], "adamw has no backward to check"),
        (["--backend", "quantum"], "unknown backend 'quantum'; there are: reference"),
        (["--seed", "-1"], "--seed must be at least 0"),
        (["nowhere.py:f"], "there is no file nowhere.py"),
        (["no.such.module:f"], "there is no module 'no'"),
        (["mine.py:"], "write file.py:function"),
    ]:
        assert main(["gradcheck", *words]) == 1
        out, err = capsys.readouterr()
        assert message in out + err and "Traceback" not in out + err


def test_own_functions_that_are_right(check):
    status, out = check(RIGHT, "gelu")
    assert status == 0 and "pass" in out
    status, out = check(RIGHT + CASES, "scaled")
    assert status == 0 and "4 gradients of 1 things: none failed" in out


@pytest.mark.parametrize(
    ("name", "before", "after", "message"),
    [
        ("gelu", "def gelu_backward", "def gelu_back", "mine.py has no function gelu_backward"),
        ("gelu", "3 * 0.044715", "2 * 0.044715", r"the gradient of x is wrong at ["),
        ("scaled", "dy * s * power", "dy * power", "the gradient of x is wrong at ["),
        ("scaled", '{"s": (dy', '{"s": 1.001 * (dy', "the gradient of p.s is wrong at [0]: expected "),
        ("scaled", '{"s": (dy', '{"t": (dy', "p.s has no gradient"),
        ("scaled", ".sum()[None]", "", "the gradient of p.s has shape (2, 3), expected (1,)"),
        ("scaled", "return dy * s * power * x ** (power - 1), ", "return ", "returned 1 gradients, expected 2: dx, g"),
        ("gelu", "return 0.5 * x * (1 + t), (x, t)", "return 0.5 * x * (1 + t)", "must return two things, y and saved"),
        ("gelu", "    t = np", "    x += 1\n    t = np", "it writes to an argument"),
        ("gelu", "    t = np", "    t = nump", "line 5: NameError: name 'nump' is not defined"),
        ("gelu", "import numpy", "import nonsense", "cannot be imported: line 2: ModuleNotFoundError"),
        ("gelu", "return dy * (", "return np.float32(1) * dy[:1] * (", "the gradient of x"),
        ("other", "gelu", "other", "nothing says what other takes: write cases(rng)"),
        ("scaled", "size=4), power=3", "size=4), exponent=3", "makes exponent, which scaled does not take"),
    ],
)
def test_own_functions_that_are_wrong(check, name, before, after, message):
    code = RIGHT + (CASES if name == "scaled" else "")
    assert before in code
    status, out = check(code.replace(before, after), name)
    assert status == 1 and message in out, out


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit(0)", "cannot be imported: line 1: SystemExit"),
        ("def cases(rng):\n    raise KeyError('x')", "KeyError"),
        ("def cases(rng):\n    pass", "made no inputs"),
        ("def cases(rng):\n    return {'y': rng.normal(size=2)}", "makes y, which f does not take"),
        ("def cases(rng):\n    return {'b': rng.normal(size=2)}", "makes no x"),
        ("def cases(rng):\n    return {'x': np.arange(3), 'b': np.arange(3)}", "no argument is a floating array"),
        (
            "def f(x, a=None, b=None):\n    return x * np.random.rand(), None",
            "called twice, the forward gives two results",
        ),
        ("def f_backward(dy, s):\n    s[0] *= dy\n    return s[0], None, s[1]", "called twice, the backward gives two"),
    ],
)
def test_own_functions_that_misbehave(check, code, message):
    right = """import numpy as np
def f(x, a=None, b=None):
    return 2 * x + b, [np.full_like(x, 2.0), np.ones_like(b)]
def f_backward(dy, s):
    return s[0] * dy, None, s[1] * dy
def cases(rng):
    return {"x": rng.normal(size=3), "b": rng.normal(size=3)}
"""
    assert check(right, "f")[0] == 0  # the argument left out keeps its place
    status, out = check(right + code if not code.startswith("import") else code, "f")
    assert status == 1 and message in out, out


def test_our_own_pair_as_somebody_elses(check):
    status, out = check(
        "from minitransformer.blocks import multi_head_attention, multi_head_attention_backward", "multi_head_attention"
    )
    assert status == 0, out
