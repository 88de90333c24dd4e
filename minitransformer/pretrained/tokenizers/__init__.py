"""Published tokenizers, a file for each kind: what it is in a folder, and the folder's files of one of ours."""

from ...tokenizers import (
    BPETokenizer,
    Llama3Tokenizer,
    RobertaTokenizer,
    SentencePieceTokenizer,
    UnigramTokenizer,
    WordPieceTokenizer,
)
from .bpe import bpe_files, characters, read_bpe
from .llama3 import is_llama3, llama3_files, read_llama3
from .model_file import model_file, read_model
from .roberta import read_roberta, roberta_files
from .sentencepiece import METASPACE, read_sentencepiece, sentencepiece_files
from .unigram import read_unigram, unigram_files
from .wordpiece import read_wordpiece, wordpiece_files

KINDS = {  # by model_type
    "albert": (UnigramTokenizer,),
    "bert": (WordPieceTokenizer,),
    "distilbert": (WordPieceTokenizer,),
    "gpt2": (BPETokenizer,),
    "llama": (SentencePieceTokenizer, Llama3Tokenizer),
    "roberta": (RobertaTokenizer,),
    "t5": (UnigramTokenizer,),
    "xlm-roberta": (UnigramTokenizer,),
}
READ = {
    BPETokenizer: read_bpe,
    Llama3Tokenizer: read_llama3,
    RobertaTokenizer: read_roberta,
    SentencePieceTokenizer: read_sentencepiece,
    UnigramTokenizer: read_unigram,
    WordPieceTokenizer: read_wordpiece,
}
MODEL_FILES = {SentencePieceTokenizer, UnigramTokenizer}  # which may be in SentencePiece's own files
FILES = {
    BPETokenizer: bpe_files,
    Llama3Tokenizer: llama3_files,
    RobertaTokenizer: roberta_files,
    SentencePieceTokenizer: sentencepiece_files,
    UnigramTokenizer: unigram_files,
}


def read_tokenizer(folder, kind):
    """The tokenizer of a folder with a model of this model_type. ValueError naming what is missing or damaged."""
    first, *others = KINDS[kind]
    path = folder / "tokenizer.json"
    if Llama3Tokenizer in others and path.is_file() and is_llama3(path):
        return read_llama3(folder)
    if MODEL_FILES & {*KINDS[kind]} and not path.is_file() and (path := model_file(folder)):
        return read_model(path, KINDS[kind])
    return READ[first](folder)


def tokenizer_files(tokenizer, kind):
    """{file name: bytes} beside a model of this model_type. ValueError for a tokenizer that has none there."""
    if type(tokenizer) not in KINDS[kind]:
        able = " or a ".join(each.__name__ for each in KINDS[kind])
        raise ValueError(f"a {type(tokenizer).__name__} has no published form here beside a {kind}; a {able} has")
    if type(tokenizer) is WordPieceTokenizer:
        return wordpiece_files(tokenizer, kind)
    return FILES[type(tokenizer)](tokenizer)
