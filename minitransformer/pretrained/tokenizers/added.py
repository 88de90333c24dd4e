"""Tokens that were added to a vocabulary, and are themselves in a text: how tokenizer.json and others list them."""

from ...files import read_json
from ..tensors import shown

FLAGS = {"": (False, False), "before": (True, False), "behind": (False, True), "both": (True, True)}  # lstrip, rstrip
SIDES = {flags: sides for sides, flags in FLAGS.items()}


def added_beside(folder, config):
    """[entry] of the tokens in added_tokens.json, and of those in these settings, which say more and win

    ValueError, naming the folder, where they are damaged.
    """
    path = folder / "added_tokens.json"
    ids = read_json(path) if path.is_file() else {}
    try:
        entries = {text: {"content": text, "id": id} for text, id in ids.items()}
        said = config.get("added_tokens_decoder") or {}
        return list((entries | {entry["content"]: entry | {"id": int(id)} for id, entry in said.items()}).values())
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{folder}: the tokens that were added are damaged: {error}") from None


def by_id(vocab):
    """{text: id}   ->   [text] in the order of their ids. ValueError unless those are 0, 1, 2, ... each once."""
    if not all(type(id) is int for id in vocab.values()) or sorted(vocab.values()) != list(range(len(vocab))):
        raise ValueError("its ids are not 0, 1, 2, ... each once")
    return sorted(vocab, key=vocab.get)


def with_added(tokens, ids):
    """[token], by id, with {text: id} behind them, as far as it is not among them. ValueError where they do not fit."""
    return by_id({token: id for id, token in enumerate(tokens)} | ids) if ids else tokens


def added_in(entries):
    """[entry]   ->   {text: id}, {text: which spaces it takes, as `Special` has it}

    ValueError for what is not here.
    """
    ids, takes = {}, {}
    for entry in entries:
        text = entry["content"]
        if not isinstance(text, str) or not text:
            raise ValueError("its tokens are not texts with ids")
        if entry.get("single_word", False):
            raise ValueError(f"its token {shown(text)} has single_word, which is not here")
        ids[text] = entry["id"]
        takes[text] = SIDES[bool(entry.get("lstrip", False)), bool(entry.get("rstrip", False))]
    return ids, takes


def entry_of(text, sides, normalized=False):
    """What is said of such a token, but for its id"""
    lstrip, rstrip = FLAGS[sides]
    how = {"single_word": False, "lstrip": lstrip, "rstrip": rstrip, "normalized": normalized, "special": True}
    return {"content": text, **how}
