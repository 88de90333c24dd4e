"""SentencePiece's own files, tokenizer.model or spiece.model: pieces, each with a score, and how a text becomes them.

A file is a message of protocol buffers; these are the numbers of the fields that are read here.

    1 pieces            1 the text    2 the score    3 its type, see below
    2 about training    3 unigram or BPE    24 whether ▁ is behind words    35 byte fallback
    3 normalisation     2 a table of characters    3 a space before the text    4 spaces that are more than one go
                        5 spaces become ▁
"""

from typing import NamedTuple

from ...tokenizers import SentencePieceTokenizer, UnigramTokenizer
from ...tokenizers.charsmap import in_base64
from ..protobuf import content, fields, number, real, text
from ..tensors import shown

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
    try:
        model = model_in(path.read_bytes())
        if (kind := model.training[3]) not in (UNIGRAM, BPE):
            raise ValueError(f"its model_type is {kind}; there are {UNIGRAM}, unigram, and {BPE}, byte-pair encoding")
        make, made = (unigram, UnigramTokenizer) if kind == UNIGRAM else (bpe, SentencePieceTokenizer)
        if made not in kinds:
            able = " or a ".join(each.__name__ for each in kinds)
            raise ValueError(f"it is a {made.__name__}, and a {able} is needed")
        return make(model)
    except ValueError as error:
        raise ValueError(f"{path} is damaged or another tokenizer: {error}") from None


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


def unigram(model):
    """Framed as T5's texts are, with </s> behind them, where there is one."""
    special = [piece for piece, type in zip(model.pieces, model.types) if type in (UNKNOWN, CONTROL)]
    unknown = model.pieces[model.types.index(UNKNOWN)]
    steps = [["charsmap", in_base64(model.normalisation[2])]] if model.normalisation[2] else []
    steps += [["trim"], ["collapse"]] if model.normalisation[4] else []
    return UnigramTokenizer(
        model.pieces,
        model.scores,
        special=dict.fromkeys(special, False),
        unknown=unknown,
        byte_fallback=bool(model.training[35]),
        steps=steps,
        before="one more" if model.normalisation[3] else "never",
        separator="</s>" if "</s>" in special else None,
    )


def bpe(model):
    """Two pieces merge where both together are one; that of the highest score first, and of equal ones the first."""
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
    special = [piece for piece, type in zip(model.pieces, model.types) if type in (UNKNOWN, CONTROL)]
    return SentencePieceTokenizer(model.pieces, merges, ranks=ranks, special=special)
