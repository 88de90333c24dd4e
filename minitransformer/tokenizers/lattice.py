"""All ways to cut words into pieces, weighted: their sum, and how it feels each piece (Kudo 2018, section 3.2).

The lattice of a word of n characters has a node before, between and behind them, and an edge for each piece of the
vocabulary that it contains, from where the piece begins to where it ends. A path from node 0 to node n is one way to
cut the word; its probability is the product of those of its pieces. With s(x) the logarithm of that of piece x:

    log Z = log Σ_paths exp Σ_{x in path} s(x)

There are up to 2ⁿ⁻¹ paths, but what reaches node j comes over its last edge, and so the sum is made node by node:

    a_0 = 0,    a_j = log Σ_{edges (i, j, x)} exp(a_i + s(x)),    log Z = a_n                         (forward)

Backward, ∂a_j/∂a_i = ∂a_j/∂s(x) = exp(a_i + s(x) - a_j), the share of the paths to j that come over this edge. With
da_n given:

    share = exp(a_i + s(x) - a_j) da_j,    ds(x) += share,    da_i += share                           (from n down to 1)

For da_n = 1 the result has a name: ∂ log Z / ∂s(x) = Σ_paths P(path) (how often x is in it), the expected count of x.
The forward-backward algorithm is the forward pass and its backward.
"""

import numpy as np

NONE = -1  # no piece: the last row of a table with -∞ in it


def edges(words, ids, longest):
    """words, W of n characters each   ->   (n, L, W), L = min(n, longest): which pieces there are in them

    At (j, l, w) stands the id of the piece of l + 1 characters that ends with character j of word w, or NONE.
    """
    n = len(words[0])
    found = np.full((n, min(n, longest), len(words)), NONE, np.int32)
    for end in range(1, n + 1):
        for length in range(1, min(end, longest) + 1):
            found[end - 1, length - 1] = [ids.get(word[end - length : end], NONE) for word in words]
    return found


def log_sum(scores, *, edges):
    """scores (V), edges (n, L, W)   ->   log Z (W), -∞ for a word without a path, saved"""
    table = np.append(scores, scores.dtype.type(-np.inf))
    n, longest, W = edges.shape
    a = np.zeros((n + 1, W), scores.dtype)
    for j in range(1, n + 1):
        m = min(j, longest)  # how long a piece may be that ends here
        paths = a[j - m : j][::-1] + table[edges[j - 1, :m]]  # (m, W)
        most = finite(paths.max(0))
        with np.errstate(divide="ignore"):
            a[j] = most + np.log(np.exp(paths - most).sum(0))
    return a[n], (a, table, edges)


def finite(a):
    """0 in place of the -∞ of a node that no path reaches: no -∞ is taken from -∞"""
    return np.where(a == -np.inf, 0, a)


def log_sum_backward(dz, saved):
    """ds (V): with dz = how often each word comes, the expected counts of the pieces"""
    a, table, edges = saved
    n, longest, _ = edges.shape
    ds, da = np.zeros_like(table), np.zeros_like(a)
    da[n] = dz  # log Z = a_n
    for j in range(n, 0, -1):
        m = min(j, longest)
        pieces = edges[j - 1, :m]
        paths = a[j - m : j][::-1] + table[pieces]
        share = np.exp(paths - finite(a[j])) * da[j]  # a_j = log Σ exp(a_i + s(x))
        np.add.at(ds, pieces, share)
        da[j - m : j] += share[::-1]
    return ds[:-1]


def best_sum(scores, *, edges):
    """The score of the likeliest path alone (W), -∞ where there is none: a maximum in place of each sum."""
    table = np.append(scores, scores.dtype.type(-np.inf))
    n, longest, W = edges.shape
    a = np.zeros((n + 1, W), scores.dtype)
    for j in range(1, n + 1):
        m = min(j, longest)
        a[j] = (a[j - m : j][::-1] + table[edges[j - 1, :m]]).max(0)
    return a[n]
