"""Published folders of BERT and of those after it beside transformers, whatever head they have."""

import numpy as np
import pytest
import torch
import transformers

from minitransformer import models
from minitransformer.pretrained import load_pretrained, save_pretrained
from minitransformer.pretrained.names import tensors_of
from minitransformer.tokenizers import framed
from minitransformer.training.losses import label_loss

from . import test_roberta_tokenizer, test_wordpiece
from .agreement import relative
from .bert import FAMILIES, TASKS, every_row_learns

BERT_SIZES = {
    "max_position_embeddings": 23,
    "hidden_size": 30,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "intermediate_size": 37,
}
SIZES = {
    models.BERT: BERT_SIZES,
    models.RoBERTa: BERT_SIZES | {"type_vocab_size": 1},
    models.DistilBERT: {"max_position_embeddings": 23, "dim": 30, "n_layers": 3, "n_heads": 5, "hidden_dim": 37},
}
TOKENIZERS = {
    models.BERT: test_wordpiece.trained,
    models.DistilBERT: test_wordpiece.trained,
    models.RoBERTa: test_roberta_tokenizer.trained,
}
KEY_BIAS = ("key.bias", "k_lin.bias")
LAST_BIAS = ("layer.2.output.LayerNorm.bias", "layer.2.output_layer_norm.bias", "qa_outputs.bias")
HEADS = [head for head in TASKS if head is not models.PreTraining]  # which test_pretraining.py has
every_head = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.__name__)
every_body = pytest.mark.parametrize("body", FAMILIES, ids=lambda body: body.__name__)


@pytest.fixture
def folder_of(tmp_path, rng):
    """folder_of(body, head): a folder as transformers writes it, of a small random model, and the model."""

    def make(body, head):
        family, tokenizer, folder = FAMILIES[body], TOKENIZERS[body](), tmp_path / "theirs"
        config = family.configuration(
            vocab_size=tokenizer.get_vocab_size(),
            num_labels=2 if head is models.SpanFinder else 4,  # of a span they are its ends
            **SIZES[body],
        )
        torch.manual_seed(int(rng.integers(2**31)))
        model = every_row_learns(family.kind(head)(config)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.2 * torch.randn_like(parameter)
        model.save_pretrained(folder)
        tokenizer.save_model(str(folder))
        return folder, model

    return make


def padded(body, rng):
    """ids, types, kept: two of three texts are followed by padding"""
    kept = np.arange(11) < np.array([[11], [6], [9]])
    ids, types = rng.integers(0, body.vocab_size, (2, 3, 11))
    if isinstance(body, models.RoBERTa):  # theirs counts positions by it
        ids = np.where(kept, np.where(ids == body.padding_idx, 0, ids), body.padding_idx)
    return ids, types % getattr(body, "n_types", 1), kept


def said(module, ids, types, kept):
    """What their model says, as ours does: logits, or the mean of the hidden states."""
    more = {} if module.config.model_type == "distilbert" else {"token_type_ids": torch.tensor(types)}
    found = module(torch.tensor(ids), attention_mask=torch.tensor(kept).long(), **more)
    if hasattr(found, "start_logits"):
        return torch.stack([found.start_logits, found.end_logits], 1)
    if hasattr(found, "logits"):
        return found.logits
    weight = torch.tensor(kept)[..., None].to(found.last_hidden_state.dtype)
    return (found.last_hidden_state * weight).sum(1) / weight.sum(1)


@every_body
@every_head
def test_the_same_logits_and_gradients(body, head, folder_of, rng, hold):
    folder, module = folder_of(body, head)
    module = module.double()
    model, p, *_ = load_pretrained(folder, np.float64)
    assert type(model) is head and type(model.body) is body
    ids, types, kept = padded(model.body, rng)
    mask = kept[:, None, None]
    expected = said(module, ids, types, kept)
    y, saved = model.forward(p, ids, types=types, mask=mask)
    differences = {"logits": relative(y, expected.detach().numpy())}
    if head is models.SentenceEncoder:
        dy = rng.normal(size=y.shape)
        expected.backward(torch.tensor(dy))
        g = model.backward(dy, saved)
    else:
        targets = rng.integers(0, y.shape[-1], y.shape[:-1])
        flat = expected.flatten(0, -2), torch.tensor(targets).flatten()
        torch.nn.functional.cross_entropy(*flat).backward()
        _, saved = (loss := label_loss(model))(p, ids, types, mask, targets)
        g = loss.backward(1.0, saved)
    encoder = FAMILIES[body].published
    found = tensors_of(g, encoder.table(model))
    zero = KEY_BIAS + (LAST_BIAS if head is models.SpanFinder else ())  # what moves all choices alike is not felt
    for name, parameter in module.named_parameters():
        name = name if name in found else f"{encoder.prefix}{name}"
        if name not in found:  # the pooler of a body alone
            assert parameter.grad is None
        elif name.endswith(zero):
            assert np.abs(found.pop(name)).max() < 1e-12 and parameter.grad.abs().max() < 1e-12
        else:
            differences[name] = relative(found.pop(name), parameter.grad.numpy())
    assert not found
    hold(f"{head.__name__} over {body.__name__}, published", differences, 1e-9)


@every_body
@every_head
def test_what_we_save_they_load(body, head, folder_of, tmp_path, rng):
    """Also after a change of ours: the same logits, to float32 rounding, and the same tokenizer."""
    folder, _ = folder_of(body, head)
    model, p, tokenizer, _ = load_pretrained(folder)
    p["body"]["layers"][1]["attention"]["k"]["weight"] += 0.1 * rng.normal(size=(30, 30)).astype(np.float32)
    save_pretrained(tmp_path / "ours", model, p, tokenizer)
    module = FAMILIES[body].kind(head).from_pretrained(tmp_path / "ours").eval()
    ids, types, kept = padded(model.body, rng)
    with torch.no_grad():
        expected = said(module, ids, types, kept).numpy()
    y, _ = model.forward(p, ids, types=types, mask=kept[:, None, None])
    np.testing.assert_allclose(y, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    by_theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    mask = tokenizer.text(tokenizer.mask)
    for texts in ((f"The lazy {mask}, où l'été?",), ("the quick", f"{mask} fox, {mask}")):
        assert by_theirs(*texts)["input_ids"] == framed(tokenizer, *texts)[0].ids.tolist()
