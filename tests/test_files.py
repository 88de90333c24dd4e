"""Files that cannot be written: the old content stays, nothing else does, and the name that was given is said."""

import errno
import os

import pytest

from minitransformer import files
from minitransformer.files import read_json, to_json, write_atomically


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


def test_the_names_in_every_folder_reach_the_disk_before_it_has_its_own(tmp_path, monkeypatch):
    (tmp_path / "new" / "a" / "b").mkdir(parents=True)
    (tmp_path / "new" / "a" / "file").write_bytes(b"")
    seen = []
    monkeypatch.setattr(files, "sync_folder", lambda folder: seen.append((folder, (tmp_path / "final").exists())))
    files.publish_folder(tmp_path / "new", tmp_path / "final")
    inside = {(tmp_path / "new" / name, False) for name in (".", "a", "a/b")}
    assert set(seen) == inside | {(tmp_path, True)} and seen[-1] == (tmp_path, True)


def test_half_a_surrogate_pair_is_an_escape(tmp_path):
    """Of which there is no UTF-8; whatever stands before it, and beside what has UTF-8."""
    said = {"é \ud83d": ["\\\udc00", '"\ud800"', "\\ud800"]}
    (tmp_path / "said.json").write_bytes(to_json(said))
    assert read_json(tmp_path / "said.json") == said and "é".encode() in to_json(said)


@pytest.mark.parametrize("name", ["folder", "folder.tmp", "file", "link"])
def test_what_is_removed_is_what_has_the_name(name, tmp_path):
    """Of a link the link alone: what it leads to belongs to somebody else."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "inside").write_bytes(b"1")
    path = tmp_path / name
    if name == "link":
        path.symlink_to(tmp_path / "kept")
    elif name == "file":
        path.write_bytes(b"2")
    else:
        path.mkdir()
        (path / "inside").write_bytes(b"2")
    files.remove_folder(path)
    assert [*tmp_path.iterdir()] == [tmp_path / "kept"] and (tmp_path / "kept" / "inside").read_bytes() == b"1"
