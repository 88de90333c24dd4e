"""Tokenizers: a long text to ids and places, and how long learning takes, beside the `tokenizers` library.

Both have the same tokens, learnt here. A run begins with nothing remembered of words that were met before.
"""

import json
from typing import NamedTuple

import numpy as np

from .contender import Benchmark, Contender


class Size(NamedTuple):
    kind: str  # of KINDS
    task: str  # "encode" or "train"
    tokens: int = 4096
    share: float = 1.0  # of the text


KINDS = ("bpe", "llama3", "wordpiece", "sentencepiece", "unigram")
PUBLISHED = {"bpe": "gpt2", "llama3": "llama", "sentencepiece": "llama", "unigram": "t5"}  # beside which model


def text_of(size):
    from minitransformer.data.text import python_reference

    text = python_reference()
    return text[: int(len(text) * size.share)]


def about(text):
    return {"bytes": len(text.encode("utf-8"))}


def learnt(size):
    from minitransformer.tokenizers import TOKENIZERS

    return TOKENIZERS[size.kind].train(text_of(size), size.tokens)


def ours(size):
    text = text_of(size)
    if size.task == "train":
        return Contender(lambda: reached(size, learnt(size).vocab_size), lambda: learnt(size), about(text))
    tokenizer = learnt(size)

    def run():
        tokenizer.known.cache_clear()
        return tokenizer.encode_with_offsets(text)

    def answer():
        ids, offsets = run()
        return {"ids": ids, "places": offsets}

    return Contender(answer, run, about(text))


def theirs(size):
    text = text_of(size)
    if size.task == "train":
        learn = lambda: their_training(size, text)
        return Contender(lambda: reached(size, learn().get_vocab_size()), learn, about(text))
    tokenizer = as_theirs(learnt(size), size.kind)

    def run():
        if hasattr(tokenizer.model, "_clear_cache"):
            tokenizer.model._clear_cache()
        return tokenizer.encode(text, add_special_tokens=False)

    def answer():
        found = run()
        return {"ids": np.array(found.ids), "places": np.array(found.offsets)}

    return Contender(answer, run, about(text))


def reached(size, vocab_size):
    """Both learn as many tokens as they were asked for, or nearly; which ones, each has rules of its own for."""
    return {"as many": np.array([float(abs(vocab_size - size.tokens) <= 0.02 * size.tokens)])}


def as_theirs(tokenizer, kind):
    """The same tokenizer in the other library, by way of published files."""
    from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer, Tokenizer

    from minitransformer.pretrained.tokenizers import tokenizer_files

    if kind == "wordpiece":
        return BertWordPieceTokenizer(tokenizer.ids)
    files = tokenizer_files(tokenizer, PUBLISHED[kind])
    if kind != "bpe":
        return Tokenizer.from_str(files["tokenizer.json"].decode("utf-8"))
    lines = files["merges.txt"].decode("utf-8").splitlines()[1:]
    return ByteLevelBPETokenizer(json.loads(files["vocab.json"]), [tuple(line.split(" ")) for line in lines])


def their_training(size, text):
    from tokenizers import (
        BertWordPieceTokenizer,
        ByteLevelBPETokenizer,
        Regex,
        Tokenizer,
        models,
        pre_tokenizers,
        trainers,
    )

    from minitransformer.pretrained.tokenizers.llama3 import WORDS

    lines, how = text.splitlines(keepends=True), {"vocab_size": size.tokens, "show_progress": False}
    if size.kind in ("bpe", "wordpiece"):
        tokenizer = ByteLevelBPETokenizer() if size.kind == "bpe" else BertWordPieceTokenizer()
        tokenizer.train_from_iterator(lines, **how)
        return tokenizer
    tokenizer = Tokenizer(models.Unigram() if size.kind == "unigram" else models.BPE())
    if size.kind == "llama3":
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        rule = pre_tokenizers.Split(Regex(WORDS), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([rule, level])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    if size.kind == "unigram":
        trainer = trainers.UnigramTrainer(unk_token="<unk>", special_tokens=["<unk>"], **how)
    else:
        trainer = trainers.BpeTrainer(**how)
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


BENCHMARK = Benchmark(
    "tokenizers: the Python Language Reference to ids and places, and 4,096 tokens learnt from it",
    {f"{kind}, {task}": Size(kind, task) for task in ("encode", "train") for kind in KINDS},
    {"ours": ours, "tokenizers": theirs},
    lambda size: {},
    tolerance=0.0,
    tiny=None,
)
