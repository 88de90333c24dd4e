"""How a unigram tokenizer learns its pieces (Kudo 2018, section 3.2): from far too many down to those that matter.

The text is cut into words; word w comes n_w times. What is maximised is the likelihood of the words, however cut,

    L = Σ_w n_w log Z_w,    Z_w = Σ_paths Π_{x in path} p(x)                               (`lattice`)

seeds         all characters, and of the other substrings those that fill most of the text: count times length
expectation   c(x) = Σ_w n_w ∂ log Z_w / ∂ log p(x), how often x is expected: the backward of the forward
maximisation  By Jensen's inequality L is at least Σ_x c(x) log p(x) + const, and equal to it at the present p. Under
              Σ p = 1, with a multiplier λ, the derivative is c(x)/p(x) - λ = 0, hence p(x) = c(x) / Σ c. So L never
              becomes smaller.
pruning       without x, each of its places is cut as x itself is cut best otherwise, and L loses about
              c(x) (log p(x) - log p(best other path)). Those that are missed least go, a quarter of all at most; then
              again from the expectation on, until there are as many as asked for. Characters stay, so that every word
              has a path.
"""

from collections import Counter, defaultdict

import numpy as np

from .lattice import NONE, best_sum, edges, log_sum, log_sum_backward

LONGEST = 16  # characters of a piece
PART = 1000  # characters of a word, as it is learnt from
SEEDS = 10  # times the pieces that are asked for
STEPS = 2  # of expectation and maximisation, before pruning
KEPT = 0.75  # of the pieces, at least, at each pruning
RARE = 0.5  # what is expected less often goes; a character counts as so much, at least


def learnt_pieces(words, n_pieces):
    """{word: how often}   ->   pieces, their log-probabilities: characters, and more up to n_pieces; likeliest first

    ValueError where n_pieces has no room for the characters.
    """
    words = in_parts(words)
    pieces, n_characters = seeds(words, SEEDS * n_pieces)
    if n_characters > n_pieces:
        raise ValueError(f"there is room for {n_pieces} pieces, but there are {n_characters} characters")
    if not pieces:
        return [], np.zeros(0)
    groups, around = lattices(words, pieces), ways_around(pieces)
    scores = np.full(len(pieces), -np.log(len(pieces)))
    while True:
        for _ in range(STEPS):
            _, counts = expected(scores, groups)
            counts[n_characters:][counts[n_characters:] < RARE] = 0
            counts[:n_characters] = np.maximum(counts[:n_characters], RARE)
            scores = maximised(counts)
        left = np.count_nonzero(counts)
        if left <= n_pieces:
            break
        scores[least_missed(scores, counts, around, left - max(n_pieces, int(KEPT * left)))] = -np.inf
    likeliest = np.argsort(-scores, kind="stable")[:left]
    return [pieces[i] for i in likeliest], scores[likeliest]


def in_parts(words):
    """The words, longer ones cut: few pieces stand across a cut, and parts of one length go side by side (`lattice`)

    A text without spaces, as Chinese is written, is a single word.
    """
    parts = Counter()
    for word, times in words.items():
        for begin in range(0, len(word), PART):
            parts[word[begin : begin + PART]] += times
    return parts


def seeds(words, most):
    """pieces, how many of them are characters (which come first)"""
    characters = sorted(set().union(*words))
    counts = Counter()
    for word, times in words.items():
        for n in range(2, min(LONGEST, len(word)) + 1):
            for begin in range(len(word) - n + 1):
                counts[word[begin : begin + n]] += times
    filling = sorted((-len(piece) * times, piece) for piece, times in counts.items() if times > 1)
    return [*characters, *(piece for _, piece in filling[:most])], len(characters)


def of_one_length(words):
    """[[words of one length], ...]"""
    groups = defaultdict(list)
    for word in words:
        groups[len(word)].append(word)
    return list(groups.values())


def lattices(words, pieces):
    """[(edges (n, L, W), how often each of the words comes (W)), ...], a length at a time"""
    ids = {piece: id for id, piece in enumerate(pieces)}
    return [
        (edges(group, ids, LONGEST), np.array([words[word] for word in group], float)) for group in of_one_length(words)
    ]


def ways_around(pieces):
    """[(ids (W), edges of these pieces without the one that is the whole), ...], of pieces that are no characters"""
    ids, found = {piece: id for id, piece in enumerate(pieces)}, []
    for group in of_one_length(piece for piece in pieces if len(piece) > 1):
        lattice = edges(group, ids, LONGEST)
        lattice[-1, -1] = NONE
        found.append((np.array([ids[piece] for piece in group]), lattice))
    return found


def expected(scores, groups):
    """L, c (V) for pieces of these log-probabilities"""
    likelihood, counts = 0.0, np.zeros_like(scores)
    for lattice, times in groups:
        log_z, saved = log_sum(scores, edges=lattice)
        likelihood += times @ log_z  # L = Σ n_w log Z_w
        counts += log_sum_backward(times, saved)
    return likelihood, counts


def maximised(counts):
    """log p(x) = log c(x) - log Σ c; -∞ for pieces that have gone"""
    with np.errstate(divide="ignore"):
        return np.log(counts) - np.log(counts.sum())


def least_missed(scores, counts, around, n):
    """The ids of n pieces without which L loses the least."""
    loss = np.full(len(scores), np.inf)
    for ids, lattice in around:
        there = counts[ids] > 0
        others = best_sum(scores, edges=lattice)
        loss[ids[there]] = counts[ids[there]] * (scores[ids[there]] - others[there])
    return np.argsort(loss, kind="stable")[:n]
