"""Timings and sizes: `python -m bench.NAME`. They are measured, never tested."""
