"""The tables of timings on the pages and in the README, from what `python -m bench` left in bench/results/.

python docs/timings.py      writes the README's table and the pictures anew
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"
IN_README = re.compile(r"(<!-- timings: docs/timings.py writes them -->\n).*?(<!-- end of timings -->)", re.DOTALL)
ON_A_GPU = ("gpu_report", "attention_cuda", "step_cuda")  # docs/gpu.py shows the first
PICTURES = ("step", "products", "attention", "recurrent", "decoding")  # that the page shows
OTHERS = ("PyTorch", "transformers", "tokenizers")  # what ours is held against, where it is there


def everything():
    """(file, content) of every benchmark that was kept: its table, and the pictures that the page shows."""
    from bench.picture import draw

    for path in sorted(RESULTS.glob("profile_*.json")):
        yield f"bench_{path.stem}.md", profile_table(read(path.stem))
    yield "bench_between.md", between_table()
    for path in comparisons():
        made = tokenizers_table if path.stem == "tokenizers" else table
        yield f"bench_{path.stem}.md", made(read(path.stem))
        if path.stem in PICTURES:
            yield f"bench_{path.stem}.png", draw(read(path.stem))


def between_table():
    """A line for each step: PyTorch's, ours, our products alone, and what is left for all that is between them."""
    rows = [line(["size", "PyTorch's step", "ours", "our products alone", "between them", "at best", "is"])]
    rows.append(line(["---", *["---:"] * 6]))
    steps, products = read("step"), read("products")
    for name, size in steps["sizes"].items():
        theirs, ours = (medians(size)[who] for who in ("PyTorch", "kernels"))
        alone = medians(products["sizes"][name])["kernels"]
        ratios = [f"{theirs / least:.2f} ×" for least in (alone, ours)]
        rows.append(line([name, *map(time, (theirs, ours, alone, ours - alone)), *ratios]))
    return "\n".join([*rows, "", machine_line(steps), ""])


def medians(size):
    return {row["contender"]: row["median"] for row in size["rows"]}


def comparisons():
    others = ("profile_", *ON_A_GPU)
    return [path for path in sorted(RESULTS.glob("*.json")) if not path.stem.startswith(others)]


def profile_table(result):
    """A line for each operation and pass that takes a hundredth of the step or more, and its products alone."""
    rows = ["| what | calls | time | of the step | its products alone |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in result["rows"]:
        if row["seconds"] >= 0.01 * result["step"]:
            least = time(row["least"]) if row["least"] else ""
            share = row["seconds"] / result["step"]
            rows.append(f"| {row['what']} | {row['calls']} | {time(row['seconds'])} | {share:.0%} | {least} |")
    rows.append(f"| all | | {time(result['step'])} | 100% | {time(sum(row['least'] for row in result['rows']))} |")
    return "\n".join([*rows, "", machine_line(result), ""])


def tokenizers_table(result):
    """A line for each tokenizer: how fast either side encodes, and how long it learns."""
    sides = ("ours", "tokenizers")
    rows = ["| | encoding, here | `tokenizers` | learning, here | `tokenizers` |", f"| --- |{' ---: |' * 4}"]
    sizes = {(size["what"]["kind"], size["what"]["task"]): size["rows"] for size in result["sizes"].values()}
    for kind in dict.fromkeys(kind for kind, _ in sizes):
        encode, learn = ({row["contender"]: row for row in sizes[kind, task]} for task in ("encode", "train"))
        speeds = [f"{encode[side]['about']['bytes'] / 1e6 / encode[side]['median']:.2f} MB/s" for side in sides]
        rows.append(f"| {kind} | {' | '.join([*speeds, *(time(learn[side]['median']) for side in sides)])} |")
    size = result["sizes"][next(iter(result["sizes"]))]
    text = f"{size['rows'][0]['about']['bytes']:,} bytes of English, {size['what']['tokens']:,} tokens"
    return "\n".join([*rows, "", f"{text}; medians. {machine_line(result)}", ""])


def read(name):
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def machine_line(result):
    """On what and with what it was measured, in a sentence."""
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['processor']}, {machine['cores']} cores; {versions}; {result['date']}."


