"""LLaMA folders: what is written is read again, bit for bit, and what does not fit is said and named."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minitransformer.cli import main
from minitransformer.models import LLaMA
from minitransformer.pretrained import load_pretrained, save_pretrained
from minitransformer.pretrained.tokenizers import METASPACE, read_tokenizer, tokenizer_files
from minitransformer.tokenizers import SentencePieceTokenizer
from minitransformer.tokenizers.sentencepiece import SPACE

from ..arrays import same_bits

TEXT = "the cat sat on the mat; the cat, the mat — né à Łódź 猫 🐈 and again: the cat sat on the mat\n\n  twice"
TOKENIZER = SentencePieceTokenizer.train(TEXT, 320)
MODEL = LLaMA(TOKENIZER.vocab_size, 9, 2, 4, 2, 12, 4, 10)
LLAMA3 = {"kind": "llama3", "factor": 8.0, "low": 1.0, "high": 4.0, "context": 8192}


@pytest.fixture
def p(rng):
    return MODEL.init(rng)


@pytest.fixture
def folder(p, tmp_path):
    save_pretrained(tmp_path / "llama", MODEL, p, TOKENIZER)
    return tmp_path / "llama"


def change(path, **more):
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | more), encoding="utf-8")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"tied": True, "rotary_scaling": LLAMA3, "rotary_base": 5e5},
        {"rotary_scaling": {"kind": "linear", "factor": 2.0}, "eps": 1e-5},
    ],
)
def test_what_was_written_is_read(more, tmp_path, rng):
    model = replace(MODEL, **more)
    p = model.init(rng)
    save_pretrained(tmp_path / "llama", model, p, TOKENIZER)
    found = load_pretrained(tmp_path / "llama")
    assert found.model == model and same_bits(found.p, p)
    assert found.tokenizer.to_json() == TOKENIZER.to_json()
    assert (found.config["bos_token_id"], found.config["eos_token_id"]) == (1, 2)


@pytest.mark.parametrize("kind, scaling", [("linear", {"factor": 2.0}), ("llama3", {k: LLAMA3[k] for k in LLAMA3})])
def test_older_files_say_how_positions_are_scaled_elsewhere(kind, scaling, folder):
    names = {"low": "low_freq_factor", "high": "high_freq_factor", "context": "original_max_position_embeddings"}
    theirs = {names.get(name, name): value for name, value in scaling.items() if name != "kind"}
    for called in ("type", "rope_type"):
        change(folder / "config.json", rope_parameters=None, rope_theta=77.0, rope_scaling={called: kind} | theirs)
        model = load_pretrained(folder).model
        assert model.rotary_base == 77.0 and model.rotary_scaling == {"kind": kind} | scaling
    change(folder / "config.json", rope_scaling=None)
    assert load_pretrained(folder).model.rotary_scaling is None


def test_a_body_alone_is_a_model_where_its_head_is_tied(folder, p):
    """Its names have no prefix."""
    path = folder / "model.safetensors"
    bare = {name.removeprefix("model."): array for name, array in load_file(path).items() if name != "lm_head.weight"}
    save_file(bare, path)
    with pytest.raises(ValueError, match=r"config\.json: missing: lm_head\.weight$"):
        load_pretrained(folder)
    change(folder / "config.json", architectures=["LlamaModel"], tie_word_embeddings=True)
    del p["head"]
    assert same_bits(load_pretrained(folder).p, p)
    save_file(bare | {"model.norm.weight": bare["norm.weight"]}, path)
    with pytest.raises(ValueError, match=r"a tensor is there twice, with model\. before its name and without"):
        load_pretrained(folder)


def test_frequencies_and_a_tied_head_are_no_parameters(folder, p):
    path = folder / "model.safetensors"
    arrays = load_file(path)
    save_file(arrays | {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(2, np.float32)}, path)
    assert same_bits(load_pretrained(folder).p, p)
    change(folder / "config.json", tie_word_embeddings=True)
    assert "head" not in load_pretrained(folder).p


@pytest.mark.parametrize(
    "setting, value, message",
    [
        ("hidden_act", "gelu", "hidden_act is 'gelu'; what is here has 'silu'"),
        ("attention_bias", True, "attention_bias is True; what is here has False"),
        ("num_attention_heads", 3, "n_kv_heads=2 does not divide n_heads=3"),
        ("num_attention_heads", "four", "num_attention_heads is 'four'"),
        ("num_hidden_layers", 3, "num_hidden_layers is 3, but there are tensors of 2 layers"),
        ("num_hidden_layers", 10**9, "num_hidden_layers is 1000000000, but there are tensors of 2 layers"),
        ("hidden_size", 10**9, "model.embed_tokens.weight has shape"),
        (
            "intermediate_size",
            10**9,
            "model.layers.0.mlp.gate_proj.weight has shape (10, 12), expected (1000000000, 12)",
        ),
        ("head_dim", 6, "model.layers.0.self_attn.k_proj.weight has shape (8, 12), expected (12, 12)"),
        ("vocab_size", 297, "its tokenizer has 298 tokens, but the model's embedding 297 rows"),
        ("vocab_size", 321, "model.embed_tokens.weight has shape (298,"),
        ("tie_word_embeddings", True, None),
        ("rope_parameters", {"rope_type": "yarn"}, "scaled as 'yarn'; there are: linear, llama3"),
        ("rope_parameters", {"rope_type": "llama3", "factor": 2.0}, "there is no low_freq_factor, high_freq_factor"),
        ("rope_parameters", {"rope_type": "linear", "factor": -2.0}, "linear scaling takes factor, numbers above 0"),
        ("rope_parameters", [1], "which is no object"),
        ("rope_parameters", {"rope_theta": "ten"}, "rotary_base must be a number above 1 and below 1e+30, not 'ten'"),
        ("rms_norm_eps", 10**400, "eps must be a number above 0 and below 1e+30"),
        ("tie_word_embeddings", "false", "tied is True or False, not 'false'"),
        ("num_key_value_heads", 0, "n_kv_heads must be at least 1, not 0"),
        ("rope_parameters", {"rope_type": ["x"]}, "scaled as ['x']; there are: linear, llama3"),
        ("rope_parameters", {"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
        ("rope_parameters", {"rope_type": "linear", "factor": 10**400}, "linear scaling takes factor, numbers above 0"),
        ("rms_norm_eps", None, "eps must be a number above 0 and below 1e+30, not None"),
    ],
)
def test_configurations_that_are_not_ours(setting, value, message, folder):
    change(folder / "config.json", **{setting: value})
    if message is None:
        assert load_pretrained(folder).model.tied
        return
    with pytest.raises(ValueError, match=r".") as caught:
        load_pretrained(folder)
    assert message in str(caught.value)


def test_neighbours_have_no_published_form(p, tmp_path):
    with pytest.raises(ValueError, match="points of rotary positions are halves in a published folder, not neighbours"):
        save_pretrained(tmp_path / "new", replace(MODEL, pairing="neighbours"), p, TOKENIZER)
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------------------------------------------- the tokenizer


def edit(path, change):
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: d["model"].update(type="Unigram"), "it is not byte-pair encoding of characters"),
        (lambda d: d["model"].update(byte_fallback=False), "{'byte_fallback': False}"),
        (lambda d: d["model"].update(dropout=0.1), "it is not byte-pair encoding of characters"),
        (lambda d: d["model"].update(ignore_merges=True), "a piece that is in the vocabulary is taken whole"),
        (lambda d: d["model"]["vocab"].update(new=999), "its ids are not 0, 1, 2"),
        (lambda d: d["model"]["vocab"].pop("<0x41>"), "its ids are not 0, 1, 2"),
        (lambda d: d["model"].update(merges=[["t", "xyz"]]), "is not of two tokens"),
        (lambda d: d["model"].update(merges=["a b c"]), "is not of two tokens"),
        (lambda d: d["model"].update(merges=["猫 猫"]), "does not make a piece"),
        (lambda d: d["model"].update(merges=None), "damaged or another tokenizer"),
        (lambda d: d.update(model=None), "damaged or another tokenizer"),
        (lambda d: d.update(normalizer=None), "its spaces are treated otherwise"),
        (lambda d: d.update(pre_tokenizer={"type": "ByteLevel"}), "its spaces are treated otherwise"),
        (lambda d: d.update(added_tokens=[{"content": "<pad>"}]), "damaged or another tokenizer"),
    ],
)
def test_tokenizers_that_are_not_ours(change, message, folder):
    edit(folder / "tokenizer.json", change)
    with pytest.raises(ValueError, match=r".") as caught:
        read_tokenizer(folder, "llama")
    assert message in str(caught.value) and "tokenizer.json" in str(caught.value)


def test_a_token_that_was_added(folder):
    edit(
        folder / "tokenizer.json", lambda d: d["added_tokens"].append({"content": "<pad>", "id": TOKENIZER.vocab_size})
    )
    found = read_tokenizer(folder, "llama")
    assert found.pieces == [*TOKENIZER.pieces, "<pad>"] and found.encode("<pad>").tolist() == [TOKENIZER.vocab_size]
    assert found.special.keys() == {"<unk>", "<s>", "</s>", "<pad>"}


def test_what_the_file_does_not_list_is_letters(folder):
    edit(folder / "tokenizer.json", lambda d: d.update(added_tokens=d["added_tokens"][:1]))
    found = read_tokenizer(folder, "llama")
    assert found.special.keys() == {"<unk>"} and len(found.encode("</s>")) > 1


def test_a_token_that_is_looked_for_among_spaces_that_were_put(folder):
    """normalized: it is itself only behind a space, as which one that was put before the text will do."""

    def more(data):
        data["added_tokens"].append({"content": "<x y>", "id": TOKENIZER.vocab_size, "normalized": True})

    edit(folder / "tokenizer.json", more)
    found, n = read_tokenizer(folder, "llama"), TOKENIZER.vocab_size
    assert found.within == {"<x y>": ""} and found.encode("<x y>").tolist() == [n]
    ids, offsets = found.encode_with_offsets("t <x y><x y></s><x y>")
    assert [i for i, id in enumerate(ids) if id == n] == [1, len(ids) - 1]
    assert offsets[1].tolist() == [1, 7] and offsets[-1].tolist() == [16, 21]
    assert found.decode(ids) == "t <x y><x y></s> <x y>"
    assert SentencePieceTokenizer.from_json(found.to_json()).within == found.within
    for name, data in tokenizer_files(found, "llama").items():
        (folder / name).write_bytes(data)
    assert read_tokenizer(folder, "llama").to_json() == found.to_json()


def test_a_token_for_what_is_unknown_is_not_needed(folder):
    """Bytes are there for that; transformers 5 writes null."""
    assert json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["unk_token"] == "<unk>"
    edit(folder / "tokenizer.json", lambda d: d["model"].update(unk_token=None))
    assert read_tokenizer(folder, "llama").to_json() == TOKENIZER.to_json()


def test_merges_never_make_what_is_special(folder):
    def more(data):
        vocab = data["model"]["vocab"]
        vocab["<"], vocab["s"], vocab[">"] = (vocab.get(c, len(vocab) + i) for i, c in enumerate("<s>"))
        for piece in ("<s", "s>"):
            vocab.setdefault(piece, len(vocab))
        ids = sorted(vocab, key=vocab.get)
        data["model"]["vocab"] = {piece: id for id, piece in enumerate(ids)}
        data["model"]["merges"] = [["<", "s"], ["<s", ">"], ["s", ">"]]

    edit(folder / "tokenizer.json", more)
    edit(folder / "tokenizer.json", lambda d: d.update(added_tokens=[]))
    found = read_tokenizer(folder, "llama")
    assert [found.pieces[id] for id in found.encode("<s>")] == [SPACE, "<s", ">"]


def test_merges_as_texts_and_spaces_before_words_only(folder):
    def older(data):
        data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
        data.update(normalizer=None, pre_tokenizer=METASPACE | {"prepend_scheme": "first"})

    edit(folder / "tokenizer.json", older)
    found = read_tokenizer(folder, "llama")
    assert found.merges == TOKENIZER.merges and found.before == "first"
    assert [found.pieces[id] for id in found.encode(" the")] == [f"{SPACE}the"]
    assert [TOKENIZER.pieces[id] for id in TOKENIZER.encode(" the")] == [SPACE, f"{SPACE}the"]


def test_without_a_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"has no tokenizer: neither tokenizer\.json nor tokenizer\.model"):
        load_pretrained(folder)


# -------------------------------------------------------------------------------------------------- the command line


def test_it_writes_on(folder, capsys):
    for prompt in (["--prompt", "the cat"], []):
        assert main(["generate", str(folder), *prompt, "--tokens", "5", "--seed", "1"]) == 0
        out, error = capsys.readouterr()
        assert out.startswith(prompt[-1] if prompt else "") and len(out) > 2 and "generate:" not in error


def test_it_begins_as_its_texts_do_and_stops_where_they_end(tmp_path, capsys, rng):
    """Whatever was read, this model says </s>; and it has read <s> and the prompt."""
    p = MODEL.init(rng)
    for layer in p["layers"]:
        layer["attention"]["out"]["weight"][:] = layer["feed_forward"]["down"]["weight"][:] = 0
    p["token"]["weight"][:] = 1
    p["head"]["weight"][TOKENIZER.end] = 1
    save_pretrained(tmp_path / "llama", MODEL, p, TOKENIZER)
    assert main(["generate", str(tmp_path / "llama"), "--prompt", "cat", "--tokens", "50", "--greedy"]) == 0
    assert capsys.readouterr().out == "cat\n"
    from minitransformer.cli.generate import prompt_ids

    assert list(prompt_ids(TOKENIZER, "the cat")) == [TOKENIZER.begin, *TOKENIZER.encode("the cat")]
    assert list(prompt_ids(TOKENIZER, None)) == [TOKENIZER.begin]


def test_what_reads_is_asked_for_elsewhere(folder, capsys):
    assert main(["classify", str(folder), "a text"]) == 1
    assert "it is a LLaMA, which writes" in capsys.readouterr().err
