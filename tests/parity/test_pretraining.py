"""Pre-training beside transformers: the loss of both tasks with every gradient, and the folders, in and out."""

import numpy as np
import pytest
import torch
import transformers

from minitransformer.gradcheck import Draw
from minitransformer.models import BERT, MaskedLanguageModel, PreTraining
from minitransformer.pretrained import load_pretrained, save_pretrained
from minitransformer.tokenizers import WordPieceTokenizer
from minitransformer.training.losses import pretraining_loss
from minitransformer.trees import leaves, tree_map

from .agreement import relative, tensor
from .bert import named, published
from .test_pretrained_encoders import KEY_BIAS, padded

TOKENIZER = WordPieceTokenizer.train("the quick brown fox jumps over the lazy dog, and the dog is lazy", 60)
MODEL = PreTraining(BERT(TOKENIZER.vocab_size, 23, 2, 3, 5, 30, 37, dropout_rate=0.0, attention_dropout_rate=0.0))


def module_of(p):
    module = published(MODEL)
    with torch.no_grad():
        for name, value in named(MODEL, tree_map(tensor, p)).items():
            module.get_parameter(name).copy_(value)
    return module


def test_the_same_logits_and_gradients(rng, hold):
    """Of both tasks; their loss is the sum of ours."""
    p = Draw(rng).perturbed(MODEL.init(rng, np.float64))
    module = module_of(p)
    ids, types, kept = padded(MODEL.body, rng)
    targets = np.where((rng.random(ids.shape) < 0.4) & kept, rng.integers(0, TOKENIZER.vocab_size, ids.shape), -100)
    origins = np.array([1, 0, 1])
    found = module(
        torch.tensor(ids),
        token_type_ids=torch.tensor(types),
        attention_mask=torch.tensor(kept).long(),
        labels=torch.tensor(targets),
        next_sentence_label=torch.tensor(origins),
    )
    found.loss.backward()
    mask = kept[:, None, None]
    (masked, follows), _ = MODEL.forward(p, ids, types=types, mask=mask)
    loss = pretraining_loss(MODEL)
    (of_masked, of_pairs), saved = loss(p, ids, types, mask, targets, origins)
    assert loss.count(ids, types, mask, targets, origins) == ((targets != -100).sum(), 3)
    differences = {
        "logits": relative(masked, found.prediction_logits.detach().numpy()),
        "next": relative(follows, found.seq_relationship_logits.detach().numpy()),
        "loss": relative(np.asarray(of_masked + of_pairs), found.loss.detach().numpy()),
    }
    g = named(MODEL, loss.backward(1.0, 1.0, saved))
    for name, parameter in module.named_parameters():
        if name.endswith(KEY_BIAS):
            assert np.abs(g.pop(name)).max() < 1e-12 and parameter.grad.abs().max() < 1e-12
        else:
            differences[name] = relative(g.pop(name), parameter.grad.numpy())
    assert not g
    hold("PreTraining over BERT, published", differences, 1e-9)


@pytest.mark.parametrize("kind", [transformers.BertForPreTraining, transformers.BertForMaskedLM])
def test_what_we_save_they_load(kind, tmp_path, rng):
    p = Draw(rng).perturbed(MODEL.init(rng))
    p = tree_map(lambda a: a.astype(np.float32), p)
    save_pretrained(tmp_path / "ours", MODEL, p, TOKENIZER)
    module, loading = kind.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not loading["missing_keys"] and not loading["mismatched_keys"]
    ids, types, kept = padded(MODEL.body, rng)
    more = {"token_type_ids": torch.tensor(types), "attention_mask": torch.tensor(kept).long()}
    with torch.no_grad():
        found = module.eval()(torch.tensor(ids), **more)
    ours, _ = MODEL.forward(p, ids, types=types, mask=kept[:, None, None])
    theirs = [getattr(found, name) for name in ("prediction_logits", "seq_relationship_logits") if hasattr(found, name)]
    for a, b in zip(ours, theirs or [found.logits]):
        np.testing.assert_allclose(a, b.numpy(), rtol=0, atol=2e-5 * np.abs(b.numpy()).max())


def test_what_they_save_we_load(tmp_path, rng):
    """Both heads, or the masked one alone, from one folder of theirs."""
    p = Draw(rng).perturbed(MODEL.init(rng, np.float64))
    module_of(p).save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "vocab.txt").write_text("\n".join(TOKENIZER.vocabulary) + "\n", encoding="utf-8")
    both = load_pretrained(tmp_path / "theirs", np.float64)
    alone = load_pretrained(tmp_path / "theirs", np.float64, head=MaskedLanguageModel)
    assert (both.model, alone.model) == (MODEL, MODEL.masked)
    ours = dict(leaves(p))
    assert all((leaf == ours[path]).all() for found in (both, alone) for path, leaf in leaves(found.p))
    assert dict(leaves(both.p)).keys() == ours.keys() > dict(leaves(alone.p)).keys()
