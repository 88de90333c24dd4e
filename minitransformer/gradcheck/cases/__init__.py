"""What the inputs of every registered thing look like: the cases that the checks, the tests and the table run over.

A thing without a case fails the checks. Sizes are drawn unequal to each other, so that a transposition cannot hide;
norms have random γ and β, dropout is on, ids repeat, masks leave some row with nothing: bugs hide where they do not.
"""

from . import blocks, decoders, encoders, operations, recurrent, seq2seq, transfer, transformers
from .blocks import KEY_BIAS
from .case import CASES, Case, Draw, case, cases_of, checkable, draw_cases
