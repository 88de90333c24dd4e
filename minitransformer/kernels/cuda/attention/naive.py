"""The first rung: one thread a row. Right, short, and slow for one reason alone: memory.

A thread has one query, and goes along the keys: once for the largest score, once more for the weights, whose sum and
whose share of the values it adds up. Nothing is kept but what comes out, and lse = m + log l, one number a query, from
which the backward makes each weight again.

    forward     m = max s        l = Σ exp(s - m)        y = Σ exp(s - m) v / l        lse = m + log l

    backward    a thread has one query:     δ = Σ_K dy y        w = exp(s - lse)        ds = w (dy vᵀ - δ)
                                            dq = Σ ds k / √K
                a thread has one key:       dv = Σ w dy         dk = Σ ds q / √K       over the queries of its heads

What it costs, for a query and a key of K numbers:

    operations  forward: 2 K for q kᵀ, twice, and 2 K for w v        6 K
    bytes       each number is asked of memory when it is needed: q and k twice (16 K), v once (4 K), and y, which is
                too long for a thread's registers, is fetched and put back (8 K)        28 K

That is 0.2 operations a byte, where a GPU that does 67 tera-operations a second reads 4.8 terabytes: it wants 14. The
caches catch much of it, but not by design. Threads next to each other read queries that lie K numbers apart, so that of
each 32 bytes that come, 4 are used at once.
"""

import math
from functools import cache

from numba import cuda, float32

from ..arrays import empty
from ..device import launch
from .masks import NOTHING, may_attend, visible
from .problem import blocks, problem, upstream

THREADS = 64  # of a block; they share nothing, so any number would do


def attention(q, k, v, bias=None, *, mask=None, causal=False, dropout_rate=0.0, key=None):
    given = problem("naive", q, k, v, bias, mask, causal, dropout_rate, key)
    q = given.q
    y, lse = empty(q.shape, q), empty(q.shape[:2], q)
    grid = blocks(q.shape[1], THREADS), q.shape[0]
    launch(forward_kernel(*given.variant), grid, THREADS, *given.arguments, y, lse, given.scale)
    return given.of_queries(y), (given, y, lse)


def attention_backward(dy, saved):
    """dq, dk, dv, dbias = None"""
    given, y, lse = saved
    q, k, v = given[:3]
    dy = upstream(dy, given)
    dq, dk, dv = (empty(x.shape, x) for x in (q, k, v))
    delta = empty(lse.shape, lse)
    of_queries, of_keys = query_kernel(*given.variant), key_kernel(*given.variant)
    grid = blocks(q.shape[1], THREADS), q.shape[0]
    launch(of_queries, grid, THREADS, dy, *given.arguments, y, lse, delta, dq, given.scale)
    grid = blocks(k.shape[1], THREADS), k.shape[0]
    launch(of_keys, grid, THREADS, dy, *given.arguments, lse, delta, dk, dv, given.scale)
    return given.of_queries(dq), given.of_keys(dk), given.of_keys(dv), None


@cuda.jit(device=True, inline="always")
def dot(a, n, i, b, g, j, K):
    """Row i of head n of a times row j of head g of b"""
    total = float32(0)
    for c in range(K):
        total += a[n, i, c] * b[g, j, c]
    return total


@cache
def forward_kernel(K, causal, masked):
    @cuda.jit
    def naive_forward(q, k, v, mask, n_heads, y, lse, scale):
        """A thread: the y and lse of one query"""
        i, n = cuda.grid(1), cuda.blockIdx.y  # query i of head n
        T, S = q.shape[1], k.shape[1]
        if i >= T:
            return
        g = n // (q.shape[0] // k.shape[0])  # the head of its keys
        seen = visible(i + 1, T, S, causal)
        m, l = NOTHING, float32(0)
        for j in range(seen):
            if not masked or may_attend(mask, n_heads, n, i, j):
                m = max(m, dot(q, n, i, k, g, j, K) * scale)
        for c in range(K):
            y[n, i, c] = float32(0)
        for j in range(seen):
            if not masked or may_attend(mask, n_heads, n, i, j):
                w = math.exp(dot(q, n, i, k, g, j, K) * scale - m)
                l += w
                for c in range(K):
                    y[n, i, c] += w * v[g, j, c]
        if l > float32(0):  # else it may attend to nothing: y stays zero, and lse -∞
            for c in range(K):
                y[n, i, c] /= l
            m += math.log(l)
        lse[n, i] = m

    return naive_forward


@cache
def query_kernel(K, causal, masked):
    @cuda.jit
    def naive_query_gradients(dy, q, k, v, mask, n_heads, y, lse, delta, dq, scale):
        """A thread: the dq of one query, and its δ, which the keys will want"""
        i, n = cuda.grid(1), cuda.blockIdx.y
        T, S = q.shape[1], k.shape[1]
        if i >= T:
            return
        g = n // (q.shape[0] // k.shape[0])
        own_delta = dot(dy, n, i, y, n, i, K)
        delta[n, i] = own_delta
        for c in range(K):
            dq[n, i, c] = float32(0)
        for j in range(visible(i + 1, T, S, causal)):
            if not masked or may_attend(mask, n_heads, n, i, j):
                w = math.exp(dot(q, n, i, k, g, j, K) * scale - lse[n, i])
                ds = w * (dot(dy, n, i, v, g, j, K) - own_delta)  # w = softmax(s)
                for c in range(K):
                    dq[n, i, c] += ds * scale * k[g, j, c]  # s = q kᵀ / √K

    return naive_query_gradients


@cache
def key_kernel(K, causal, masked):
    @cuda.jit
    def naive_key_gradients(dy, q, k, v, mask, n_heads, lse, delta, dk, dv, scale):
        """A thread: the dk and dv of one key, summed over the heads that share it"""
        j, g = cuda.grid(1), cuda.blockIdx.y  # key j of head g
        T, S, R = q.shape[1], k.shape[1], q.shape[0] // k.shape[0]
        if j >= S:
            return
        for c in range(K):
            dk[g, j, c] = float32(0)
            dv[g, j, c] = float32(0)
        first = max(j + T - S, 0) if causal else 0  # the first query that sees key j
        for n in range(g * R, (g + 1) * R):
            for i in range(first, T):
                if not masked or may_attend(mask, n_heads, n, i, j):
                    w = math.exp(dot(q, n, i, k, g, j, K) * scale - lse[n, i])
                    ds = w * (dot(dy, n, i, v, g, j, K) - delta[n, i])  # w = softmax(s)
                    for c in range(K):
                        dv[g, j, c] += w * dy[n, i, c]  # y = w v
                        dk[g, j, c] += ds * scale * q[n, i, c]  # s = q kᵀ / √K

    return naive_key_gradients
