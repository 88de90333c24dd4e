"""The convention itself: the registry, what a backward accepts, backends, keys, the door, the floors."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minitransformer
from minitransformer import blocks, convention, ops
from minitransformer.convention import THINGS, Saved, backward_of, block, fold, generator, op, registered, use_backend
from minitransformer.door import Shapes
from minitransformer.ops import relu, relu_backward, softmax, softmax_backward

# ------------------------------------------------------------------------------------------------------ the registry


@pytest.fixture
def things(monkeypatch):
    """A registry of one's own, with everything in it."""
    mine = dict(THINGS)
    monkeypatch.setattr(convention, "THINGS", mine)
    return mine


def test_a_name_is_registered_once(things):
    def softmax(x):
        return x, ()

    words = f"softmax is registered twice: in minitransformer.ops.softmax and in {__name__}"
    for decorate in (op, block, registered("model")):
        with pytest.raises(ValueError, match=re.escape(words)):
            decorate(softmax)
    assert things == THINGS


def test_what_is_registered_says_what_it_is(things):
    @op(x="... D")
    def halve(x):
        """y = x / 2"""
        return x / 2, ()

    @backward_of(halve)
    def halve_backward(dy, saved):
        return dy / 2

    @block
    def halve_twice(x):
        return halve(x), ()

    @registered("model")
    class Halver:
        pass

    assert {"halve": halve, "halve_twice": halve_twice, "Halver": Halver}.items() <= things.items()
    assert [thing.kind for thing in (halve, halve_twice, Halver)] == ["operation", "block", "model"]
    assert (halve.__doc__, repr(halve)) == ("y = x / 2", "<operation halve>")
    y, saved = halve(np.array([3.0, 1.0]))
    assert halve.backward is halve_backward
    assert np.array_equal(halve_backward(y, saved), [0.75, 0.25])


def test_everything_with_a_backward_is_registered():
    for folder in (ops, blocks):
        for name in dir(folder):
            if name.endswith("_backward"):
                assert THINGS[name.removesuffix("_backward")].backward is getattr(folder, name)


def test_everything_registered_is_described():
    assert not [name for name, thing in THINGS.items() if not (thing.__doc__ or "").strip()]
    assert {thing.kind for thing in THINGS.values()} <= {"operation", "block", "combinator", "loss", "model"}


# ----------------------------------------------------------------------------------- what was saved, and by whom


@pytest.fixture
def fake(monkeypatch):
    """A backend that has a softmax, of which each pass leaves its mark."""
    monkeypatch.setattr(convention, "BACKENDS", {"reference": None, "fake": None})
    monkeypatch.setattr(convention, "_backend", "reference")
    monkeypatch.setattr(softmax, "implementations", dict(softmax.implementations))
    softmax.implement("fake", lambda x: (x + 1, "what the fake saved"), lambda dy, saved: (dy, saved))


def test_what_a_kernel_saved_goes_to_its_own_backward(fake):
    x, dy = np.array([0.0, 1.0]), np.array([3.0, 5.0])
    _, by_reference = softmax(x)
    expected = softmax_backward(dy, by_reference)
    use_backend("fake")
    y, by_fake = softmax(x)
    assert np.array_equal(y, x + 1)
    assert by_fake == Saved("softmax", "fake", (2,), np.dtype(np.float64), "what the fake saved")
    assert np.array_equal(softmax_backward(dy, by_reference), expected)
    use_backend("reference")
    assert softmax_backward(dy, by_fake) == (dy, "what the fake saved")
    assert softmax(x)[1].backend == "reference"


def test_a_kernel_stands_behind_the_same_door(fake):
    use_backend("fake")
    with pytest.raises(TypeError, match="softmax: x must be an array of kind float, not int64"):
        softmax(np.arange(3))
    with pytest.raises(ValueError, match="softmax_backward: dy has shape"):
        softmax_backward(np.ones(3), softmax(np.ones(2))[1])


def test_what_has_no_kernel_stays_plain(fake):
    use_backend("fake")
    y, saved = relu(np.array([-1.0, 2.0]))
    assert saved.backend == "reference" and np.array_equal(relu_backward(y, saved), [0, 2])


def test_an_unknown_backend_names_those_there_are(fake):
    use_backend("fake")
    with pytest.raises(ValueError, match="unknown backend 'abacus'; there are: reference, fake"):
        use_backend("abacus")
    assert softmax(np.ones(2))[1].backend == "fake"  # the choice stands


