"""What it takes to load a checkpoint of 500 MB: the most memory beyond what was there, beside the bytes of its tensors.

A GPT-2 of 124 million parameters, of random numbers, is written as float32, float16 and bfloat16, and each file is read
as float32 by a process of its own. Linux says how much memory a process has had at most.

python -m experiments.loading_memory        results/loading_memory.json
"""

import json
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np

from bench.child import begin_peak, peak
from minitransformer.files import to_json, write_atomically
from minitransformer.models import GPT2
from minitransformer.pretrained import gpt2, load_pretrained, save_pretrained
from minitransformer.pretrained.names import tensors_of
from minitransformer.pretrained.tensors import ONE
from minitransformer.tokenizers import BPETokenizer
from minitransformer.training.run import machine
from minitransformer.trees import leaves

from .results import FOLDER

MODEL = GPT2(vocab_size=50257, context_length=1024, n_layers=12, n_heads=12, d_model=768)
AS_STORED = {
    "F32": lambda array: array,
    "F16": lambda array: array.astype(np.float16),
    "BF16": lambda array: (array.view(np.uint32) >> 16).astype(np.uint16),  # the upper half of a float32
}


def tokenizer_of(vocab_size):
    """As many tokens as that, for the model to have a tokenizer: bytes, and pairs of them that begin with the first."""
    tokens = [bytes([byte]) for byte in range(256)]
    pairs = [(left, right) for left in range(256) for right in range(256)][: vocab_size - 256]
    return BPETokenizer([*tokens, *(tokens[left] + tokens[right] for left, right in pairs)], pairs)


def make(folder, model=MODEL):
    """A published folder of that model in float32   ->   its parameters"""
    p = model.init(np.random.default_rng(0))
    save_pretrained(folder, model, p, tokenizer_of(model.vocab_size))
    return p


def store(folder, p, dtype, model=MODEL):
    """The same tensors once more, in that precision: a header, which says where each lies, and then their bytes."""
    header, parts, end = {}, [], 0
    for name, array in tensors_of(p, gpt2.table(model)).items():
        parts.append(AS_STORED[dtype](array).tobytes())
        begin, end = end, end + len(parts[-1])
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": (begin, end)}
    text = json.dumps(header).encode()
    with open(folder / ONE, "wb") as file:
        file.writelines([len(text).to_bytes(8, "little"), text, *parts])


def measure(folder):
    """The bytes of the parameters in a folder, read as float32, and by how many the memory grew meanwhile at most."""
    before = begin_peak()
    _, p, *_ = load_pretrained(folder)
    return {"bytes": sum(leaf.nbytes for _, leaf in leaves(p)), "peak": peak() - before}


def main():
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "gpt2"
        p = make(folder)
        for dtype in AS_STORED:
            store(folder, p, dtype)
            code = f"from experiments.loading_memory import *; print(json.dumps(measure({str(folder)!r})))"
            said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
            rows.append({"stored": dtype, "file": (folder / ONE).stat().st_size, **json.loads(said)})
            print(f"{dtype:4}  {rows[-1]['peak'] / rows[-1]['bytes']:.3f} times the tensors", flush=True)
    found = {"date": str(date.today()), "machine": machine(), "rows": rows}
    write_atomically(FOLDER / "loading_memory.json", to_json(found, indent=None))


if __name__ == "__main__":
    main()
