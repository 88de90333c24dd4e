"""The task of filling gaps: a BERT or a RoBERTa that learns from text alone what text is like."""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ...convention import fold, generator
from ...data.documents import BOUNDARIES, hold_out, read_documents
from ...data.fingerprint import fingerprint
from ...data.masking import Vocabulary, masked, words_of
from ...data.packing import Example, encoded, framed_row
from ...data.pairs import IGNORED
from ...data.python_documents import python_documents
from ..losses import masked_token_loss
from ..metrics import token_accuracy
from ..optimizer import AdamW
from ..parallel import cut, mean_loss
from ..schedules import warmup_linear
from ..settings import Settings, check_options, option
from .objectives import OBJECTIVES

ROWS, MASKS = 3, 4  # what further keys folded from the seed are for; a run has those before
HELD_OUT_KEY = fold(np.random.SeedSequence(0), 5)  # the same in every run, and none that a run with seed 0 folds
MASKING = ("published", "static", "dynamic")
MOST_HELD_OUT = 512  # rows that an evaluation reads


@dataclass(frozen=True)
class PretrainingSettings(Settings):
    """A small BERT on what Python says about itself, where no text is given. Its shape, rate and dropout are those of a
    model that learns for minutes; the rest is as published.
    """

    task: ClassVar = "pretraining"
    tokenizer: str = "trained"  # or the folder that it came from
    begun: str = ""  # the folder whose parameters the run began with
    model: str = option("bert", "bert, or roberta: without next sentences, byte-level BPE, dynamic masking")
    documents: str = option("blank", "blank: an empty line ends a document; or file: each file is one")
    vocab_size: int = option(2048, "tokens of the vocabulary that is trained", least=1)
    layers: int = option(2, "layers", least=1)
    whole_word: bool = option(False, "the pieces of a word are chosen together")
    masking: str = option("published", "static, dynamic, or published: static for bert, dynamic for roberta")
    duplicates: int = option(10, "how often each text is packed and masked anew, where masking is static", least=1)
    context: int = option(64, "tokens of a row, special ones among them", least=8)
    batch: int = option(16, "rows a batch", least=1)
    steps: int = option(4000, "steps of the optimizer", least=1)
    warmup: int = option(200, "steps until the learning rate is reached", least=0)
    learning_rate: float = option(2e-3, "the highest learning rate", above=0, below=math.inf)
    beta2: float = option(0.999, "Adam's memory of its square", least=0, below=1)
    weight_decay: float = option(0.01, "AdamW's decay, of matrices only", least=0, below=math.inf)
    evaluate_every: int = option(500, "steps between evaluations, each with a checkpoint", least=1)

    def __post_init__(self):
        check_options(self)
        for name, known in (("model", OBJECTIVES), ("documents", BOUNDARIES), ("masking", MASKING)):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; there are: {', '.join(known)}")


class Part(NamedTuple):
    """What is learnt from, or what is held out."""

    ids: Any  # (N)
    words: Any  # (N), the number of the word of each; None where words are not chosen whole
    rows: list


