"""Parameters that are frozen at first, or in between."""

WITHOUT = {"late": range(4), "between": range(2, 6)}  # steps in which they have no gradient


def thawing(rng, steps=12):
    """Parameters, and the gradients of every step"""
    p = {name: rng.normal(size=(2, 3)) for name in ("always", *WITHOUT)}
    names = [[name for name in p if step not in WITHOUT.get(name, ())] for step in range(steps)]
    return p, [{name: rng.normal(size=(2, 3)) for name in some} for some in names]
