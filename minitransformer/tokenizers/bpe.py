"""Byte-pair encoding (Gage 1994; Sennrich et al. 2016, section 3.2) of bytes (Radford et al. 2019, section 2.2).

The text is cut into words (`pretokens`), each word into its UTF-8 bytes: 256 tokens, from which any text can be made.

training    again and again, the pair of neighbours that is most frequent in the text becomes a new token; of equally
            frequent ones, the pair with the smallest ids. The pairs in this order are the merges; the number of a
            merge is its rank.
encoding    the same merges in the same order: of all pairs in a word, the one of the lowest rank is merged, wherever
            it stands, until none is left that has a rank. Merging the leftmost pair instead gives other ids, which
            decode to the same text, so that no round trip shows it.

In "tell tell tell hot hot" the words are "tell", " tell" twice and " hot" twice. e|l, l|l and t|e come three times
each; e|l has the smallest ids, 101 and 108, and becomes token 256. Now t|256 and 256|l come three times, and so on:

>>> tokenizer = BPETokenizer.train("tell tell tell hot hot", vocab_size=263)
>>> tokenizer.tokens[256:]
[b'el', b'tel', b'tell', b' h', b' tell', b'ot', b' hot']
>>> tokenizer.merges[:3]
[(101, 108), (116, 256), (257, 108)]

In " hotel", e|l has the lowest rank, then t|el, then " "|h; by then no t is left for o|t:

>>> [tokenizer.tokens[id] for id in tokenizer.encode(" hotel")]
[b' h', b'o', b'tel']

(Leftmost first, it would be " hot" and "el".)

Both choices rest on one structure (`Pairs`), which knows where every pair stands; they differ in which pair is next.
"""

import heapq
import itertools
from collections import Counter, defaultdict

import numpy as np

from .pretokens import split
from .tokenizer import Tokenizer, field

END = -1  # stands between words: no pair goes over it


class BPETokenizer(Tokenizer):
    """tokens: [bytes], by id; merges: [(left id, right id)], by rank.

    Every byte must be a token, and so must what each merge makes: the bytes of its left token, then of its right one.
    The ids follow from the place in `tokens` alone, so that published tables fit whatever their order. ValueError for
    tables that are not like that.
    """

    name = "bpe"

    def __init__(self, tokens, merges):
        super().__init__(tokens)
        ids = {token: id for id, token in enumerate(tokens)}
        if len(ids) < len(tokens):
            raise ValueError("a token comes twice in the vocabulary")
        if missing := [byte for byte in range(256) if bytes([byte]) not in ids]:
            raise ValueError(f"{len(missing)} of the 256 bytes are no tokens, {missing[0]} the first of them")
        self.byte_ids = [ids[bytes([byte])] for byte in range(256)]
        self.merges, self.merged = merges, []  # merged: by rank, the id of what the merge makes
        for rank, (left, right) in enumerate(merges):
            if not (0 <= left < len(tokens) and 0 <= right < len(tokens) and tokens[left] + tokens[right] in ids):
                raise ValueError(f"merge {rank}, of the ids {left} and {right}, does not make a token")
            self.merged.append(ids[tokens[left] + tokens[right]])
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        if len(self.ranks) < len(merges):
            raise ValueError("a pair is merged twice")
        self.known = {}  # word -> ids

    @classmethod
    def train(cls, text, vocab_size):
        """A tokenizer of the 256 bytes and vocab_size - 256 merges, or fewer where no pair comes twice any more."""
        if vocab_size < 256:
            raise ValueError(f"vocab_size={vocab_size} has no room for the 256 bytes")
        words = Counter(split(text))
        pairs = Pairs((word.encode("utf-8"), times) for word, times in words.items())
        tokens, merges = [bytes([byte]) for byte in range(256)], []
        heap = [(-count, pair) for pair, count in pairs.counts.items()]
        heapq.heapify(heap)
        while heap and len(tokens) < vocab_size:
            count, pair = heapq.heappop(heap)
            if -count != pairs.counts[pair]:  # other merges have made it rarer since
                heapq.heappush(heap, (-pairs.counts[pair], pair))
                continue
            if -count < 2:
                break
            # A pair is born with its younger token and only becomes rarer later: no count in the heap is too low.
            for new in pairs.merge(pair, len(tokens)):
                heapq.heappush(heap, (-pairs.counts[new], new))
            tokens.append(tokens[pair[0]] + tokens[pair[1]])
            merges.append(pair)
        return cls(tokens, merges)

    def encode(self, text):
        """text   ->   ids (T) int64. ValueError for half a surrogate pair, which has no UTF-8."""
        words = split(text)
        for word in set(words) - self.known.keys():
            self.known[word] = self.encode_word(word)
        return np.fromiter(itertools.chain.from_iterable(self.known[word] for word in words), np.int64)

    def encode_word(self, word):
        """[ids] of one word: its bytes, merged lowest rank first"""
        pairs = Pairs([([self.byte_ids[byte] for byte in word.encode("utf-8")], 1)])
        heap = [self.ranks[pair] for pair in pairs.counts if pair in self.ranks]
        heapq.heapify(heap)
        while heap:
            rank = heapq.heappop(heap)
            for new in pairs.merge(self.merges[rank], self.merged[rank]):
                if new in self.ranks:
                    heapq.heappush(heap, self.ranks[new])
        return pairs.sequence()

    def to_json(self):
        """Tokens are written as Latin-1, in which every byte is one character."""
        return {
            "tokens": [token.decode("latin-1") for token in self.tokens],
            "merges": [list(pair) for pair in self.merges],
        }

    @classmethod
    def from_json(cls, data):
        tokens, merges = field(data, "tokens", list), field(data, "merges", list)
        if not all(isinstance(token, str) for token in tokens):
            raise ValueError("its 'tokens' are not all strings")
        for merge in merges:
            if not (isinstance(merge, list) and len(merge) == 2 and all(isinstance(id, int) for id in merge)):
                raise ValueError(f"its 'merges' are not all pairs of ids: {merge!r}")
        return cls([token.encode("latin-1") for token in tokens], [tuple(merge) for merge in merges])


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

    def sequence(self):
        """[ids] of the first sequence as it is now"""
        ids, place = [], self.after[0]
        while self.ids[place] != END:
            ids.append(self.ids[place])
            place = self.after[place]
        return ids
