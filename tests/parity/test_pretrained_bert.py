"""Published BERT folders beside transformers, whatever head they have; WordPiece beside the `tokenizers` library."""

import unicodedata

import numpy as np
import pytest
import torch
import transformers
from tokenizers import BertWordPieceTokenizer

from minitransformer import models
from minitransformer.pretrained import load_pretrained, save_pretrained
from minitransformer.pretrained.bert import table
from minitransformer.pretrained.names import tensors_of
from minitransformer.pretrained.tokenizers import read_wordpiece
from minitransformer.tokenizers import WordPieceTokenizer, batch_of, framed
from minitransformer.tokenizers.bert_normalizer import words
from minitransformer.training.losses import label_loss

from .agreement import relative
from .bert import KINDS
from .texts import FUZZ, TEXTS, strings

HEADS = [
    models.MaskedLanguageModel,
    models.TextClassifier,
    models.TokenClassifier,
    models.SpanFinder,
    models.SentenceEncoder,
]
ZERO = dict.fromkeys(HEADS, ("key.bias",)) | {  # gradients: what moves all choices alike is felt by no softmax
    models.SpanFinder: ("key.bias", "layer.2.output.LayerNorm.bias", "qa_outputs.bias")
}
every_head = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.__name__)


def trained(**settings):
    tokenizer = BertWordPieceTokenizer(**settings)
    tokenizer.train_from_iterator(TEXTS, vocab_size=300, min_frequency=1)
    return BertWordPieceTokenizer(tokenizer.get_vocab(), **settings)  # which frames texts, too


