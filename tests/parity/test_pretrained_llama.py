"""Published LLaMA folders beside transformers: the same logits, the same gradients, and folders that it reads.

And the tokenizer beside the `tokenizers` library, trained there on mixed scripts: the same ids and places for any text.
"""

import json

import numpy as np
import pytest
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from minitransformer.convention import use_backend
from minitransformer.decoding import decode
from minitransformer.pretrained import chat_files, load_pretrained, save_pretrained
from minitransformer.pretrained.llama import table
from minitransformer.pretrained.names import tensors_of
from minitransformer.pretrained.tokenizers import read_tokenizer, tokenizer_files
from minitransformer.tokenizers import SentencePieceTokenizer
from minitransformer.tokenizers.sentencepiece import BYTES
from minitransformer.training.losses import next_token_loss

from .agreement import relative
from .llama import InFloat64
from .texts import FUZZ, TEXTS, sprinkled, strings

SPECIAL = ["<unk>", "<s>", "</s>"]
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 50.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 60,
}


def trained(spaces="normalizer"):
    """That library's tokenizer as LLaMA 2 has it, or with its spaces before words as newer files have them."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if spaces == "normalizer":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        in_words = pre_tokenizers.Split("▁", "merged_with_next")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=spaces, split=False)
        in_words = pre_tokenizers.Metaspace("▁", prepend_scheme=spaces, split=True)
    after = json.loads(tokenizer.to_str())["pre_tokenizer"]
    tokenizer.pre_tokenizer = in_words  # merges are learnt within words, and done across them
    trainer = trainers.BpeTrainer(vocab_size=560, special_tokens=[*SPECIAL, *BYTES], show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    data = json.loads(tokenizer.to_str()) | {"pre_tokenizer": after}
    data["added_tokens"] = [token for token in data["added_tokens"] if token["content"] in SPECIAL]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    strip = decoders.Strip(" ", 1, 0)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    return tokenizer


@pytest.fixture(params=[{}, {"rope_parameters": LLAMA3, "tie_word_embeddings": True}], ids=["LLaMA", "Llama 3.1"])
def published(request, tmp_path, rng):
    """A folder as transformers writes it, of a small model with random weights and odd sizes, and the model."""
    folder, theirs = tmp_path / "llama", trained()
    config = transformers.LlamaConfig(
        vocab_size=theirs.get_vocab_size(),
        max_position_embeddings=23,
        hidden_size=30,
        intermediate_size=41,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=4,
        **request.param,
    )
    torch.manual_seed(int(rng.integers(2**31)))
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    theirs.save(str(folder / "tokenizer.json"))
    return folder, model


def test_the_same_logits_and_gradients(published, rng, hold):
    folder, module = published
    module = module.double()
    module.model.rotary_emb = InFloat64(module.config)
    for layer in module.model.layers:
        for name in ("input_layernorm", "post_attention_layernorm"):
            setattr(layer, name, in_float64(getattr(layer, name)))
    module.model.norm = in_float64(module.model.norm)
    model, p, _, _ = load_pretrained(folder, np.float64)
    ids, targets = rng.integers(0, model.vocab_size, (2, 3, 17))
    logits, _ = model.forward(p, ids)
    expected = module(torch.tensor(ids)).logits
    differences = {"logits": relative(logits, expected.detach().numpy())}
    torch.nn.functional.cross_entropy(expected.flatten(0, 1), torch.tensor(targets).flatten()).backward()
    _, saved = (loss := next_token_loss(model))(p, ids, targets)
    found = tensors_of(loss.backward(1.0, saved), table(model))
    named = dict(module.named_parameters())
    assert named.keys() == found.keys()
    for name, parameter in named.items():
        differences[name] = relative(found[name], parameter.grad.numpy())
    hold("LLaMA, scaled and tied, published" if model.tied else "LLaMA, published", differences, 1e-9)


def in_float64(norm):
    """PyTorch's norm with these parameters: that of transformers is in float32 whatever the model is in."""
    new = torch.nn.RMSNorm(len(norm.weight), eps=norm.variance_epsilon)
    new.weight = norm.weight
    return new


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_what_we_save_they_load(backend, published, tmp_path, rng):
    """Also after a change of ours: the same logits, to float32 rounding, and the same text, token for token."""
    folder, _ = published
    model, p, tokenizer, _ = load_pretrained(folder)
    p["layers"][1]["attention"]["k"]["weight"] += 0.1 * rng.normal(size=(8, 30)).astype(np.float32)
    save_pretrained(tmp_path / "ours", model, p, tokenizer)
    module = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "ours").eval()
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
    for text in ("The quick fox  über ☕", "", " a\n"):
        assert by_theirs(text)["input_ids"] == [tokenizer.begin, *tokenizer.encode(text)]
    assert len(by_theirs("The quick fox" * 99, truncation=True)["input_ids"]) == model.context_length


TEMPLATE = "{% for turn in messages %}<{{ turn.role }}> {{ turn.content }}\n{% endfor %}"


