"""Text from a trained model: greedy, sampled or by beam search; one text as a stream, or a batch of them."""

from .batch import Batch
from .beam import Hypothesis, beam_search
from .decode import decode
from .generate import CachedReader, Reader, generate
from .sampling import choose, log_probabilities, probabilities, sample
from .text import text_pieces, until
from .window import kept_when_full, window_start
