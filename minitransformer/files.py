"""Writing files so that nothing is ever half there: under a temporary name, synced to the disk, then renamed."""

import json
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"  # in a folder that only one process may write to
TEMPORARY = ".tmp"  # how the name of everything unfinished ends


def write_synced(path, data):
    """Bytes to a file, and on to the disk. Not atomic: for files inside a folder that is renamed as a whole."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_atomically(path, data):
    """Bytes to a file that has either its old content or all of the new one, whenever the power goes.

    OSError, by the name that was given, where that cannot be.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        write_synced(temporary, data)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    sync_folder(path.parent)


def sync_folder(folder):
    """Names too must reach the disk. Windows has no such call, and needs none."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def publish_folder(temporary, final):
    """Give a finished folder its name, at once and as a whole."""
    for folder in (Path(temporary), *(path for path in Path(temporary).rglob("*") if path.is_dir())):
        sync_folder(folder)
    os.rename(temporary, final)
    sync_folder(Path(final).parent)


def remove_folder(folder):
    """Take the name away first: a folder is never seen half removed."""
    folder = Path(folder)
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink()
        return
    doomed = folder
    if not folder.name.endswith(TEMPORARY):
        doomed = folder.with_name(f"{folder.name}.old.{os.getpid()}{TEMPORARY}")
        os.rename(folder, doomed)
    shutil.rmtree(doomed)


@contextmanager
def only_writer(folder):
    """While this lasts, nobody else gets here: BlockingIOError for a second process. The lock dies with its process."""
    with open(Path(folder) / LOCK, "w", encoding="utf-8") as file:
        try:
            if os.name == "posix":
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, f"another process is training in {folder}") from None
        yield


def to_json(value, indent=2):
    """JSON in UTF-8; half a surrogate pair, which has none, is the escape that JSON has for it."""
    return (json.dumps(value, indent=indent, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def read_json(path):
    """A JSON file's content; ValueError naming the file where it is damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, numbers without end
        raise ValueError(f"{path} is damaged or no JSON: {error}") from None


def read_lines(path):
    """A text file's lines, whichever way they end; ValueError naming the file where it is no UTF-8."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    return lines[:-1] if lines[-1] == "" else lines
