"""Lower layers learn slower (Howard & Ruder 2018, "Universal Language Model Fine-tuning", section 3.2).

    η_head = η        η_l = X η_(l+1)        with the embeddings below the lowest layer

What is low in a model is general, and what is above belongs to the task: so it may keep more of what it knows.
"""

from .freezing import body_of, path_of_body


def layer_decay(model, factor):
    """path -> what the learning rate is multiplied by there; ValueError for a factor not above 0 and at most 1."""
    if not 0 < factor <= 1:
        raise ValueError(f"the layers' rates decay by a factor above 0 and at most 1, not {factor}")
    body, inside = body_of(model), path_of_body(model)
    top = body.n_layers + 1

    def height(path):
        first, *rest = path.removeprefix(inside).split(".")
        if not path.startswith(inside):
            return top
        if first in body.below:
            return 0
        return int(rest[0]) + 1 if first == "layers" else top

    return lambda path: factor ** (top - height(path))
