"""How a model is asked to write: templates of a chat and settings of sampling, which go along unheeded.

FOLDER/generation_config.json           settings of sampling; with which ids a text ends is heeded (`ends_of`)
       chat_template.jinja              how turns of a chat become one text; in older folders in tokenizer_config.json
       additional_chat_templates/       the same for other purposes, such as tools
"""

import json
import re
from pathlib import Path

from ..files import to_json
from .config import object_if_any

FILES = "generation_config.json", "chat_template.jinja", "additional_chat_templates/*.jinja"
BESIDE = "tokenizer_config.json"
NAME = re.compile("|".join(re.escape(name).replace(r"\*", r"[^/]*") for name in (*FILES, BESIDE)))


def chat_files(folder):
    """{file name: bytes} of what a folder says of it; of tokenizer_config.json, that alone"""
    folder = Path(folder)
    paths = [path for name in FILES for path in sorted(folder.glob(name)) if path.is_file()]
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    template = object_if_any(folder / BESIDE).get("chat_template")
    return found if template is None else found | {BESIDE: to_json({"chat_template": template})}


def about_chat(files):
    """What such files say in tokenizer_config.json: a chat_template, or nothing. ValueError for any other files."""
    if foreign := [name for name in files if not NAME.fullmatch(name)]:
        raise ValueError(f"{foreign[0]!r} says nothing of how a model is asked to write; {', '.join(FILES)} do")
    if BESIDE not in files:
        return {}
    try:
        about = json.loads(files[BESIDE])
    except ValueError:
        about = None
    if not isinstance(about, dict) or about.keys() != {"chat_template"}:
        raise ValueError(f"the {BESIDE} of a chat has a chat_template and nothing else")
    return about
