"""Neighbours that become one: what training a tokenizer of merges consists of, and encoding with one too."""

import heapq
from collections import Counter, defaultdict

END = -1  # stands between words: no pair goes over it


def frequent_pairs(pairs, n_tokens, most):
    """Merge the most frequent pair, again and again, until there are `most` tokens or no pair comes twice any more

    Yields each pair that was merged; its new id is the next number after n_tokens - 1. Of equally frequent ones it is
    the pair with the smallest ids.
    """
    heap = [(-count, pair) for pair, count in pairs.counts.items()]
    heapq.heapify(heap)
    while heap and n_tokens < most:
        count, pair = heapq.heappop(heap)
        if -count != pairs.counts[pair]:  # other merges have made it rarer since
            heapq.heappush(heap, (-pairs.counts[pair], pair))
            continue
        if -count < 2:
            return
        # A pair is born with its younger token and only becomes rarer later: no count in the heap is too low.
        for new in pairs.merge(pair, n_tokens):
            heapq.heappush(heap, (-pairs.counts[new], new))
        n_tokens += 1
        yield pair


def merged_in_turn(ids, ranks, products):
    """ids   ->   [ids], merged one place at a time: the pair of the lowest rank, and of equal ones the leftmost

    ranks: {pair: rank}   products: by rank, the id of what a pair becomes
    To merge a pair wherever it stands, at once, comes to the same if no merge ranks before those that make its halves,
    as of merges that were learnt. Published tables that were made from scores may have others.
    """
    ids, n = list(ids), len(ids)
    before, after = list(range(-1, n - 1)), list(range(1, n + 1))

    def rank_of(place):
        whole = 0 <= place < n and after[place] < n
        return ranks.get((ids[place], ids[after[place]])) if whole else None

    heap = [(rank, place) for place in range(n) if (rank := rank_of(place)) is not None]
    heapq.heapify(heap)
    while heap:
        rank, left = heapq.heappop(heap)
        if ids[left] is None or rank_of(left) != rank:
            continue  # a merge beside it came first
        right = after[left]
        ids[left], ids[right], after[left] = products[rank], None, after[right]
        if after[left] < n:
            before[after[left]] = left
        for place in (before[left], left):
            if (new := rank_of(place)) is not None:
                heapq.heappush(heap, (new, place))
    return [id for id in ids if id is not None]


class Pairs:
    """Sequences of ids and where every pair of neighbours stands in them, so that a merge costs what it touches.

    The sequences lie in one row with END around each. A place keeps its number for good: a merge leaves the new id at
    the place of the left half and takes the place of the right half out of the links between neighbours.
    """

    def __init__(self, sequences):
        """sequences: (ids, how often this one counts), ..."""
        self.ids, self.times = [END], [0]
        for ids, times in sequences:
            self.ids += [*ids, END]
            self.times += [times] * (len(ids) + 1)
        self.before = list(range(-1, len(self.ids) - 1))
        self.after = list(range(1, len(self.ids) + 1))
        self.places = defaultdict(set)  # pair -> the places of its left half
        self.counts = Counter()  # pair -> how often it comes; "aaa" has a|a twice
        for place in range(len(self.ids) - 1):
            self.add(place)

    def pair(self, place):
        """The pair whose left half is here; None beside an END."""
        pair = self.ids[place], self.ids[self.after[place]]
        return None if END in pair else pair

    def add(self, place):
        if pair := self.pair(place):
            self.places[pair].add(place)
            self.counts[pair] += self.times[place]

    def remove(self, place):
        if pair := self.pair(place):
            self.places[pair].remove(place)
            self.counts[pair] -= self.times[place]

    def merge(self, pair, new):
        """Make `new` of the pair wherever it stands, from left to right   ->   the pairs that came up by it, a set"""
        born = set()
        places = self.places[pair]
        for left in sorted(places):
            if left not in places:  # in "aaa", the first a|a has taken the second one's left half
                continue
            before, right = self.before[left], self.after[left]
            for place in (before, left, right):
                self.remove(place)
            self.ids[left] = new
            self.after[left] = after = self.after[right]
            self.before[after] = left
            for place in (before, left):
                self.add(place)
                born.add(self.pair(place))
        return born - {None}
