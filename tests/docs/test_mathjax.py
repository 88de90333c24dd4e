"""Taking MathJax to the pages: from the package that npm packs, and in words where that cannot be."""

import io
import subprocess
import tarfile

import pytest

from .test_pages import load


@pytest.fixture
def mathjax(tmp_path, monkeypatch):
    module = load("mathjax")
    monkeypatch.setattr(module, "FOLDER", tmp_path / "_static" / "mathjax")
    return module


def pack(path):
    with tarfile.open(path, "w:gz") as package:
        for name in ("package/LICENSE", "package/es5/tex-svg.js", "package/es5/tex-chtml.js"):
            member, content = tarfile.TarInfo(name), name.encode()
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))


def test_the_script_and_its_licence_are_taken_from_the_package(mathjax, monkeypatch):
    def npm(command, **_):
        assert command[1:3] == ["pack", "mathjax@3"]
        pack(f"{command[command.index('--pack-destination') + 1]}/mathjax-3.2.2.tgz")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(mathjax.shutil, "which", lambda name: name)
    monkeypatch.setattr(mathjax.subprocess, "run", npm)
    script = mathjax.fetch()
    assert script.read_text(encoding="utf-8") == "package/es5/tex-svg.js"
    assert sorted(path.name for path in script.parent.iterdir()) == ["LICENSE", "tex-svg.js"]

    monkeypatch.setattr(mathjax.shutil, "which", lambda name: None)  # what is there is not taken again
    assert mathjax.fetch() == script


def test_without_npm_it_says_what_to_do(mathjax, monkeypatch):
    monkeypatch.setattr(mathjax.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match=r"install Node\.js, or put .*tex-svg\.js"):
        mathjax.fetch()


def test_when_npm_fails_its_words_are_passed_on(mathjax, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "network unreachable")
    monkeypatch.setattr(mathjax.shutil, "which", lambda name: name)
    monkeypatch.setattr(mathjax.subprocess, "run", lambda command, **_: failed)
    with pytest.raises(RuntimeError, match="network unreachable"):
        mathjax.fetch()
    assert not mathjax.FOLDER.exists()
