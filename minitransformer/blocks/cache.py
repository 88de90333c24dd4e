"""What decoding remembers between its steps. This changes in place, and is an object so that one sees it."""

import numpy as np

from ..placing import to_device


class Cache:
    """The keys and values of one layer for every position so far; room for `length` of them.

    They lie in memory position after position, so that of a single sequence those so far are one contiguous piece.
    """

    def __init__(self, batch, n_heads, length, width, dtype):
        self.k = to_device(np.zeros((batch, length, n_heads, width), dtype)).swapaxes(1, 2)  # (B,H,length,K)
        self.v = to_device(np.zeros((batch, length, n_heads, width), dtype)).swapaxes(1, 2)
        self.length = 0

    def extend(self, k, v):
        """k, v (B, H, T, K) of the newest positions   ->   those of every position so far, (B, H, S, K)"""
        begin, end, room = self.length, self.length + k.shape[2], self.k.shape[2]
        if end > room:
            raise ValueError(f"{end} positions do not fit a cache with room for {room}")
        expected = (*self.k.shape[:2], end - begin, self.k.shape[3])
        for part in (k, v):
            if part.shape != expected or part.dtype != self.k.dtype:
                raise ValueError(f"{part.shape} of {part.dtype} does not fit a cache of {expected} of {self.k.dtype}")
        self.k[:, :, begin:end], self.v[:, :, begin:end] = k, v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]

    def reorder(self, rows):
        """Row i goes on from what row rows[i] remembered: beams change places."""
        rows = to_device(np.asarray(rows))
        self.k, self.v = (self.reordered(part.swapaxes(1, 2), rows).swapaxes(1, 2) for part in (self.k, self.v))

    def reordered(self, part, rows):
        """The part, (B, length, H, K), of these rows. The room that is left is not copied: it may be most of it."""
        new = to_device(np.zeros((len(rows), *part.shape[1:]), part.dtype))
        new[:, : self.length] = part[rows, : self.length]
        return new


class CrossCache(Cache):
    """A decoder layer's cache: beside its own past, the keys and values of the encoder's output, and their mask."""

    def __init__(self, batch, n_heads, length, width, dtype, memory):
        super().__init__(batch, n_heads, length, width, dtype)
        self.memory = memory  # k, v (B, H, S, K) and the mask (B, 1, 1, S), or None

    def reorder(self, rows):
        super().reorder(rows)
        k, v, mask = self.memory
        self.memory = (*(part[to_device(np.asarray(rows))] for part in (k, v)), None if mask is None else mask[rows])


class StateCache:
    """A recurrent decoder's: its states, of one size however long the text becomes, and what it looks back on."""

    def __init__(self, states, memory=()):
        self.states = tuple(states)  # (..., B, H) each, or None for zeros
        self.memory = tuple(memory)  # (B, ...) each, or None
        self.length = 0

    def move(self, states, n):
        """On by n tokens, to these states."""
        self.states, self.length = tuple(states), self.length + n

    def reorder(self, rows):
        """Row i goes on from what row rows[i] remembered: beams change places."""
        self.states = tuple(None if state is None else state[..., rows, :] for state in self.states)
        self.memory = tuple(None if part is None else part[rows] for part in self.memory)
