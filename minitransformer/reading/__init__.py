"""What models say of a text that they read in both directions: its class, its names, an answer in it, its place."""

from .answer import Answer, answer, answers
from .classify import classify
from .embed import clusters, embed, similarity
from .fill_mask import fill_mask
from .tag import Span, tag
