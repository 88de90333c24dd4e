"""Bugs seeded into the kernels, one at a time: does what is tested notice?

A bug is a few letters of a kernel exchanged for others: a barrier for nothing, a query head's keys for another's. Each
is tried at every place where these letters stand, in the forward and the backward of every rung, and each must make
`hold` fail on one of the cases that the rungs are tested with.

    NUMBA_ENABLE_CUDASIM=1 python -m tests.kernels.cuda.attention.bugs [NAME ...]

tries all of them, or those of some rungs, and writes the table of the pages. What the table has as noticed by a case
that still is what it was, by kernels that still are, is not tried again. The tests try one of each kind.
"""

import ast
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

from tqdm import tqdm

import minitransformer.kernels.cuda.attention as package
from minitransformer.files import write_atomically
from minitransformer.kernels.cuda.attention import RUNGS
from minitransformer.kernels.cuda.attention.offline import source_hash
from minitransformer.kernels.cuda.device import SIMULATED

from .cases import cases_of, hold, shrink

FOLDER = Path(package.__file__).parent
RESULTS = Path(__file__).parents[4] / "bench" / "results" / "cuda" / "attention_bugs.json"

KINDS = {  # what goes wrong: [(what stands there, what stands there then), ...]
    "a barrier of the block removed": [("cuda.syncthreads()", "pass")],
    "a barrier of the warp removed": [("cuda.syncwarp()", "pass")],
    "copies are not waited for": [("wait_for_copies()", "pass")],
    "the other stage is not another": [
        ("STAGE - now", "now"),
        ("(1 - stage)", "stage"),
        ("copy_tile(memory, VALUES, v", "copy_tile(memory, 0, v"),
        ("copy_tile(memory, DYS, dy", "copy_tile(memory, 0, dy"),
    ],
    "a reduction is one step short": [
        ("for e in range(3)", "for e in range(2)"),
        ("for e in range(5)", "for e in range(4)"),
        ("cuda.shfl_xor_sync(0xFFFFFFFF, x, 2)", "x * float32(0)"),
        ("for t in range(parts)", "for t in range(0)"),
    ],
    "words of a factor swapped": [
        ("pack(s[2 * k, 2], s[2 * k, 3])", "pack(s[2 * k, 3], s[2 * k, 2])"),
        ("b[2], b[3])", "b[3], b[2])"),
        ("factors[k, 1] = a[1]", "factors[k, 1] = a[2]"),
        ("b[at], b[at + 1])", "b[at + 1], b[at])"),
        ("a[w + 1], a[w + 2], a[w + 3], b[at + 2]", "a[w + 2], a[w + 1], a[w + 3], b[at + 2]"),
        ("n, e = 2 * k + (w >> 1), 2 * (w & 1)", "n, e = 2 * k + (w & 1), 2 * (w >> 1)"),
        ("8 * (matrix & 1) + (lane >> 2)", "8 * (matrix >> 1) + (lane >> 2)"),
    ],
    "parts of a number are left out": [
        ("for p in range(PARTS):\n        word", "for p in range(PARTS - 1):\n        word"),
        ("multiply_part(rest, squares, a, w, b, 8)", "pass"),
        ("multiply_part(rest, squares, a, w + 8, b, 0)", "pass"),
        ("multiply_part(large, squares, a, w, b, 0)", "pass"),
        ("s[n, e] += rest[n, e]", "pass"),
        ("(large[n, e] + rest[n, e])", "large[n, e]"),
    ],
    "parts of a number are others'": [
        ("multiply_part(rest, squares, a, w + 4, b, 4)", "multiply_part(rest, squares, a, w + 4, b, 8)"),
        ("b -= high(word)", "b -= low(word)"),
        ("* PARTS + p) * SQUARE", "* PARTS) * SQUARE"),
        ("(PARTS * square + p) * (SQUARE // 2)", "(PARTS * square) * (SQUARE // 2)"),
    ],
    "a lane reads another's rows": [
        ("(lane & 15) * (K + PAD)", "(lane & 7) * (K + PAD)"),
        ("8 * (lane >> 4)) * (K + PAD)", "4 * (lane >> 4)) * (K + PAD)"),
        ("lane >> 3) + 4 * mine * warp", "lane >> 3) + 2 * mine * warp"),
        ("128 * ((lane >> 3) & 1) + 64 * (lane >> 4)", "64 * ((lane >> 3) & 1) + 128 * (lane >> 4)"),
        ("at += 8 * lane", "at += 8 * (lane & 15)"),
        ("4 * PARTS * first + w", "w"),
        ("K // 16) + first + k) * PARTS", "K // 16) + k) * PARTS"),
        ("(PARTS * K // 2) + lane :", "(PARTS * K // 2) :"),
    ],
    "causal is off by one": [
        ("j <= i + S - T", "j < i + S - T"),
        ("+ S - T) or (masked", "+ S - T - 1) or (masked"),
        ("> at + S - T) or", ">= at + S - T) or"),
        ("min(n + S - T, S)", "min(n - 1 + S - T, S)"),
    ],
    "causal is aligned at the top left": [("return max(min(n + S - T, S), 0)", "return max(min(n, S), 0)")],
    "no mask is looked at near the diagonal": [
        ("causal and j + tile > strip + 1 + S - T", "causal and j + tile > strip + 16 + S - T"),
        ("causal and i + S - T < strip + STRIP - 1", "causal and i + S - T < strip - 1"),
    ],
    "the first query of a key is passed over": [
        ("max(first + T - S, 0)", "max(first + T - S + 1, 0)"),
        ("max(j + T - S, 0)", "max(j + T - S + 1, 0)"),
        ("// tile * tile if causal", "// tile * tile + tile if causal"),
    ],
    "keys past the end are seen": [("j < S and ", ""), ("at >= S or ", ""), ("or j + tile > S ", "")],
    "rows past the end are loaded": [
        ("if first + r < limit", "if True"),
        ("if first + r < x.shape[1]", "if True"),
        ("there = i < own.shape[2]", "there = True"),
    ],
    "queries past the end are felt": [("at < T and sees", "sees"), ("i + t < T and sees", "sees")],
    "keys of another head": [
        ("n // (q.shape[0] // k.shape[0])", "n % k.shape[0]"),
        ("n // R * S * K", "n % (n_heads // R) * S * K"),
        ("n // R * up(S)", "n % (n_heads // R) * up(S)"),
    ],
    "queries of another head": [
        ("range(g * R, (g + 1) * R)", "range(g, g + R)"),
        ("n, i = g * R +", "n, i = g +"),
    ],
    "heads of another sequence": [
        ("n // own.shape[1], n % own.shape[1]", "n % own.shape[0], n // own.shape[0]"),
        ("n // out.shape[1], n % out.shape[1]", "n % out.shape[0], n // out.shape[0]"),
        ("n // y.shape[1], n % y.shape[1]", "n % y.shape[0], n // y.shape[0]"),
    ],
    "only one head of a group is felt": [("(g + 1) * R)", "g * R + 1)"), ("range(-1, R * tiles)", "range(-1, tiles)")],
    "the mask of another sequence": [("n // n_heads, mask.shape[0]", "n % n_heads, mask.shape[0]")],
    "the mask of another head": [("n % n_heads, mask.shape[1]", "n // n_heads, mask.shape[1]")],
    "the mask of another query": [("min(i, mask.shape[2] - 1)", "min(i + 1, mask.shape[2] - 1)")],
    "the mask of another key": [("min(j, row.shape[0] - 1)", "min(j + 1, row.shape[0] - 1)")],
    "what was summed is not brought under the new largest": [
        ("l *= rescale", "pass"),
        ("l[h] *= rescale\n", "pass\n"),
        ("l[h] *= rescale[h]", "pass"),
        ("l[a] *= rescale", "pass"),
        ("total[c] *= rescale", "pass"),
        ("total[a, c] *= rescale", "pass"),
        ("total[c, 2 * h + 1] *= rescale", "pass"),
        ("total[2 * c + n, e] * rescale[e >> 1]", "total[2 * c + n, e]"),
        ("total[2 * c + n, e] * rescale[e >> 1]", "total[2 * c + n, e] * rescale[e & 1]"),
    ],
    "-∞ - -∞": [("largest if largest > NOTHING else float32(0)", "largest")],
    "a row that sees nothing is divided by 0": [
        ("float32(1) / l if l > float32(0) else float32(0)", "float32(1) / l"),
        ("float32(1) / weight if weight > float32(0) else float32(0)", "float32(1) / weight"),
        ("if l > float32(0):", "if True:"),
        ("lse[row] * LOG2E if lse[row] > NOTHING else EVERYTHING", "lse[row] * LOG2E"),
        ("found * LOG2E if found > NOTHING else EVERYTHING", "found * LOG2E"),
    ],
    "lse without the sum": [
        ("m += math.log(l)", "pass"),
        ("m + math.log(l) if", "m if"),
        ("m[a] + math.log(weight) if", "m[a] if"),
        ("m[h] * LN2 + math.log(weight) if", "m[h] * LN2 if"),
    ],
    "lse in another base": [("m[h] * LN2 + math.log(weight) if", "m[h] + math.log(weight) if")],
    "no δ": [
        (" - own_delta)", ")"),
        (" - delta[n, i])", ")"),
        (" - delta[n, i + t])", ")"),
        (" - own_delta[a])", ")"),
        (" - its_delta)", ")"),
        (" - own_delta[e >> 1]", ""),
        (" - its_delta[e & 1]", ""),
    ],
    "δ of another row": [
        ("own_delta[e >> 1]", "own_delta[e & 1]"),
        ("its_delta[e & 1]", "its_delta[e >> 1]"),
        ("own_lse[e >> 1]", "own_lse[e & 1]"),
        ("its_lse[e & 1]", "its_lse[e >> 1]"),
    ],
    "no 1/√K": [
        ("ds * scale * k[", "ds * k["),
        ("ds * scale * q[", "ds * q["),
        ("total[c] * scale", "total[c]"),
        ("total[a, c] * scale", "total[a, c]"),
        ("for_key[c] * scale", "for_key[c]"),
        ("for_key[a, c] * scale", "for_key[a, c]"),
        ("total, h, scale,", "total, h, float32(1),"),
        ("for_key, h, scale,", "for_key, h, float32(1),"),
    ],
    "a column that belongs to another": [
        ("part * columns, part * rows", "0 * columns, part * rows"),
        ("4 * across + c // 4 * 32 + c % 4", "4 * across + c // 4 * 32 + c % 2"),
        ("2 * (lane & 3)) // 2", "4 * (lane & 3)) // 2"),
        ("8 * c + 2 * (lane & 3) + e] = total", "8 * c + 2 * (lane & 3)] = total"),
    ],
    "the last row of a tile is left out": [
        ("for t in range(tile):\n                for c", "for t in range(tile - 1):\n                for c"),
        ("for j in range(0, tile, 4)", "for j in range(0, tile - 4, 4)"),
        ("for k in range(rows // 16)", "for k in range(rows // 32)"),
    ],
    "16 bytes from where no 16 begin": [("PAD = 8", "PAD = 6"), ("PAD = 4", "PAD = 3")],
}

