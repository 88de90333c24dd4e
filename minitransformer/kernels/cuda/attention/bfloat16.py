"""bfloat16: float32 without its last 16 bits of mantissa. NumPy has no such type; its bits travel in uint16.

Sign, 8 bits of exponent, 7 of mantissa: the range of float32, and 2 to 3 decimal digits. Rounding is to the nearest, a
tie to the even one, which adding 0x7fff and the last bit that stays does; a relative error of at most 2⁻⁸.
"""

import numpy as np

EPS = 2.0**-8  # the largest relative error of rounding


def to_bfloat16(x):
    """The bits (uint16) of float32 numbers rounded to bfloat16; a NaN stays one."""
    bits = x.astype(np.float32).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1)).astype(np.uint32)) >> 16
    return np.where(np.isnan(x), np.uint32(0x7FC0), rounded).astype(np.uint16)


def from_bfloat16(bits):
    """float32 numbers, exactly"""
    return (bits.astype(np.uint32) << 16).view(np.float32)