@pytest.fixture
def folder_of(tmp_path, rng):
    """folder_of(kind): a folder as transformers writes it, of a small model with random weights, and the model."""

    def make(kind):
        tokenizer, folder = trained(), tmp_path / kind.__name__
        folder.mkdir()
        config = transformers.BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            max_position_embeddings=23,
            hidden_size=30,
            num_hidden_layers=3,
            num_attention_heads=5,
            intermediate_size=37,
            num_labels=2 if kind is transformers.BertForQuestionAnswering else 4,
        )
        torch.manual_seed(int(rng.integers(2**31)))
        model = kind(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.2 * torch.randn_like(parameter)
        model.save_pretrained(folder)
        tokenizer.save_model(str(folder))
        return folder, model

    return make


def padded(rng, vocab_size):
    """Without the id of padding itself, whose row of the table transformers does not train."""
    ids, types = rng.integers(1, vocab_size, (3, 11)), rng.integers(0, 2, (3, 11))
    return ids, types, np.arange(11) < np.array([[11], [6], [9]])


def said(module, ids, types, kept):
    """What their model says, as ours does: logits, or hidden states."""
    found = module(torch.tensor(ids), token_type_ids=torch.tensor(types), attention_mask=torch.tensor(kept).long())
    if hasattr(found, "start_logits"):
        return torch.stack([found.start_logits, found.end_logits], 1)
    return found.logits if hasattr(found, "logits") else found.last_hidden_state


@every_head
def test_the_same_logits_and_gradients(head, folder_of, rng, hold):
    folder, module = folder_of(KINDS[head])
    module = module.double()
    model, p, *_ = load_pretrained(folder, np.float64)
    assert type(model) is head
    ids, types, kept = padded(rng, model.body.vocab_size)
    mask = kept[:, None, None]
    expected = said(module, ids, types, kept)
    if head is models.SentenceEncoder:
        weight = torch.tensor(kept)[..., None].double()
        expected = (expected * weight).sum(1) / weight.sum(1)
        y, saved = model.forward(p, ids, types=types, mask=mask)
        dy = rng.normal(size=y.shape)
        expected.backward(torch.tensor(dy))
        g = model.backward(dy, saved)
    else:
        y, _ = model.forward(p, ids, types=types, mask=mask)
        targets = rng.integers(0, y.shape[-1], y.shape[:-1])
        flat = expected.flatten(0, -2), torch.tensor(targets).flatten()
        torch.nn.functional.cross_entropy(*flat).backward()
        _, saved = (loss := label_loss(model))(p, ids, types, mask, targets)
        g = loss.backward(1.0, saved)
    differences = {"logits": relative(y, expected.detach().numpy())}
    found = tensors_of(g, table(model))
    for name, parameter in module.named_parameters():
        name = name if name in found else f"bert.{name}"
        if parameter.grad is not None and not name.endswith(ZERO[head]):
            differences[name] = relative(found[name], parameter.grad.numpy())
        elif parameter.grad is not None:
            assert np.abs(found[name]).max() < 1e-12 and parameter.grad.abs().max() < 1e-12
    hold(f"{head.__name__}, published", differences, 1e-9)


@every_head
def test_what_we_save_they_load(head, folder_of, tmp_path, rng):
    """Also after a change of ours: the same logits, to float32 rounding, and the same tokenizer."""
    folder, _ = folder_of(KINDS[head])
    model, p, tokenizer, _ = load_pretrained(folder)
    p["body"]["layers"][1]["attention"]["k"]["weight"] += 0.1 * rng.normal(size=(30, 30)).astype(np.float32)
    save_pretrained(tmp_path / "ours", model, p, tokenizer)
    module = KINDS[head].from_pretrained(tmp_path / "ours").eval()
    ids, types, kept = padded(rng, model.body.vocab_size)
    with torch.no_grad():
        expected = said(module, ids, types, kept).numpy()
    y, _ = model.forward(p, ids, types=types, mask=kept[:, None, None])
    if head is models.SentenceEncoder:
        expected = (expected * kept[..., None]).sum(1) / kept.sum(1, keepdims=True)
    np.testing.assert_allclose(y, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    by_theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    text = "The lazy [MASK], où l'été?"
    assert by_theirs(text)["input_ids"] == framed(tokenizer, text)[0].ids.tolist()


# ------------------------------------------------------------------------------------------------------- tokenizers

SETTINGS = [{}, {"lowercase": False}, {"strip_accents": False}, {"lowercase": False, "strip_accents": True}]


def ours_of(theirs, folder):
    folder.mkdir(exist_ok=True)
    theirs.save(str(folder / "tokenizer.json"))
    return read_wordpiece(folder)


def disputed(character, theirs, ours):
    """Whether one side takes it for a mark or for punctuation, and the other does not"""
    alone = theirs.normalizer.normalize_str(f"a{character}a")
    expected = [word for word, _ in theirs.pre_tokenizer.pre_tokenize_str(alone)]
    how = {"lowercase": ours.lowercase, "strip_accents": ours.strip_accents}
    return [word for word, _ in words(f"a{character}a", **how)] != expected


CHANGED = "\u166d"  # Unicode took it for punctuation, and then no more


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_same_ids_and_places_for_whatever_text(settings, tmp_path, rng):
    """But for characters that the library's tables are too old to know; they were not in Unicode 3.2 yet."""
    theirs = trained(**settings)
    ours, compared = ours_of(theirs, tmp_path / "one"), 0
    fuzz = list(strings(rng, FUZZ // len(SETTINGS)))
    new = {c for c in set("".join(fuzz)) if disputed(c, theirs, ours)}
    assert all(unicodedata.ucd_3_2_0.category(c) == "Cn" or c in CHANGED for c in new), ascii("".join(new))
    for text in [*TEXTS, "[CLS] a [MASK]b[SEP][mask]", "x" * 101 + " y", *fuzz]:
        if new & set(text):
            continue
        expected = theirs.encode(text, add_special_tokens=False)
        ids, offsets = ours.encode_with_offsets(text)
        assert ids.tolist() == expected.ids, ascii(text)
        assert offsets.tolist() == [list(pair) for pair in expected.offsets], ascii(text)
        assert ours.encode(ours.decode(ids)).tolist() == ids.tolist() or ours.unknown in ids, ascii(text)
        compared += 1
    assert compared > 0.98 * FUZZ / len(SETTINGS)


def test_one_file_is_read_as_lines_are(tmp_path):
    theirs = trained()
    one = ours_of(theirs, tmp_path / "one")
    theirs.save_model(str(tmp_path))
    assert read_wordpiece(tmp_path).to_json() == one.to_json()


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("length, stride", [(40, 0), (12, 0), (12, 3), (9, 2)])
def test_the_same_frames(pair, length, stride, tmp_path, rng):
    """Special tokens, types, truncation, and windows with something in common."""
    theirs = trained()
    ours = ours_of(theirs, tmp_path / "one")
    first, second = "the quick fox", "The lazy dog jumps over the brown fox; they've said, we'll see"
    theirs.enable_truncation(length, stride=stride, strategy="only_second" if pair else "longest_first")
    given = (first, second) if pair else (second,)
    expected = theirs.encode(*given)
    found = framed(ours, *given, length=length, stride=stride, cut="second" if pair else "longer")
    assert len(found) == 1 + len(expected.overflowing)
    for one, other in zip(found, [expected, *expected.overflowing], strict=True):
        assert one.ids.tolist() == other.ids and one.types.tolist() == other.type_ids
        assert one.offsets.tolist() == [list(place) for place in other.offsets]
        assert one.texts.tolist() == [-1 if text is None else text for text in other.sequence_ids]


@pytest.mark.parametrize("length", range(5, 30))
def test_the_longer_of_two_is_cut_first(length, tmp_path):
    theirs = trained()
    ours = ours_of(theirs, tmp_path / "one")
    theirs.enable_truncation(length)
    for a, b in (("the quick fox", "The lazy dog jumps over the brown fox"), ("over the brown fox jumps", "lazy")):
        assert framed(ours, a, b, length=length)[0].ids.tolist() == theirs.encode(a, b).ids


def test_batches_are_padded_as_theirs(tmp_path):
    theirs = trained()
    ours = ours_of(theirs, tmp_path / "one")
    theirs.enable_padding()
    texts = ["the fox", "the lazy dog jumps", ""]
    ids, types, mask = batch_of([framed(ours, text)[0] for text in texts], ours.pad)
    expected = theirs.encode_batch(texts)
    assert ids.tolist() == [one.ids for one in expected] and types.tolist() == [one.type_ids for one in expected]
    assert mask[:, 0, 0].astype(int).tolist() == [one.attention_mask for one in expected]


def test_what_is_trained_here_they_read(tmp_path):
    tokenizer = WordPieceTokenizer.train(" ".join(TEXTS), 200)
    model = models.SentenceEncoder(models.BERT(tokenizer.vocab_size, 30, 2, 1, 1, 8, 8))
    save_pretrained(tmp_path / "ours", model, model.init(np.random.default_rng(0)), tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    for text in TEXTS:
        assert theirs(text, add_special_tokens=False)["input_ids"] == tokenizer.encode(text).tolist()