USED_BY = {  # functions of other files, and the rungs that use them
    "masks": {"sees": ("tiled", "flash", "flash_registers")}
    | dict.fromkeys(("row_of", "allows", "may_attend", "visible"), tuple(RUNGS)),
    "tiles": dict.fromkeys(("load_rows", "dot", "rows_of_tile"), ("tiled", "flash")),
    "tensor_cores": dict.fromkeys(("right_place", "turned_place"), ("tensor_cores",))
    | dict.fromkeys(
        ("hide_keys", "hide_from_queries", "sum_of_row", "largest_of_row"),
        ("tensor_cores", "tensor_cores_float32"),
    ),
}
BETWEEN = {"tensor_cores_float32": ("tensor_cores",)}  # through which a rung has functions of other files
HARMLESS = [  # function, what stands there, which of them: a change that changes nothing that anybody sees
    ("tensor_cores", "forward_kernel", "wait_for_copies()", 2),  # after the last tile: where no key was to be seen
    ("tensor_cores", "query_kernel", "wait_for_copies()", 2),
    ("flash_registers", "key_kernel", "at < T and sees", 0),  # they are zeros, and what is felt of them is
    ("tensor_cores", "row_kernel", "lse[row] * LOG2E if lse[row] > NOTHING else EVERYTHING", 0),  # the masks do it too
]


