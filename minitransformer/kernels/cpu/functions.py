"""Functions of one number that vectorise inside a loop, which those of the C library do not.

    exp(x) = 2ⁿ exp(r)        n = ⌊x / ln 2 + ½⌋        r = x - n ln 2, at most ½ ln 2 away from 0

exp(r) is its Taylor series, long enough for the precision: the next term is below half a unit in the last place. n ln 2
is taken away in two parts, the first of which has so few digits that its product with n is exact. 2ⁿ is made by writing
n into the exponent's bits. Below the smallest normal number the result is 0.

Only negative numbers have their exponential here. A softmax takes its largest score away first, so it asks for no
other; nor does σ, written as below. That saves the care which large results need.

    σ(x) = 1 / (1 + exp(-|x|)) for x ≥ 0, and exp(-|x|) / (1 + exp(-|x|)) below

Nor does the hyperbolic tangent. Near 0 it must not take 1 away from what is nearly 1: the series without its first term
is exp(r) - 1, in which nothing was lost. Further out it is 1 less something small, whose rounding is smaller still, so
that its slope 1 - tanh² keeps its digits as well as can be:

    e = exp(-2|x|) = 2ⁿ (exp(r) - 1) + 2ⁿ                   tanh(x) = ±m / (1 + e), |x| < ½
    m = 1 - e      = -2ⁿ (exp(r) - 1) - (2ⁿ - 1)                      ±(1 - 2e / (1 + e))

The normal distribution's Φ is made of it too, in float32. With z = |x| / √2, erfc(z) = exp(-z²) erfcx(z), and what is
left is a smooth function of t = 1 / (1 + 0.4 z), which runs from 1 to 0 as z from 0 to ∞:

    Φ(-|x|) = ½ exp(-x²/2) t P(t)       P(t) = erfcx(z) / t, the polynomial of degree 10 through its Chebyshev points

No difference of large numbers is taken, however far to the left; what remains is the rounding of x².
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

LOG2_E = 1 / math.log(2)
SQRT_2, SQRT_2_PI = math.sqrt(2), math.sqrt(2 * math.pi)
ERFCX = (  # of P above, the constant first
    0.2256758315,
    0.2256763169,
    0.2076007204,
    0.1718905719,
    0.1180951229,
    0.08712064218,
    -0.05379316758,
    0.1468032475,
    -0.2430417334,
    0.1438410701,
    -0.02986862865,
)
LANES = 64  # how many running maxima stand side by side


@intrinsic
def as_float(context, i):
    """The floating number with the bits of this integer, of 32 or 64."""
    to, number = (types.float32, ir.FloatType()) if i.bitwidth == 32 else (types.float64, ir.DoubleType())
    return to(i), lambda context, builder, signature, args: builder.bitcast(args[0], number)


@register_jitable(fastmath={"contract"})
def exp32(x):
    one = np.float32
    n = np.floor(x * one(LOG2_E) + one(0.5))
    r = x - n * one(0.693359375) - n * one(-2.1219444005469057e-4)
    y = one(1 / 5040)
    for factorial in (720, 120, 24, 6, 2, 1, 1):
        y = y * r + one(1 / factorial)
    y *= as_float(np.int32((np.int32(n) + 127) << 23))  # Numba's integers widen to 64 bits at every step
    return one(0) if x < one(-87.3365447505531) else y


@register_jitable(fastmath={"contract"})
def exp64(x):
    n = np.floor(x * LOG2_E + 0.5)
    r = x - n * 0.6931471803691238 - n * 1.9082149292705877e-10
    y = 1 / 6227020800
    for factorial in (479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1):
        y = y * r + 1 / factorial
    y *= as_float((np.int64(n) + 1023) << 52)
    return 0.0 if x < -708.3964185322641 else y


def exp_negative(x):
    """e to the power x ≤ 0, a float32 or a float64, for use in a kernel; off by at most 2 units in the last place.

    An x that rounding left just above 0 is fine.
    """
    raise TypeError("exp_negative is for kernels: compiled code alone can call it")


@overload(exp_negative, inline="always")
def choose_exp(x):
    if x == types.float32:
        return lambda x: exp32(x)
    if x == types.float64:
        return lambda x: exp64(x)


def sigmoid(x):
    """σ(x) = 1 / (1 + exp(-x)), a float32 or a float64, for use in a kernel; it keeps its digits on either side."""
    raise TypeError("sigmoid is for kernels: compiled code alone can call it")


@overload(sigmoid)
def choose_sigmoid(x):
    exp, one = (exp32, np.float32(1)) if x == types.float32 else (exp64, np.float64(1))

    def sigmoid_of(x):
        e = exp(-abs(x))
        return (one if x >= 0 else e) / (one + e)

    return sigmoid_of


@register_jitable(fastmath={"contract"})
def parts_of_exp32(x):
    """2ⁿ (exp(r) - 1) and 2ⁿ, whose sum is exp(x), for an x whose exponential is a normal number"""
    one = np.float32
    n = np.floor(x * one(LOG2_E) + one(0.5))
    r = x - n * one(0.693359375) - n * one(-2.1219444005469057e-4)
    y = one(1 / 5040)
    for factorial in (720, 120, 24, 6, 2, 1):
        y = y * r + one(1 / factorial)
    power = as_float(np.int32((np.int32(n) + 127) << 23))
    return y * r * power, power


@register_jitable(fastmath={"contract"})
def parts_of_exp64(x):
    n = np.floor(x * LOG2_E + 0.5)
    r = x - n * 0.6931471803691238 - n * 1.9082149292705877e-10
    y = 1 / 6227020800
    for factorial in (479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1):
        y = y * r + 1 / factorial
    power = as_float((np.int64(n) + 1023) << 52)
    return y * r * power, power


def tanh(x):
    """tanh(x), a float32 or a float64, for use in a kernel; it keeps its digits near 0."""
    raise TypeError("tanh is for kernels: compiled code alone can call it")


@overload(tanh)
def choose_tanh(x):
    return (lambda x: tanh32(x)) if x == types.float32 else (lambda x: tanh64(x))


@register_jitable(fastmath={"contract"})
def tanh32(x):
    one, z = np.float32(1), np.float32(-2) * abs(x)
    z = np.float32(-80) if z < np.float32(-80) else z  # from where on it is 1
    change, power = parts_of_exp32(z)
    e, m, near = change + power, -change - (power - one), z > -one
    part = (m if near else e + e) / (one + e)
    y = part if near else one - part
    return y if x >= np.float32(0) else -y


@register_jitable(fastmath={"contract"})
def tanh64(x):
    z = -2.0 * abs(x)
    z = -80.0 if z < -80.0 else z
    change, power = parts_of_exp64(z)
    e, m, near = change + power, -change - (power - 1.0), z > -1.0
    part = (m if near else e + e) / (1.0 + e)
    y = part if near else 1.0 - part
    return y if x >= 0.0 else -y


def normal(x):
    """Φ(x) and φ(x), the normal distribution and its density, for use in a kernel; x a float32 or a float64."""
    raise TypeError("normal is for kernels: compiled code alone can call it")


@overload(normal, inline="always")
def choose_normal(x):
    return (lambda x: normal32(x)) if x == types.float32 else (lambda x: normal64(x))


@register_jitable(fastmath={"contract"})
def normal32(x):
    one = np.float32
    e = exp_negative(one(-0.5) * x * x)
    t = one(1) / (one(1) + one(0.4 / SQRT_2) * abs(x))
    y = one(ERFCX[10])
    for i in range(9, -1, -1):
        y = y * t + one(ERFCX[i])
    tail = one(0.5) * e * t * y
    return tail if x < one(0) else one(1) - tail, e * one(1 / SQRT_2_PI)


@register_jitable(fastmath={"contract"})
def normal64(x):
    return 0.5 * math.erfc(-x / SQRT_2), exp_negative(-0.5 * x * x) / SQRT_2_PI  # erfc is the C library's


@register_jitable(fastmath={"contract"})
def minus(a, b):
    """a - b, and no other number: where sums may be taken in any order, a part of it would go to what comes before."""
    return a - b


@register_jitable
def largest(row, lanes):
    """The largest of a row; a NaN may be passed over. lanes (LANES): room for so many running maxima.

    One running maximum would not vectorise: LLVM keeps the order in which a NaN might be met. Side by side, they do.
    """
    lanes[:] = row.dtype.type(-np.inf)
    whole = len(row) // LANES * LANES
    for begin in range(0, whole, LANES):
        for i in range(LANES):
            lanes[i] = row[begin + i] if row[begin + i] > lanes[i] else lanes[i]
    for i in range(whole, len(row)):
        lanes[0] = row[i] if row[i] > lanes[0] else lanes[0]
    most = lanes[0]
    for i in range(1, LANES):
        most = lanes[i] if lanes[i] > most else most
    return most
