"""The settings of the site, and what is made before its pages are read.

python -m sphinx -W --keep-going -b html docs docs/_build/html
"""

import sys
from pathlib import Path

from sphinx.errors import ConfigError

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import generate  # noqa: E402
import mathjax  # noqa: E402
import registry  # noqa: E402

import minitransformer  # noqa: E402

project = "minitransformer"
author = "the minitransformer authors"
project_copyright = "the minitransformer authors"
version = release = minitransformer.__version__

extensions = ["myst_parser", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_generated"]

html_theme = "furo"
html_title = "minitransformer"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style, pygments_dark_style = "friendly", "github-dark"

mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {
    "tex": {
        "macros": {
            "d": r"\mathrm{d}",
            "mean": r"\operatorname{mean}",
            "softmax": r"\operatorname{softmax}",
            "R": r"\mathbb{R}",
        }
    },
    "options": {"enableMenu": False},  # the menu would look for files that are not here
}

things = registry.things()
if problems := registry.problems(things):
    raise ConfigError("\n".join(["every registered thing has its page, but:", *problems]))
try:
    mathjax.fetch()
except RuntimeError as error:
    raise ConfigError(str(error)) from None
generate.everything(things)
