"""Machine code without a GPU: kernels compiled as for a device of some kind, and what came out of it.

Numba makes PTX, NVIDIA's ptxas makes machine code of it and says what that takes, nvdisasm lists its instructions. All
of it comes as packages and runs on any processor (the extra `cudacheck`).

    python -m minitransformer.kernels.cuda.attention.offline [NAME ...]

compiles every kernel of every rung, or of some, and writes the table of the pages:
bench/results/cuda/attention_offline.json.
"""

import ast
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tokenize
from collections import Counter
from contextlib import suppress
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from ....files import write_atomically
from .. import arrays, device
from .rungs import RUNGS

ARCHITECTURES = {"sm_80": (8, 0), "sm_90": (9, 0)}
FOLDER = Path(__file__).parent
RESULTS = FOLDER.parents[3] / "bench" / "results" / "cuda" / "attention_offline.json"
VARIANTS = [  # of every kernel in the table: K, masked, architecture
    (32, False, "sm_90"),
    *((K, *rest) for K in (64, 128) for rest in ((False, "sm_80"), (False, "sm_90"), (True, "sm_90"))),
]
SHARED = {  # files of which the kernels of a rung are made as well
    "naive": ("masks",),
    "tiled": ("masks", "tiles"),
    "flash": ("masks", "tiles"),
    "flash_atomic": ("flash", "masks", "tiles"),
    "flash_registers": ("masks", "ptx"),
    "tensor_cores": ("masks", "ptx"),
    "tensor_cores_float32": ("tensor_cores", "masks", "ptx"),
}
MOST_SHARED = 48 * 1024  # bytes that a block has without asking for more
MOST_REGISTERS = 255  # that a thread can have


def tool(name):
    """The path of ptxas or nvdisasm: on the PATH, or in NVIDIA's packages. None where it is not."""
    spec = find_spec("nvidia")
    folders = [Path(folder) for folder in (spec.submodule_search_locations if spec else ())]
    found = [path for folder in folders for path in sorted(folder.glob(f"*/bin/{name}"))]
    return str(found[0]) if found else shutil.which(name)


def missing():
    """What a check without a GPU lacks here, by name; nothing: []"""
    wanted = [name for name in ("ptxas", "nvdisasm") if tool(name) is None]
    return ["numba-cuda"] * (find_spec("numba_cuda") is None) + wanted


class MachineCode(NamedTuple):
    """What a kernel became."""

    registers: int  # a thread
    shared: int  # bytes a block
    local: int  # bytes a thread of memory for what did not fit into registers
    spills: int  # bytes stored to it and loaded from it for want of registers
    instructions: list  # in order, with all their modifiers: "LDS.128"
    ptx: str

    def count(self, *names):
        """How many instructions have all of these among their parts: count("LDS", "128")"""
        return sum(set(names) <= set(each.split(".")) for each in self.instructions)

    @property
    def kinds(self):
        return Counter(each.split(".")[0] for each in self.instructions)

    @property
    def in_float64(self):
        """Instructions on 64-bit floating numbers, which a kernel in float32 has no use for"""
        return [each for each in self.instructions if re.match(r"D(ADD|MUL|FMA|SETP|MNMX)|\w2F.*F64|MUFU.*64", each)]


def compiled(kernel, signature, architecture):
    """The MachineCode of a kernel for one architecture. RuntimeError with what ptxas says where it refuses."""
    from numba import cuda
    from numba.cuda import dispatcher

    asked = dispatcher.get_current_device
    if not cuda.is_available():  # inlined functions ask the driver what it compiles for, even here
        dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=ARCHITECTURES[architecture])
    try:
        ptx, _ = cuda.compile_ptx(kernel.py_func, signature, cc=ARCHITECTURES[architecture])
    finally:
        dispatcher.get_current_device = asked
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(ptx, encoding="utf-8")
        said = run(tool("ptxas"), "-v", f"-arch={architecture}", source, "-o", binary).stderr
        listing = run(tool("nvdisasm"), binary).stdout
    return MachineCode(
        number(r"Used (\d+) registers", said),
        number(r"(\d+) bytes smem", said),
        number(r"(\d+) bytes stack frame", said),
        number(r"(\d+) bytes spill stores", said) + number(r"(\d+) bytes spill loads", said),
        re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", listing, re.MULTILINE),
        ptx,
    )


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
    return done


