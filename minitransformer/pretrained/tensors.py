"""Tensors of a folder in the safetensors format, each read when it is asked for.

A file begins with the length of its header (8 bytes, little-endian), then the header, JSON: name -> dtype, shape, and
where its bytes begin and end in what follows. A tensor is mapped into memory while it is copied into an array of the
precision wanted, and let go of, so that never much more is there than the arrays.
"""

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..files import read_json

WHOLE_NUMBERS = {"I64": np.int64, "I32": np.int32, "U8": np.uint8, "BOOL": np.bool_}  # no parameters, but in some files
DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, **WHOLE_NUMBERS}
ONE, INDEX = "model.safetensors", "model.safetensors.index.json"
LARGEST_HEADER = 100_000_000  # bytes, the format's own limit
MOST_AXES = 8


def shown(name):
    """What a file calls something, as it may stand in a line of ours."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(name))
    return text if len(text) <= 100 else f"{text[:97]}..."


class Stored(NamedTuple):
    """Where a tensor lies."""

    path: Path
    dtype: str  # as the format names it
    shape: tuple
    begin: int  # byte of the file

    def parts(self, n, dtype, transposed=False):
        """n fresh arrays of this dtype, that lie in the tensor one after another along its first axis

        transposed: along the first axis of its transpose, whose parts they are. Each is written once, where it stays.
        """
        if not math.prod(self.shape):  # of nothing there is no map
            whole = np.empty(self.shape, DTYPES[self.dtype])
        else:
            whole = np.asarray(np.memmap(self.path, DTYPES[self.dtype], "r", self.begin, self.shape))
        return [self.read(part, dtype) for part in np.split(whole.T if transposed else whole, n)]

    def beyond(self, n):
        """What lies behind the first n rows."""
        rows, *row = self.shape
        size = math.prod(row) * np.dtype(DTYPES[self.dtype]).itemsize
        return self._replace(shape=(rows - n, *row), begin=self.begin + n * size)

    def read(self, stored, dtype):
        if self.dtype == "BF16":  # the upper half of a float32
            bits = np.array(stored, np.uint32, order="C")
            bits <<= 16
            return bits.view(np.float32).astype(dtype, copy=False)
        return np.array(stored, dtype, order="C")


def stored_tensors(folder):
    """{name: Stored} of everything in the folder. ValueError where files are missing, damaged or of another format."""
    folder = Path(folder)
    if (folder / ONE).is_file():
        return header(folder / ONE)
    if (folder / INDEX).is_file():
        return sharded(folder)
    if pickles := sorted(path.name for path in folder.glob("*.bin")):
        raise ValueError(
            f"{folder} has its weights in {pickles[0]}, a pickle, which can run any code and is not read here: "
            f"transformers' save_pretrained(FOLDER, safe_serialization=True) writes them as {ONE}"
        )
    raise ValueError(f"{folder} has no weights: neither {ONE} nor {INDEX}")


def sharded(folder):
    index = read_json(folder / INDEX)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise ValueError(f"{folder / INDEX} has no weight_map of names to files")
    files = sorted(set(places.values()))
    if foreign := [name for name in files if Path(name).name != name]:
        raise ValueError(f"{folder / INDEX} names a file outside of its folder: {shown(foreign[0])}")
    if missing := [name for name in files if not (folder / name).is_file()]:
        raise ValueError(f"{folder} lacks {len(missing)} of its {len(files)} shards: {shown(', '.join(missing))}")
    shards = {name: header(folder / name) for name in files}
    if absent := [name for name, file in places.items() if name not in shards[file]]:
        raise ValueError(
            f"{folder / INDEX} says that {shown(absent[0])} is in {shown(places[absent[0]])}, where it is not"
        )
    return {name: shards[file][name] for name, file in places.items()}


def header(path):
    """{name: Stored} of one file."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, LARGEST_HEADER):
            raise ValueError(f"{path} is truncated or no safetensors file: its header would be {length} bytes long")
        try:
            entries = json.loads(file.read(length), object_pairs_hook=each_once)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is damaged or no safetensors file: {error}") from None
    if not isinstance(entries, dict):
        raise ValueError(f"{path} is no safetensors file: its header is not an object")
    entries.pop("__metadata__", None)
    found, end_before = {}, 0
    for name, entry in sorted(entries.items(), key=begin_of):
        try:
            dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            sizes_fit = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
        except (TypeError, KeyError, ValueError):
            sizes_fit = False
        if not sizes_fit or len(shape) > MOST_AXES:
            raise ValueError(f"{path}: the header's entry of {shown(name)} is damaged")
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise ValueError(f"{path}: {shown(name)} is of dtype {shown(dtype)}; read are {', '.join(DTYPES)}")
        what = shown(name)
        if end - begin != math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize:
            raise ValueError(f"{path}: {what} of shape {shown(shape)} in {dtype} does not fit into its bytes")
        if begin != end_before:
            raise ValueError(f"{path}: {what} begins at byte {begin}, where the tensor before it ends at {end_before}")
        if 8 + length + end > size:
            raise ValueError(f"{path} is truncated: {what} ends at byte {8 + length + end}, the file at {size}")
        found[name], end_before = Stored(path, dtype, shape, 8 + length + begin), end
    if 8 + length + end_before != size:
        raise ValueError(f"{path} is damaged: it has {size - 8 - length - end_before} bytes more than its tensors")
    return found


def each_once(pairs):
    """A JSON object as a dict. ValueError where a name comes twice, of which `json` would keep the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice in its header")
    return found


def begin_of(item):
    """Where a header's entry says that its bytes begin and end; 0 where it says nothing that makes sense."""
    try:
        begin, end = item[1]["data_offsets"]
        return int(begin), int(end)
    except (TypeError, KeyError, ValueError, OverflowError):
        return 0, 0
