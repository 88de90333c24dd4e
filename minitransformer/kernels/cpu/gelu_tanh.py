"""GELU with tanh as a kernel: one pass over x each way, and nothing is kept but x.

With σ(u) = 1 / (1 + exp(-u)), ½ (1 + tanh u) = σ(2u): one exponential, and no digits are lost on the left, where
1 + tanh u is a small difference. The backward computes σ again, which costs less than to write it and read it back.

forward     y = x σ(v)                          v = 2 √(2/π) (x + 0.044715 x³)

backward    dx = dy (σ + x σ (1 - σ) v')        v' = 2 √(2/π) (1 + 3 · 0.044715 x²)
"""

from ... import ops
from .compiled import compiled
from .elementwise import elementwise
from .functions import sigmoid

SQRT_2_OVER_PI = 0.7978845608028654


@compiled
def forward(x, y):
    one = x.dtype.type
    a, b = one(2 * SQRT_2_OVER_PI), one(0.044715)
    for i in range(x.size):
        z = x[i]
        y[i] = z * sigmoid(a * (z + b * z * z * z))


@compiled
def backward(dy, x, dx):
    one = x.dtype.type
    a, b = one(2 * SQRT_2_OVER_PI), one(0.044715)
    for i in range(x.size):
        z = x[i]
        s = sigmoid(a * (z + b * z * z * z))
        dx[i] = dy[i] * (s + z * s * (one(1) - s) * a * (one(1) + one(3) * b * z * z))


ops.gelu_tanh.implement("cpu", *elementwise(forward, backward))
