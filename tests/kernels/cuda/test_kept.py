"""What is compiled for a device is found again by what made it so, and nothing that goes wrong there stops a kernel."""

from types import SimpleNamespace

import numpy as np
import pytest

from minitransformer.kernels.cuda import kept


def made(K, inner=None):
    """A kernel for a number, as the rungs make theirs, and for another function"""

    def kernel():
        return K, inner

    kernel.__module__ = f"{kept.PACKAGE}.attention.stand_in"
    return Dispatcher(kernel)


class Dispatcher:
    """As much of Numba's as is asked for"""

    def __init__(self, function):
        self.py_func = function
        self.targetctx = SimpleNamespace(codegen=lambda: CODEGEN)


CODEGEN = SimpleNamespace(magic_tuple=lambda: ((13, 0), (9, 0)))
KINDS = ("f1C", "l")
CODE = ("its_name", b"machine\ncode\x00\xff")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    kept.folder.cache_clear()
    yield tmp_path
    kept.folder.cache_clear()


def test_what_was_kept_is_loaded(here):
    assert kept.load(made(64), KINDS) is None
    kept.save(made(64), KINDS, *CODE)
    assert kept.load(made(64), KINDS) == CODE
    (file,) = here.rglob("*.kernel")
    assert file.parent.name.startswith("cuda-kernels-") and file.name.startswith("made.kernel-")
    about, cubin = file.read_bytes().split(b"\n", 1)
    assert b'"its_name"' in about and cubin == CODE[1]


@pytest.mark.parametrize("what", ["number", "function", "kinds", "device", "version"])
def test_whatever_makes_another_kernel_finds_nothing(what, monkeypatch):
    kept.save(made(64, made(2)), KINDS, *CODE)
    kernel, kinds = made(64, made(2)), KINDS
    if what == "number":
        kernel = made(32, made(2))
    elif what == "function":
        kernel = made(64, made(1))
    elif what == "kinds":
        kinds = ("d1C", "l")
    elif what == "device":
        monkeypatch.setattr(CODEGEN, "magic_tuple", lambda: ((13, 0), (8, 0)))
    else:
        monkeypatch.setattr(kept, "version_of", lambda name: "another")
    assert kept.load(kernel, kinds) is None


def of_text(text, x=1):
    """A kernel of this text, its x this one where none is given, whose name and place are the same for every text"""
    found = {}
    exec(f"def kernel(x={x}): return {text}", found)
    found["kernel"].__module__ = f"{kept.PACKAGE}.attention.stand_in"
    return Dispatcher(found["kernel"])


def test_another_body_at_the_same_place_is_another_kernel():
    kept.save(of_text("x + 1"), KINDS, *CODE)
    assert kept.load(of_text("x + 1"), KINDS) == CODE
    for text, x in (("x + 2", 1), ("x - 1", 1), ("1 + x", 1), ("x + 1", 2)):
        assert kept.load(of_text(text, x), KINDS) is None


def test_arrays_count_with_every_number():
    kept.save(made(np.zeros(5000)), KINDS, *CODE)
    assert kept.load(made(np.zeros(5000)), KINDS) == CODE
    for other_array in (1.0 * (np.arange(5000) == 2500), np.zeros((50, 100)), np.zeros(5000, np.float32)):
        assert kept.load(made(other_array), KINDS) is None


@pytest.mark.parametrize("content", [b"", b"half", b"[]\ncode", b'{"name": "its_name"}\n'], ids=str)
def test_what_is_no_kept_kernel_is_compiled_anew(content, here):
    kept.save(made(64), KINDS, *CODE)
    (file,) = here.rglob("*.kernel")
    file.write_bytes(content)
    assert kept.load(made(64), KINDS) is None


def test_what_has_changed_on_disk_is_compiled_anew(here):
    kept.save(made(64), KINDS, *CODE)
    (file,) = here.rglob("*.kernel")
    whole = file.read_bytes()
    for broken in (whole[:-1], whole + b"x", whole.replace(b"machine", b"machinE")):
        file.write_bytes(broken)
        assert kept.load(made(64), KINDS) is None


@pytest.mark.parametrize("why", ["told so", "nothing can be written", "foreign", "no kernel"])
def test_where_nothing_is_kept_nothing_goes_wrong(why, here, monkeypatch):
    kernel = made(64)
    if why == "told so":
        monkeypatch.setenv("MINITRANSFORMER_KEEP", "0")
    elif why == "nothing can be written":
        (here / "file").write_text("", encoding="utf-8")
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(here / "file"))
    elif why == "foreign":
        kernel.py_func.__module__ = "somebody.elses"
    else:
        kernel = None
    kept.save(kernel, KINDS, *CODE)
    assert kept.load(kernel, KINDS) is None and list(here.rglob("*.kernel")) == []
