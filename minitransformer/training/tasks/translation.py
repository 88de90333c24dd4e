"""The task of saying the same in another way, on pairs of texts, or on dates where no pairs are given."""

import functools
import math
import shlex
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...blocks.recurrence import CELLS
from ...convention import fold, generator
from ...data.fingerprint import fingerprint
from ...data.pairs import END, START, collate, marks
from ...decoding import decode
from ...tokenizers import TOKENIZERS
from ..losses import translation_loss
from ..metrics import OF_SACREBLEU, exact_match, signatures, token_accuracy
from ..optimizer import AdamW
from ..schedules import inverse_square_root, warmup_cosine
from ..settings import Settings, option
from .corpora import DateCorpus, FileCorpus
from .translators import ATTENTIONS, check_translator, translator

SCHEDULES = {  # by name, each made from the settings
    "cosine": lambda s: warmup_cosine(peak=s.learning_rate, end=s.final_learning_rate, warmup=s.warmup, steps=s.steps),
    "inverse-square-root": lambda s: inverse_square_root(peak=s.learning_rate, warmup=s.warmup),
}
MOST_BYTES = 2**32  # of attention weights, in a piece of a batch


@dataclass(frozen=True)
class TranslationSettings(Settings):
    """By default a small Transformer, and dates as people write them, where no pairs are given."""

    task: ClassVar = "translation"
    model: str = option("transformer", f"transformer, or a recurrent one: {', '.join(CELLS)}")
    attention: str = option("none", f"of a recurrent model: {', '.join(ATTENTIONS)}")
    layers: int = option(2, "layers of the encoder, and of the decoder", least=1)
    width: int = option(128, "d_model, the width of the model", least=1)
    heads: int = option(4, "attention heads a layer, of a Transformer", least=1)
    inner: int = option(256, "width of the feed-forward networks, of a Transformer", least=1)
    batch: int = option(96, "pairs a batch", least=1)
    steps: int = option(2600, "steps of the optimizer", least=1)
    schedule: str = option("cosine", "cosine, or inverse-square-root, which falls as in Vaswani et al. 2017")
    warmup: int = option(200, "steps until the learning rate is reached", least=0)
    learning_rate: float = option(2e-3, "the highest learning rate", above=0, below=math.inf)
    final_learning_rate: float = option(0.0, "the last learning rate, of the cosine", least=0, below=math.inf)
    beta2: float = option(0.98, "Adam's memory of its square", least=0, below=1)
    weight_decay: float = option(0.0, "AdamW's decay, of matrices only", least=0, below=math.inf)
    label_smoothing: float = option(0.1, "how much of each target is spread over all", least=0, below=1)
    evaluate_every: int = option(500, "steps between evaluations, each with a checkpoint", least=1)

    def __post_init__(self):
        super().__post_init__()
        check_translator(self)
        if self.schedule not in SCHEDULES:
            raise ValueError(f"unknown schedule {self.schedule!r}; there are: {', '.join(SCHEDULES)}")
        if self.schedule != "cosine" and self.final_learning_rate:
            raise ValueError(f"final_learning_rate is of the cosine: the schedule {self.schedule} has no last step")


