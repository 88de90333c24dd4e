"""What the pages of several experiments have in common."""

import numpy as np
from pictures import BLUE, GREEN, ORANGE

COLOURS = (BLUE, ORANGE, GREEN)  # one a seed, or a cluster


def machine_of(found):
    """With what it was measured."""
    machine = found["machine"]
    return f"NumPy {machine['numpy']}, {', '.join(machine['blas'])}, Python {machine['python']}, {machine['platform']}"


def mean_and_spread(values, form="{:.1f}"):
    """mean ± standard deviation of the seeds (that of a sample)"""
    return f"{form.format(np.mean(values))} ± {form.format(np.std(values, ddof=1))}"


def measured_on(found):
    """A line on the machine, and the processor time of a seed."""
    times = ", ".join(f"{run['cpu_seconds']:.0f}" for run in found["runs"])
    return f"Processor time of the seeds: {times} s. {machine_of(found)}."
