"""Files that cannot be written: the old content stays, nothing else does, and the name that was given is said."""

import errno
import os

import pytest

from minitransformer.files import write_atomically


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("why", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()], ids=repr)
def test_a_full_disk_and_an_interrupt(step, why, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    write_atomically(path, b"old")

    def fail(*_):
        raise why

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(why)) as caught:
        write_atomically(path, b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"] and path.read_bytes() == b"old"
    if isinstance(why, OSError):
        assert (caught.value.filename, caught.value.errno) == (str(path), errno.ENOSPC)


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for folder in ("none", "file"):
        with pytest.raises(OSError, match="page.html") as caught:
            write_atomically(tmp_path / folder / "page.html", b"new")
        assert caught.value.filename == str(tmp_path / folder / "page.html")