class PretrainingTask:
    """Documents to learn from and documents held out, a tokenizer, and a model for them."""

    name, command = PretrainingSettings.task, "pretrain"
    settings_class = PretrainingSettings
    signatures = {}

    def __init__(self, settings, tokenizer=None, model=None, data=None):
        self.settings, self.objective = settings, OBJECTIVES[settings.model]
        documents = read_documents(settings.text, settings.documents) if settings.text else python_documents()
        text = "\n\n".join("\n".join(sentences) for sentences in documents)
        self.data = fingerprint(text, f"{len(documents)} documents of {len(text)} characters", data)
        self.source = "your text" if settings.text else "what Python says about itself"
        learn, held_out = hold_out(documents, least=self.objective.least)
        self.tokenizer = tokenizer or self.objective.tokenizer.train(
            "\n".join(sentence for sentences in learn for sentence in sentences), settings.vocab_size
        )
        self.vocabulary = Vocabulary.of(self.tokenizer)
        self.model = model or self.objective.model(settings, self.tokenizer)
        self.check_context()
        self.loss = self.objective.loss(self.model)
        self.static = self.objective.static if settings.masking == "published" else settings.masking == "static"
        key = fold(np.random.SeedSequence(settings.seed), ROWS)
        self.learn = self.part(learn, "the text", key, settings.duplicates if self.static else 1)
        self.held_out = self.part(held_out, "what is held out", fold(HELD_OUT_KEY, ROWS))
        self.sentences = [sentence for sentences in held_out for sentence in sentences]
        self.validation = self.fixed_batches()
        self.baseline = self.without_looking()

    def check_context(self):
        if self.settings.context > self.model.body.context_length:
            raise ValueError(
                f"--context {self.settings.context} is longer than the model's context of "
                f"{self.model.body.context_length}"
            )

    def part(self, documents, what, key, duplicates=1):
        """Some documents as `Part`. ValueError, saying which, where there is too little in them."""
        room = self.settings.context - self.objective.special
        try:
            tokens = encoded(documents, self.tokenizer, room // 2)
            words = words_of(tokens.ids, tokens.sentences[:-1], self.tokenizer) if self.settings.whole_word else None
            rows = [self.objective.rows(tokens, room, fold(key, i)) for i in range(duplicates)]
            if not rows[0]:
                raise ValueError("there is not a single token in it")
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
        return Part(tokens.ids, words, [row for each in rows for row in each])

    # ------------------------------------------------------------------------------------------------- the batches

    def example(self, part, number, key):
        """A row of a part between special tokens, masked by the key."""
        row = part.rows[number]
        ids, types, places = framed_row(row, part.ids, self.tokenizer)
        words = None if part.words is None else np.where(places < 0, -1, part.words[places])
        read, targets = masked(ids, self.vocabulary, key, words=words)
        return Example(read, types, targets, row.origin)

    def pieces(self, key, i):
        """The pieces of the i-th batch of a step: rows are drawn from the step's key, and so are dynamic masks."""
        key = fold(key, i)
        numbers = generator(key).integers(0, len(self.learn.rows), self.settings.batch).tolist()
        keys = [self.static_key(number) if self.static else fold(key, row) for row, number in enumerate(numbers)]
        examples = [self.example(self.learn, *each) for each in zip(numbers, keys)]
        return cut(self.objective.batch(examples, self.tokenizer.pad), self.settings.pieces)

    def static_key(self, number):
        return fold(fold(np.random.SeedSequence(self.settings.seed), MASKS), number)

    def fixed_batches(self):
        """Rows held out, spread over all of them, with masks that are the same in every run."""
        n = len(self.held_out.rows)
        numbers = np.unique(np.linspace(0, n - 1, min(n, MOST_HELD_OUT)).astype(int)).tolist()
        examples = [self.example(self.held_out, number, fold(fold(HELD_OUT_KEY, MASKS), number)) for number in numbers]
        return cut(self.objective.batch(examples, self.tokenizer.pad), -(-len(examples) // self.settings.batch))

    def tokens(self, piece):
        """All that are read, but for padding."""
        return int(piece[2].sum())

    def optimizer(self):
        betas = self.settings.beta1, self.settings.beta2
        return AdamW(betas=betas, eps=1e-6, weight_decay=self.settings.weight_decay)

    def schedule(self):
        settings = self.settings  # the step behind the last is the one whose rate is 0
        return warmup_linear(peak=settings.learning_rate, end=0.0, warmup=settings.warmup, steps=settings.steps + 1)

    # ------------------------------------------------------------------------------------------------- how good it is

    def scores(self, p, map):
        """Of what is held out: the shares of masked tokens and of origins that were predicted, and the masked loss."""
        tasks = list(zip(*map(functools.partial(self.answers, p), self.validation)))
        names = ("masked_accuracy", "next_sentence_accuracy")
        scores = {name: round(token_accuracy(task), 5) for name, task in zip(names, tasks)}
        if len(tasks) > 1:
            loss = masked_token_loss(self.objective.masked(self.model))
            scores["masked_loss"] = round(mean_loss(loss, p, [batch[:4] for batch in self.validation], map), 5)
        return scores

    def answers(self, p, batch):
        """For each task, what the model finds likeliest, and what is right"""
        ids, types, mask, targets, *origins = batch
        places = np.flatnonzero(targets != IGNORED)
        logits, _ = self.model.forward(p, ids, types=types, mask=mask, places=places)
        logits = logits if isinstance(logits, tuple) else (logits,)
        return [(a.argmax(-1), b) for a, b in zip(logits, (targets.reshape(-1)[places], *origins), strict=True)]

    def without_looking(self):
        """What the same scores are for who looks at no other place: the most frequent token of what is learnt where a
        token is hidden, and elsewhere what is read; and for the frequencies of all tokens.
        """
        asked = [batch[3] != IGNORED for batch in self.validation]
        read, told = (np.concatenate([batch[i][at] for batch, at in zip(self.validation, asked)]) for i in (0, 3))
        counts = np.bincount(self.learn.ids, minlength=self.tokenizer.vocab_size) + 1  # so that no chance is 0
        guess = np.where(read == self.vocabulary.mask, counts.argmax(), read)
        return {
            "token": self.tokenizer.text(counts.argmax()),
            "masked_accuracy": round(float((told == guess).mean()), 5),
            "masked_loss": round(float(-np.log(counts[told] / counts.sum()).mean()), 5),
        }

    # ------------------------------------------------------------------------------------------ what people are shown

    @property
    def notes(self):
        token, accuracy, loss = self.baseline.values()
        return [
            f"without looking around, {token!r} for what is hidden and elsewhere what is read has a masked accuracy of "
            f"{accuracy}, and the frequencies of all tokens have a masked loss of {loss}"
        ]

    def about(self):
        rows = f"{len(self.learn.rows):,} rows" + f" in {self.settings.duplicates} duplicates" * self.static
        return f"{self.source}: {len(self.learn.ids):,} tokens of {self.tokenizer.vocab_size} kinds in {rows}"

    def sample(self, p, seed, number=4):
        """Some sentences held out, a word of each masked, and what the model would say there by now."""
        from ...reading import fill_mask

        rng = np.random.default_rng(seed)
        gaps = (self.gap(self.sentences[i], rng) for i in rng.permutation(len(self.sentences)))
        chosen = list(itertools.islice(filter(None, gaps), number))
        model = self.objective.masked(self.model)
        found = fill_mask(model, p, self.tokenizer, [text for text, _ in chosen], top=3, truncate=True)
        return "\n".join(
            f"{text}  →  {', '.join(token.strip() for token, _ in masks[0])}  (was: {word})"
            for (text, word), masks in zip(chosen, found)
        )

    def gap(self, sentence, rng):
        """(the sentence with a mask in the place of a word, the word); None where it has few words, or is too long"""
        ids, offsets = self.tokenizer.encode_with_offsets(sentence)
        goes_on = [False, *map(self.tokenizer.continues, ids[:-1], ids[1:]), False]
        whole = [i for i in range(len(ids)) if not goes_on[i] and not goes_on[i + 1]]
        words = [(begin, end) for begin, end in offsets[whole].tolist() if sentence[begin:end].isalpha()]
        if len(words) < 3 or len(ids) > self.model.body.context_length - 2:
            return None
        begin, end = words[rng.integers(len(words))]
        mask = self.tokenizer.text(self.tokenizer.mask)
        return f"{sentence[:begin]}{mask}{sentence[end:]}", sentence[begin:end]

    def next_command(self, folder):
        return f'fill-mask {folder}/model "The {self.tokenizer.text(self.tokenizer.mask)} of the list."'
