"""What the pages show of attention on CUDA: what each rung costs, counted, and what its kernels became, compiled."""

import json
from pathlib import Path
from typing import NamedTuple

import pictures
from pictures import BLUE, GREEN, GREY, ORANGE

from minitransformer.kernels.cuda.attention import RUNGS

RESULTS = Path(__file__).parent.parent / "bench" / "results" / "cuda"
T, K = 4096, 64  # of the picture: one head, every query with every key


class Cost(NamedTuple):
    """Of a forward, for one query and one key, per number of a head's width"""

    operations: float  # multiplications and additions
    queries: int  # that share what is read of a key
    reads: float  # numbers read from memory or put there, were nothing shared
    size: int  # bytes of a number
    shared: str  # bytes from shared memory for a multiply-add

    @property
    def bytes(self):
        return self.reads * self.size / self.queries


COSTS = {
    "naive": Cost(6, 1, 7, 4, ""),
    "tiled": Cost(6, 32, 3, 4, "6.7"),
    "flash": Cost(4, 32, 2, 4, "6"),
    "flash_registers": Cost(4, 64, 2, 4, "1.8"),
    "tensor_cores": Cost(4, 64, 2, 2, "0.13"),
    "tensor_cores_float32": Cost(24, 64, 2, 6, "0.38"),
}


def everything():
    """(file, content) of all of it."""
    yield "cuda_attention_costs.md", costs()
    yield "cuda_attention_machine_code.md", machine_code(read("attention_offline"))
    yield "cuda_attention_bugs.md", bugs(read("attention_bugs"))
    yield from ((f"{name}.svg", svg) for name, svg in pictures.drawn((cuda_attention_bytes,)))


def read(name):
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def costs():
    """A row a rung: what it does for a query and a key, each with K numbers."""
    rows = [
        "| rung | what changes | operations | bytes from memory | operations for a byte | bytes from shared memory |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, cost in COSTS.items():
        link = f"[{name}](/kernels/cuda/attention/{name}.md)"
        ratio = cost.operations / cost.bytes
        each = f"{cost.operations:g} K | {cost.bytes:.3g} K | {ratio:{'.0f' if ratio > 1 else '.2g'}}"
        rows.append(f"| {link} | {RUNGS[name].changed} | {each} | {cost.shared} |")
    return "\n".join([*rows, ""])


def cuda_attention_bytes():
    """Bytes that one head asks of memory, rung by rung, and what it would be if each number came once."""
    made, (ax,) = pictures.figure(7, 2.8)
    names = list(COSTS)[::-1]
    gigabytes = [COSTS[name].bytes * T * T * K / 1e9 for name in names]
    ax.barh(names, gigabytes, color=[{"tensor_cores": GREEN, "naive": ORANGE}.get(name, BLUE) for name in names])
    for at, number in enumerate(gigabytes):
        ax.annotate(f"{number:.2g} GB", (number, at), xytext=(4, 0), textcoords="offset points", va="center")
    once = 4 * T * K * 4 / 1e9
    ax.axvline(once, color=GREY, lw=1, ls="--")
    above = len(names) - 0.3
    ax.annotate("q, k, v and y once", (once, above), xytext=(4, 0), textcoords="offset points", color=GREY, va="center")
    ax.set(xscale="log", xlim=(once / 2, 200), ylim=(-0.6, above + 0.4))
    ax.set_xlabel(f"gigabytes, one head, {T:,} queries and keys, K = {K}")
    return made


def machine_code(found):
    """A row for each kernel and width, for sm_90, and below it with what it was compiled."""
    rows = [
        "| kernel | K | threads | registers | shared, KB | instructions | tensor cores | ldmatrix | 16 bytes shared |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["rows"]:
        again = row["rung"] == "flash_atomic" and row["kernel"] == "flash_forward"  # which is that of flash
        if row["architecture"] == "sm_90" and not row["masked"] and not again:
            shared = f"{row['shared'] / 1024:.1f}" if row["shared"] else ""
            counts = (row[name] or "" for name in ("HMMA", "LDSM", "LDS.128"))
            sizes = row["K"], row["threads"], row["registers"], shared, row["instructions"]
            name = f"`{row['kernel']}`" + ", with atomic dq" * (
                row["rung"] == "flash_atomic" and "key" in row["kernel"]
            )
            cells = name, *sizes, *counts
            rows.append(f"| {' | '.join(map(str, cells))} |")
    each = found["rows"]
    most = {name: max(row[name] for row in each) for name in ("local", "spills", "float64", "shared", "registers")}
    said = (
        f"Over all {len(each)} of them, masked ones and those for sm_80 too: at most {most['registers']} registers and "
        f"{most['shared']:,} bytes of shared memory; {most['local']} bytes of local memory, {most['spills']} bytes of "
        f"spills, {most['float64']} instructions in float64."
    )
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return "\n".join([*rows, "", said, "", f"{versions}; {found['date']}.", ""])


def bugs(found):
    """A row for each kind of bug: at how many places of each rung it was seeded and noticed."""
    kinds = list(dict.fromkeys(row["kind"] for row in found["rows"]))
    rows = [f"| bug | {' | '.join(RUNGS)} |", f"| --- | {' | '.join(['---:'] * len(RUNGS))} |"]
    for kind in kinds:
        cells = []
        for rung in RUNGS:
            those = [row for row in found["rows"] if (row["kind"], row["rung"]) == (kind, rung)]
            noticed = sum(row["caught"] is not None for row in those)
            cells.append(f"{noticed} of {len(those)}" if those else "")
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    total, noticed = len(found["rows"]), sum(row["caught"] is not None for row in found["rows"])
    return "\n".join([*rows, "", f"{noticed} of {total} noticed.", ""])
