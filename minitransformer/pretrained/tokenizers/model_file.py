"""SentencePiece's own files, tokenizer.model or spiece.model: pieces, each with a score, and how a text becomes them.

A file is a message of protocol buffers; these are the numbers of the fields that are read here.

    1 pieces            1 the text    2 the score    3 its type, see below
    2 about training    3 unigram or BPE    24 whether ▁ is behind words    35 byte fallback
    3 normalisation     2 a table of characters    3 a space before the text    4 spaces that are more than one go
                        5 spaces become ▁

Tokens that were added later stand beside it, in added_tokens.json or tokenizer_config.json.
"""

from typing import NamedTuple

from ...tokenizers import SentencePieceTokenizer, UnigramTokenizer
from ...tokenizers.charsmap import in_base64
from ..config import object_if_any
from ..protobuf import content, fields, number, real, text
from ..tensors import shown
from .added import added_beside, added_in, with_added

FILES = ("tokenizer.model", "spiece.model")
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
UNIGRAM, BPE = 1, 2


class Model(NamedTuple):
    pieces: list  # of texts, by id
    scores: list
    types: list
    training: dict  # by the numbers above, with what is absent in a file as it is then
    normalisation: dict


def model_file(folder):
    """The path of such a file, or None"""
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def read_model(path, kinds):
    """The tokenizer in such a file, of one of these kinds. ValueError naming it where it is damaged or another."""
    settings = settings_beside(path.parent)
    entries = added_beside(path.parent, settings)
    try:
        model = model_in(path.read_bytes())
        if (kind := model.training[3]) not in (UNIGRAM, BPE):
            raise ValueError(f"its model_type is {kind}; there are {UNIGRAM}, unigram, and {BPE}, byte-pair encoding")
        make, made = (unigram, UnigramTokenizer) if kind == UNIGRAM else (bpe, SentencePieceTokenizer)
        if made not in kinds:
            able = " or a ".join(each.__name__ for each in kinds)
            raise ValueError(f"it is a {made.__name__}, and a {able} is needed")
        ids, takes = added_in(entries)
        return make(longer(model, ids), takes, settings)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged or another tokenizer: {error}") from None


def longer(model, ids):
    """With what was added behind its pieces: special, as far as it is not among them already"""
    pieces = with_added(model.pieces, ids)
    n = len(pieces) - len(model.pieces)
    return model._replace(pieces=pieces, scores=model.scores + [0.0] * n, types=model.types + [CONTROL] * n)


def settings_beside(folder):
    """What tokenizer_config.json says, if it is there. ValueError where texts begin otherwise."""
    settings = object_if_any(path := folder / "tokenizer_config.json")
    if settings.get("add_prefix_space") is False:
        raise ValueError(f"{path}: add_prefix_space is false; what is here puts a space before a text")
    return settings


def model_in(data):
    """ValueError for bytes that are no such file."""
    pieces, training, normalisation = [], {3: UNIGRAM, 24: 0, 35: 0}, {2: b"", 3: 1, 4: 1, 5: 1}
    for name, value in fields(data):
        if name == 1:
            pieces.append(piece_in(content(value)))
        elif name in (2, 3):
            settings = training if name == 2 else normalisation
            settings |= {inner: each for inner, each in fields(content(value)) if inner in settings}
    if not pieces:
        raise ValueError("there is no piece in it")
    table, *flags = normalisation.values()
    content(table)
    for value in (*training.values(), *flags):
        number(value)
    if training[24] or not normalisation[5]:
        raise ValueError("▁ stands behind its words, or nowhere; what is here has it before them")
    model = Model(*map(list, zip(*pieces, strict=True)), training, normalisation)
    if (n := model.types.count(UNKNOWN)) != 1:
        raise ValueError(f"{n} of its pieces are for what is unknown, and one is needed")
    known = (NORMAL, UNKNOWN, CONTROL, BYTE)
    if others := [piece for piece, type in zip(model.pieces, model.types) if type not in known]:
        raise ValueError(f"its piece {shown(others[0])} is user-defined or unused, which is not here")
    return model


def piece_in(data):
    """text, score, type"""
    found = {1: b"", 2: b"\0\0\0\0", 3: NORMAL} | dict(fields(data))
    return text(found[1]), real(found[2]), number(found[3])


def special_in(model, takes):
    """{special piece: which spaces it takes}, those that were added among them"""
    pieces = [piece for piece, type in zip(model.pieces, model.types) if type in (UNKNOWN, CONTROL)]
    return dict.fromkeys(pieces, "") | takes


def unigram(model, takes, settings):
    """Framed as T5's texts are, with </s> behind them, where there is one; a space is put behind special tokens too."""
    if settings.get("legacy") is False:
        raise ValueError("legacy is false: no space is put behind its special tokens; what is here puts one")
    special = special_in(model, takes)
    if wrong := [text for text, sides in special.items() if sides not in ("", "before")]:
        raise ValueError(f"its token {shown(wrong[0])} has rstrip, which is not here")
    unknown = model.pieces[model.types.index(UNKNOWN)]
    steps = [["charsmap", in_base64(model.normalisation[2])]] if model.normalisation[2] else []
    steps += [["trim"], ["collapse"]] if model.normalisation[4] else []
    return UnigramTokenizer(
        model.pieces,
        model.scores,
        special={text: sides == "before" for text, sides in special.items()},
        unknown=unknown,
        byte_fallback=bool(model.training[35]),
        steps=steps,
        before="one more" if model.normalisation[3] else "never",
        separator="</s>" if "</s>" in special else None,
    )


def bpe(model, takes, settings):
    """Two pieces merge where both together are one; that of the highest score first, and of equal ones the first.

    A space is put before a text, and behind special tokens, unless `legacy` is false: then before a text alone.
    """
    if not model.training[35]:
        raise ValueError("it has no bytes to fall back on; what is here has")
    if model.normalisation[2] or model.normalisation[4] or not model.normalisation[3]:
        raise ValueError("it normalises texts, or puts no space before them; what is here does not, and does")
    learnt = [id for id, type in enumerate(model.types) if type == NORMAL]
    ids = {model.pieces[id]: id for id in learnt}
    merges, ranks = [], []
    for rank, id in enumerate(sorted(learnt, key=lambda id: -model.scores[id])):
        piece = model.pieces[id]
        for n in range(1, len(piece)):
            if piece[:n] in ids and piece[n:] in ids:
                merges.append((ids[piece[:n]], ids[piece[n:]]))
                ranks.append(rank)
    before = "first" if settings.get("legacy") is False else "one more"
    return SentencePieceTokenizer(model.pieces, merges, before, ranks, special=special_in(model, takes))
