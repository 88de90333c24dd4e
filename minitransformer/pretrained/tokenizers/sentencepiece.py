"""SentencePiece's byte-pair encoding of characters, as LLaMA and LLaMA 2 have it, in tokenizer.json."""

from ...files import read_json, to_json
from ...tokenizers import SentencePieceTokenizer
from ...tokenizers.sentencepiece import BEGIN, BYTES, END, SPACE, SPECIAL, UNKNOWN
from ..tensors import shown
from .added import added_in, by_id, entry_of

NORMALIZER = {  # a space before the text, and ▁ for every one
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": SPACE},
        {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
    ],
}
METASPACE = {"type": "Metaspace", "replacement": SPACE, "split": False}  # the same, unless a space is there already
SENTENCEPIECE = {"byte_fallback": True, "continuing_subword_prefix": None, "end_of_word_suffix": None, "dropout": None}


def read_sentencepiece(folder):
    """The tokenizer of a folder. ValueError naming the file that is missing, damaged or of another kind."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ValueError(f"{folder} has no tokenizer: neither tokenizer.json nor tokenizer.model")
    data = read_json(path)
    try:
        model, entries = data["model"], data.get("added_tokens") or []
        added, takes = added_in(entries)
        wrong = {name: model.get(name) for name, value in SENTENCEPIECE.items() if model.get(name) != value}
        if (kind := model.get("type", "BPE")) != "BPE" or wrong:
            what = shown(f"{kind}, {wrong}")
            raise ValueError(f"it is not byte-pair encoding of characters as LLaMA and LLaMA 2 have it: {what}")
        if model.get("ignore_merges"):
            raise ValueError("a piece that is in the vocabulary is taken whole, and here merges make it")
        before = spaces_before(data.get("normalizer"), data.get("pre_tokenizer"))
        inner = {entry["content"] for entry in entries if data.get("normalizer") and entry.get("normalized", False)}
        special = {text: sides for text, sides in takes.items() if text not in inner}
        within = {text: sides for text, sides in takes.items() if text in inner}
        vocab = model["vocab"] | added
        pieces = by_id(vocab)
        pairs = [m.split(" ") if isinstance(m, str) else list(m) for m in model["merges"]]
        if foreign := [pair for pair in pairs if len(pair) != 2 or not all(part in vocab for part in pair)]:
            raise ValueError(f"the merge {shown(repr(foreign[0]))} is not of two tokens")
        fixed = {*SPECIAL, *BYTES}  # which a text never becomes, whatever its letters and signs
        merges = [(vocab[a], vocab[b]) for a, b in pairs if not fixed & {a, b, a + b}]
        return SentencePieceTokenizer(pieces, merges, before, special=special, within=within)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is damaged or another tokenizer: {error}") from None


def spaces_before(normalizer, pre_tokenizer):
    """Where a space is put before a text, as the tokenizer has it. ValueError where spaces are treated otherwise."""
    if normalizer == NORMALIZER and pre_tokenizer is None:
        return "one more"
    scheme = (pre_tokenizer or {}).get("prepend_scheme")
    if normalizer is None and pre_tokenizer == METASPACE | {"prepend_scheme": scheme} and scheme in ("first", "always"):
        return scheme
    raise ValueError(f"its spaces are treated otherwise: {shown(f'{normalizer}, {pre_tokenizer}')}")


def sentencepiece_files(tokenizer):
    """{file name: bytes}: tokenizer.json and tokenizer_config.json."""
    pieces = tokenizer.pieces
    added = [entry_of(piece, sides) for piece, sides in tokenizer.parts.takes.items()]
    added += [entry_of(piece, sides, normalized=True) for piece, sides in tokenizer.within.items()]
    added = sorted(({"id": tokenizer.ids[entry["content"]]} | entry for entry in added), key=lambda entry: entry["id"])
    always = tokenizer.before == "one more"
    parts = [{"SpecialToken": {"id": BEGIN, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    second = [{"SpecialToken": {"id": BEGIN, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    begin = {BEGIN: {"id": BEGIN, "ids": [tokenizer.begin], "tokens": [BEGIN]}}
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": NORMALIZER if always else None,
        "pre_tokenizer": None if always else METASPACE | {"prepend_scheme": tokenizer.before},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": parts,
            "pair": [*parts, *second],
            "special_tokens": begin,
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            **SENTENCEPIECE,
            "unk_token": UNKNOWN,
            "fuse_unk": True,
            "vocab": {piece: id for id, piece in enumerate(pieces)},
            "merges": [[pieces[left], pieces[right]] for left, right in tokenizer.merges],
        },
    }
    names = {"bos_token": BEGIN, "eos_token": END, "unk_token": UNKNOWN}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    return {"tokenizer.json": to_json(whole), "tokenizer_config.json": to_json(config)}
