"""What the pages show of measurements: tables and curves from the results that are committed beside the code."""

from pictures import BLUE, GREEN, ORANGE, figure

from experiments.results import line, read

EXPERIMENTS = ("copy_task", "addition")


def table_of_runs(name):
    """A line a seed, and what they were measured on."""
    found = read(name)
    machine = ", ".join(f"{part} {found['machine'][part]}" for part in ("python", "numpy", "platform"))
    rows = [f"- {line(run)}" for run in found["runs"]]
    return "\n".join([*rows, "", f"On {found['threads']} threads, beside other work; {machine}.", ""])


def curves():
    """How many of what is held out are right, while learning: each experiment, each seed."""
    made, axes = figure(7.4, 2.8, 2, sharey=True)
    for ax, name in zip(axes, EXPERIMENTS):
        for run, color in zip(read(name)["runs"], (BLUE, ORANGE, GREEN)):
            ax.plot(*zip(*run["curve"]), color=color, lw=1.4, label=f"seed {run['seed']}")
        ax.set(title=name, xlabel="step", ylim=(0, 1030))
        ax.grid(alpha=0.25)
    axes[0].set_ylabel("right, of 1,000 held out")
    axes[1].legend(frameon=False)
    return made
