"""What installs a library that is missing: a command that can be copied, whether this is a checkout or not."""

import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def install(extra="", also=()):
    """The command that brings the libraries of an extra of setup.cfg to the Python that is running."""
    here = (ROOT / "setup.cfg").is_file()
    name = f"{ROOT if here else 'minitransformer'}{f'[{extra}]' if extra else ''}"
    return shlex.join([sys.executable, "-m", "pip", "install", *["-e"] * here, name, *also])
