"""What `import minitransformer` costs over `import numpy`: medians of nine fresh processes each, alternating."""

import platform
import statistics
import subprocess
import sys

ROUNDS = 9


def seconds(module):
    """How long a fresh Python takes to import this, by its own clock."""
    code = f"import time; begin = time.perf_counter(); import {module}; print(time.perf_counter() - begin)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)


def main():
    times = {"numpy": [], "minitransformer": []}
    for module in times:  # once each, uncounted: the files come from the disk
        seconds(module)
    for _ in range(ROUNDS):
        for module, taken in times.items():
            taken.append(seconds(module))
    print(f"Python {platform.python_version()}, {platform.processor() or platform.machine()}, {ROUNDS} rounds")
    for module, taken in times.items():
        print(f"import {module:16} median {statistics.median(taken):.3f} s  ({min(taken):.3f} to {max(taken):.3f})")
    over = [b - a for a, b in zip(*times.values(), strict=True)]
    print(f"over numpy              median {statistics.median(over):.3f} s  ({min(over):.3f} to {max(over):.3f})")


if __name__ == "__main__":
    main()
