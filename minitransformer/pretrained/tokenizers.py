"""Published tokenizers: byte-level BPE, vocab.json and merges.txt; WordPiece, vocab.txt; each, or tokenizer.json.

In the files of byte-level BPE a token is written with a printable character for each of its bytes: the byte's own where
it has one, and the characters from U+0100 on, one after another, for the others. A space is Ġ.
"""

import functools
import json

from ..files import read_json, to_json
from ..tokenizers import BPETokenizer, RobertaTokenizer, SentencePieceTokenizer, WordPieceTokenizer
from ..tokenizers import roberta as of_roberta
from ..tokenizers.sentencepiece import BEGIN, BYTES, END, SPACE, UNKNOWN
from ..tokenizers.wordpiece import CONTINUES, LONGEST_WORD, SPECIAL
from .tensors import shown

PRINTABLE = (*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100))


@functools.cache
def characters():
    """The character of each byte."""
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in PRINTABLE else chr(next(others)) for byte in range(256)]


@functools.cache
def bytes_by_character():
    return {character: byte for byte, character in enumerate(characters())}


def written(token):
    """The bytes of a token as these files write them."""
    return "".join(characters()[byte] for byte in token)


def token_of(text):
    """The bytes of what stands in a file; a special token may have characters that stand for no byte, and is itself."""
    known = bytes_by_character()
    return bytes(known[c] for c in text) if all(c in known for c in text) else text.encode("utf-8")


KINDS = {  # by model_type
    "bert": WordPieceTokenizer,
    "distilbert": WordPieceTokenizer,
    "gpt2": BPETokenizer,
    "llama": SentencePieceTokenizer,
    "roberta": RobertaTokenizer,
}


def read_tokenizer(folder, kind):
    """The tokenizer of a folder with a model of this model_type. ValueError naming what is missing or damaged."""
    read = {
        BPETokenizer: read_bpe,
        RobertaTokenizer: read_roberta,
        SentencePieceTokenizer: read_sentencepiece,
        WordPieceTokenizer: read_wordpiece,
    }
    return read[KINDS[kind]](folder)


def tokenizer_files(tokenizer, kind):
    """{file name: bytes} beside a model of this model_type. ValueError for a tokenizer that has none there."""
    if type(tokenizer) is not KINDS[kind]:
        name = type(tokenizer).__name__
        raise ValueError(f"a {name} has no published form here beside a {kind}; a {KINDS[kind].__name__} has")
    if KINDS[kind] is WordPieceTokenizer:
        return wordpiece_files(tokenizer, kind)
    files = {BPETokenizer: bpe_files, RobertaTokenizer: roberta_files, SentencePieceTokenizer: sentencepiece_files}
    return files[KINDS[kind]](tokenizer)


# ---------------------------------------------------------------------------------------------------- byte-level BPE


def read_bpe(folder, make=BPETokenizer):
    """The tokenizer of a folder. ValueError naming the file that is missing or damaged."""
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        vocab = read_json(folder / "vocab.json")
        try:
            lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"{folder / 'merges.txt'} is damaged: {error}") from None
        added, lines = {}, [line.removesuffix("\r") for line in lines]
        merges = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    elif (path := folder / "tokenizer.json").is_file():
        data = read_json(path)
        try:
            kind = data["model"].get("type", "BPE")
            vocab = dict(data["model"].get("vocab", {}))
            added = {token["content"]: token["id"] for token in data.get("added_tokens", [])}
            added = {text: id for text, id in added.items() if text not in vocab}
            merges = [m.split(" ") if isinstance(m, str) else list(m) for m in data["model"].get("merges", [])]
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} is damaged or no tokenizer: {error}") from None
        if kind != "BPE":
            raise ValueError(f"{path} is a tokenizer of the kind {kind}; read is BPE")
    else:
        raise ValueError(f"{folder} has no tokenizer: neither vocab.json with merges.txt nor tokenizer.json")
    try:
        return make(*tables(vocab, added, merges))
    except ValueError as error:
        raise ValueError(f"{folder}: its tokenizer is damaged: {error}") from None


def tables(vocab, added, merges):
    """tokens, merges of {text: id}; what was added is written as it is, and not by its bytes' characters"""
    if not isinstance(vocab, dict) or not all(isinstance(text, str) for text in added):
        raise ValueError("its tokens are not texts with ids")
    ids = [*vocab.values(), *added.values()]
    if not all(type(id) is int for id in ids) or sorted(ids) != list(range(len(ids))):
        raise ValueError("its ids are not 0, 1, 2, ... each once")
    tokens = {id: token_of(text) for text, id in vocab.items()} | {id: text.encode() for text, id in added.items()}
    pairs = []
    for merge in merges:
        if len(merge) != 2 or not all(isinstance(part, str) and part in vocab for part in merge):
            raise ValueError(f"the merge {shown(' '.join(map(str, merge)))!r} is not of two tokens")
        pairs.append((vocab[merge[0]], vocab[merge[1]]))
    return [tokens[id] for id in range(len(tokens))], pairs