class TranslationTask:
    """Pairs to learn from and pairs held out, a joint tokenizer, and a model that says one in the other's place."""

    name, command = TranslationSettings.task, "translate train"
    settings_class = TranslationSettings

    def __init__(self, settings, tokenizer=None, model=None, data=None):
        self.settings = settings
        self.corpus = FileCorpus(settings.text) if settings.text else DateCorpus()
        self.data = fingerprint(self.corpus.contents(), self.corpus.size, data)
        self.tokenizer = tokenizer or self.train_tokenizer()
        self.start_id, self.end_id = marks(self.tokenizer)
        self.model = model or translator(settings, self.tokenizer.vocab_size)
        self.loss = translation_loss(self.model, label_smoothing=settings.label_smoothing)
        self.rows = -(-settings.batch // settings.pieces)  # that are side by side: in training, and so in evaluating
        self.held_out = {  # by length, so that little is padding where they stand side by side
            name: sorted(pairs, key=lambda pair: length(self.encode(pair)))
            for name, pairs in self.corpus.held_out.items()
        }
        self.validation = [self.collate(piece) for pairs in self.held_out.values() for piece in self.batches(pairs)]
        self.signatures, self.notes = {}, self.corpus.notes()
        if settings.text:
            self.check_memory()
            try:  # of dates, exact match says all there is to say
                self.signatures = signatures()
                self.notes += [f"{name} is that of sacrebleu, {said}" for name, said in self.signatures.items()]
            except ImportError as error:
                self.notes.append(f"{error}; the other scores do without")

    def train_tokenizer(self):
        kind = TOKENIZERS[self.settings.tokenizer]
        if kind.name == "bpe":
            return kind.train(self.corpus.text(), self.settings.vocab_size)
        return kind.train(self.corpus.characters() + START + END)

    def check_memory(self):
        """ValueError for a pair that is too long: better now than when it comes, in the middle of a run."""
        for pair in self.corpus.pairs:
            if self.needed(*(len(text.encode()) for text in pair)) <= MOST_BYTES:
                continue  # a token is at least a byte
            S, T = map(len, self.encode(pair))
            if (needed := self.needed(S, T)) > MOST_BYTES:
                raise ValueError(
                    f"the pair {pair[0][:20]!r}… of {S:,} and {T:,} tokens takes {needed / 2**30:,.1f} GiB for "
                    f"attention weights, with {self.rows} like it side by side, more than {MOST_BYTES / 2**30:.0f} "
                    "GiB: leave it out, or lower --batch"
                )

    def needed(self, S, T):
        """Bytes for the attention weights of pairs of S and T tokens, as many as stand side by side."""
        return 4 * self.rows * self.model.attention_size(S, T)

    def batches(self, pairs):
        return [pairs[i : i + self.rows] for i in range(0, len(pairs), self.rows)]

    def encode(self, pair):
        return tuple(self.tokenizer.encode(text) for text in pair)

    def collate(self, pairs):
        return collate([self.encode(pair) for pair in pairs], self.start_id, self.end_id)

    def optimizer(self):
        betas = self.settings.beta1, self.settings.beta2
        return AdamW(betas=betas, eps=1e-9, weight_decay=self.settings.weight_decay)

    def schedule(self):
        return SCHEDULES[self.settings.schedule](self.settings)

    def pieces(self, key, i):
        """The pieces of the i-th batch of a step, drawn from the step's key; in each, pairs of similar length."""
        drawn = self.corpus.draw(self.settings.batch, generator(fold(key, i)))
        pairs = sorted(map(self.encode, drawn), key=length)
        places = np.array_split(np.arange(len(pairs)), min(self.settings.pieces, len(pairs)))
        return [collate(pairs[place[0] : place[-1] + 1], self.start_id, self.end_id) for place in places]

    def tokens(self, piece):
        """Those that are told: the targets."""
        return self.loss.count(*piece)

    # ------------------------------------------------------------------------------------------------- how good it is

    def scores(self, p, map):
        """Of what is held out: the share of tokens predicted, of texts answered exactly, and what sacrebleu says."""
        scores = {"token_accuracy": round(token_accuracy(map(functools.partial(self.predict, p), self.validation)), 5)}
        for name, pairs in self.held_out.items():
            answers = self.answers(p, pairs, map)
            references = [target for _, target in pairs]
            scores[f"exact_match_{name.replace(' ', '_')}"] = round(exact_match(answers, references), 5)
            for measure in self.signatures:
                scores[measure] = round(OF_SACREBLEU[measure](answers, references).score, 2)
        return scores

    def predict(self, p, batch):
        """The likeliest token at every place, each after the right ones, and the right one."""
        source, source_mask, target, targets = batch
        logits, _ = self.model.forward(p, source, target, source_mask=source_mask)  # (B,T,V)
        return logits.argmax(-1), targets

    def answers(self, p, pairs, map=map):
        """What the model says, greedily, to the first of each pair."""
        pieces = map(functools.partial(self.answer, p), self.batches(pairs))
        return [answer for piece in pieces for answer in piece]

    def answer(self, p, pairs):
        """The answers to one batch, none longer than its longest target and 8 tokens more."""
        source, source_mask, target, _ = self.collate(pairs)
        longest = target.shape[1] - 1 + 8
        caches = self.model.start(p, source, source_mask=source_mask, length=longest)
        found = decode(self.model, p, caches, target[:, :1], max_tokens=longest, end=self.end_id)
        return [self.tokenizer.decode(ids) for ids in found]

    # ------------------------------------------------------------------------------------------ what people are shown

    def about(self):
        return f"{self.corpus.about}, {self.tokenizer.vocab_size} tokens"

    def sample(self, p, seed, number=4):
        """Some held-out sources, each with what the model makes of it by now."""
        pairs = [pair for held_out in self.corpus.held_out.values() for pair in held_out]
        pairs = [pairs[i] for i in np.random.default_rng(seed).integers(0, len(pairs), number)]
        return "\n".join(f"{source.strip()}  →  {said}" for (source, _), said in zip(pairs, self.answer(p, pairs)))

    def next_command(self, folder):
        example = shlex.quote(self.corpus.example)
        return f"translate {folder} {'-- ' if example.startswith('-') else ''}{example}"


def length(pair):
    """The length of an encoded pair, of both sides."""
    return sum(map(len, pair))