def number(pattern, text):
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


# -------------------------------------------------------------------------------------------- every kernel of a rung


class Launch(NamedTuple):
    """A kernel as a rung starts it"""

    kernel: object
    signature: object
    threads: int

    @property
    def name(self):
        return self.kernel.py_func.__name__


def launches(module, K, causal=True, masked=False):
    """[Launch, ...] of a forward and a backward with heads of this width. Nothing runs: what would be is noted."""
    from numba import typeof, types

    found = []

    def note(kernel, grid, block, args):
        found.append(Launch(kernel, types.void(*map(typeof, args)), int(np.prod(block))))

    dtype = np.uint16 if module.__name__.endswith("tensor_cores") else np.float32
    q, k = np.zeros((2, 4, 8, K), dtype), np.zeros((2, 2, 16, K), dtype)
    mask = np.ones((2, 1, 1, 16), bool) if masked else None
    before, arrays.on_device = arrays.on_device, lambda array: True  # arrays of NumPy will do
    try:
        with device.launches_go_to(note):
            y, saved = module.attention(q, k, k, mask=mask, causal=causal)
            with suppress(NotImplementedError):
                module.attention_backward(y, saved)
    finally:
        arrays.on_device = before
    return found


def modules():
    """The rungs, and what stands beside them"""
    from . import flash_atomic

    return {**{name: rung.module for name, rung in RUNGS.items()}, "flash_atomic": flash_atomic}


def row(rung, launch, K, masked, architecture):
    """What a table says of one kernel"""
    code = compiled(launch.kernel, launch.signature, architecture)
    return {
        "rung": rung,
        "kernel": launch.name,
        "K": K,
        "masked": masked,
        "architecture": architecture,
        "threads": launch.threads,
        "registers": code.registers,
        "shared": code.shared,
        "local": code.local,
        "spills": code.spills,
        "float64": len(code.in_float64),
        "instructions": len(code.instructions),
        "FFMA": code.count("FFMA"),
        "HMMA": code.count("HMMA"),
        "LDSM": code.count("LDSM"),
        "LDGSTS": code.count("LDGSTS"),
        "LDS.128": code.count("LDS", "128"),
        "LDG.128": code.count("LDG", "128"),
        "SHFL": code.count("SHFL"),
    }


def source_hash(name):
    """Of the code of a rung, not of what is said about it: with another one, its rows are of other kernels."""
    digest = hashlib.sha256()
    for part in (name, *SHARED.get(name, ())):
        digest.update("\n".join(code_lines((FOLDER / f"{part}.py").read_text(encoding="utf-8"))).encode())
    return digest.hexdigest()


def code_lines(text):
    """The lines of a source without comments and docstrings: the same for every version of Python."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] = token.line[: token.start[1]]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            lines[docstring.lineno - 1 : docstring.end_lineno] = [""] * (docstring.end_lineno - docstring.lineno + 1)
    return [line.rstrip() for line in lines if line.strip()]


def main(names):
    from tqdm import tqdm

    names = names or list(modules())
    wanted = [
        (name, launch, *variant)
        for name in names
        for variant in VARIANTS
        for launch in unique(launches(modules()[name], variant[0], masked=variant[1]))
    ]
    rows = [row(*each) for each in tqdm(wanted, unit="kernel")]
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"rows": [], "source": {}}
    rows += [each for each in found["rows"] if each["rung"] not in names]
    rows.sort(key=lambda each: (list(modules()).index(each["rung"]), each["K"]))
    sources = {**found["source"], **{name: source_hash(name) for name in names}}
    versions = {name: version(name) for name in ("numba-cuda", "numba", "nvidia-cuda-nvcc", "nvidia-nvvm")}
    found = {"date": str(date.today()), "versions": versions, "source": sources, "rows": rows}
    write_atomically(RESULTS, (json.dumps(found, indent=1) + "\n").encode())
    for each in rows:
        if each["local"] or each["spills"] or each["float64"] or each["shared"] > MOST_SHARED:
            print("NOT AS IT SHOULD BE:", each)


def unique(found):
    return list({launch.name: launch for launch in found}.values())


if __name__ == "__main__":
    main(sys.argv[1:])
