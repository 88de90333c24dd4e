"""What a GPU said, for the pages: tables and a picture of what `python -m bench.gpu_report` left in bench/results/.

Where it left nothing, the pages say so.
"""

import json
from pathlib import Path

from timings import line, time

from bench.cuda.bars import FLASH, OF_FLOAT32, bars
from bench.cuda.bars import FLOAT32 as KERNEL
from bench.cuda.rows import picture
from minitransformer.kernels.cuda.attention.rungs import RUNGS

RESULT = Path(__file__).parent.parent / "bench" / "results" / "gpu_report.json"
NOBODY = "No GPU has run and timed these kernels yet.\n"
FLOAT32 = (KERNEL, "PyTorch MATH, float32")
BFLOAT16 = tuple(f"PyTorch {kind}, bfloat16" for kind in ("CUDNN_ATTENTION", "EFFICIENT_ATTENTION", "MATH"))


def everything():
    """(file, content) of all of it."""
    result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else None
    made = {"where": where, "correct": correct, "bars": verdicts, "steps": steps, "rungs": rungs, "launches": launches}
    for name, table in (*made.items(), ("attention", attention), ("compared", compared), ("picture", figure)):
        yield f"gpu_{name}.md", NOBODY if result is None else table(result)
    if result is not None:
        yield "gpu_attention.png", picture(drawn(result), f"attention on {result['gpu']['device']}, {result['date']}")


def where(result):
    """On what, with what, and when, and how much of it"""
    gpu, versions = result["gpu"], result["machine"]["versions"] | result["gpu"].get("versions", {})
    memory = f"{gpu['memory'] / 2**30:.0f} GB"
    driver, toolkit = (f"{gpu[name] // 1000}.{gpu[name] % 1000 // 10}" for name in ("driver", "toolkit"))
    driver += f" ({gpu['module']})" if gpu.get("module") else ""
    with_what = ", ".join(f"{name} {version}" for name, version in versions.items())
    checks = rows_of(result, "correct") + rows_of(result, "layout")
    right = sum(row.get("wrong") == [] for row in checks)
    cut = "" if result["complete"] else " Not everything was reached."
    for run in sorted({row["run"] for row in result["rows"] if row.get("run")}):
        lengths = sorted({row["T"] for row in result["rows"] if row.get("run") == run})
        cut += f" What it says of T {' and '.join(f'{T:,}' for T in lengths)} is of another run ({run})."
    return (
        f"Measured on an {gpu['device']} ({gpu['capability']}, {memory}; driver of CUDA {driver}, toolkit {toolkit}; "
        f"{with_what}), {result['date']}. Of {len(checks)} checks {right} found everything right.{cut}\n"
    )


def rows_of(result, kind):
    return [row for row in result["rows"] if row["kind"] == kind]


def table(head, rows, left=1):
    return "\n".join(
        [line(head), line(["---"] * left + ["---:"] * (len(head) - left)), *(line(map(str, row)) for row in rows), ""]
    )


def correct(result):
    """A line for each rung: how near it came, and what was wrong."""
    found = {}
    for row in rows_of(result, "correct"):
        found.setdefault(row.get("rung", row["what"]), []).append(row)
    rows = []
    for name, its in sorted(found.items(), key=step_of):
        cases, worst = sum(row.get("cases", 0) for row in its), max(row.get("worst") or 0 for row in its)
        wrong = [problem for row in its for problem in row.get("wrong", [f"not checked: {row.get('refused')}"])]
        share = f"{worst:.0%}" if worst < float("inf") else "inf"
        rows.append([f"`{name}`", cases, share, ", ".join(wrong) or "right"])
    for row in rows_of(result, "layout"):
        rows.append([row["what"], "", "", ", ".join(row["wrong"]) or "right"])
    return table(["", "cases", "of what it may be off by, at most", "verdict"], rows)


def verdicts(result):
    return table(["", "found", ""], [[bar.what, bar.found, f"**{bar.verdict}**"] for bar in bars(result["rows"])], 3)


def timed(result, way):
    """{(K, causal, T): {contender: row}}"""
    found = {}
    for row in rows_of(result, "attention"):
        if row.get("way") == way and "warm" in row:
            found.setdefault((row["K"], row["causal"], row["T"]), {})[row["contender"]] = row
    return dict(sorted(found.items()))


def rungs(result):
    """A line for each rung at one length: forward and backward, and of what the device can do at best."""
    T = length(result)
    at = [(64, False, T), (128, False, T)]
    found = {(where, way): timed(result, way).get(where, {}) for where in at for way in ("forward", "backward")}
    names = sorted({(name,) for rows in found.values() for name in rows if "PyTorch" not in name}, key=step_of)
    rows = [[f"`{name.split(',')[0]}`", *(cell(found[key].get(name)) for key in found)] for (name,) in names]
    return table([f"T {T:,}", *(f"K {K}, {way}" for (K, _, _), way in found)], rows)