class Bug(NamedTuple):
    kind: str
    rung: str  # whose cases must notice
    file: str  # in which it is
    place: str  # the function
    line: int
    old: str
    new: str
    at: int  # where in the file

    @property
    def where(self):
        return f"{self.file}.{self.place}:{self.line}"


def all_bugs():
    """Every kind at every place of every rung"""
    for rung in RUNGS:
        for file in dict.fromkeys((rung, *USED_BY)):
            source = (FOLDER / f"{file}.py").read_text(encoding="utf-8")
            for kind, exchanges in KINDS.items():
                for old, new in exchanges:
                    before = Counter()
                    for match in re.finditer(re.escape(old), source):
                        line = source.count("\n", 0, match.start()) + 1
                        place = function_at(source, line)
                        if place is None or rung not in USED_BY.get(file, {}).get(place, [file]):
                            continue
                        if (file, place, old, before[place]) not in HARMLESS:
                            yield Bug(kind, rung, file, place, line, old, new, match.start())
                        before[place] += 1


def function_at(source, line):
    """The outermost function of this line, or "" where it is a constant; None in a docstring"""
    for node in ast.parse(source).body:
        if node.lineno <= line <= node.end_lineno:
            if isinstance(node, ast.FunctionDef):
                return node.name
            return "" if isinstance(node, ast.Assign) else None
    return None


