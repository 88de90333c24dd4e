"""Checkpoints: folders that are either complete or not there.

    FOLDER/step-00000250/config.json            the model's class and configuration, the run's settings, versions
                         model.safetensors      the parameters, by path
                         tokenizer.json
                         training.safetensors   the optimizer's moments (`m.PATH`, `v.PATH`), losses not yet recorded

A checkpoint is written under a temporary name, synced, and renamed. Whoever is killed in between leaves a temporary
folder behind, which nobody reads and the next save removes. The newest complete one counts.
"""

import os
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..convention import THINGS, Op
from ..files import TEMPORARY, publish_folder, read_json, remove_folder, to_json, write_synced
from ..models.shapes import shapes_of
from ..placing import to_device
from ..tokenizers import load_tokenizer, tokenizer_json
from ..trees import fill, leaves

FORMAT = "minitransformer checkpoint 1"
FILES = ("config.json", "model.safetensors", "tokenizer.json", "training.safetensors")
KEEP = 2  # checkpoints in a run folder: the newest, and the one before it


class Checkpoint(NamedTuple):
    folder: Path
    config: dict
    model: Any
    p: Any
    tokenizer: Any
    training: dict  # arrays by name


def save_checkpoint(folder, step, model, p, tokenizer, training, about):
    """Write FOLDER/step-…; `training` is a dict of arrays, `about` what config.json says besides."""
    from safetensors.numpy import save

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    final = folder / f"step-{step:08d}"
    config = {"format": FORMAT, **described(model), "step": step, **about}
    temporary = folder / f"{final.name}.{os.getpid()}{TEMPORARY}"
    try:
        temporary.mkdir()
        write_synced(temporary / "config.json", to_json(config))
        write_synced(temporary / "model.safetensors", save(contiguous(dict(leaves(p)))))
        write_synced(temporary / "tokenizer.json", to_json(tokenizer_json(tokenizer), indent=None))
        write_synced(temporary / "training.safetensors", save(contiguous(training)))
        if final.exists():  # of the same step, and the same bits unless it was damaged
            remove_folder(final)
        publish_folder(temporary, final)
    except OSError as error:
        if temporary.exists():
            remove_folder(temporary)
        kept = complete_checkpoints(folder)
        whole = f"; the checkpoint of {kept[-1].name} is whole" if kept else ""
        what = f"could not save the checkpoint of step {step}: {error.strerror or error}{whole}"
        raise OSError(error.errno, what) from None
    with suppress(OSError):  # somebody reads it just now: the next save will do
        for old in complete_checkpoints(folder)[:-KEEP]:
            remove_folder(old)
    return final


def described(model):
    """{"model": its class, "configuration": its fields}, as JSON keeps them"""
    values = {field.name: written(getattr(model, field.name)) for field in fields(model)}
    return {"model": type(model).__name__, "configuration": values}


def written(value):
    """A field's value: a model, such as a body, as described; an operation, such as an activation, {"op": its name}"""
    if isinstance(value, Op):
        return {"op": value.name}
    return described(value) if is_dataclass(value) else value


def value_of(found, path):
    """The value that was so written; a list was a tuple, for a model is frozen"""
    if isinstance(found, list):
        return tuple(value_of(part, path) for part in found)
    if not isinstance(found, dict):
        return found
    return op_of(found["op"], path) if "op" in found else model_of(found, path)


def op_of(name, path):
    thing = THINGS.get(str(name))
    if not isinstance(thing, Op):
        raise ValueError(f"{path} names the operation {name!r}, which there is not")
    return thing


def model_of(found, path):
    """The model that was described. ValueError, naming the file, where that is none."""
    name = found.get("model")
    kind = THINGS.get(str(name))
    if getattr(kind, "kind", None) != "model":
        models = ", ".join(name for name, thing in THINGS.items() if thing.kind == "model")
        raise ValueError(f"{path} names the model {name!r}; there are: {models}")
    try:
        return kind(**{name: value_of(value, path) for name, value in found["configuration"].items()})
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} does not configure a {kind.__name__}: {error}") from None


def vocab_size_of(model):
    """Its own, or under a head its body's."""
    return getattr(model, "body", model).vocab_size


def contiguous(arrays):
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def remove_leftovers(folder):
    """Temporary folders of saves that were killed; only what such a save can have made."""
    for leftover in folder.glob(f"step-*{TEMPORARY}"):
        remove_folder(leftover)


def remove_checkpoints(folder):
    """All checkpoints in a folder, whole or not; nothing else that may lie there, the lock least of all."""
    for path in folder.glob("step-*"):
        remove_folder(path)


def is_complete(folder):
    return all((folder / name).is_file() for name in FILES)


def complete_checkpoints(folder):
    """The complete checkpoints in a folder, oldest first."""
    found = (path for path in Path(folder).glob("step-*") if not path.name.endswith(TEMPORARY))
    return sorted(path for path in found if is_complete(path))


def find_checkpoint(folder):
    """The newest complete checkpoint of a run folder or of its checkpoint/, or this very one. ValueError if none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    if is_complete(folder):
        return folder
    found = complete_checkpoints(folder) or complete_checkpoints(folder / "checkpoint")
    if not found:
        raise ValueError(f"{folder} holds no complete checkpoint (a folder with {', '.join(FILES)})")
    return found[-1]


def load_checkpoint(folder):
    """The newest complete checkpoint in `folder`. ValueError, naming the file, where it is damaged or foreign."""
    folder = find_checkpoint(folder)
    try:
        return read_checkpoint(folder)
    except ValueError as error:
        older = [path.name for path in complete_checkpoints(folder.parent) if path < folder]
        hint = f"; {older[-1]} is there too, and counts once {folder.name} is moved away" if older else ""
        raise ValueError(f"{error}{hint}") from None


def read_checkpoint(folder):
    """The checkpoint in this very folder."""
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"{folder / 'config.json'} is not of a {FORMAT}")
    model = model_of(config, folder / "config.json")
    tensors = read_tensors(folder / "model.safetensors")
    try:
        p = fill(shapes_of(model, there=sum(tensor.size for tensor in tensors.values())), tensors)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{folder / 'model.safetensors'} does not fit its configuration: {error}") from None
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    if tokenizer.vocab_size != vocab_size_of(model):
        counts = f"{tokenizer.vocab_size} tokens, but the model's vocab_size is {vocab_size_of(model)}"
        raise ValueError(f"{folder / 'tokenizer.json'} has {counts}")
    return Checkpoint(folder, config, model, p, tokenizer, read_tensors(folder / "training.safetensors"))


def read_tensors(path):
    """{name: array} of a safetensors file, writeable."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return {name: array.copy() for name, array in load(path.read_bytes()).items()}
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from None


def load_model(folder):
    """model, p, tokenizer of the newest complete checkpoint in `folder`."""
    checkpoint = load_checkpoint(folder)
    return checkpoint.model, to_device(checkpoint.p), checkpoint.tokenizer
