"""RoBERTa's: byte-level BPE, and beside it, or in the one file, what is said of special tokens."""

from ...files import read_json, to_json
from ...tokenizers import RobertaTokenizer
from ...tokenizers.roberta import SPECIAL
from ..tensors import shown
from .bpe import bpe_files, check_words, read_bpe

ROLES = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"}


def read_roberta(folder):
    """The tokenizer of a folder. ValueError naming the file that is missing, damaged, or of another tokenizer."""
    takes = True
    for name, settings_in in (("tokenizer.json", roberta_in_one), ("tokenizer_config.json", roberta_beside)):
        if not (path := folder / name).is_file():
            continue
        data = read_json(path)
        try:
            takes = settings_in(data, takes)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} is damaged or another tokenizer: {error}") from None
    return read_bpe(folder, lambda tokens, merges, special: made(tokens, merges, special, takes))


def made(tokens, merges, special, takes):
    check_special(special)
    return RobertaTokenizer(tokens, merges, mask_takes_spaces=takes)


def check_special(texts):
    if more := [text for text in texts if text not in SPECIAL]:
        raise ValueError(f"it has a special token of its own, which is not here: {shown(more[0])}")


def roberta_in_one(data, takes):
    """Whether <mask> takes the spaces before it. ValueError for whatever else is not as it is here."""
    check_words(data)
    behind = data.get("post_processor") or {}
    frame = behind.get("type"), *((behind.get(role) or [None])[0] for role in ("cls", "sep"))
    if frame != ("RobertaProcessing", ROLES["cls"], ROLES["sep"]):
        raise ValueError(f"its post_processor is {shown(behind)}, and RobertaProcessing with <s> and </s> is needed")
    added = data.get("added_tokens") or []
    check_special(token["content"] for token in added)
    for token in added:
        takes = spaces_of(token, takes)
    return takes


def roberta_beside(config, takes):
    """Whether <mask> takes the spaces before it, where the settings say so."""
    if config.get("add_prefix_space", False) is not False:
        raise ValueError("add_prefix_space is true; what is here reads a text as it is")
    for role, expected in ROLES.items():
        token = config.get(f"{role}_token")
        text = token["content"] if isinstance(token, dict) else token
        if text not in (None, expected):
            raise ValueError(f"its {role}_token is {shown(text)}, and {expected} is needed")
        if isinstance(token, dict):
            takes = spaces_of(token, takes)
    return takes


def spaces_of(token, takes):
    """What an entry of a special token says of the spaces before <mask>. ValueError where any other takes some."""
    mask = token["content"] == "<mask>"
    if wrong := [name for name in ("rstrip", "single_word", *(() if mask else ("lstrip",))) if token.get(name, False)]:
        raise ValueError(f"its token {token['content']} has {', '.join(wrong)}, which is not here")
    return bool(token.get("lstrip", False)) if mask else takes


def roberta_files(tokenizer):
    """{file name: bytes}: vocab.json, merges.txt and tokenizer_config.json."""
    flags = {"lstrip": tokenizer.mask_takes_spaces, "rstrip": False, "single_word": False, "normalized": False}
    special = {f"{role}_token": text for role, text in ROLES.items()}
    special["mask_token"] = {"__type": "AddedToken", "content": ROLES["mask"], **flags, "special": True}
    config = {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": False, "trim_offsets": True, **special}
    return bpe_files(tokenizer.bpe) | {"tokenizer_config.json": to_json(config)}
