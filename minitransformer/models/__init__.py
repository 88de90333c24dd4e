"""One file per architecture, named after it."""

from .gpt2 import GPT2

__all__ = ["GPT2"]
