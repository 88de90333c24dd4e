"""What every Python carries about itself, as documents: the Language Reference, and the docstrings of its library.

    a topic         of the Language Reference, as `help()` shows it
    a module        of the standard library: its docstrings, from the source, without running it

Some topics hold others whole, and some modules say the same. A paragraph counts where it stands first: what is held out
must not stand among what is learnt. Lines without a letter, such as the rules of tables, are left out.
"""

import ast
import sysconfig
from pathlib import Path

from .documents import BLANK, documents_of
from .text import topics_of_python

NOT_MODULES = {"site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3"}


def python_documents():
    """[[sentence, ...], ...]: the topics, then the modules, each in the order of their names"""
    seen, texts = set(), []
    for text in (*topics_of_python(), *docstrings_of_library()):
        paragraphs = dict.fromkeys(part.strip() for part in BLANK.split(text))
        lines = (line for part in paragraphs if part not in seen for line in part.splitlines())
        texts.append("\n".join(line for line in lines if any(map(str.isalpha, line))))
        seen.update(paragraphs)
    return documents_of(texts, "file")


def docstrings_of_library():
    """[the docstrings of a module, a paragraph or more each, ...]; of a file that is no Python of this version, none"""
    root = Path(sysconfig.get_path("stdlib"))
    paths = sorted(path.relative_to(root) for path in root.rglob("*.py"))
    return [docstrings_of(root / path) for path in paths if not NOT_MODULES.intersection(path.parts)]


def docstrings_of(path):
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return "\n\n".join(text for text in found if text)
