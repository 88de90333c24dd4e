"""A head that is the token embedding, or a table of its own: what it felt goes to where it belongs."""


def add_head(g, name, g_head):
    """g with the head's gradient: added to the embedding's, which was used twice, or beside the others"""
    if name in g:
        g[name]["weight"] += g_head["weight"]
        return g
    return g | {name: g_head}
