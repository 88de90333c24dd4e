"""Where floating arrays lie: in the host's memory, or for the backend "cuda" on the device, where its kernels compute.

Parameters go to the device once, before a run, and what is made of them stays there, for NumPy's functions and the
kernels leave arrays where they find them. What people and files are to see comes back. Ids and masks need no line:
operations bring them over as they are used. For every other backend both functions give back what they are given.
"""

from .convention import current_backend


def to_device(tree):
    """The tree with its arrays where the chosen backend computes."""
    if current_backend() != "cuda":
        return tree
    from .kernels.cuda.arrays import to_device

    return to_device(tree)


def to_host(tree):
    """The tree with its arrays in the host's memory."""
    if current_backend() != "cuda":
        return tree
    from .kernels.cuda.arrays import to_host

    return to_host(tree)


def device_threads(threads):
    """How many threads work on a batch: as many as are asked for, but one where a device does the work."""
    return 1 if current_backend() == "cuda" else threads
