"""Published folders beside transformers: the same logits, the same gradients, and folders that it reads.

And published tokenizers beside the `tokenizers` library: the same ids for whatever text.
"""

import numpy as np
import pytest
import torch
import transformers
from tokenizers import AddedToken, ByteLevelBPETokenizer

from minitransformer.convention import use_backend
from minitransformer.decoding import decode
from minitransformer.pretrained import load_pretrained, save_pretrained, spare_rows
from minitransformer.pretrained.gpt2 import table
from minitransformer.pretrained.names import tensors_of
from minitransformer.pretrained.tokenizers import bpe_files, read_bpe
from minitransformer.training.losses import next_token_loss

from .agreement import relative
from .texts import FUZZ, TEXTS, sprinkled, strings


@pytest.fixture
def theirs():
    """The tokenizer of that library, trained on mixed scripts."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(TEXTS, vocab_size=420, min_frequency=2, special_tokens=["<|endoftext|>"])
    return tokenizer


@pytest.fixture
def published(theirs, tmp_path, rng):
    """A folder as transformers writes it, of a small model with random weights and odd sizes, and the model."""
    folder = tmp_path / "gpt2"
    config = transformers.GPT2Config(
        vocab_size=theirs.get_vocab_size(), n_positions=23, n_embd=30, n_layer=3, n_head=5, resid_pdrop=0.0
    )
    torch.manual_seed(int(rng.integers(2**31)))
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    theirs.save_model(str(folder))
    return folder, model


def test_the_same_logits_and_gradients(published, rng, hold):
    folder, module = published
    module = module.double()
    model, p, _, _ = load_pretrained(folder, np.float64)
    ids, targets = rng.integers(0, model.vocab_size, (2, 3, 17))
    logits, _ = model.forward(p, ids)
    expected = module(torch.tensor(ids)).logits
    differences = {"logits": relative(logits, expected.detach().numpy())}
    torch.nn.functional.cross_entropy(expected.flatten(0, 1), torch.tensor(targets).flatten()).backward()
    _, saved = (loss := next_token_loss(model))(p, ids, targets)
    found = tensors_of(loss.backward(1.0, saved), table(model))
    for name, parameter in module.named_parameters():
        differences[name] = relative(found[name], parameter.grad.numpy())
    hold("GPT2, published", differences, 1e-9)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_what_we_save_they_load(backend, published, tmp_path, rng):
    """Also after a change of ours: the same logits, to float32 rounding, and the same text, token for token."""
    folder, _ = published
    model, p, tokenizer, _ = load_pretrained(folder)
    p["layers"][1]["attention"]["k"]["weight"] += 0.1 * rng.normal(size=(30, 30)).astype(np.float32)
    save_pretrained(tmp_path / "ours", model, p, tokenizer)
    module = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "ours").eval()
    ids = rng.integers(0, model.vocab_size, (2, 9))
    use_backend(backend)
    logits, _ = model.forward(p, ids)
    with torch.no_grad():
        expected = module(torch.tensor(ids)).logits.numpy()
        theirs = module.generate(
            torch.tensor(ids),
            attention_mask=torch.ones(2, 9, dtype=torch.long),
            max_new_tokens=10,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )[:, 9:]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    ours = decode(model, p, model.start(p, 2), ids, max_tokens=10)
    assert [row.tolist() for row in ours] == theirs.tolist()
    by_theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    assert by_theirs("The quick fox")["input_ids"] == tokenizer.encode("The quick fox").tolist()
    assert len(by_theirs("The quick fox" * 99, truncation=True)["input_ids"]) == model.context_length


def test_a_padded_vocabulary(published, tmp_path, rng, hold):
    """The same logits and gradients as theirs of the tokens alone; and all is written again as it was."""
    folder, module = published
    V = module.config.vocab_size
    module.resize_token_embeddings(V + 27)  # spare rows of random numbers
    module.save_pretrained(folder)
    model, p, tokenizer, _ = load_pretrained(folder, np.float64)
    ids, targets = rng.integers(0, V, (2, 3, 17))
    expected = module.double()(torch.tensor(ids)).logits[..., :V]
    _, saved = (loss := next_token_loss(model))(p, ids, targets)
    differences = {"logits": relative(model.forward(p, ids)[0], expected.detach().numpy())}
    torch.nn.functional.cross_entropy(expected.flatten(0, 1), torch.tensor(targets).flatten()).backward()
    found = tensors_of(loss.backward(1.0, saved), table(model))
    for name, parameter in module.named_parameters():
        differences[name] = relative(found[name], parameter.grad.numpy()[: len(found[name])])
    hold("GPT2, padded", differences, 1e-9)
    save_pretrained(tmp_path / "ours", model, p, tokenizer, spare=spare_rows(folder, model))
    again = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "ours")
    assert again.config.vocab_size == V + 27
    for name, parameter in module.named_parameters():
        assert torch.equal(again.get_parameter(name), parameter), name


def test_the_same_ids_and_places_for_whatever_text(theirs, tmp_path, rng):
    theirs.save_model(str(tmp_path))
    ours = read_bpe(tmp_path)
    for text in [*TEXTS, *strings(rng, FUZZ)]:
        (ids, offsets), expected = ours.encode_with_offsets(text), theirs.encode(text)
        assert ids.tolist() == expected.ids, ascii(text)
        assert offsets.tolist() == [list(place) for place in expected.offsets], ascii(text)
        assert ours.decode(ids) == text


ADDED = {"<|user|>": (0, 0), "[PAD]": (0, 0), "<mask>": (1, 0), "<né>\n": (0, 1), "<a b>": (1, 1), "<|user|>s": (0, 0)}


@pytest.fixture
def talking(theirs):
    """With tokens that were added, and take the spaces beside them or do not."""
    theirs.add_tokens([AddedToken(text, lstrip=bool(a), rstrip=bool(b)) for text, (a, b) in ADDED.items()])
    return theirs


SPRINKLED = [
    *ADDED,
    "<|endoftext|>",
    "<|endoftext|>",
    "<|user",
    "|>",
    " ",
    "\u3000",
    "\n\t",
    "<<mask>",
    "né>\n",
    "\x1c",
]


def test_special_tokens_are_themselves_in_whatever_text(talking, tmp_path, rng):
    talking.save(str(tmp_path / "tokenizer.json"))
    ours = read_bpe(tmp_path)
    assert ours.special.keys() == {"<|endoftext|>", *ADDED}
    for text in map(lambda text: sprinkled(text, SPRINKLED, rng, 6), strings(rng, FUZZ)):
        (ids, offsets), expected = ours.encode_with_offsets(text), talking.encode(text)
        assert ids.tolist() == expected.ids == ours.encode(text).tolist(), ascii(text)
        assert offsets.tolist() == [list(place) for place in expected.offsets], ascii(text)


def test_special_tokens_that_we_write_they_read(talking, tmp_path, rng):
    """And what they write of that, we read again; from their two files as from one."""
    talking.save(str(tmp_path / "tokenizer.json"))
    ours = read_bpe(tmp_path)
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    for name, data in bpe_files(ours).items():
        (tmp_path / "ours" / name).write_bytes(data)
    by_theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    for text in map(lambda text: sprinkled(text, SPRINKLED, rng, 6), strings(rng, FUZZ // 10)):
        assert by_theirs(text)["input_ids"] == ours.encode(text).tolist(), ascii(text)
    by_theirs.save_pretrained(tmp_path / "theirs")
    assert read_bpe(tmp_path / "theirs").to_json() == ours.to_json()


def test_one_file_is_read_as_two_are(theirs, tmp_path):
    theirs.save_model(str(tmp_path))
    two = read_bpe(tmp_path)
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).unlink()
    theirs.save(str(tmp_path / "tokenizer.json"))
    one = read_bpe(tmp_path)
    assert one.to_json() == two.to_json() and one.special == {"<|endoftext|>": 0}
