"""Compiled once for a processor, kept, and never loaded when it is stale."""

import ast
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

import minitransformer
from minitransformer.kernels.cpu import compiled as compilation

from .test_assembly import COMPILED

FOLDER = Path(compilation.__file__).parent
PROGRAM = """
import sys
import numpy as np
import minitransformer
assert "numba" not in sys.modules, "importing the package imports Numba"
from minitransformer.ops import silu, silu_backward
silu(np.ones(3, np.float32))
assert "numba" not in sys.modules, "a reference imports Numba"
minitransformer.use_backend("cpu")
from minitransformer.kernels.cpu import announce_compilation
announce_compilation(print)
x = np.arange(-3, 4, dtype=np.float32)
for _ in range(2):
    y, saved = silu(x)
    assert saved.backend == "cpu" and np.allclose(y, x / (1 + np.exp(-x)))
print("done")
"""


def start(**environment):
    """The program above in a process of its own, with nothing in its environment that says where caches are."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR")}
    path = os.pathsep.join([str(Path(minitransformer.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = inherited | {"PYTHONPATH": path} | {name: str(value) for name, value in environment.items()}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, **pipes)


def said(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert not err
    *lines, last = out.splitlines()
    assert last == "done"
    return lines


def kept_in(folder):
    return [path for path in Path(folder).rglob("*.nbc")]


def test_two_at_once_and_a_third_later(tmp_path):
    """Both find nothing and compile, and neither trips over the other; the third finds what they left."""
    both = [start(XDG_CACHE_HOME=tmp_path) for _ in range(2)]
    for process in both:
        (line,) = said(process)
        folder = tmp_path / "minitransformer" / f"kernels-{compilation.source_hash()}"
        assert line == f"compiling kernels for this processor, kept in {folder} ..."
    assert [path.relative_to(folder).parts for path in kept_in(folder)] and not list(folder.rglob("*tmp*"))
    before = {path: path.stat().st_mtime_ns for path in kept_in(folder)}
    assert said(start(XDG_CACHE_HOME=tmp_path)) == []
    assert {path: path.stat().st_mtime_ns for path in kept_in(folder)} == before


def test_where_nothing_can_be_written_it_works_and_says_so(tmp_path):
    """A file stands where the folder should."""
    (tmp_path / "minitransformer").write_text("in the way", encoding="utf-8")
    assert said(start(XDG_CACHE_HOME=tmp_path)) == [
        "compiling kernels for this processor, not kept, for no cache folder can be written ..."
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["minitransformer"]


# -------------------------------------------------------------------------------------------------------- which folder


def folder_with(monkeypatch, **environment):
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    found = compilation.cache_folder()
    return found and Path(found)


def test_where_the_cache_is(tmp_path, monkeypatch):
    leaf = f"kernels-{compilation.source_hash()}"
    for environment, folder in (
        ({"HOME": tmp_path / "home"}, "home/.cache/minitransformer"),
        ({"HOME": tmp_path / "home", "XDG_CACHE_HOME": ""}, "home/.cache/minitransformer"),
        ({"HOME": tmp_path / "home", "XDG_CACHE_HOME": tmp_path / "xdg"}, "xdg/minitransformer"),
        ({"XDG_CACHE_HOME": tmp_path / "xdg", "NUMBA_CACHE_DIR": tmp_path / "numba"}, "numba"),
    ):
        assert folder_with(monkeypatch, **environment) == tmp_path / folder / leaf
        assert (tmp_path / folder / leaf).is_dir() and not list((tmp_path / folder / leaf).iterdir())


def test_no_folder_where_a_file_is_in_the_way(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    assert folder_with(monkeypatch, NUMBA_CACHE_DIR=file) is None
    assert folder_with(monkeypatch, NUMBA_CACHE_DIR=file / "below") is None
    (tmp_path / f"kernels-{compilation.source_hash()}").write_text("", encoding="utf-8")
    assert folder_with(monkeypatch, NUMBA_CACHE_DIR=tmp_path) is None


def test_no_folder_where_nothing_can_be_written(tmp_path, monkeypatch):
    """Permissions do not stop everybody, so the file system itself says no here."""

    def refuse(*args, **more):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(compilation.folders.tempfile, "TemporaryFile", refuse)
    assert folder_with(monkeypatch, NUMBA_CACHE_DIR=tmp_path) is None


def test_a_change_of_any_kernel_names_another_folder(tmp_path, monkeypatch):
    copy = tmp_path / "cpu"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = compilation.source_hash()
    monkeypatch.setattr(compilation, "__file__", str(copy / "compiled.py"))
    assert compilation.source_hash() == before  # the text counts, not where it is nor when it was written
    for path in sorted(copy.glob("*.py")):
        text = path.read_bytes()
        path.write_bytes(text + b"\n")
        assert compilation.source_hash() != before, path.name
        path.write_bytes(text)
        assert compilation.source_hash() == before
    (copy / "more").mkdir()
    (copy / "more" / "new.py").write_text("", encoding="utf-8")
    assert compilation.source_hash() != before


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_everything_compiled_into_a_kernel_is_among_the_source_that_names_the_folder(name):
    """A number from another folder is compiled in as it was: changed there, the old one would go on being loaded."""
    kernel = COMPILED[name].py_func
    module = sys.modules[kernel.__module__]
    tree = ast.parse(inspect.getsource(module))
    foreign = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level > 1
        for alias in node.names
    }
    assert not foreign & set(kernel.__code__.co_names)


# --------------------------------------------------------------------------------------------------- how it is compiled


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_how_every_kernel_is_compiled(name):
    """Without Python's lock, dividing by zero as NumPy does, and with no licence to forget NaN and ∞."""
    options = COMPILED[name].targetoptions
    assert options["nogil"] and options["error_model"] == "numpy" and "parallel" not in options
    flags = options["fastmath"]
    assert isinstance(flags, set) and flags <= {"reassoc", "contract", "nsz"}
    assert isinstance(COMPILED[name], Dispatcher)


def test_the_announcement_comes_once_and_only_for_a_compilation(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation, "CACHE_FOLDER", str(tmp_path))
    lines = []
    compilation.announce_compilation(lines.append)

    def double(x):
        return x + x

    kernel = compilation.compiled(double)
    assert lines == []
    assert kernel(1.0) == 2.0
    assert lines == [f"compiling kernels for this processor, kept in {tmp_path} ..."]
    assert kernel(1) == 2  # compiled again, for integers
    assert len(lines) == 1


def test_numba_is_left_as_it_was():
    """The cache folder is Numba's setting for this moment, not for what others compile."""
    import numba

    before = numba.config.CACHE_DIR
    assert before != compilation.CACHE_FOLDER
    compilation.compiled(lambda x: x)
    assert numba.config.CACHE_DIR == before
