"""Sums and maxima over the threads of a block.

In a warp, without memory: lane i adds what lane i ^ 16 has, then what lane i ^ 8 has, and so on. After five such steps
(a butterfly) every lane has the sum of all 32. Then the first lane of each warp writes its sum to shared memory, all
wait, and each thread adds up what the warps wrote.

The order of every sum is fixed by the shape of the block, so the same numbers give the same bits.
"""

from .device import WARP, WARPS, cuda, inlined

EVERYBODY = 0xFFFFFFFF  # all lanes of a warp take part


@inlined
def block_sum(x, of_warps):
    """Σ x over the block's threads, in each of them; of_warps: shared memory, a number for each warp"""
    distance = WARP // 2
    while distance:
        x += cuda.shfl_xor_sync(EVERYBODY, x, distance)
        distance //= 2
    cuda.syncthreads()  # whoever still reads the sum before this one
    if cuda.threadIdx.x % WARP == 0:
        of_warps[cuda.threadIdx.x // WARP] = x
    cuda.syncthreads()
    total = of_warps[0]
    for warp in range(1, WARPS):
        total += of_warps[warp]
    return total


@inlined
def block_max(x, of_warps):
    """The largest x of the block's threads, in each of them; whether it sees a NaN is not said"""
    distance = WARP // 2
    while distance:
        x = max(x, cuda.shfl_xor_sync(EVERYBODY, x, distance))
        distance //= 2
    cuda.syncthreads()
    if cuda.threadIdx.x % WARP == 0:
        of_warps[cuda.threadIdx.x // WARP] = x
    cuda.syncthreads()
    most = of_warps[0]
    for warp in range(1, WARPS):
        most = max(most, of_warps[warp])
    return most
