"""What this machine can do, part by part, and what installs what is missing. Nothing here fails: that is a finding too.

Nothing is imported before it is looked at, so that a library which cannot even be imported is found like any other.
"""

from . import cuda, here, libraries
from .finding import VERDICTS, Finding, examined

EXAMINATIONS = (
    ("Python", here.python),
    ("cores", here.cores),
    ("NumPy", here.numpy),
    ("BLAS", here.blas),
    ("Numba", here.numba),
    ("Numba's threads", here.threading_layer),
    ("vectors", here.vectors),
    ("compiled kernels", here.kernel_cache),
    ("CUDA", cuda.findings),
    ("libraries", libraries.optional),
)


def examine(examinations=EXAMINATIONS):
    """A `Finding` after another, each as soon as it is known."""
    for what, look in examinations:
        yield from examined(what, look)


__all__ = ["EXAMINATIONS", "VERDICTS", "Finding", "examine"]
