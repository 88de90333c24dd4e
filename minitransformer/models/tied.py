"""A head that is the token embedding, or a table of its own: what it felt goes to where it belongs."""


def add_head(g, model, g_head):
    """g with the gradient of the model's head: added to the embedding's, which was used twice, or beside the others

    Where the embedding is frozen, it is the head that is frozen with it.
    """
    if model.head in g:
        g[model.head]["weight"] += g_head["weight"]  # in an array that the embedding's backward has just made
    elif model.head not in model.below:
        g[model.head] = g_head
    return g