def step_of(named):
    """Where the rung of (name, ...) stands on the ladder; above it, by their names, who is none: the processor"""
    name, steps = named[0].split(",")[0], list(RUNGS)
    return steps.index(name) if name in steps else len(steps), name


def launches(result):
    """A line for each kernel of our rungs, both ways, with its time at each size."""
    rows = [row for row in rows_of(result, "launches") if "launches" in row]
    if not rows:
        return "No device has told that yet.\n"
    sizes = list(dict.fromkeys((row["K"], row["causal"]) for row in rows))
    found = {}
    for row in rows:
        for name, seconds in row["launches"].items():
            its = found.setdefault((row["contender"], row["way"], name), {})
            its[row["K"], row["causal"]] = time(seconds)
    shown = sorted(found.items(), key=lambda each: step_of(each[0][:1]))
    lines = [[f"`{name}`", way, *(its.get(size, "") for size in sizes)] for (_, way, name), its in shown]
    return table([f"T {rows[0]['T']:,}", "", *(f"K {K}{', causal' * causal}" for K, causal in sizes)], lines, 2)


def length(result, most=4096):
    """The longest T, up to 4,096, of those at which most was timed"""
    rows = [row for row in rows_of(result, "attention") if "warm" in row and not row.get("run")]
    timed = [row["T"] for row in rows if not row["causal"]]
    return max((T for T in timed if T <= most), key=lambda T: (timed.count(T), T), default=most)


def cell(row):
    if row is None:
        return ""
    share = f", {row['share']:.0%}" if row["share"] else ""
    return f"{time(row['warm'])}<br>{row['rate'] / 1e12:.1f} TFLOP/s{share}"


def attention(result):
    """float32: the best rung at each size beside PyTorch's kernel, and its formula."""
    return both_ways(result, OF_FLOAT32, FLOAT32, "PyTorch's kernel / ours")


def compared(result):
    """bfloat16: tensor_cores beside each kind of PyTorch's."""
    return both_ways(result, ["tensor_cores, bfloat16"], (FLASH, *BFLOAT16), "of FLASH_ATTENTION")


def both_ways(result, ours, theirs, ratio):
    there = {row["contender"] for row in rows_of(result, "attention") if "warm" in row}
    theirs = [name for name in theirs if name in there]
    head = ["", "T", "ours", "time", "TFLOP/s", *(name.split()[1].strip(",") for name in theirs), ratio]
    head = [name.replace("_", "_\u200b") for name in head]  # where a long name may be broken
    made = []
    for way in ("forward", "backward"):
        rows = []
        for (K, causal, T), found in timed(result, way).items():
            mine = [found[name] for name in ours if name in found]
            if mine:
                best = min(mine, key=lambda row: row["warm"])
                name, rate = f"`{best['contender'].split(',')[0]}`", f"{best['rate'] / 1e12:.1f}"
                others = [time(found[name]["warm"]) if name in found else "" for name in theirs]
                times = f"{found[theirs[0]]['warm'] / best['warm']:.2f}" if theirs and theirs[0] in found else ""
                size = f"K {K}{', causal' * causal}".replace(" ", "\u00a0")  # on one line
                rows.append([size, f"{T:,}", name, time(best["warm"]), rate, *others, times])
        made.append(f"**{way.capitalize()}**\n\n{table(head, rows)}")
    return "\n".join(made)


def steps(result):
    """A line for each size and contender."""
    found = [row for row in rows_of(result, "step") if "warm" in row]
    theirs = {row["group"]: row["warm"] for row in found if row["contender"] == "PyTorch eager"}
    rows = []
    for row in found:
        name = row["group"]
        speed = f"{row['warm'] / theirs[name]:.2f} ×" if name in theirs else ""
        rows.append(
            [name, row["contender"], time(row["warm"]), f"{row['rate'] / 1e12:.1f}", speed, time(row["compile"])]
        )
    return table(["size", "contender", "a step", "TFLOP/s", "of PyTorch's time", "compiled in"], rows, 2)


def drawn(result):
    """The rows of the picture: heads of 64 without a mask; all of them would be too many panels to read."""
    timed = (row for row in rows_of(result, "attention") if "warm" in row)
    return [row for row in timed if row["K"] == 64 and not row["causal"]]


def figure(result):
    said = "Heads of 64, without a mask: time against the length $T$. Dashed: PyTorch."
    alt = "four panels, time against T: forward and backward, in float32 and in bfloat16"
    return f"```{{figure}} /_generated/gpu_attention.png\n:alt: {alt}\n\n{said}\n```\n"
