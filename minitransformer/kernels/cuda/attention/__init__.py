"""Attention on CUDA as a staircase: six rungs from one thread a row up to tensor cores, each a file.

    naive                 one thread a row
    tiled                 keys and values shared by a block
    flash                 one walk over the keys under a running softmax
    flash_registers       tiles of registers, sums across a warp
    tensor_cores          bf16: 16 × 16 × 8 products in one instruction, while the next tile is on its way
    tensor_cores_float32  float32 there too: each number as three bfloat16

Every file begins with what changed against the rung below and why that is faster. All of them have one interface:

    y, saved = RUNGS["flash"].attention(q, k, v, mask=mask, causal=True)
    dq, dk, dv, _ = RUNGS["flash"].attention_backward(dy, saved)

over arrays on the device: CuPy's, and NumPy's own in the simulator. Importing this imports no compiler.
"""

from .rungs import RUNGS, Rung
