"""One file per architecture, named after it; and in `heads`, what is asked of a body."""

from .bert import BERT
from .distilbert import DistilBERT
from .gpt2 import GPT2
from .heads import MaskedLanguageModel, PreTraining, SentenceEncoder, SpanFinder, TextClassifier, TokenClassifier
from .llama import LLaMA
from .roberta import RoBERTa
from .transformer import PreNormTransformer, Transformer

__all__ = [
    "BERT",
    "DistilBERT",
    "GPT2",
    "LLaMA",
    "MaskedLanguageModel",
    "PreNormTransformer",
    "PreTraining",
    "RoBERTa",
    "SentenceEncoder",
    "SpanFinder",
    "TextClassifier",
    "TokenClassifier",
    "Transformer",
]
