"""Text to ids and back."""

import json

from ..files import to_json, write_atomically
from .bpe import BPETokenizer
from .char import CharTokenizer
from .framing import Framed, batch_of, framed
from .llama3 import Llama3Tokenizer
from .roberta import RobertaTokenizer
from .sentencepiece import SentencePieceTokenizer
from .unigram import UnigramTokenizer
from .wordpiece import WordPieceTokenizer

WRITING = (CharTokenizer.name, BPETokenizer.name)  # from whose ids a text comes back as it was: for models that write
KINDS = (
    CharTokenizer,
    BPETokenizer,
    Llama3Tokenizer,
    RobertaTokenizer,
    SentencePieceTokenizer,
    UnigramTokenizer,
    WordPieceTokenizer,
)
TOKENIZERS = {tokenizer.name: tokenizer for tokenizer in KINDS}


def tokenizer_json(tokenizer):
    """What `load_tokenizer` reads, as JSON: the tokenizer's name and what it consists of."""
    return {"tokenizer": tokenizer.name} | tokenizer.to_json()


def save_tokenizer(tokenizer, path):
    """Write a tokenizer to a JSON file."""
    write_atomically(path, to_json(tokenizer_json(tokenizer), indent=None))


def load_tokenizer(path):
    """The tokenizer that `save_tokenizer` wrote. ValueError for a file that is something else, or damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (ValueError, RecursionError) as error:  # neither JSON nor UTF-8 raise anything else
        raise ValueError(f"{path} is no tokenizer: it is not JSON in UTF-8 ({error})") from error
    kind = data.get("tokenizer") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in TOKENIZERS:
        raise ValueError(f"{path} is no tokenizer of a kind known here: {', '.join(TOKENIZERS)}")
    try:
        return TOKENIZERS[kind].from_json(data)
    except ValueError as error:
        raise ValueError(f"{path} is a damaged {kind} tokenizer: {error}") from error
