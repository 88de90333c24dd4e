"""MathJax beside the pages, so that mathematics renders with no network: one file of the npm package mathjax@3.

Taken once, into a folder that git ignores. `python docs/mathjax.py` does by hand what a build does by itself.
"""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent / "_static" / "mathjax"
MEMBERS = {"package/es5/tex-svg.js": "tex-svg.js", "package/LICENSE": "LICENSE"}  # fonts are inside tex-svg.js


def fetch():
    """The path of tex-svg.js, taken from npm if it is not there yet. RuntimeError saying what to do if that fails."""
    script = FOLDER / "tex-svg.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError(f"npm is not installed: install Node.js, or put es5/tex-svg.js of MathJax 3 at {script}")
        with tempfile.TemporaryDirectory() as folder:
            pack = [npm, "pack", "mathjax@3", "--silent", "--pack-destination", folder]
            done = subprocess.run(pack, capture_output=True, encoding="utf-8", errors="replace")
            if done.returncode:
                raise RuntimeError(f"npm could not fetch mathjax@3 (by hand: tex-svg.js to {script})\n{done.stderr}")
            unpack(next(Path(folder).glob("*.tgz")))
    return script


def unpack(tarball):
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tarfile.open(tarball) as package:
        for member, name in reversed(MEMBERS.items()):  # the script last: where it is, all is there
            (FOLDER / name).write_bytes(package.extractfile(member).read())


if __name__ == "__main__":
    print(fetch())
