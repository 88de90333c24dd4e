"""Timings on a GPU: what is wrong is not timed, and what no device can do is not believed."""
