"""minitransformer: transformers in NumPy, every backward pass written by hand and checked."""

from . import blocks, models, ops
from .convention import THINGS, fold, use_backend
from .training import losses  # registered, like everything above

__version__ = "0.1.0"
__all__ = ["THINGS", "blocks", "fold", "losses", "models", "ops", "use_backend"]