def bpe_files(tokenizer):
    """{file name: bytes}: vocab.json and merges.txt."""
    texts = [written(token) for token in tokenizer.tokens]
    lines = ["#version: 0.2", *(f"{texts[left]} {texts[right]}" for left, right in tokenizer.merges), ""]
    vocab = json.dumps({text: id for id, text in enumerate(texts)}, ensure_ascii=False)
    return {"vocab.json": vocab.encode("utf-8"), "merges.txt": "\n".join(lines).encode("utf-8")}


# ---------------------------------------------------------------------------------- byte-level BPE with special tokens

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
    return read_bpe(folder, functools.partial(RobertaTokenizer, mask_takes_spaces=takes))


def roberta_in_one(data, takes):
    """Whether <mask> takes the spaces before it. ValueError for whatever else is not as it is here."""
    before, behind = data.get("pre_tokenizer") or {}, data.get("post_processor") or {}
    if data.get("normalizer") is not None:
        raise ValueError(f"it has a normalizer, {shown(data['normalizer'])}, and what is here has none")
    cut = before.get("type"), before.get("add_prefix_space"), before.get("use_regex", True)
    if cut != ("ByteLevel", False, True):
        raise ValueError(f"its pre_tokenizer is {shown(before)}, and ByteLevel without add_prefix_space is needed")
    frame = behind.get("type"), *((behind.get(role) or [None])[0] for role in ("cls", "sep"))
    if frame != ("RobertaProcessing", ROLES["cls"], ROLES["sep"]):
        raise ValueError(f"its post_processor is {shown(behind)}, and RobertaProcessing with <s> and </s> is needed")
    for token in data.get("added_tokens") or []:
        if token["content"] not in of_roberta.SPECIAL:
            raise ValueError(f"it has a special token of its own, which is not here: {shown(token['content'])}")
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


# --------------------------------------------------------------------------------------------------------- WordPiece


def read_wordpiece(folder):
    """The tokenizer of a folder. ValueError naming the file that is missing or damaged."""
    if (path := folder / "tokenizer.json").is_file():
        vocabulary, settings = wordpiece_in_one(path)
    elif (path := folder / "vocab.txt").is_file():
        vocabulary, settings = wordpiece_lines(path), {}
    else:
        raise ValueError(f"{folder} has no tokenizer: neither vocab.txt nor tokenizer.json")
    if (beside := folder / "tokenizer_config.json").is_file():  # which has the last word
        config = read_json(beside)
        if not isinstance(config, dict):
            raise ValueError(f"{beside} is damaged: it is no object")
        settings |= {ours: config[theirs] for theirs, ours in WORDPIECE_SETTINGS.items() if theirs in config}
        if config.get("tokenize_chinese_chars", True) is not True:
            raise ValueError(f"{beside}: tokenize_chinese_chars is false; what is here makes each a word")
    if not (settings.get("lowercase", True) in (True, False) and settings.get("strip_accents") in (True, False, None)):
        raise ValueError(f"{folder}: its tokenizer's settings are neither true nor false: {shown(settings)}")
    try:
        return WordPieceTokenizer(vocabulary, **settings)
    except ValueError as error:
        raise ValueError(f"{path} is damaged or another tokenizer's: {error}") from None


WORDPIECE = {  # what its one file must say; in the part of the model, where it says anything
    "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "model": {"unk_token": "[UNK]", "continuing_subword_prefix": CONTINUES, "max_input_chars_per_word": LONGEST_WORD},
}
WORDPIECE_SETTINGS = {"do_lower_case": "lowercase", "strip_accents": "strip_accents"}


def wordpiece_lines(path):
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    lines = [line.removesuffix("\r") for line in lines]
    return lines[:-1] if lines[-1] == "" else lines


def wordpiece_in_one(path):
    """[token], settings"""
    data = read_json(path)
    try:
        kind, normalizer = data["model"].get("type", "WordPiece"), data.get("normalizer") or {}
        if kind != "WordPiece":
            raise ValueError(f"it is of the kind {kind}, and WordPiece is needed")
        for what, found in (
            ("normalizer", normalizer),
            ("pre_tokenizer", data.get("pre_tokenizer") or {}),
            ("model", {name: data["model"].get(name, value) for name, value in WORDPIECE["model"].items()}),
        ):
            if wrong := {name: found.get(name) for name, value in WORDPIECE[what].items() if found.get(name) != value}:
                raise ValueError(f"its {what} has {wrong}, and {WORDPIECE[what]} is needed")
        added = {token["content"]: token["id"] for token in data.get("added_tokens") or []}
        if more := sorted(map(str, added.keys() - set(SPECIAL))):
            raise ValueError(f"it has special tokens of its own, which are not here: {shown(', '.join(more))}")
        vocab = data["model"]["vocab"] | added
        if not all(type(id) is int for id in vocab.values()) or sorted(vocab.values()) != list(range(len(vocab))):
            raise ValueError("its ids are not 0, 1, 2, ... each once")
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is damaged or another tokenizer: {error}") from None
    settings = {"lowercase": normalizer.get("lowercase", True), "strip_accents": normalizer.get("strip_accents")}
    return sorted(vocab, key=vocab.get), settings


