"""Timings, side by side: reference NumPy, Numba kernels, PyTorch.  `python -m bench` says which there are."""
