"""Before the Transformer: why recurrence was given up, claim by claim, each measured and drawn. One file a claim.

measure(...) -> found, a dict as JSON keeps it       draw(found) -> a figure       tables(found) -> rows of text each
"""

from . import bottleneck, gradients, parallel, positions

CLAIMS = {"gradients": gradients, "bottleneck": bottleneck, "parallel": parallel, "positions": positions}