TOKENIZER_CLASSES = {"bert": "BertTokenizer", "distilbert": "DistilBertTokenizer"}


def wordpiece_files(tokenizer, kind):
    """{file name: bytes}: vocab.txt and tokenizer_config.json."""
    settings = {theirs: getattr(tokenizer, ours) for theirs, ours in WORDPIECE_SETTINGS.items()}
    names = ("pad", "unk", "cls", "sep", "mask")
    special = {f"{name}_token": text for name, text in zip(names, SPECIAL, strict=True)}
    config = {"tokenizer_class": TOKENIZER_CLASSES[kind], "tokenize_chinese_chars": True, **settings, **special}
    if broken := [text for text in tokenizer.vocabulary if "\n" in text or "\r" in text]:
        raise ValueError(f"the token {broken[0]!r} has a line break, and vocab.txt a line for each token")
    vocabulary = "".join(f"{text}\n" for text in tokenizer.vocabulary)
    return {"vocab.txt": vocabulary.encode("utf-8"), "tokenizer_config.json": to_json(config)}


# --------------------------------------------------------------------------------------------------- SentencePiece's


NORMALIZER = {  # a space before the text, and ▁ for every one
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": SPACE},
        {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
    ],
}
METASPACE = {"type": "Metaspace", "replacement": SPACE, "split": False}  # the same, unless a space is there already
SENTENCEPIECE = {"unk_token": UNKNOWN, "byte_fallback": True, "continuing_subword_prefix": None}
SENTENCEPIECE |= {"end_of_word_suffix": None, "dropout": None}


def read_sentencepiece(folder):
    """The tokenizer of a folder. ValueError naming the file that is missing, damaged or of another kind."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        other = "; tokenizer.model is not read, but transformers makes the one of the other"
        raise ValueError(f"{folder} has no tokenizer.json{other if (folder / 'tokenizer.model').is_file() else ''}")
    data = read_json(path)
    try:
        model, added = data["model"], {token["content"]: token["id"] for token in data.get("added_tokens") or []}
        wrong = {name: model.get(name) for name, value in SENTENCEPIECE.items() if model.get(name) != value}
        if (kind := model.get("type", "BPE")) != "BPE" or wrong:
            what = shown(f"{kind}, {wrong}")
            raise ValueError(f"it is not byte-pair encoding of characters as LLaMA and LLaMA 2 have it: {what}")
        if model.get("ignore_merges"):
            raise ValueError("a piece that is in the vocabulary is taken whole, and here merges make it")
        always = puts_space_before(data.get("normalizer"), data.get("pre_tokenizer"))
        vocab = model["vocab"] | added
        if not all(type(id) is int for id in vocab.values()) or sorted(vocab.values()) != list(range(len(vocab))):
            raise ValueError("its ids are not 0, 1, 2, ... each once")
        pairs = [m.split(" ") if isinstance(m, str) else list(m) for m in model["merges"]]
        if foreign := [pair for pair in pairs if len(pair) != 2 or not all(part in vocab for part in pair)]:
            raise ValueError(f"the merge {shown(repr(foreign[0]))} is not of two tokens")
        fixed = {UNKNOWN, BEGIN, END, *BYTES}  # which a text never becomes, whatever its letters and signs
        merges = [(vocab[a], vocab[b]) for a, b in pairs if not fixed & {a, b, a + b}]
        return SentencePieceTokenizer(sorted(vocab, key=vocab.get), merges, always)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is damaged or another tokenizer: {error}") from None


def puts_space_before(normalizer, pre_tokenizer):
    """Whether a space comes before a text that has one already. ValueError where spaces are treated otherwise."""
    if normalizer == NORMALIZER and pre_tokenizer is None:
        return True
    scheme = (pre_tokenizer or {}).get("prepend_scheme")
    if normalizer is None and pre_tokenizer == METASPACE | {"prepend_scheme": scheme} and scheme in ("first", "always"):
        return False
    raise ValueError(f"its spaces are treated otherwise: {shown(f'{normalizer}, {pre_tokenizer}')}")


def sentencepiece_files(tokenizer):
    """{file name: bytes}: tokenizer.json and tokenizer_config.json."""
    pieces = tokenizer.pieces
    special = [(id, piece) for id, piece in enumerate(pieces) if piece in (UNKNOWN, BEGIN, END)]
    how = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    parts = [{"SpecialToken": {"id": BEGIN, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    second = [{"SpecialToken": {"id": BEGIN, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    begin = {BEGIN: {"id": BEGIN, "ids": [tokenizer.begin], "tokens": [BEGIN]}}
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id, "content": piece, **how} for id, piece in special],
        "normalizer": NORMALIZER if tokenizer.always else None,
        "pre_tokenizer": None if tokenizer.always else METASPACE | {"prepend_scheme": "first"},
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
            "fuse_unk": True,
            "vocab": {piece: id for id, piece in enumerate(pieces)},
            "merges": [[pieces[left], pieces[right]] for left, right in tokenizer.merges],
        },
    }
    names = {"bos_token": BEGIN, "eos_token": END, "unk_token": UNKNOWN}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    return {"tokenizer.json": to_json(whole), "tokenizer_config.json": to_json(config)}
