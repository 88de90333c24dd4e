"""Fine-tuning beside torch and transformers: two steps from the same weights on the same batches, and the folder."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers

from minitransformer.finetuning.loop import Finetuning, Settings, Step
from minitransformer.finetuning.tasks import TASKS
from minitransformer.gradcheck import Draw
from minitransformer.models import BERT, GPT2, SpanFinder, TextClassifier, TokenClassifier
from minitransformer.pretrained import save_pretrained
from minitransformer.pretrained.bert import PUBLISHED
from minitransformer.tokenizers import BPETokenizer
from minitransformer.trees import tree_map, tree_with_paths

from ..finetuning.made import TOKENIZER, names, opinions, questions, writing
from .agreement import differences, relative, tensor
from .bert import family_of, named, published
from .models import gpt2_names, published_gpt2

BODY = BERT(TOKENIZER.vocab_size, 24, 2, 2, 2, 10, 14, dropout_rate=0.0, attention_dropout_rate=0.0)
SETTINGS = {"epochs": 1, "batch": 6, "accumulate": 2, "pieces": 3, "learning_rate": 1e-2, "warmup": 0.4, "clip": 0.1}
TASK = {
    "classify": (opinions, ".tsv", TextClassifier(BODY, 2), ["bad", "good"]),
    "tag": (names, ".conll", TokenClassifier(BODY, 4), ["B-LOC", "B-PER", "I-PER", "O"]),
    "answer": (questions, ".jsonl", SpanFinder(BODY), []),
}
every_task = pytest.mark.parametrize("task", TASK)
FROZEN = ["token", "position", "type", "norm", "layers.0"]


def begin(task, tmp_path, rng, freeze=(), **more):
    make, suffix, model, labels = TASK[task]
    kind = TASKS[task]
    examples = kind.read(make(tmp_path / f"data{suffix}", 24, rng), TOKENIZER, 24)
    p = Draw(rng).perturbed(model.init(rng, np.float64))
    settings = Settings(**SETTINGS | more)
    return Finetuning(kind(TOKENIZER, 24, labels), model, p, examples[:-2], examples[-2:], settings, freeze)


def module_of(model, p):
    module = published(model).train()  # with dropout of rate 0
    with torch.no_grad():
        for name, value in named(model, tree_map(tensor, p)).items():
            module.get_parameter(name).copy_(value)
    return module


def batch_loss(module, batch):
    """The mean cross-entropy of one batch that is padded as a whole."""
    ids, types, mask, targets = map(tensor, batch)
    found = module(ids, token_type_ids=types, attention_mask=mask[:, 0, 0].long())
    logits = torch.stack([found.start_logits, found.end_logits], 1) if hasattr(found, "start_logits") else found.logits
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=-100)


def bert_groups(module, model, settings, freeze):
    """A group for each parameter: its rate by layer, written from the definition."""
    ours = {row.theirs: row.ours[0] for row in PUBLISHED.table(model)}
    groups = []
    for name, w in module.named_parameters():
        path = ours[name]
        first, *rest = path.removeprefix("body.").split(".")
        down = 0 if not path.startswith("body.") else 2 - int(rest[0]) if first == "layers" else 3
        part = f"layers.{rest[0]}" if first == "layers" else first
        w.requires_grad_(not (path.startswith("body.") and part in freeze))
        decay = settings.weight_decay if w.ndim > 1 else 0.0
        groups.append({"params": [w], "lr": settings.layer_decay**down, "weight_decay": decay})
    return groups


def their_training(module, batches, groups, settings, batch_loss=batch_loss):
    """Losses of every step, and the norms of their gradients."""
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8)
    steps, warmup, losses, norms = len(batches), math.ceil(settings.warmup * len(batches)), [], []
    rates = [group["lr"] for group in optimizer.param_groups]
    for step, batch in enumerate(batches):
        rate = min((step + 1) / warmup, (steps - step) / (steps + 1 - warmup))
        for group, factor in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = settings.learning_rate * rate * factor
        optimizer.zero_grad()
        loss = batch_loss(module, batch)
        loss.backward()
        trained = [w for w in module.parameters() if w.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(trained, torch.inf).item()
        torch.nn.utils.clip_grad_norm_(trained, settings.clip * (norm + 1e-6) / norm)  # which undoes their 1e-6
        optimizer.step()
        losses.append(loss.item())
        norms.append(norm)
    return np.array(losses), norms


@every_task
@pytest.mark.parametrize("freeze, layer_decay", [((), 1.0), (FROZEN, 1.0), ((), 0.7), (["layers.1", "type"], 0.7)])
def test_two_steps(task, freeze, layer_decay, tmp_path, rng, hold):
    """Our batches in pieces, accumulated; theirs whole. Some gradients are longer than allowed."""
    finetuning = begin(task, tmp_path, rng, freeze, layer_decay=layer_decay)
    model, p, settings = finetuning.model, finetuning.training.p, finetuning.settings
    module = module_of(model, p)
    batches = [finetuning.task.batch(rows) for rows in finetuning.batches(1)]
    theirs, norms = their_training(module, batches, bert_groups(module, model, settings, freeze), settings)
    ours = np.array([event.loss for event in finetuning.train(2) if isinstance(event, Step)])
    assert len(ours) == 2 and max(norms) > settings.clip
    hold("fine-tuning: losses", {"losses": relative(ours, theirs)})
    found = {name: each.numpy() for name, each in named(model, tree_map(tensor, p)).items()}
    expected = {name: w.detach().numpy() for name, w in module.named_parameters() if name in found}
    hold("fine-tuning: parameters", differences(found, expected))


@every_task
def test_the_folder_in_transformers(task, tmp_path, rng, hold):
    """The same logits, float64, and the labels by name."""
    finetuning, (_, _, model, labels) = begin(task, tmp_path, rng), TASK[task]
    list(finetuning.train())
    p = finetuning.training.p
    save_pretrained(tmp_path / "out", model, p, TOKENIZER, labels or None)
    module = family_of(model).kind(type(model)).from_pretrained(tmp_path / "out", dtype=torch.float64).eval()
    ids, types, mask, _ = finetuning.task.batch(finetuning.rows[:5])
    y, _ = model.forward(p, ids, types=types, mask=mask)
    theirs = module(tensor(ids), token_type_ids=tensor(types), attention_mask=tensor(mask)[:, 0, 0].long())
    logits = torch.stack([theirs.start_logits, theirs.end_logits], 1) if task == "answer" else theirs.logits
    assert [module.config.id2label[i] for i in range(len(labels))] == labels
    hold("fine-tuned folder", {"logits": relative(y, logits.detach().numpy())})


@pytest.mark.parametrize("freeze", [(), ["token", "position", "layers.0"], ["token", "layers.1"]])
def test_two_steps_of_gpt2(freeze, tmp_path, rng, hold):
    """Whose table is tied to its head, and is frozen at both ends."""
    text = writing(tmp_path / "text.txt", 20, rng).read_text(encoding="utf-8")
    tokenizer, kind = BPETokenizer.train(text, 270), TASKS["lm"]
    examples = kind.read(tmp_path / "text.txt", tokenizer, 8)[:26]
    model = GPT2(tokenizer.vocab_size, 8, n_layers=2, n_heads=2, d_model=10, dropout_rate=0.0)
    p, settings = Draw(rng).perturbed(model.init(rng, np.float64)), Settings(**SETTINGS)
    finetuning = Finetuning(kind(tokenizer, 8), model, p, examples[:-2], examples[-2:], settings, freeze)
    module, parts = published_gpt2(model), tuple(f"{name}." for name in freeze)
    still = gpt2_names(tree_with_paths(lambda path, leaf: torch.full(leaf.shape, path.startswith(parts)), p))
    groups = []
    for name, value in gpt2_names(tree_map(tensor, p)).items():
        w = module.get_parameter(name)
        with torch.no_grad():
            w.copy_(value)
        w.requires_grad_(not bool(still[name].any()))
        groups.append({"params": [w], "lr": 1.0, "weight_decay": settings.weight_decay if w.ndim > 1 else 0.0})

    def next_token(module, batch):
        ids, targets = map(tensor, batch)
        return F.cross_entropy(module(ids).logits.flatten(0, 1), targets.flatten())

    batches = [kind(tokenizer, 8).batch(rows) for rows in finetuning.batches(1)]
    theirs, norms = their_training(module, batches, groups, settings, next_token)
    ours = np.array([event.loss for event in finetuning.train(2) if isinstance(event, Step)])
    assert len(ours) == 2 and max(norms) > settings.clip
    hold("fine-tuning: losses", {"losses": relative(ours, theirs)})
    found = {name: each.numpy() for name, each in gpt2_names(tree_map(tensor, p)).items()}
    expected = {name: w.detach().numpy() for name, w in module.named_parameters()}
    hold("fine-tuning: parameters", differences(found, expected))
    save_pretrained(tmp_path / "out", model, p, tokenizer)
    again = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "out", dtype=torch.float64).eval()
    logits, _ = model.forward(p, batches[0][0])
    hold("fine-tuned folder", {"logits": relative(logits, again(tensor(batches[0][0])).logits.detach().numpy())})
