"""Where compiled kernels are kept between processes. It imports no compiler."""

import hashlib
import os
import tempfile
from pathlib import Path


def source_hash(folder):
    """Of all Python there: the text counts, not where it is nor when it was written."""
    texts = [path.read_bytes() for path in sorted(Path(folder).rglob("*.py"))]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:12]


def cache_folder(name):
    """A folder of this name in NUMBA_CACHE_DIR, or the user's cache. None where nothing can be written."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.environ.get("NUMBA_CACHE_DIR") or os.path.join(home, "minitransformer")
    folder = os.path.join(folder, name)
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None
