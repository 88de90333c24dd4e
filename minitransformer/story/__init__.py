"""Before the Transformer: why recurrence was given up, claim by claim, each measured and drawn. One file a claim.

measure(...) -> found, a dict as JSON keeps it        draw(found) -> a figure        table(found) -> rows of text
"""

from . import bottleneck, gradients, parallel, positions

CLAIMS = {"gradients": gradients, "bottleneck": bottleneck, "parallel": parallel, "positions": positions}
