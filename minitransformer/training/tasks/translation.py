"""The task of saying the same in another way: a Transformer on pairs of texts, or on dates where no pairs are given."""

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...convention import fold, generator
from ...data import dates
from ...data.fingerprint import fingerprint
from ...data.pairs import END, START, collate, read_pairs
from ...decoding import decode
from ...models import Transformer
from ...tokenizers import TOKENIZERS
from ..losses import translation_loss
from ..optimizer import AdamW
from ..schedules import warmup_cosine
from ..settings import Settings, option


@dataclass(frozen=True)
class TranslationSettings(Settings):
    """A small Transformer that reads dates as people write them, where no pairs are given."""

    task: ClassVar = "translation"
    layers: int = option(2, "layers of the encoder, and of the decoder", least=1)
    width: int = option(128, "d_model, the width of the model", least=1)
    inner: int = option(256, "width of the feed-forward networks", least=1)
    batch: int = option(96, "pairs a batch", least=1)
    steps: int = option(4000, "steps of the optimizer", least=1)
    warmup: int = option(200, "steps until the learning rate is reached", least=0)
    learning_rate: float = option(2e-3, "the highest learning rate", above=0)
    final_learning_rate: float = option(0.0, "the learning rate of the last step", least=0)
    beta2: float = option(0.98, "Adam's memory of its square", least=0)
    weight_decay: float = option(0.0, "AdamW's decay, of matrices only", least=0)
    label_smoothing: float = option(0.1, "how much of each target is spread over all", least=0)
    evaluate_every: int = option(500, "steps between evaluations, each with a checkpoint", least=1)


class TranslationTask:
    """Pairs to learn from and pairs held out, a joint tokenizer, and a model with one table for both sides."""

    name = TranslationSettings.task
    settings_class = TranslationSettings

    def __init__(self, settings, tokenizer=None, model=None, data=None):
        self.settings = settings
        self.corpus = FileCorpus(settings.text) if settings.text else DateCorpus()
        self.data = fingerprint(self.corpus.contents(), self.corpus.size, data)
        self.tokenizer = tokenizer or self.train_tokenizer()
        (self.start_id,), (self.end_id,) = self.tokenizer.encode(START), self.tokenizer.encode(END)
        self.model = model or Transformer(
            vocab_size=self.tokenizer.vocab_size,
            n_layers=settings.layers,
            n_heads=settings.heads,
            d_model=settings.width,
            d_ff=settings.inner,
            dropout_rate=settings.dropout,
        )
        self.loss = translation_loss(self.model, label_smoothing=settings.label_smoothing)
        held_out = [pair for pairs in self.corpus.held_out.values() for pair in pairs]
        self.validation = [
            self.collate(held_out[i : i + settings.batch]) for i in range(0, len(held_out), settings.batch)
        ]

    def train_tokenizer(self):
        kind = TOKENIZERS[self.settings.tokenizer]
        text = self.corpus.characters() + START + END
        return kind.train(text, self.settings.vocab_size) if kind.name == "bpe" else kind.train(text)

    def collate(self, pairs):
        encode = self.tokenizer.encode
        return collate([(encode(source), encode(target)) for source, target in pairs], self.start_id, self.end_id)

    def optimizer(self):
        betas = self.settings.beta1, self.settings.beta2
        return AdamW(betas=betas, eps=1e-9, weight_decay=self.settings.weight_decay)

    def schedule(self):
        return warmup_cosine(
            peak=self.settings.learning_rate,
            end=self.settings.final_learning_rate,
            warmup=self.settings.warmup,
            steps=self.settings.steps,
        )

    def pieces(self, key, i):
        """The pieces of the i-th batch of a step, drawn from the step's key; in each, sources of similar length."""
        pairs = sorted(self.corpus.draw(self.settings.batch, generator(fold(key, i))), key=lambda pair: len(pair[0]))
        places = np.array_split(np.arange(len(pairs)), min(self.settings.pieces, len(pairs)))
        return [self.collate(pairs[place[0] : place[-1] + 1]) for place in places]

    def scores(self, p, map):
        """The share of each held-out set that is answered exactly, greedily."""
        return {name: round(self.exact(p, pairs, map), 4) for name, pairs in self.corpus.held_out.items()}

    def exact(self, p, pairs, map):
        pieces = [pairs[i : i + 256] for i in range(0, len(pairs), 256)]
        answers = [answer for piece in map(functools.partial(self.answer, p), pieces) for answer in piece]
        return float(np.mean([answer == target for answer, (_, target) in zip(answers, pairs, strict=True)]))

    def answer(self, p, pairs):
        """What the model says, greedily, to the first of each pair."""
        source, source_mask, target, _ = self.collate(pairs)
        longest = target.shape[1] + 8
        caches = self.model.start(p, source, source_mask=source_mask, length=longest)
        found = decode(self.model, p, caches, target[:, :1], max_tokens=longest, end=self.end_id)
        return [self.tokenizer.decode(ids) for ids in found]

    def about(self):
        return f"{self.corpus.about}, {self.tokenizer.vocab_size} tokens"

    def sample(self, p, seed, number=4):
        """Some held-out sources, each with what the model makes of it by now."""
        pairs = [pair for held_out in self.corpus.held_out.values() for pair in held_out]
        pairs = [pairs[i] for i in np.random.default_rng(seed).integers(0, len(pairs), number)]
        return "\n".join(f"{source.strip()}  →  {said}" for (source, _), said in zip(pairs, self.answer(p, pairs)))

    @staticmethod
    def next_command(folder):
        return f'translate {folder} "the third of March, 1994"'


class DateCorpus:
    """Dates of two centuries in every format; held out are pairs of format and day, and whole days."""

    def __init__(self):
        self.splits = dates.splits()
        self.held_out = {
            "unseen pairs": dates.texts(self.splits.held_out_pairs, np.random.default_rng(1)),
            "unseen days": dates.texts(self.splits.held_out_days, np.random.default_rng(2)),
        }
        self.size = f"{len(self.splits.training)} pairs"
        self.about = f"dates in {len(dates.FORMATS)} formats: {self.size}"

    def draw(self, number, rng):
        """So many pairs, with noise; both drawn from rng."""
        return dates.texts(self.splits.training[rng.integers(0, len(self.splits.training), number)], rng)

    def characters(self):
        return dates.characters()

    def contents(self):
        """What a resumed run must find unchanged: the formats and the split, seen through what is held out."""
        return repr(self.held_out) + self.size


class FileCorpus:
    """Pairs from files; the last tenth is held out."""

    def __init__(self, paths):
        pairs = [pair for path in paths for pair in read_pairs(path)]
        cut_at = len(pairs) - max(len(pairs) // 10, 1)
        self.training, self.held_out = pairs[:cut_at], {"held out": pairs[cut_at:]}
        if not self.training:
            raise ValueError("one pair is not enough: one is held out, and nothing is left to learn from")
        self.size = f"{len(pairs)} pairs"
        self.about = f"your pairs: {len(self.training):,} to learn from, {len(pairs) - cut_at:,} held out"

    def draw(self, number, rng):
        return [self.training[i] for i in rng.integers(0, len(self.training), number)]

    def characters(self):
        return "\n".join(side for pair in (*self.training, *self.held_out["held out"]) for side in pair)

    contents = characters
