"""WordPiece: vocab.txt, a line for each token, with its settings in tokenizer_config.json; or tokenizer.json."""

from ...files import read_json, read_lines, to_json
from ...tokenizers import WordPieceTokenizer
from ...tokenizers.wordpiece import CONTINUES, LONGEST_WORD, SPECIAL
from ..config import object_if_any
from ..tensors import shown
from .added import added_beside, added_in, by_id, with_added


def read_wordpiece(folder):
    """The tokenizer of a folder. ValueError naming the file that is missing or damaged."""
    if (path := folder / "tokenizer.json").is_file():
        vocabulary, settings = wordpiece_in_one(path)
    elif (path := folder / "vocab.txt").is_file():
        vocabulary, settings = read_lines(path), {}
    else:
        raise ValueError(f"{folder} has no tokenizer: neither vocab.txt nor tokenizer.json")
    for beside in (folder / "config.json", folder / "tokenizer_config.json"):
        config = object_if_any(beside)
        if wrong := {name: config[name] for name, known in KNOWN.items() if config.get(name) not in known}:
            raise ValueError(f"{beside}: its tokenizer is another than BERT's: {shown(wrong)}")
    if not (settings and config.get("tokenizer_class") in WHOLE):  # or these settings have the last word
        settings |= {ours: config[theirs] for theirs, ours in WORDPIECE_SETTINGS.items() if theirs in config}
        if config.get("tokenize_chinese_chars", True) is not True:
            raise ValueError(f"{beside}: tokenize_chinese_chars is false; what is here makes each a word")
    if not (settings.get("lowercase", True) in (True, False) and settings.get("strip_accents") in (True, False, None)):
        raise ValueError(f"{folder}: its tokenizer's settings are neither true nor false: {shown(settings)}")
    entries = added_beside(folder, config) if path.name == "vocab.txt" else []
    try:
        ids, _ = added_in(entries)
        check_special(ids)
        return WordPieceTokenizer(with_added(vocabulary, ids), **settings)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged or another tokenizer's: {error}") from None


WORDPIECE = {  # what its one file must say; in the part of the model, where it says anything
    "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "model": {"unk_token": "[UNK]", "continuing_subword_prefix": CONTINUES, "max_input_chars_per_word": LONGEST_WORD},
}
WHOLE = ("PreTrainedTokenizerFast", "TokenizersBackend")  # of which tokenizer.json says everything
BERTS = ("Bert", "DistilBert", "Electra", "LayoutLM", "Lxmert", "MobileBert", "SqueezeBert")  # all the same
CLASSES = [f"{name}Tokenizer{kind}" for name in BERTS for kind in ("", "Fast")]
KNOWN = {  # what the settings may say, where they say anything
    "tokenizer_class": (None, *CLASSES, *WHOLE),
    "word_tokenizer_type": (None, "basic"),
    "subword_tokenizer_type": (None, "wordpiece"),
}
WORDPIECE_SETTINGS = {"do_lower_case": "lowercase", "strip_accents": "strip_accents"}


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
        check_special(added)
        vocabulary = by_id(data["model"]["vocab"] | added)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is damaged or another tokenizer: {error}") from None
    settings = {"lowercase": normalizer.get("lowercase", True), "strip_accents": normalizer.get("strip_accents")}
    return vocabulary, settings


def check_special(texts):
    if more := sorted(map(str, set(texts) - set(SPECIAL))):
        raise ValueError(f"it has special tokens of its own, which are not here: {shown(', '.join(more))}")


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
