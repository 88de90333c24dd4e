"""Byte-pair encoding as its definition says, with nothing remembered from one merge to the next; and one way wrong."""

from collections import Counter
from itertools import pairwise

from minitransformer.tokenizers.pretokens import split


def merged(ids, pair, new):
    """`ids` with `new` for the pair wherever it stands, from left to right"""
    result = []
    for id in ids:
        if result and (result[-1], id) == pair:
            result[-1] = new
        else:
            result.append(id)
    return result


def train(text, n_merges):
    """[(left, right)] by rank, every pair counted anew for every merge"""
    words = [list(word.encode("utf-8")) for word in split(text)]
    merges = []
    for new in range(256, 256 + n_merges):
        counts = Counter(pair for word in words for pair in pairwise(word))
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        merges.append(best)
        words = [merged(word, best, new) for word in words]
    return merges


def encode_word(tokenizer, word, which):
    """[ids] of one word: of the pairs that have a rank, `which` says which is merged next, one place at a time"""
    ids = [tokenizer.byte_ids[byte] for byte in word.encode("utf-8")]
    while True:
        ranked = [(tokenizer.ranks[pair], place) for place, pair in enumerate(pairwise(ids)) if pair in tokenizer.ranks]
        if not ranked:
            return ids
        rank, place = which(ranked)
        ids[place : place + 2] = [tokenizer.merged[rank]]


def lowest_rank(ranked):
    return min(ranked)


def leftmost(ranked):
    return min(ranked, key=lambda rank_and_place: rank_and_place[1])
