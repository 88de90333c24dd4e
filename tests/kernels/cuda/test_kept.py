"""What is compiled for a device is found again by what made it so, and nothing that goes wrong there stops a kernel."""

from types import SimpleNamespace

import numpy as np
import pytest

from minitransformer.kernels.cuda import device, kept


def made(K, inner=None):
    """A kernel for a number, as the rungs make theirs, and for another function"""

    def kernel():
        return K, inner

    kernel.__module__ = f"{kept.PACKAGE}.attention.stand_in"
    return kernel


def other(x):
    return x


class Dispatcher:
    """As much of Numba's as is asked for"""

    _cache = None

    def __init__(self, function):
        self.py_func = function


class Code:
    """A compiled kernel"""

    launch_config_sensitive = False

    def __init__(self, what):
        self.what, self.bound = what, False
        self.codegen = CODEGEN

    def _reduce_states(self):
        return {"what": self.what}

    @classmethod
    def _rebuild(cls, what):
        return cls(what)

    def bind(self):
        if self.what == "of another device":
            raise RuntimeError("no kernel image")
        self.bound = True


CODEGEN = SimpleNamespace(magic_tuple=lambda: ((13, 0), (9, 0)))
TARGET = SimpleNamespace(refresh=lambda: None, codegen=lambda: CODEGEN)
SIGNATURE = ("float32[:]", "int64")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    import numba.cuda.dispatcher

    monkeypatch.setattr(numba.cuda.dispatcher, "_Kernel", Code)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    kept.folder.cache_clear()
    yield tmp_path
    kept.folder.cache_clear()


def kept_by(function):
    dispatcher = Dispatcher(function)
    kept.keep(dispatcher)
    return dispatcher._cache


def test_what_was_kept_is_loaded_and_bound(here):
    assert kept_by(made(64)).load_overload(SIGNATURE, TARGET) is None
    kept_by(made(64)).save_overload(SIGNATURE, Code("of 64"))
    found = kept_by(made(64)).load_overload(SIGNATURE, TARGET)
    assert found.what == "of 64" and found.bound
    (file,) = here.rglob("*.kernel")
    assert file.parent.name.startswith("cuda-kernels-") and file.name.startswith("made.kernel-")


@pytest.mark.parametrize("what", ["number", "function", "types", "device", "version"])
def test_whatever_makes_another_kernel_finds_nothing(what, monkeypatch):
    kept_by(made(64, other)).save_overload(SIGNATURE, Code("of 64"))
    function, signature = made(64, other), SIGNATURE
    if what == "number":
        function = made(32, other)
    elif what == "function":
        function = made(64, made(1))
    elif what == "types":
        signature = ("float64[:]", "int64")
    elif what == "device":
        monkeypatch.setattr(CODEGEN, "magic_tuple", lambda: ((13, 0), (8, 0)))
    else:
        monkeypatch.setattr(kept, "version_of", lambda name: "another")
    assert kept_by(function).load_overload(signature, TARGET) is None


def test_a_function_around_it_counts_with_what_is_around_that():
    kept_by(made(64, made(1))).save_overload(SIGNATURE, Code("of 1"))
    assert kept_by(made(64, made(2))).load_overload(SIGNATURE, TARGET) is None
    assert kept_by(made(64, Dispatcher(made(1)))).load_overload(SIGNATURE, TARGET).what == "of 1"


def of_text(text):
    """A kernel of this text, whose name and place are the same for every text"""
    found = {}
    exec(f"def kernel(x=1): return {text}", found)
    found["kernel"].__module__ = f"{kept.PACKAGE}.attention.stand_in"
    return found["kernel"]


def test_another_body_at_the_same_place_is_another_kernel():
    kept_by(of_text("x + 1")).save_overload(SIGNATURE, Code("of 1"))
    assert kept_by(of_text("x + 1")).load_overload(SIGNATURE, TARGET).what == "of 1"
    for text in ("x + 2", "x - 1", "1 + x"):
        assert kept_by(of_text(text)).load_overload(SIGNATURE, TARGET) is None


def test_arrays_count_with_every_number():
    kept_by(made(np.zeros(5000))).save_overload(SIGNATURE, Code("of zeros"))
    assert kept_by(made(np.zeros(5000))).load_overload(SIGNATURE, TARGET).what == "of zeros"
    for other_array in (1.0 * (np.arange(5000) == 2500), np.zeros((50, 100)), np.zeros(5000, np.float32)):
        assert kept_by(made(other_array)).load_overload(SIGNATURE, TARGET) is None


def test_what_is_broken_or_of_another_device_is_compiled_anew(here):
    kept_by(made(64)).save_overload(SIGNATURE, Code("of another device"))
    assert kept_by(made(64)).load_overload(SIGNATURE, TARGET) is None
    (file,) = here.rglob("*.kernel")
    file.write_bytes(b"half")
    assert kept_by(made(64)).load_overload(SIGNATURE, TARGET) is None


def test_what_cannot_be_kept_is_not(here):
    class Sensitive(Code):
        launch_config_sensitive = True

    class Unpicklable(Code):
        def _reduce_states(self):
            raise RuntimeError("Cannot pickle CUDACodeLibrary with linking files")

    for code in (Sensitive("a"), Unpicklable("b")):
        kept_by(made(64)).save_overload(SIGNATURE, code)
    assert not list(here.rglob("*.kernel"))


@pytest.mark.parametrize("why", ["told so", "nothing can be written", "foreign", "no kernel"])
def test_where_nothing_is_kept_nothing_is_touched(why, here, monkeypatch):
    dispatcher = Dispatcher(made(64))
    if why == "told so":
        monkeypatch.setenv("MINITRANSFORMER_KEEP", "0")
    elif why == "nothing can be written":
        (here / "file").write_text("", encoding="utf-8")
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(here / "file"))
    elif why == "foreign":
        dispatcher.py_func.__module__ = "somebody.elses"
    else:
        dispatcher = SimpleNamespace(_cache=None)
    kept.keep(dispatcher)
    assert dispatcher._cache is None


def test_every_launch_sees_to_it(monkeypatch):
    seen = []

    class Kernel(Dispatcher):
        def __getitem__(self, shape):
            return lambda *args: seen.append((shape, args, type(self._cache)))

    device.launch(Kernel(made(64)), 2, 32, "x")
    assert seen == [((2, 32), ("x",), kept.Kept)]
