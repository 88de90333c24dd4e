"""Tokens that were added to a vocabulary, and are themselves in a text: how tokenizer.json and others list them."""

from ..tensors import shown

FLAGS = {"": (False, False), "before": (True, False), "behind": (False, True), "both": (True, True)}  # lstrip, rstrip
SIDES = {flags: sides for sides, flags in FLAGS.items()}


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
