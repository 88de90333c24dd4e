"""Folders of sentence vectors: what sentence-transformers says is done before a BERT and after it.

FOLDER/modules.json                     the steps, of which there are a BERT or one of its kind, pooling, and length 1
       1_Pooling/config.json            how tokens become one vector
       sentence_bert_config.json        how many tokens are read, and whether texts are lowered first
       tokenizer_config.json            how many tokens are read, where the other does not say
"""

from dataclasses import replace
from pathlib import Path

from ..files import read_json, to_json
from ..models import SentenceEncoder
from ..models.heads.sentence_encoder import LEAST
from .config import object_if_any, object_in
from .tensors import shown

POOLINGS = {  # what sentence-transformers calls it, and since version 6
    "mean": ("pooling_mode_mean_tokens", "mean"),
    "first": ("pooling_mode_cls_token", "cls"),
}


def made_for(model, folder):
    """The encoder with what its folder says: how tokens become one, how many it reads, whether texts are lowered."""
    length = length_of(folder)
    if length is not None and length >= model.body.context_length:
        length = None
    return replace(model, pooling=pooling_of(folder), max_length=length, lowers=lowers(folder))


def pooling_of(folder):
    """How a folder of sentence vectors says that tokens become one: "first", or "mean", which is the default.

    ValueError for other ways, and for more that is done to a vector than bringing it to length 1.
    """
    path = modules_of(folder).get("Pooling", Path(folder) / "1_Pooling") / "config.json"
    if not path.is_file():
        return "mean"
    config = object_in(path)
    asked = {name: value for name, value in config.items() if name.startswith("pooling_mode") and value is not False}
    for way, (old, new) in POOLINGS.items():
        if asked in ({old: True}, {"pooling_mode": new}):
            return way
    known = ", ".join(old for old, _ in POOLINGS.values())
    raise ValueError(f"{path} asks for {shown(str(asked))}; there is one of {known}")


def modules_of(folder):
    """{kind: its folder} of what a folder of sentence vectors consists of, where it says so"""
    path = Path(folder) / "modules.json"
    if not path.is_file():
        return {}
    try:
        modules = read_json(path)
        found = {module["type"].rpartition(".")[2]: Path(folder) / module["path"] for module in modules}
        if not isinstance(modules, list):
            raise TypeError
    except (TypeError, KeyError, AttributeError):
        raise ValueError(f"{path} is damaged: it is no list of modules") from None
    if more := found.keys() - {"Transformer", "Pooling", "Normalize"}:
        raise ValueError(f"{path}: its vectors go through {', '.join(sorted(more))}, which is not here")
    return found


def length_of(folder):
    """The most tokens that a folder of sentence vectors is made for, special ones too; None where it does not say

    Where sentence_bert_config.json does not, tokenizer_config.json may; but there any number may stand for no limit.
    """
    path = Path(folder) / "sentence_bert_config.json"
    length = object_if_any(path).get("max_seq_length")
    if length is None:
        length = object_if_any(Path(folder) / "tokenizer_config.json").get("model_max_length")
        return length if type(length) is int and length >= LEAST else None
    if type(length) is not int or length < LEAST:
        raise ValueError(f"{path} has the max_seq_length {shown(repr(length))}")
    return length


def lowers(folder):
    """Whether a folder of sentence vectors says that a text is lowered first, whatever its tokenizer does then"""
    path = Path(folder) / "sentence_bert_config.json"
    said = object_if_any(path).get("do_lower_case")
    if said not in (None, False, True):
        raise ValueError(f"{path} has the do_lower_case {shown(repr(said))}, which is neither true nor false")
    return bool(said)


def sentence_files(model):
    """{file name: bytes}: what becomes a vector of length 1, as sentence-transformers has it; of other models, none"""
    if not isinstance(model, SentenceEncoder):
        return {}
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    ways = {"word_embedding_dimension": model.body.d_model}
    ways |= {name: way == model.pooling for way, (name, _) in POOLINGS.items()}
    return {
        "1_Pooling/config.json": to_json(ways),
        "sentence_bert_config.json": to_json({"max_seq_length": length_read(model), "do_lower_case": model.lowers}),
        "modules.json": to_json(
            [
                {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
                for i, (kind, path) in enumerate(modules)
            ]
        ),
    }


def length_read(model):
    """The most tokens that a text may have, special ones too."""
    context = getattr(model, "body", model).context_length
    return min(getattr(model, "max_length", None) or context, context)
