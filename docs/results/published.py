"""Published folders: how near to transformers, and what loading one takes."""

from experiments.results import read


def pages():
    yield "parity.md", parity_table()
    yield "loading_memory.md", loading_memory_table()


def parity_table():
    """A row for each published architecture and head, and below it what they were compared with."""
    found = read("parity")
    rows = ["| | arrays compared | logits | the worst, gradients among them |", "| --- | ---: | ---: | ---: |"]
    for row in found["rows"]:
        name = row["name"].removesuffix(", published").removesuffix(" published")
        rows.append(f"| {name} | {row['compared']} | {row['logits']:.1e} | {row['worst']:.1e} |")
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return "\n".join([*rows, "", f"{versions}; {found['date']}.", ""])


def loading_memory_table():
    """A row for each precision in which the file is, and below it on what it was measured."""
    found = read("loading_memory")
    rows = ["| file | its size | as float32 | the most memory meanwhile | |", "| --- | ---: | ---: | ---: | ---: |"]
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    for row in found["rows"]:
        sizes = " | ".join(f"{row[name] / 1e6:,.0f} MB" for name in ("file", "bytes", "peak"))
        rows.append(f"| {names[row['stored']]} | {sizes} | {row['peak'] / row['bytes']:.2f} × |")
    machine = found["machine"]
    about = f"NumPy {machine['numpy']}, Python {machine['python']}, {machine['platform']}; {found['date']}."
    return "\n".join([*rows, "", about, ""])
