"""A head that is the token embedding, or a table of its own: what it felt goes to where it belongs."""


def with_table(g, name, dweight):
    """g, and in it what the embedding of this name felt as the head; nothing where it is frozen"""
    if name not in g:
        return g
    return g | {name: {"weight": g[name]["weight"] + dweight}}  # used twice: add


def add_head(g, model, g_head):
    """g with the gradient of the model's head: added to the embedding's, which was used twice, or beside the others

    Where the embedding is frozen, it is the head that is frozen with it.
    """
    if model.head in model.below:
        return with_table(g, model.head, g_head["weight"])
    return g | {model.head: g_head}
