"""The backward of broadcasting: what was used in many places feels the sum over them."""


def sum_to(shape, d):
    """d summed to `shape`, of as many axes, from which its own shape was broadcast."""
    stretched = tuple(axis for axis, length in enumerate(shape) if length == 1 and d.shape[axis] != 1)
    return d.sum(stretched, keepdims=True) if stretched else d
