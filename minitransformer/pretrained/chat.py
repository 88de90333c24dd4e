"""How a model is asked to write: templates of a chat and settings of sampling. Nothing here heeds them; they go along.

FOLDER/generation_config.json           settings of sampling; its ends alone are heeded (`ends_of`)
       chat_template.jinja              how turns of a chat become one text; in older folders in tokenizer_config.json
       additional_chat_templates/       the same for other purposes, such as tools
"""

from pathlib import Path

from ..files import to_json
from .config import object_if_any

FILES = "generation_config.json", "chat_template.jinja", "additional_chat_templates/*.jinja"
BESIDE = "tokenizer_config.json"


def chat_files(folder):
    """{file name: bytes} of what a folder says of it; of tokenizer_config.json, that alone"""
    folder = Path(folder)
    paths = [path for name in FILES for path in sorted(folder.glob(name)) if path.is_file()]
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    template = object_if_any(folder / BESIDE).get("chat_template")
    return found if template is None else found | {BESIDE: to_json({"chat_template": template})}
