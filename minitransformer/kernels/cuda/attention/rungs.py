"""The rungs of the ladder, and what each can do; none is imported before it is asked for."""

import importlib
from functools import cache
from typing import NamedTuple


class Rung(NamedTuple):
    """One way to compute attention, in a file of its own.

    precision   "float32", or "bfloat16": 16-bit numbers in and out, carried as their bits in uint16 (bfloat16.py), and
                sums in float32
    widths      of a head that it offers; None: any
    backward    whether it has one
    capability  of the device, at least
    changed     what it does that the rung below does not
    """

    name: str
    precision: str
    widths: tuple | None
    backward: bool
    changed: str
    capability: tuple = (7, 0)

    def attention(self, q, k, v, bias=None, **settings):
        """y, saved: like minitransformer.ops.attention, over arrays on the device"""
        return self.module.attention(q, k, v, bias, **settings)

    def attention_backward(self, dy, saved):
        """dq, dk, dv, dbias (None: no rung has a bias)"""
        return self.module.attention_backward(dy, saved)

    def offers(self, K):
        return self.widths is None or K in self.widths

    @property
    def module(self):
        return importlib.import_module(f"{__package__}.{self.name}")


AMPERE = (8, 0)  # the first with bfloat16
RUNGS = {
    rung.name: rung
    for rung in (
        Rung("naive", "float32", None, True, "one thread a row"),
        Rung("tiled", "float32", (8, 16, 32, 64, 128), False, "keys and values shared by a block"),
        Rung("flash", "float32", (8, 16, 32, 64, 128), True, "one walk over the keys under a running softmax"),
        Rung("flash_registers", "float32", (32, 64, 128), True, "tiles of registers, sums across a warp"),
        Rung("tensor_cores", "bfloat16", (16, 32, 64, 128), True, "16 × 16 × 8 products in one instruction", AMPERE),
        Rung("tensor_cores_float32", "float32", (32, 64, 128), True, "float32 as three bfloat16 there", AMPERE),
    )
}


@cache
def that_can(precision, K, backward, capability=None):
    """The names of the rungs that can do this, best first; capability: of the device, None for one that can do all"""
    return [
        rung.name
        for rung in reversed(RUNGS.values())
        if rung.precision == precision
        and rung.offers(K)
        and rung.backward >= backward
        and (capability is None or capability >= rung.capability)
    ]