# ------------------------------------------------------------------------------------------------------ randomness


def key_of(seed, path):
    key = np.random.SeedSequence(seed)
    for i in path:
        key = fold(key, i)
    return key


def numbers(key):
    return tuple(generator(key).random(4))


paths = st.lists(st.sampled_from([0, 1, 2, 2**31, 2**32 - 1]), max_size=5)


@given(seed=st.integers(0, 2**128 - 1), a=paths, b=paths)
def test_different_paths_give_different_numbers(seed, a, b):
    assert (numbers(key_of(seed, a)) == numbers(key_of(seed, b))) == (a == b)


@pytest.mark.parametrize("a, b", [([], [0]), ([0], [0, 0]), ([1], [1, 0]), ([1], [0, 1]), ([0, 1], [1, 0])])
@pytest.mark.parametrize("seed", [0, 1, 2**64 + 5])
def test_no_two_paths_collide(a, b, seed):
    assert numbers(key_of(seed, a)) != numbers(key_of(seed, b))


def test_a_thousand_keys_are_a_thousand_streams():
    key = np.random.SeedSequence(7)
    assert len({numbers(fold(key, i)) for i in range(1000)}) == 1000


def test_folding_draws_and_spawns_nothing():
    key = np.random.SeedSequence(7)
    before = key.state, numbers(key)
    assert numbers(fold(key, 3)) == numbers(fold(key, 3))
    assert (key.state, numbers(key)) == before
    assert fold(None, 3) is None  # evaluation stays evaluation


def test_the_nth_number_depends_on_the_key_and_n_alone():
    key = np.random.SeedSequence(7)
    assert np.array_equal(generator(key).random((4, 5)).ravel(), generator(key).random(30)[:20])


# ------------------------------------------------------------------------------------------------------ the door


def thing(p, x, ids=None, *, mask=None):
    pass


def f32(*shape):
    return np.zeros(shape, "f")


DOORS = {  # specifications, a call, and what is said; "" where it fits
    "a letter": ({"x": "D D"}, (None, f32(3, 3)), ""),
    "a letter twice": ({"x": "D D"}, (None, f32(3, 4)), "thing: x has shape (3, 4), expected (D D) with D = 3"),
    "a letter in two arrays": ({"x": "B D", "w": "D"}, ({"w": f32(3)}, f32(2, 3)), ""),
    "a letter in two arrays that differ": (
        {"x": "B D", "w": "D"},
        ({"w": f32(2)}, f32(2, 3)),
        "thing: w has shape (2,), expected (D) with B = 2, D = 3",
    ),
    "a length or one": ({"x": "B D", "w": "B|1 D|1"}, ({"w": f32(1, 3)}, f32(2, 3)), ""),
    "neither a length nor one": ({"x": "B D", "w": "B|1 D|1"}, ({"w": f32(2, 2)}, f32(2, 3)), "w has shape (2, 2)"),
    "a number": ({"x": "B 3"}, (None, f32(2, 3)), ""),
    "another number": ({"x": "B 3"}, (None, f32(2, 4)), "x has shape (2, 4), expected (B 3) with B = 2"),
    "a multiple of a length": ({"w": "4H", "x": "H"}, ({"w": f32(8)}, f32(2)), ""),
    "a multiple of a length that is known": (
        {"x": "H", "w": "4H"},
        ({"w": f32(9)}, f32(2)),
        "thing: w has shape (9,), expected (4H) with H = 2",
    ),
    "no multiple of any length": ({"w": "4H", "x": "H"}, ({"w": f32(6)}, f32(2)), "w has shape (6,), expected (4H)"),
    "a length that is no quarter": (
        {"w": "4H", "x": "H"},
        ({"w": f32(8)}, f32(3)),
        "thing: x has shape (3,), expected (H) with H = 2",
    ),
    "a tree of parameters": ({"x": "D", "q": {"w": "D D", "b": "[D]"}}, ({"q": {"w": f32(3, 3)}}, f32(3)), ""),
    "a leaf of a tree": (
        {"x": "D", "q": {"w": "D D", "b": "[D]"}},
        ({"q": {"w": f32(3, 3), "b": f32(2)}}, f32(3)),
        "thing: q.b has shape (2,), expected ([D]) with D = 3",
    ),
    "a tree that is not there": ({"x": "D", "q": {"w": "D D"}}, ({"w": f32(3, 3)}, f32(3)), "there is no q.w (D D)"),
    "a leaf in the place of a tree": ({"x": "D", "q": {"w": "D"}}, ({"q": f32(3)}, f32(3)), "there is no q.w (D)"),
    "leading axes": ({"x": "... D"}, (None, f32(5, 4, 3)), ""),
    "no leading axes": ({"x": "... D"}, (None, f32(3)), ""),
    "too few axes": ({"x": "... D E"}, (None, f32(3)), "x has shape (3,), expected (... D E)"),
    "too many axes": ({"x": "D"}, (None, f32(1, 3)), "x has shape (1, 3), expected (D)"),
    "the same leading axes": ({"x": "... D", "ids": "int ..."}, (None, f32(2, 4, 3), np.zeros((2, 4), int)), ""),
    "other leading axes": (
        {"x": "... D", "ids": "int ..."},
        (None, f32(2, 4, 3), np.zeros((4, 2), int)),
        "ids has shape (4, 2), expected (int ...) with ... = (2, 4), D = 3",
    ),
    "unsigned ids": ({"ids": "int B"}, (None, None, np.zeros(2, np.uint8)), ""),
    "floating ids": ({"ids": "int B"}, (None, None, f32(2)), "ids must be an array of kind int, not float32"),
    "half precision": ({"x": "B"}, (None, np.zeros(2, np.float16)), ""),
    "complex numbers": ({"x": "B"}, (None, np.zeros(2, complex)), "x must be an array of kind float, not complex128"),
    "no array": ({"x": "B"}, (None, [1.0]), "x must be an array of kind float, not list"),
    "nothing": ({"x": "B"}, (None, None), "thing: there is no x (B)"),
    "nothing, as it may": ({"x": "[B]"}, (None, None), ""),
    "no parameters": ({"w": "B"}, (None, None), "thing: there is no w (B)"),
    "a parameter, as there may be": ({"x": "D", "b": "[D]"}, ({"b": f32(3)}, f32(3)), ""),
    "a parameter that there may be, but not so": ({"x": "D", "b": "[D]"}, ({"b": f32(2)}, f32(3)), "b has shape (2,)"),
    "two precisions": ({"x": "B", "w": "B"}, ({"w": np.zeros(2)}, f32(2)), "w is float64, but x is float32"),
}


