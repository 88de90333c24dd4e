"""A published model's folder: read whole or not at all, and written such that transformers loads it."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..files import TEMPORARY, publish_folder, read_json, remove_folder, to_json, write_synced
from ..tokenizers import BPETokenizer
from ..training import checkpoint
from ..trees import fill, leaves
from . import gpt2
from .names import parameters_of, tensors_of
from .tensors import ONE, shown, stored_tensors
from .tokenizers import bpe_files, read_bpe

ARCHITECTURES = {"gpt2": gpt2}  # by config.json's model_type
END_OF_TEXT = b"<|endoftext|>"


class Pretrained(NamedTuple):
    model: Any
    p: Any
    tokenizer: Any
    config: dict  # config.json as it stands there


def is_published(folder):
    """Whether this is a folder of that kind, rather than a run or a checkpoint of ours."""
    path = Path(folder) / "config.json"
    config = read_json(path) if path.is_file() else None
    return isinstance(config, dict) and bool({"model_type", "architectures"} & config.keys())


def load_model(folder):
    """model, p, tokenizer of a published folder, or of the newest complete checkpoint of a run of ours."""
    return load_pretrained(folder)[:3] if is_published(folder) else checkpoint.load_model(folder)


def load_pretrained(folder, dtype=np.float32):
    """The model, its parameters in this dtype, its tokenizer and its configuration.

    ValueError, naming the file, for an architecture that is unknown here, and for what is missing, damaged or does not
    fit together.
    """
    folder = Path(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} has no config.json: it is no folder of a published model")
    config = read_json(path)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        raise ValueError(f"{path} has the model_type {shown(repr(kind))}; there are: {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[kind]
    try:
        model = architecture.model_of(config)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
    tokenizer = read_bpe(folder)
    if tokenizer.vocab_size != model.vocab_size:
        raise ValueError(
            f"{folder}: its tokenizer has {tokenizer.vocab_size} tokens, but the model's embedding {model.vocab_size}"
        )
    stored = stored_tensors(folder)
    try:
        stored = architecture.our_view(stored)
        architecture.check_sizes(model, stored)
        p = parameters_of(stored, architecture.table(model), shapes_of(model, dtype), dtype)
    except ValueError as error:
        raise ValueError(f"the weights in {folder} do not fit its config.json: {error}") from None
    return Pretrained(model, p, tokenizer, config)


class NoNumbers:
    """In place of a generator where nobody looks at the numbers: all of them are one, in no memory."""

    def normal(self, mean, deviation, shape):
        return Shape(shape)


class Shape(NamedTuple):
    shape: tuple

    def astype(self, dtype):
        return np.broadcast_to(np.zeros((), dtype), self.shape)


def shapes_of(model, dtype):
    """A tree of the shape of the model's parameters that takes hardly any memory."""
    return model.init(NoNumbers(), dtype)


def end_of(tokenizer):
    """What config.json says of the token that ends a text, and with which one may begin."""
    end = tokenizer.tokens.index(END_OF_TEXT) if END_OF_TEXT in tokenizer.tokens else None
    return {"bos_token_id": end, "eos_token_id": end}


def save_pretrained(folder, model, p, tokenizer):
    """Write a folder that `load_pretrained` and transformers read.

    FileExistsError where there is something already; ValueError where model, parameters and tokenizer do not fit each
    other, or have no published form.
    """
    from safetensors.numpy import save

    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} is there already")
    architecture = next((each for each in ARCHITECTURES.values() if isinstance(model, each.MODEL)), None)
    if architecture is None:
        raise ValueError(f"a {type(model).__name__} has no published form here; there are: {', '.join(ARCHITECTURES)}")
    if not isinstance(tokenizer, BPETokenizer):
        raise ValueError(f"a {type(tokenizer).__name__} has no published form here; a BPETokenizer has")
    if tokenizer.vocab_size != model.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, but the model's vocab_size {model.vocab_size}"
        )
    dtype = leaves(p)[0][1].dtype
    if dtype not in (np.float16, np.float32, np.float64):
        raise ValueError(f"parameters of {dtype} have no published form; float16, float32 and float64 have")
    p = fill(shapes_of(model, dtype), dict(leaves(p)))  # or it says what does not fit
    files = {
        "config.json": to_json(architecture.config_of(model) | end_of(tokenizer) | {"dtype": str(dtype)}),
        ONE: save(tensors_of(p, architecture.table(model)), metadata={"format": "pt"}),
        **bpe_files(tokenizer),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}{TEMPORARY}")
    try:
        temporary.mkdir()
        for name, data in files.items():
            write_synced(temporary / name, data)
        publish_folder(temporary, folder)
    except BaseException:
        if temporary.exists():
            remove_folder(temporary)
        raise