def table(result):
    """A line for each size and contender: time with its spread, against the other of its size, and of the floor."""
    sizes = result["sizes"].items()
    tokens = ["tokens/s"] if any("tokens" in size["work"] for _, size in sizes) else []
    columns = ["size", "contender", "median", "from … to", *tokens, "speed", "of the floor", "memory"]
    rows = []
    for name, size in sizes:
        other = held_against(size)
        for row in size["rows"]:
            cells = [name, row["contender"], time(row["median"]), f"{time(row['least'])} … {time(row['most'])}"]
            cells += [f"{size['work']['tokens'] / row['median']:,.0f}"] if tokens else []
            cells += [f"{other['median'] / row['median']:.2f} × {other['contender']}"]
            rows.append([*cells, of_floor(size, row), memory(result, row)])
    filled = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    head = [columns, ["---", "---", *["---:"] * (len(columns) - 2)]]
    lines = [line([cells[i] for i in filled]) for cells in head + rows]
    return "\n".join([*lines, "", machine_line(result), ""])


def line(cells):
    return f"| {' | '.join(cells)} |"


def of_floor(size, row):
    return f"{least_time(size) / row['median']:.0%}" if size["work"] else ""


def memory(result, row):
    """What was needed beyond the inputs; nothing where processes were started, or compiled code would count."""
    return "" if result["benchmark"] in ("start", "operation") else f"{row['peak'] / 2**20:,.0f} MB"


def held_against(size):
    """The row of the library that a person would use instead; of NumPy where there is none. `as it is` before all."""
    rows = {row["contender"]: row for row in size["rows"]}
    return rows[next(name for name in ("as it is", *OTHERS, "NumPy", "ours") if name in rows)]


def least_time(size):
    work, floor = size["work"], size["floor"]
    return max(work.get("flops", 0) / floor["flops"], work.get("bytes", 0) / floor["bytes"])


def time(seconds):
    """With three digits, in a unit that suits."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 0.9995 or unit == "µs":  # from there on it is rounded to 1
            value = seconds * factor
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


# -------------------------------------------------------------------------------------------------------- the README


README_LINES = (  # benchmark, size, what it is
    ("step", "small", "a training step of the model above"),
    ("step", "medium", "… of 6 layers of width 384, 8 × 256 tokens"),
    ("step", "gpt2", "… of GPT-2 124M, 2 × 256 tokens"),
    ("attention", "T1024", "causal attention, forward and backward, 1,024 tokens"),
    ("decoding", "gpt2", "32 tokens from GPT-2 124M, one by one"),
)


def readme_table():
    lines = ["| | NumPy | kernels | PyTorch |", "| --- | ---: | ---: | ---: |"]
    for benchmark, size, what in README_LINES:
        rows = {row["contender"]: row for row in read(benchmark)["sizes"][size]["rows"]}
        theirs = next((rows[name] for name in OTHERS if name in rows), None)
        numbers = [time(row["median"]) if row else "" for row in (rows["NumPy"], rows["kernels"], theirs)]
        lines.append(f"| {what} | {' | '.join(numbers)} |")
    return "\n".join([*lines, "", *machines(dict.fromkeys(benchmark for benchmark, *_ in README_LINES))])


def machines(benchmarks):
    """A line for each machine on which some of these were measured, with their names where there are several."""
    measured = {}
    for benchmark in benchmarks:
        measured.setdefault(machine_line(read(benchmark)), []).append(benchmark)
    if len(measured) == 1:
        return list(measured)
    return [f"{' and '.join(names)}: {line}<br>" for line, names in measured.items()]


def with_timings(text):
    """The README with the table as the results have it."""
    return IN_README.sub(lambda match: f"{match[1]}\n{readme_table()}\n\n{match[2]}", text)


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(ROOT))
    from bench.picture import draw

    for path in comparisons():
        path.with_suffix(".png").write_bytes(draw(read(path.stem)))
    readme = ROOT / "README.md"
    readme.write_text(with_timings(readme.read_text(encoding="utf-8")), encoding="utf-8")
