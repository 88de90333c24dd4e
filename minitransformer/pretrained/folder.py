"""A published model's folder: read whole or not at all, and written such that transformers loads it."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..files import TEMPORARY, publish_folder, read_json, remove_folder, to_json, write_synced
from ..models import SentenceEncoder
from ..models.shapes import shapes_of
from ..ops.embedding import check_ids
from ..placing import to_device
from ..tokenizers import RobertaTokenizer, UnigramTokenizer, WordPieceTokenizer
from ..training import checkpoint
from ..training.checkpoint import vocab_size_of
from ..trees import fill, leaves
from . import bert, distilbert, gpt2, llama, roberta
from .chat import BESIDE, about_chat
from .config import object_in
from .names import parameters_of, tensors_of
from .sentences import length_read, made_for, sentence_files
from .spare import VOCABULARIES, check_tokenizer, with_spare, without_spare
from .tensors import ONE, shown, stored_tensors
from .tokenizers import read_tokenizer, tokenizer_files

ARCHITECTURES = {  # by config.json's model_type
    "bert": bert.PUBLISHED,
    "distilbert": distilbert.PUBLISHED,
    "gpt2": gpt2,
    "llama": llama,
    "roberta": roberta.PUBLISHED,
}


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
    if not is_published(folder):
        return checkpoint.load_model(folder)
    model, p, tokenizer = load_pretrained(folder)[:3]
    return model, to_device(p), tokenizer


def load_pretrained(folder, dtype=np.float32, head=None):
    """The model, its parameters in this dtype, its tokenizer and its configuration.

    The model has an id for each token of the tokenizer; rows of the vocabulary beyond them are left out (`spare_rows`).
    head: a class of `models.heads`, to be sure that it is the one; SentenceEncoder takes the body of any
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
        if not is_published(folder):
            raise ValueError(f"{path} is not that of a published model, but of a run, or of something else")
        raise ValueError(f"{path} has the model_type {shown(repr(kind))}; there are: {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[kind]
    try:
        model = architecture.model_of(config, head)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
    if isinstance(model, SentenceEncoder):
        model = made_for(model, folder)
    tokenizer = read_tokenizer(folder, kind)
    try:
        check_tokenizer(tokenizer, model)
        check_padding(model, tokenizer)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    stored = stored_tensors(folder)
    try:
        stored = architecture.our_view(stored, model)
        architecture.check_sizes(model, stored)
        p = parameters_of(stored, architecture.table(model), shapes_of(model, dtype), dtype)
    except ValueError as error:
        raise ValueError(f"the weights in {folder} do not fit its config.json: {error}") from None
    return Pretrained(*without_spare(model, p, tokenizer.vocab_size), tokenizer, config)


def spare_rows(folder, model):
    """{path: rows} of the vocabularies that are no token's, of the folder that a model came from; mostly of no rows

    ValueError for a folder of fewer rows or of another model, and for a model that has no published form.
    """
    architecture, n, found = ARCHITECTURES[kind_of(model)], vocab_size_of(model), {}
    stored = architecture.our_view(stored_tensors(folder), model)
    for row in architecture.table(model):
        if row.ours[0] in VOCABULARIES:
            if row.theirs not in stored:
                raise ValueError(f"{folder} has no {row.theirs}, of which the model has {n} rows")
            if not (shape := stored[row.theirs].shape) or shape[0] < n:
                raise ValueError(f"{row.theirs} in {folder} has shape {shape}, and the model {n} ids")
            found[row.ours[0]] = stored[row.theirs].beyond(n).parts(1, np.float64)[0]
    return found


def kind_of(model):
    """The model_type of its published form. ValueError where it has none."""
    for kind, each in ARCHITECTURES.items():
        if each.takes(model):
            return kind
    known = dict.fromkeys(known.__name__ for each in ARCHITECTURES.values() for known in each.models)
    what = f"{type(model).__name__}{f' over a {type(model.body).__name__}' if hasattr(model, 'body') else ''}"
    bodies = [each.body for each in ARCHITECTURES.values() if hasattr(each, "body")]
    more = "; put it under a head, such as MaskedLanguageModel(body)" if type(model) in bodies else ""
    raise ValueError(f"a {what} has no published form here; there are: {', '.join(known)}{more}")


def ends_of(folder, tokenizer):
    """The ids with which a text ends: what the folder says of `eos_token_id`, or the tokenizer's; of a run, that alone

    generation_config.json has the last word. Ids beyond the vocabulary, as are left in the files of a smaller one, are
    never said, and left out. ValueError, naming the file, for what are no ids.
    """
    ends = None
    for path in (Path(folder) / name for name in ("config.json", "generation_config.json") if is_published(folder)):
        if not path.is_file():
            continue
        said = object_in(path).get("eos_token_id")
        said = said if isinstance(said, list) else [] if said is None else [said]
        if wrong := [id for id in said if type(id) is not int or id < 0]:
            raise ValueError(f"{path}: the eos_token_id {shown(repr(wrong[0]))} is no id")
        ends = [id for id in said if id < tokenizer.vocab_size] or ends
    return set(ends if ends is not None else () if tokenizer.end is None else (tokenizer.end,))


def labels_of(found):
    """[label], by class, of what was loaded; without classes, none"""
    labels = getattr(ARCHITECTURES[found.config["model_type"]], "labels_of", None)
    return labels(found.config) if labels else []


def check_padding(model, tokenizer):
    """ValueError where the model counts positions without another token than the tokenizer's padding."""
    padding = getattr(getattr(model, "body", None), "padding_idx", None)
    if padding is not None and padding != tokenizer.pad:
        raise ValueError(f"the id of padding is {tokenizer.pad} in the tokenizer, but {padding} in the model")


def check_labels(model, labels):
    """ValueError unless there is a name of its own for each class of the model, or none at all."""
    n = getattr(model, "n_classes", 0)
    if labels is not None and (len(labels) != n or len(set(labels)) < n):
        raise ValueError(f"{n} classes have {n} names, each another, and not {labels!r}")


def end_of(tokenizer):
    """What config.json says of special tokens: which ends a text, and with which one may begin; or which is padding."""
    if isinstance(tokenizer, WordPieceTokenizer):
        return {"pad_token_id": tokenizer.pad}
    if isinstance(tokenizer, RobertaTokenizer):
        ends = {"bos_token_id": tokenizer.first, "eos_token_id": tokenizer.separator}
        return {"pad_token_id": tokenizer.pad, **ends}
    if isinstance(tokenizer, UnigramTokenizer):
        return {"pad_token_id": tokenizer.pad, "bos_token_id": tokenizer.first, "eos_token_id": tokenizer.separator}
    begin = tokenizer.end if tokenizer.begin is None else tokenizer.begin
    return {"bos_token_id": begin, "eos_token_id": tokenizer.end}


def save_pretrained(folder, model, p, tokenizer, labels=None, ends=(), spare=None, chat=None):
    """Write a folder that `load_pretrained` and transformers read.

    labels: the names of the classes, where the model has classes; by default LABEL_0, LABEL_1, ...
    ends: the ids with which a text ends (`ends_of` a folder); by default the tokenizer's
    spare: rows behind those of the tokens (`spare_rows` of a folder); by default none
    chat: files that say how it is asked to write (`chat_files` of a folder), and with which ids a text ends, if they
    do, whatever `ends` says; by default none
    FileExistsError where there is something already; ValueError where model, parameters and tokenizer do not fit each
    other, or have no published form.
    """
    from safetensors.numpy import save

    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} is there already")
    kind = kind_of(model)
    architecture = ARCHITECTURES[kind]
    check_labels(model, labels)
    tokens, chat = tokenizer_files(tokenizer, kind), chat or {}
    if tokenizer.vocab_size != vocab_size_of(model):
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, but the model's vocab_size {vocab_size_of(model)}"
        )
    check_padding(model, tokenizer)
    dtype = leaves(p)[0][1].dtype
    if dtype not in (np.float16, np.float32, np.float64):
        raise ValueError(f"parameters of {dtype} have no published form; float16, float32 and float64 have")
    p = fill(shapes_of(model, dtype), dict(leaves(p)))  # or it says what does not fit
    model, p = with_spare(model, p, spare or {})
    config = architecture.config_of(model, labels) | end_of(tokenizer) | {"dtype": str(dtype)}
    if ends:
        check_ids(np.array(sorted(ends)), tokenizer.vocab_size)
        config["eos_token_id"] = sorted(ends) if len(ends) > 1 else min(ends)
    about = json.loads(tokens.get(BESIDE, "{}")) | about_chat(chat)
    about["model_max_length"] = length_read(model)  # where transformers cuts, if it is to
    files = {
        **chat,
        "config.json": to_json(config),
        ONE: save(tensors_of(p, architecture.table(model)), metadata={"format": "pt"}),
        **tokens,
        BESIDE: to_json(about),
        **sentence_files(model),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}{TEMPORARY}")
    try:
        temporary.mkdir()
        for name, data in files.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            write_synced(temporary / name, data)
        publish_folder(temporary, folder)
    except BaseException:
        if temporary.exists():
            remove_folder(temporary)
        raise