def mutant(bug):
    """The rung with this bug: its modules made anew, in memory"""
    files = [file for file in dict.fromkeys((bug.file, *BETWEEN.get(bug.rung, ()))) if file != bug.rung] + [bug.rung]
    names = [f"{package.__name__}.{file}" for file in files]
    kept = {name: sys.modules.get(name) for name in names}
    try:
        for name in names:
            path = FOLDER / f"{name.rsplit('.', 1)[1]}.py"
            source = path.read_text(encoding="utf-8")
            if path.stem == bug.file:
                source = source[: bug.at] + bug.new + source[bug.at + len(bug.old) :]
            module = ModuleType(name)
            module.__package__, module.__file__ = package.__name__, str(path)
            sys.modules[name] = module  # so that a rung takes what it imports from the mutant
            exec(compile(source, str(path), "exec"), module.__dict__)
    finally:
        for name, before in kept.items():
            if before is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = before
    shrink(bug.rung, module)
    rung = RUNGS[bug.rung]
    return SimpleNamespace(
        precision=rung.precision,
        backward=rung.backward,
        attention=module.attention,
        attention_backward=module.attention_backward,
    )


def caught(bug, last=None):
    """The case that notices the bug and what it says, or None; asked first is what noticed it last time."""
    rung = mutant(bug)
    for case in sorted(reversed(cases_of(bug.rung)), key=lambda case: str(case) != last):  # else the small ones first
        try:
            hold(rung, case)
        except Exception as error:
            return str(case), f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return None


def one_of_each_kind():
    """For every kind and rung the first place in the forward's file order, no place twice: what the tests try"""
    found = {}
    for bug in all_bugs():
        found.setdefault(bug.kind, []).append(bug)
    return [bugs[len(kind) % len(bugs)] for kind, bugs in found.items()]


def main(names):
    bugs, begin, missed = [bug for bug in all_bugs() if not names or bug.rung in names], time.time(), 0
    known, rows = {row_key(row): row for row in read_table(names or list(RUNGS))}, []
    last = noticed_by()
    for bug in tqdm(bugs, unit="bug"):
        row = {"kind": bug.kind, "rung": bug.rung, "where": bug.where, "new": bug.new}
        row["caught"] = known[row_key(row)]["caught"] if row_key(row) in known else caught(bug, last.get(unplaced(row)))
        rows.append(row)
        if row["caught"] is None:
            missed += 1
            tqdm.write(f"NOT CAUGHT  {bug.rung}: {bug.kind}: {bug.where}: {bug.old!r} -> {bug.new!r}")
    print(f"{len(bugs) - missed} of {len(bugs)} caught, in {time.time() - begin:.0f} s")
    rows += read_table([name for name in RUNGS if names and name not in names])
    rows.sort(key=lambda row: list(RUNGS).index(row["rung"]))
    table = {"source": {name: source_hash(name) for name in RUNGS}, "rows": rows}
    write_atomically(RESULTS, (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode())
    return int(missed > 0)


def read_table(names):
    """The rows of some rungs that still hold: caught by a case that is still what it was, in kernels that still are"""
    table = written()
    same = [name for name in names if table["source"].get(name) == source_hash(name)]
    cases = {name: {str(case) for case in cases_of(name)} for name in same}
    return [
        row for row in table["rows"] if row["rung"] in same and row["caught"] and row["caught"][0] in cases[row["rung"]]
    ]


def written():
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"source": {}, "rows": []}


def noticed_by():
    """{bug: the case that noticed it} of the table"""
    return {unplaced(row): row["caught"][0] for row in written()["rows"] if row["caught"]}


def unplaced(row):
    """A bug, wherever in its function it is"""
    return row["kind"], row["rung"], row["where"].split(":")[0], row["new"]


def row_key(row):
    return row["kind"], row["rung"], row["where"], row["new"]


if __name__ == "__main__":
    if not SIMULATED:
        sys.exit("bugs are tried in the simulator: set NUMBA_ENABLE_CUDASIM=1")
    sys.exit(main(sys.argv[1:]))
