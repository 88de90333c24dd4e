"""The tanh approximation of GELU (Hendrycks & Gimpel 2016, section 2), as GPT-2 has it.

forward     y = ½ x (1 + tanh u)        u = √(2/π) (x + 0.044715 x³)

backward    dy/dx = ½ (1 + tanh u) + ½ x (1 - tanh² u) u'        u' = √(2/π) (1 + 3 · 0.044715 x²)
"""

import numpy as np

from ..convention import backward_of, op

SQRT_2_OVER_PI = 0.7978845608028654


@op(x="...")
def gelu_tanh(x):
    """y = ½ x (1 + tanh u)        x (...)   ->   y (...)"""
    u = SQRT_2_OVER_PI * (x + 0.044715 * x * x * x)  # x**3 is hundreds of times slower where x < 0
    tanh_u = np.tanh(u)
    return 0.5 * x * (1 + tanh_u), (x, tanh_u)


@backward_of(gelu_tanh)
def gelu_tanh_backward(dy, saved):
    """dx = ½ dy (1 + tanh u + x (1 - tanh² u) u')"""
    x, tanh_u = saved
    du = SQRT_2_OVER_PI * (1 + 3 * 0.044715 * x * x)  # u = √(2/π) (x + 0.044715 x³)
    return 0.5 * dy * (1 + tanh_u + x * (1 - tanh_u * tanh_u) * du)
