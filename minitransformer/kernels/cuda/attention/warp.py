"""What Python has no words for: what a warp does as one, and how 16 bytes are moved at once.

On a GPU each is one instruction of PTX (ptx.py); in the simulator, a twin in Python that does what the manual says of
it (twins.py), and checks what the GPU would not forgive: that an address is a multiple of what is moved.

    load4(x, at)                        four float32 of x, which lies in global memory, from its at-th on: 16 bytes;
                                        load2: two of them
    load_shared4(m, at)                 the same from shared memory; load_shared2: two of them
    store_shared4(m, at, a, b, c, d)    four float32 to it
    copy_async16(m, at, x, there, n)    begin to copy 16 bytes from global x[there:] to shared m[at:], past the
                                        registers, while the thread goes on; n = 0: zeros, and nothing is read
    copy_async4(m, at, x, there, n)     the same with 4 bytes
    wait_for_copies()                   until all that this thread has begun are there
    ldmatrix(m, at)                     the warp reads four 8 × 8 matrices of 16-bit numbers; lane l says where row
                                        l % 8 of matrix l // 8 begins, and has of each matrix two numbers in a word,
                                        those of row l // 4 in the columns 2 (l % 4) and one more
    ldmatrix_transposed(m, at)          the same, of the transposes
    mma(a..., b..., c...)               the warp multiplies: A B + C, 16 × 16 by 16 × 8, bfloat16 with float32 sums
    pack(a, b), low(word), high(word)   two float32, rounded to bfloat16, in a word; and out of it
    exp2(x)                             2ˣ, to 2⁻²² or so

How numbers lie in a warp (lane l, g = l // 4, t = 2 (l % 4)), of

    A 16 × 16   four words: rows g and g + 8 of columns t, t + 1; then the same of columns t + 8, t + 9
    B 16 × 8    two words: rows t, t + 1 of column g; then rows t + 8, t + 9
    C 16 × 8    four numbers: row g, columns t and t + 1; then row g + 8

A and C have the same rows and columns in the same lanes. So what one product leaves can be packed where it is, and is
the left factor of the next; and `ldmatrix` brings 16 × 16 numbers as A, or as the two B's that lie side by side.
"""

from ..device import SIMULATED

if SIMULATED:
    from . import twins as made
else:
    from . import ptx as made

load4, load2, load_shared4, load_shared2 = made.load4, made.load2, made.load_shared4, made.load_shared2
store_shared4 = made.store_shared4
copy_async16, copy_async4, wait_for_copies = made.copy_async16, made.copy_async4, made.wait_for_copies
ldmatrix, ldmatrix_transposed, mma = made.ldmatrix, made.ldmatrix_transposed, made.mma
pack, low, high, exp2 = made.pack, made.low, made.high, made.exp2
