"""One file per architecture, named after it; and in `heads`, what is asked of a body."""

from .awd_lstm import AWDLSTM
from .bert import BERT
from .distilbert import DistilBERT
from .elmo import ELMo
from .gpt2 import GPT2
from .heads import MaskedLanguageModel, SentenceEncoder, SpanFinder, TextClassifier, TokenClassifier
from .llama import LLaMA
from .roberta import RoBERTa
from .transformer import PreNormTransformer, Transformer
from .ulmfit import ULMFiT

__all__ = [
    "AWDLSTM",
    "BERT",
    "DistilBERT",
    "ELMo",
    "GPT2",
    "LLaMA",
    "MaskedLanguageModel",
    "PreNormTransformer",
    "RoBERTa",
    "SentenceEncoder",
    "SpanFinder",
    "TextClassifier",
    "TokenClassifier",
    "Transformer",
    "ULMFiT",
]
