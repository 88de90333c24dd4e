import numpy as np
import pytest

from minitransformer.trees import fill, leaves, tree_map, tree_with_paths

TREE = {"b": [1, {"d": 2, "c": 3}], "a": 4}


def test_leaves_in_the_order_of_the_names():
    assert leaves(TREE) == [("a", 4), ("b.0", 1), ("b.1.c", 3), ("b.1.d", 2)]
    assert leaves(dict(reversed(TREE.items()))) == leaves(TREE)
    assert leaves(5) == [("", 5)] and leaves({}) == leaves([]) == []


def test_lists_keep_their_order_beyond_ten():
    assert [leaf for _, leaf in leaves(list(range(12)))] == list(range(12))


def test_map_keeps_the_shape_of_the_tree():
    assert tree_map(lambda leaf: 10 * leaf, TREE) == {"b": [10, {"d": 20, "c": 30}], "a": 40}
    other = {"a": "w", "b": ["x", {"c": "y", "d": "z"}]}  # by name, in whatever order
    assert tree_map(lambda a, b: (a, b), TREE, other) == {
        "b": [(1, "x"), {"d": (2, "z"), "c": (3, "y")}],
        "a": (4, "w"),
    }
    assert tree_map(lambda a, b, c: a + b + c, TREE, TREE, TREE) == tree_map(lambda a: 3 * a, TREE)


def test_map_with_paths():
    assert tree_with_paths(lambda path, leaf: (path, leaf), TREE) == {
        "b": [("b.0", 1), {"d": ("b.1.d", 2), "c": ("b.1.c", 3)}],
        "a": ("a", 4),
    }


def template():
    return {"x": np.zeros((2, 3)), "y": [np.zeros(1), np.zeros(2)]}


def test_fill_is_the_inverse_of_leaves(rng):
    tree = tree_map(lambda a: rng.normal(size=a.shape), template())
    filled = fill(template(), dict(reversed(leaves(tree))))
    assert leaves(filled) == leaves(tree)  # the very same arrays
    assert filled.keys() == {"x", "y"} and type(filled["y"]) is list


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda named: named.pop("y.0"), "missing: y.0$"),
        (lambda named: named.update(z=np.zeros(1)), "not expected: z$"),
        (lambda named: named.update({"y.2": named.pop("y.1")}), "missing: y.1; not expected: y.2$"),
        (lambda named: named.clear(), "missing: x, y.0, y.1$"),
        (lambda named: named.update({f"z{i}": 0 for i in range(4)}), r"not expected: z0, z1, z2, \.\.\.$"),
        (lambda named: named.update(x=np.zeros((3, 2))), r"x has shape \(3, 2\) of float64, expected \(2, 3\)"),
    ],
)
def test_fill_says_what_does_not_fit(change, words):
    named = dict(leaves(template()))
    change(named)
    with pytest.raises(ValueError, match=words):
        fill(template(), named)
