"""Small models over a body: what is asked of it. One file each."""

from .masked_language_model import MaskedLanguageModel
from .pre_training import PreTraining
from .sentence_encoder import SentenceEncoder
from .span_finder import SpanFinder
from .text_classifier import TextClassifier
from .token_classifier import TokenClassifier