@pytest.mark.parametrize("name", DOORS)
def test_the_door(name):
    specification, args, words = DOORS[name]
    door = Shapes(thing, specification)
    if not words:
        floating = [array for array in args[1:] if getattr(array, "dtype", np.dtype(int)).kind == "f"]
        assert door(args, {}) == (floating[0].dtype if floating else None)
        return
    with pytest.raises((ValueError, TypeError), match=re.escape(words)):
        door(args, {})


def test_the_door_tells_no_length_that_it_does_not_know():
    with pytest.raises(ValueError) as refused:
        Shapes(thing, {"w": "4H D", "x": "D"})(({"w": f32(6, 3)}, f32(3)), {})
    assert str(refused.value) == "thing: w has shape (6, 3), expected (4H D)"


def test_the_door_looks_at_settings_too():
    door = Shapes(thing, {"x": "B T", "mask": "[bool B|1 T]"})
    door((None, f32(2, 3)), {"mask": np.ones((1, 3), bool)})
    with pytest.raises(TypeError, match="mask must be an array of kind bool, not float32"):
        door((None, f32(2, 3)), {"mask": f32(1, 3)})
    with pytest.raises(ValueError, match=re.escape("mask has shape (2, 1), expected ([bool B|1 T]) with B = 2, T = 3")):
        door((None, f32(2, 3)), {"mask": np.ones((2, 1), bool)})


def test_a_door_that_remembers_turns_away_what_it_turned_away_before():
    door = Shapes(thing, {"x": "B D", "w": "D"})
    for _ in range(3):
        for D in (2, 3):
            assert door(({"w": f32(D)}, f32(4, D)), {}) == np.float32
            with pytest.raises(ValueError, match=re.escape(f"x has shape (4, {D}, 1)")):
                door(({"w": f32(D)}, f32(4, D, 1)), {})
        with pytest.raises(ValueError, match=re.escape("w has shape (3,), expected (D) with B = 4, D = 2")):
            door(({"w": f32(3)}, f32(4, 2)), {})
        with pytest.raises(TypeError, match="w is float64, but x is float32"):
            door(({"w": np.zeros(2)}, f32(4, 2)), {})
        with pytest.raises(ValueError, match="there is no w"):
            door((None, f32(4, 2)), {})
        with pytest.raises(TypeError, match="x must be an array of kind float, not list"):
            door(({"w": f32(2)}, [[1.0, 2.0]]), {})


