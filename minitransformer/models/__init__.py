"""One file per architecture, named after it; and in `heads`, what is asked of a body."""

from .bert import BERT
from .gpt2 import GPT2
from .heads import MaskedLanguageModel, SentenceEncoder, SpanFinder, TextClassifier, TokenClassifier
from .llama import LLaMA
from .transformer import PreNormTransformer, Transformer

__all__ = [
    "BERT",
    "GPT2",
    "LLaMA",
    "MaskedLanguageModel",
    "PreNormTransformer",
    "SentenceEncoder",
    "SpanFinder",
    "TextClassifier",
    "TokenClassifier",
    "Transformer",
]
