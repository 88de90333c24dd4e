"""Cutting the model's width into heads, and putting it back. Both swap axes: a bare reshape would cut time instead."""


def split_heads(x, n_heads):  # (B,T,D) -> (B,H,T,K)
    B, T, D = x.shape
    if D % n_heads:
        raise ValueError(f"n_heads={n_heads} does not divide the width {D}")
    return x.reshape(B, T, n_heads, D // n_heads).swapaxes(1, 2)


def merge_heads(x):  # (B,H,T,K) -> (B,T,D)
    B, H, T, K = x.shape
    return x.swapaxes(1, 2).reshape(B, T, H * K)
