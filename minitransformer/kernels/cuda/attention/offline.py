"""Machine code without a GPU: kernels compiled as for a device of some kind, and what came out of it.

Numba makes PTX, NVIDIA's ptxas makes machine code of it and says what that takes, nvdisasm lists its instructions. All
of it comes from PyPI and runs on any processor (the extra `cudacheck`).

    python -m minitransformer.kernels.cuda.attention.offline      every kernel of every rung: the table of the pages
"""

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

ARCHITECTURES = {"sm_80": (8, 0), "sm_90": (9, 0)}
PACKAGES = {"numba_cuda": "numba-cuda", "nvidia.cu13": "nvidia-cuda-nvcc"}


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

    if not cuda.is_available():  # inlined functions ask the driver what it compiles for, even here
        dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=ARCHITECTURES[architecture])
    ptx, _ = cuda.compile_ptx(kernel.py_func, signature, cc=ARCHITECTURES[architecture])
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
