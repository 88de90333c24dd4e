"""Text from a trained model: sampling, with a cache, as a stream."""

from .generate import CachedReader, Reader, generate
from .sampling import choose, probabilities, sample
from .text import text_pieces
from .window import kept_when_full, window_start
