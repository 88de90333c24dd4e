"""One file per architecture, named after it; and in `heads`, what is asked of a body."""

from .awd_lstm import AWDLSTM
from .bahdanau import BahdanauSeq2Seq
from .bert import BERT
from .distilbert import DistilBERT
from .elmo import ELMo
from .gpt2 import GPT2
from .heads import MaskedLanguageModel, PreTraining, SentenceEncoder, SpanFinder, TextClassifier, TokenClassifier
from .llama import LLaMA
from .luong import LuongSeq2Seq
from .roberta import RoBERTa
from .seq2seq import Seq2Seq
from .transformer import PreNormTransformer, Transformer
from .ulmfit import ULMFiT

__all__ = [
    "AWDLSTM",
    "BERT",
    "BahdanauSeq2Seq",
    "DistilBERT",
    "ELMo",
    "GPT2",
    "LLaMA",
    "LuongSeq2Seq",
    "MaskedLanguageModel",
    "PreNormTransformer",
    "PreTraining",
    "RoBERTa",
    "SentenceEncoder",
    "Seq2Seq",
    "SpanFinder",
    "TextClassifier",
    "TokenClassifier",
    "Transformer",
    "ULMFiT",
]
