"""Published tokenizers, a file for each kind: what it is in a folder, and the folder's files of one of ours."""

from ...tokenizers import (
    BPETokenizer,
    RobertaTokenizer,
    SentencePieceTokenizer,
    UnigramTokenizer,
    WordPieceTokenizer,
)
from .bpe import bpe_files, characters, read_bpe
from .roberta import read_roberta, roberta_files
from .sentencepiece import METASPACE, read_sentencepiece, sentencepiece_files
from .unigram import read_unigram, unigram_files
from .wordpiece import read_wordpiece, wordpiece_files

KINDS = {  # by model_type
    "albert": UnigramTokenizer,
    "bert": WordPieceTokenizer,
    "distilbert": WordPieceTokenizer,
    "gpt2": BPETokenizer,
    "llama": SentencePieceTokenizer,
    "roberta": RobertaTokenizer,
    "t5": UnigramTokenizer,
    "xlm-roberta": UnigramTokenizer,
}


def read_tokenizer(folder, kind):
    """The tokenizer of a folder with a model of this model_type. ValueError naming what is missing or damaged."""
    read = {
        BPETokenizer: read_bpe,
        RobertaTokenizer: read_roberta,
        SentencePieceTokenizer: read_sentencepiece,
        UnigramTokenizer: read_unigram,
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
    files = {
        BPETokenizer: bpe_files,
        RobertaTokenizer: roberta_files,
        SentencePieceTokenizer: sentencepiece_files,
        UnigramTokenizer: unigram_files,
    }
    return files[KINDS[kind]](tokenizer)
