"""Kernels for NVIDIA's GPUs, in Numba's CUDA."""
