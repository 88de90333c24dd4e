"""Masking: some tokens of a row are asked for, and most of these are hidden (Devlin et al. 2019, section 3.1, A.1).

    15 % of the tokens are chosen           special tokens never are; a row of n tokens has 0.15 n on average
    80 % of those are read as [MASK]
    10 % as another token, drawn from all that are not special
    10 % as what they are                   so that whatever is read may be wrong, and every place must be understood

All of them are asked for, and no other place is. With whole words, the pieces of a word are chosen together, and what
each is read as is drawn for each (as in the authors' code, whose words are skipped too where they do not fit any more).

A row's masks follow from a key. Static masking (BERT) draws them from the number of the row, so that they are the same
whenever it is seen; dynamic masking (Liu et al. 2019, section 4.1) from the step, so that they never are.
"""

from typing import NamedTuple

import numpy as np

from ..convention import generator
from .pairs import IGNORED

SHARE, MASKED, RANDOM = 0.15, 0.8, 0.1


class Vocabulary(NamedTuple):
    """What masking knows of a tokenizer."""

    mask: int  # the id of [MASK]
    special: np.ndarray  # ids that are never chosen
    ordinary: np.ndarray  # all others

    @classmethod
    def of(cls, tokenizer):
        """ValueError where the tokenizer has no token but special ones."""
        roles = ("pad", "unknown", "first", "separator", "mask")
        special = np.unique([getattr(tokenizer, role) for role in roles])
        ordinary = np.setdiff1d(np.arange(tokenizer.vocab_size), special)
        if not len(ordinary):
            raise ValueError("the vocabulary has no token but special ones")
        return cls(tokenizer.mask, special, ordinary)


def masked(ids, vocabulary, key, *, words=None, share=SHARE):
    """ids (T)   ->   ids (T) as they are read, targets (T): what was there, and -100 where nothing is asked

    words (T): the number of the word of each token, where words are to be chosen whole
    """
    rng = generator(key)
    places = np.flatnonzero(~np.isin(ids, vocabulary.special))
    chosen = choose(places, None if words is None else words[places], share, rng)
    targets = np.full_like(ids, IGNORED)
    targets[chosen] = ids[chosen]
    fate, drawn = rng.random(len(chosen)), rng.choice(vocabulary.ordinary, len(chosen))
    read = ids.copy()
    read[chosen[fate < MASKED]] = vocabulary.mask
    swapped = (fate >= MASKED) & (fate < MASKED + RANDOM)
    read[chosen[swapped]] = drawn[swapped]
    return read, targets


def choose(places, words, share, rng):
    """The places that are chosen, in order: a share of them on average, at least one where there is one.

    Of whole words, those that fit into that number: perhaps none.
    """
    if not len(places):
        return places
    number = max(1, int(share * len(places) + rng.random()))
    if words is None:
        return np.sort(rng.permutation(places)[:number])
    chosen, room = [], number
    for word in rng.permutation(np.unique(words)):
        pieces = places[words == word]
        if len(pieces) <= room:
            chosen.append(pieces)
            room -= len(pieces)
        if not room:
            break
    return np.sort(np.concatenate([places[:0], *chosen]))


def words_of(ids, beginnings, tokenizer):
    """ids (N), and at which places a sentence begins   ->   words (N): the number of the word of each token

    ValueError where every token is a word.
    """
    continues = getattr(tokenizer, "continues", lambda before, id: False)
    pairs, which = np.unique(np.stack([ids[:-1], ids[1:]]), axis=1, return_inverse=True)
    begins = np.array([not continues(before, id) for before, id in pairs.T.tolist()], bool)[which.reshape(-1)]
    begins = np.concatenate([[True], begins])
    begins[beginnings] = True
    if begins.all():
        raise ValueError("with this tokenizer every token is a word of its own: there are no whole words to mask")
    return begins.cumsum()
