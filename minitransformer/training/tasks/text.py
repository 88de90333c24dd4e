"""The task of going on with a text: a GPT-2 that predicts what comes next in it."""

import math
from dataclasses import dataclass
from typing import ClassVar

from ...convention import fold
from ...data.fingerprint import fingerprint
from ...data.text import hold_out, python_reference, read_text
from ...data.windows import check_length, every_window, random_windows
from ...models import GPT2
from ...tokenizers import TOKENIZERS
from ..losses import next_token_loss
from ..optimizer import AdamW
from ..parallel import cut
from ..schedules import warmup_cosine
from ..settings import Settings, option


@dataclass(frozen=True)
class TextSettings(Settings):
    """A small GPT-2, character by character, on the Python Language Reference where no text is given."""

    task: ClassVar = "text"
    context: int = option(64, "tokens that the model sees at once", least=1)
    final_learning_rate: float = option(1e-4, "the learning rate of the last step", least=0, below=math.inf)


class TextTask:
    """The text in two, its tokenizer, and a model for it. What was there before (when resuming) is handed in."""

    name, command = TextSettings.task, "train"
    settings_class = TextSettings
    signatures, notes = {}, ()

    def __init__(self, settings, tokenizer=None, model=None, data=None):
        self.settings = settings
        text = read_text(settings.text) if settings.text else python_reference()
        self.data = fingerprint(text, f"{len(text)} characters", data)
        self.source = "your text" if settings.text else "the Python Language Reference"
        learn, held_out = hold_out(text)
        self.tokenizer = tokenizer or self.train_tokenizer(text, learn)
        self.learn_ids, self.held_out_ids = self.tokenizer.encode(learn), self.tokenizer.encode(held_out)
        check_length(self.learn_ids, settings.context, "the text")
        windows = every_window(self.held_out_ids, settings.context, "the held-out tenth of the text")
        self.validation = cut(windows, -(-len(windows[0]) // settings.batch))
        self.model = model or GPT2(
            vocab_size=self.tokenizer.vocab_size,
            context_length=settings.context,
            n_layers=settings.layers,
            n_heads=settings.heads,
            d_model=settings.width,
            dropout_rate=settings.dropout,
        )
        self.loss = next_token_loss(self.model)

    def train_tokenizer(self, text, learn):
        kind = TOKENIZERS[self.settings.tokenizer]
        return kind.train(learn, self.settings.vocab_size) if kind.name == "bpe" else kind.train(text)

    def optimizer(self):
        return AdamW(betas=(self.settings.beta1, self.settings.beta2), weight_decay=self.settings.weight_decay)

    def schedule(self):
        settings = self.settings
        return warmup_cosine(
            peak=settings.learning_rate,
            end=settings.final_learning_rate,
            warmup=settings.warmup,
            steps=settings.steps,
        )

    def pieces(self, key, i):
        """The pieces of the i-th batch of a step, drawn from the step's key."""
        batch = random_windows(self.learn_ids, self.settings.batch, self.settings.context, fold(key, i))
        return cut(batch, self.settings.pieces)

    def tokens(self, piece):
        """Those that are told: all that a window has."""
        return self.loss.count(*piece)

    def scores(self, p, map):
        """Beside the loss, nothing."""
        return {}

    def about(self):
        """One line on what is learnt from."""
        return f"{self.source}: {len(self.learn_ids):,} tokens of {self.tokenizer.vocab_size} kinds"

    def sample(self, p, seed, length=160):
        """What the model writes by now, going on from the beginning of the held-out text."""
        from ...decoding import generate

        prompt = self.held_out_ids[: max(self.settings.context // 2, 1)]
        ids = generate(self.model, p, prompt, max_tokens=length, temperature=0.8, seed=seed)
        return self.tokenizer.decode(list(ids))

    @staticmethod
    def next_command(folder):
        return f'generate {folder} --prompt "The "'
