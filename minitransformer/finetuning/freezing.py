"""Parts of a body that stay as they were (Howard & Ruder 2018, section 3.3, thaw them one by one from the top).

Frozen leaves are absent from g, and the optimizer does not touch what has no gradient. Where the embeddings are frozen,
and the layers above them up to some height, no gradient of them is computed: that is the model's own `frozen`. That of
any other part is dropped.
"""

from dataclasses import replace


def body_of(model):
    """What a head stands on, or the model itself."""
    return getattr(model, "body", model)


def path_of_body(model):
    """What the paths of the body's parameters begin with."""
    return "body." if hasattr(model, "body") else ""


def parts_of(model, p):
    """The parts that can be frozen, from the bottom up: token, position, ..., layers.0, layers.1, ..."""
    body = body_of(model)
    layers = [f"layers.{i}" for i in range(body.n_layers)]
    above = set(p["body"] if hasattr(model, "body") else p) - {*body.below, "layers"}
    return [*body.below, *layers, *sorted(above)]


def frozen(model, p, names):
    """The model that keeps nothing of what is frozen at its bottom. ValueError for a name that no part has."""
    known = parts_of(model, p)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{', '.join(unknown)} cannot be frozen; there are: {', '.join(known)}")
    body = body_of(model)
    if body is model and set(known) <= set(names):
        raise ValueError("with all its parts frozen, there is nothing left to train")
    height = 0
    if set(body.below) <= set(names):
        while height < body.n_layers and f"layers.{height}" in names:
            height += 1
    body = replace(body, frozen=height)
    return replace(model, body=body) if hasattr(model, "body") else body


class without_frozen:
    """without_frozen(loss, paths): the same loss; in g, an empty tree stands in the place of each of these parts."""

    def __init__(self, loss, paths):
        self.loss, self.paths, self.count = loss, frozenset(paths), loss.count

    def __call__(self, p, *batch, key=None):
        return self.loss(p, *batch, key=key)

    def backward(self, dloss, saved):
        return without(self.loss.backward(dloss, saved), self.paths)


def without(tree, paths, path=""):
    """The tree, with an empty one at each of these paths."""
    if path in paths:
        return {}
    inside = f"{path}." if path else ""
    if isinstance(tree, dict):
        return {name: without(part, paths, f"{inside}{name}") for name, part in tree.items()}
    if isinstance(tree, list):
        return [without(part, paths, f"{inside}{i}") for i, part in enumerate(tree)]
    return tree