def test_a_door_remembers_so_much_and_no_more(monkeypatch):
    monkeypatch.setattr("minitransformer.door.MOST", 5)
    door = Shapes(thing, {"x": "T"})
    for length in (*range(12), *range(12)):
        assert door((None, f32(length)), {}) == np.float32 and len(door.passed) <= 5


# ------------------------------------------------------------------------------------------------------ the floors

PACKAGE = Path(minitransformer.__file__).parent
FLOORS = (  # from the ground up; nothing knows what stands above it
    {"convention", "philox", "door", "trees", "files", "threads", "memory", "installing"},
    {"ops"},
    {"kernels", "placing"},
    {"blocks"},
    {"models"},
    {"tokenizers", "data"},
    {"decoding", "reading"},
    {"training"},
    {"pretrained"},
    {"finetuning"},
    {"plots", "doctor", "story"},
    {"gradcheck"},
    {"cli"},
    {"__init__", "__main__"},
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def stands_in(source):
    return source.parts[0].removesuffix(".py")


def imports(code, source):
    """The names of the folders and modules of the house, and of foreign packages, that this code imports anywhere."""
    here = ("minitransformer", *source.parent.parts)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            full = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            full = [(*module, alias.name) for alias in node.names]
        else:
            continue
        for parts in full:
            yield parts[1] if parts[0] == "minitransformer" else parts[0]


def upward(code, source):
    """What this code imports from above it. `__version__` stands on the roof, and is anybody's."""
    ours = [name for name in imports(code, source) if name in FLOOR]
    return [name for name in ours if FLOOR[name] > FLOOR[stands_in(source)]]


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_imports_go_down_only(source):
    assert stands_in(source) in FLOOR, "on which floor?"
    assert upward((PACKAGE / source).read_text(encoding="utf-8"), source) == []


def test_the_page_has_every_floor_from_the_ground_up():
    page = (PACKAGE.parent / "docs" / "convention.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", page.split("## The floors")[1], re.MULTILINE)
    shown = [re.sub(r"\.py$|/$", "", name) for row in rows for name in re.findall(r"`(.*?)`", row)]
    assert set(shown) == FLOOR.keys() - {"__init__", "__main__"} and len(shown) == len(set(shown))
    assert [FLOOR[name] for name in shown] == sorted(FLOOR[name] for name in shown)


@pytest.mark.parametrize(
    "code, source, seen",
    [
        ("from ..models import GPT2", "ops/gelu.py", ["models"]),
        ("from ..models.gpt2 import GPT2", "ops/gelu.py", ["models"]),
        ("from .. import blocks, trees", "ops/gelu.py", ["blocks"]),
        ("def f():\n    import minitransformer.cli.train", "training/run.py", ["cli"]),
        ("from minitransformer import gradcheck", "models/gpt2.py", ["gradcheck"]),
        ("from . import ops", "convention.py", ["ops"]),
        ("from .ops.gelu import gelu", "trees.py", ["ops"]),
        ("from .gelu import gelu\nfrom ..convention import op\nimport numpy", "ops/relu.py", []),
        ("from .. import __version__", "training/run.py", []),
    ],
)
def test_an_import_from_above_is_seen(code, source, seen):
    assert upward(code, Path(source)) == seen


def test_operations_import_numpy_and_scipy_alone():
    """Numba is another floor's."""
    operations = [source for source in SOURCES if stands_in(source) == "ops"]
    foreign = {
        name for source in operations for name in imports((PACKAGE / source).read_text(encoding="utf-8"), source)
    }
    assert foreign - FLOOR.keys() - set(sys.stdlib_module_names) <= {"numpy", "scipy"}


def test_importing_the_package_is_cheap():
    code = "import sys, minitransformer; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "minitransformer.ops.softmax" in loaded
    assert not {"numba", "scipy", "matplotlib", "tqdm", "safetensors", "threadpoolctl"} & set(loaded)


@pytest.mark.parametrize("i", [-1, 2**32])
def test_a_fold_of_more_than_one_word_is_refused(i):
    """SeedSequence would read it as two words, and the key of another place would be the same."""
    with pytest.raises(ValueError, match="from 0 to"):
        fold(np.random.SeedSequence(0), i)
