"""Memory that is used again: every training step needs arrays of the same sizes as the one before.

The C library hands large arrays back to the system as soon as they are gone, and the next one of that size comes from
there page by page, each of them cleared: a small step met 6,600 such pages, a seventh of its processor time. Told to
keep what is freed, it finds the same memory again, still in the cache; and with one heap for all threads, what one of
them frees another finds. Functions stay pure: who reads them sees fresh arrays.
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # of glibc's mallopt(3)


def keep_freed_memory():
    """From now on, this process keeps the memory that it frees. False where the C library cannot be told so."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(mallopt(*setting) for setting in ((M_TRIM_THRESHOLD, 2**31 - 1), (M_MMAP_MAX, 0), (M_ARENA_MAX, 1)))
