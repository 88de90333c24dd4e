"""Trees of arrays: dicts by name, lists by position, arrays at the leaves. Parameters, gradients and moments are such.

A leaf's path is how it is reached, with dots: `layers.0.attention.q.weight`.
"""


def leaves(tree, path=""):
    """[(path, leaf), ...] in the order of the names, whatever order the tree was built in."""
    found = []
    collect(tree, path, found)
    return found


def collect(tree, path, found):
    if isinstance(tree, dict):
        for name in sorted(tree):
            collect(tree[name], f"{path}.{name}", found)
    elif isinstance(tree, list):
        for i, part in enumerate(tree):
            collect(part, f"{path}.{i}", found)
    else:
        found.append((path[1:], tree))


def n_bytes(named):
    """How many bytes these leaves have together."""
    return sum(leaf.nbytes for _, leaf in named)


def tree_map(f, tree, *others):
    """The tree of f(leaf, other leaves at the same place...)."""
    if isinstance(tree, dict):
        return {name: tree_map(f, part, *(other[name] for other in others)) for name, part in tree.items()}
    if isinstance(tree, list):
        return [tree_map(f, part, *(other[i] for other in others)) for i, part in enumerate(tree)]
    return f(tree, *others)


def tree_with_paths(f, tree, path=""):
    """The tree of f(path, leaf)."""
    if isinstance(tree, dict):
        return {name: tree_with_paths(f, part, f"{path}.{name}") for name, part in tree.items()}
    if isinstance(tree, list):
        return [tree_with_paths(f, part, f"{path}.{i}") for i, part in enumerate(tree)]
    return f(path[1:], tree)


def fill(template, named):
    """The tree of the template's shape whose leaves come from `named`, a dict by path.

    ValueError where a name, a shape or a dtype does not fit.
    """
    expected = dict(leaves(template))
    missing, foreign = sorted(expected.keys() - named.keys()), sorted(named.keys() - expected.keys())
    if missing or foreign:
        raise ValueError(
            "; ".join(
                f"{what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
                for what, names in (("missing", missing), ("not expected", foreign))
                if names
            )
        )
    for path, leaf in expected.items():
        if (found := named[path]).shape != leaf.shape or found.dtype != leaf.dtype:
            raise ValueError(f"{path} has shape {found.shape} of {found.dtype}, expected {leaf.shape} of {leaf.dtype}")
    return tree_with_paths(lambda path, _: named[path], template)
