"""Llama 3's: byte-level BPE with a rule for words of its own, in tokenizer.json."""

from ...files import read_json, to_json
from ...tokenizers import Llama3Tokenizer
from ...tokenizers.llama3 import BEGIN, END
from ..tensors import shown
from .added import added_in, entry_of
from .bpe import tables, written

WORDS = (  # the rule "llama3" of `pretokens`, as it is published
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLIT = {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Isolated", "invert": False}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
MODEL = {"type": "BPE", "dropout": None, "continuing_subword_prefix": None, "end_of_word_suffix": None}
MODEL |= {"byte_fallback": False, "ignore_merges": True}


def is_llama3(path):
    """Whether a tokenizer.json cuts words by a rule and has byte-level tokens, as this kind has."""
    data = read_json(path)
    before = data.get("pre_tokenizer") if isinstance(data, dict) else None
    parts = before.get("pretokenizers") if isinstance(before, dict) else None
    return isinstance(parts, list) and any(isinstance(part, dict) and part.get("type") == "ByteLevel" for part in parts)


def read_llama3(folder):
    """The tokenizer of a folder. ValueError naming the file that is damaged, or of another kind."""
    path = folder / "tokenizer.json"
    data = read_json(path)
    try:
        return llama3_in_one(data)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is damaged or another tokenizer: {error}") from None


def llama3_in_one(data):
    model = data["model"]
    if wrong := {name: model.get(name) for name, value in MODEL.items() if model.get(name, value) != value}:
        raise ValueError(f"its model has {shown(str(wrong))}, and Llama 3's has {MODEL}")
    if data.get("normalizer") is not None:
        raise ValueError(f"it has a normalizer, {shown(str(data['normalizer']))}, and what is here has none")
    split, level = data["pre_tokenizer"]["pretokenizers"]
    if split != SPLIT or {name: level.get(name) for name in BYTES} != BYTES:
        raise ValueError(f"its pre_tokenizer is another than Llama 3's: {shown(str(data['pre_tokenizer']))}")
    check_frame(data.get("post_processor"))
    added, takes = added_in(data.get("added_tokens") or [])
    merges = [merge.split(" ") if isinstance(merge, str) else list(merge) for merge in model["merges"]]
    tokens, pairs = tables(model["vocab"], added, merges)
    return Llama3Tokenizer(tokens, pairs, {text: takes[text] for text in sorted(added, key=added.get)})


def check_frame(processor):
    """ValueError unless texts begin with <|begin_of_text|>, and tokens stand with the spaces that they have."""
    parts = processor["processors"] if processor["type"] == "Sequence" else [processor]
    levels = [part for part in parts if part["type"] == "ByteLevel"]
    frames = [part for part in parts if part["type"] == "TemplateProcessing"]
    single = [part.get("SpecialToken", {}).get("id") for each in frames for part in each["single"]]
    trimmed = any(each["trim_offsets"] for each in levels)
    if len(levels) + len(frames) < len(parts) or single != [BEGIN, None] or trimmed:
        raise ValueError(f"its post_processor is another than Llama 3's: {shown(str(processor))}")


def llama3_files(tokenizer):
    """{file name: bytes}: tokenizer.json and tokenizer_config.json."""
    level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    begin = {"id": BEGIN, "ids": [tokenizer.begin], "tokens": [BEGIN]}
    one = [{"SpecialToken": {"id": BEGIN, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    two = [{"SpecialToken": {"id": BEGIN, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    frame = {"type": "TemplateProcessing", "single": one, "pair": [*one, *two], "special_tokens": {BEGIN: begin}}
    takes = tokenizer.parts.takes
    texts, special = [written(token) for token in tokenizer.tokens], set(tokenizer.special.values())
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id} | entry_of(text, takes[text]) for text, id in tokenizer.special.items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT, BYTES | {"trim_offsets": True}]},
        "post_processor": {"type": "Sequence", "processors": [level, frame]},
        "decoder": level | {"trim_offsets": True},
        "model": {
            **MODEL,
            "unk_token": None,
            "fuse_unk": False,
            "vocab": {text: id for id, text in enumerate(texts) if id not in special},
            "merges": [f"{texts[left]} {texts[right]}" for left, right in tokenizer.merges],
        },
    }
    names = {"bos_token": BEGIN, "eos_token": END}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **names}
    return {"tokenizer.json": to_json(whole), "tokenizer_config.json": to_json(config)}
