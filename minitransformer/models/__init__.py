"""One file per architecture, named after it."""

from .gpt2 import GPT2
from .transformer import PreNormTransformer, Transformer

__all__ = ["GPT2", "PreNormTransformer", "Transformer"]