@pytest.mark.parametrize("apart", [True, False], ids=["in files", "in one"])
@pytest.mark.parametrize("templates", [TEMPLATE, {"default": TEMPLATE, "tools": "{{ tools }}"}], ids=["one", "two"])
def test_how_it_is_asked_to_write_goes_along(templates, apart, published, tmp_path):
    """Templates and settings that they wrote; they find them in what is written here."""
    folder, _ = published
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    theirs.chat_template = templates
    theirs.save_pretrained(tmp_path / "theirs", save_jinja_files=apart)
    transformers.GenerationConfig(do_sample=True, temperature=0.6, top_p=0.9).save_pretrained(tmp_path / "theirs")
    found = load_pretrained(folder)
    save_pretrained(tmp_path / "ours", *found[:3], chat=chat_files(tmp_path / "theirs"))
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    assert again.chat_template == templates
    assert again.apply_chat_template([{"role": "a", "content": "é"}], tokenize=False) == "<a> é\n"
    settings = transformers.GenerationConfig.from_pretrained(tmp_path / "ours")
    assert (settings.do_sample, settings.temperature, settings.top_p) == (True, 0.6, 0.9)


@pytest.mark.parametrize("spaces", ["normalizer", "first", "always"])
def test_the_same_ids_and_places_for_whatever_text(spaces, tmp_path, rng):
    theirs = trained(spaces)
    theirs.save(str(tmp_path / "tokenizer.json"))
    ours = read_tokenizer(tmp_path, "llama")
    assert ours.before == {"normalizer": "one more"}.get(spaces, spaces)
    for text in [*TEXTS, *strings(rng, FUZZ)]:
        (ids, offsets), expected = ours.encode_with_offsets(text), theirs.encode(text, add_special_tokens=False)
        assert ids.tolist() == expected.ids, ascii(text)
        assert offsets.tolist() == [list(place) for place in expected.offsets], ascii(text)
        assert ours.decode(ids) == theirs.decode(expected.ids, skip_special_tokens=False), ascii(text)


def test_what_is_trained_here_they_read(tmp_path, rng):
    ours = SentencePieceTokenizer.train(" ".join(TEXTS), 520)
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_files(ours, "llama")["tokenizer.json"])
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in [*TEXTS, *strings(rng, 500)]:
        assert theirs.encode(text).ids == [ours.begin, *ours.encode(text)], ascii(text)
    assert read_tokenizer(tmp_path, "llama").to_json() == ours.to_json()


ADDED = {"<|user|>": (0, 0), "[PAD]": (0, 0), "<mask>": (1, 0), "<né>\n": (0, 1), "<a b>": (1, 1), "<|user|>s": (0, 0)}


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("spaces", ["normalizer", "first", "always"])
def test_special_tokens_are_themselves_in_whatever_text(spaces, normalized, tmp_path, rng):
    """Those of the vocabulary, and those that were added; what is written of that is read there, and here, again."""
    theirs = trained(spaces)
    flags = {text: {"lstrip": bool(a), "rstrip": bool(b)} for text, (a, b) in ADDED.items()}
    theirs.add_tokens([AddedToken(text, normalized=normalized, **how) for text, how in flags.items()])
    theirs.save(str(tmp_path / "tokenizer.json"))
    ours = read_tokenizer(tmp_path, "llama")
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_files(ours, "llama")["tokenizer.json"])
    assert read_tokenizer(tmp_path, "llama").to_json() == ours.to_json()
    again, added = Tokenizer.from_file(str(tmp_path / "tokenizer.json")), {theirs.token_to_id(text) for text in ADDED}
    seen = 0
    for text in map(lambda text: sprinkled(text, SPRINKLED, rng, 6), strings(rng, FUZZ // 4)):
        (ids, offsets), expected = ours.encode_with_offsets(text), theirs.encode(text, add_special_tokens=False)
        assert ids.tolist() == expected.ids, ascii(text)
        assert offsets.tolist() == [list(place) for place in expected.offsets], ascii(text)
        assert ours.decode(ids) == theirs.decode(expected.ids, skip_special_tokens=False), ascii(text)
        assert again.encode(text, add_special_tokens=False).ids == expected.ids, ascii(text)
        seen += bool(added & set(expected.ids))
    assert seen > FUZZ // 4 / 10


SPRINKLED = [*ADDED, *SPECIAL, "<|user", "|>", " ", "▁", "▁<|user|>", " [PAD]", "\u3000", "\n\t", "né>\n", "</"]


def test_what_their_own_class_writes_is_read(tmp_path, rng):
    """transformers makes its tokenizer of a vocabulary and merges, and knows no unknown token."""
    made = json.loads(trained().to_str())["model"]
    theirs = transformers.LlamaTokenizer(vocab=made["vocab"], merges=[tuple(pair) for pair in made["merges"]])
    theirs.add_tokens(["<|user|>"])
    theirs.save_pretrained(tmp_path)
    ours = read_tokenizer(tmp_path, "llama")
    for text in map(lambda text: sprinkled(text, SPRINKLED, rng, 6), strings(rng, FUZZ // 10)):
        assert ours.encode(text).tolist() == theirs(text, add_special_tokens=False)["input_ids"], ascii(text)
