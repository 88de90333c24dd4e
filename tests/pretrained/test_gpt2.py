"""GPT-2 folders: what is written is read again, bit for bit, and what does not fit is said and named."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minitransformer.cli import main
from minitransformer.cli.generate import prompt_ids
from minitransformer.decoding import generate
from minitransformer.models import GPT2
from minitransformer.pretrained import load_pretrained, save_pretrained
from minitransformer.pretrained.gpt2 import table
from minitransformer.pretrained.names import tensors_of
from minitransformer.tokenizers import BPETokenizer, CharTokenizer
from minitransformer.trees import leaves, tree_map

from ..arrays import same_bits

ROOT = Path(__file__).parents[2]
TEXT = "the cat sat on the mat; the cat, the mat — né à Łódź 猫 🐈 and again: the cat sat on the mat\n\n  twice"
TOKENIZER = BPETokenizer.train(TEXT, 300)
MODEL = GPT2(TOKENIZER.vocab_size, 9, 2, 2, 6)


@pytest.fixture
def p(rng):
    return MODEL.init(rng)


@pytest.fixture
def folder(p, tmp_path):
    save_pretrained(tmp_path / "gpt2", MODEL, p, TOKENIZER)
    return tmp_path / "gpt2"


def change(path, **more):
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | more), encoding="utf-8")


def test_what_was_written_is_read(folder, p):
    found = load_pretrained(folder)
    assert found.model == MODEL and same_bits(found.p, p) and found.config["model_type"] == "gpt2"
    assert found.tokenizer.tokens == TOKENIZER.tokens and found.tokenizer.merges == TOKENIZER.merges
    for array in dict(leaves(found.p)).values():
        assert array.flags.c_contiguous and array.flags.writeable and array.dtype == np.float32


def test_theirs_are_stored_in_out_and_in_one(folder, p):
    theirs = load_file(folder / "model.safetensors")
    assert theirs["transformer.h.1.attn.c_attn.weight"].shape == (6, 18)
    x, attention = np.arange(6.0, dtype=np.float32), p["layers"][1]["attention"]
    both = x @ theirs["transformer.h.1.attn.c_attn.weight"]
    np.testing.assert_allclose(both, np.concatenate([attention[n]["weight"] @ x for n in "qkv"]), rtol=1e-5, atol=1e-6)
    assert len(theirs) == len(table(MODEL)) == 2 + 12 * 2 + 2


def test_names_without_the_prefix_and_with_masks(folder, p):
    """As the hub's own file has them."""
    path = folder / "model.safetensors"
    bare = {name.removeprefix("transformer."): array for name, array in load_file(path).items()}
    bare |= {f"h.{i}.attn.bias": np.ones((1, 1, 9, 9), np.float32) for i in range(2)}
    save_file(bare | {"lm_head.weight": p["token"]["weight"].copy()}, path)
    assert same_bits(load_pretrained(folder).p, p)


@pytest.mark.parametrize("stored", ["F16", "BF16", "F64"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_precision_that_files_have(stored, dtype, folder, p):
    arrays = tensors_of(p, table(MODEL))
    if stored == "BF16":
        raw = {name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in arrays.items()}
        exact = {name: (array.astype(np.uint32) << 16).view(np.float32) for name, array in raw.items()}
        save_file(raw, folder / "model.safetensors")
        data = (folder / "model.safetensors").read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = data[8 : 8 + length].replace(b'"U16"', b'"BF16"')
        (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data[8 + length :])
    else:
        raw = exact = {
            name: array.astype({"F16": np.float16, "F64": np.float64}[stored]) for name, array in arrays.items()
        }
        save_file(raw, folder / "model.safetensors")
    found = tensors_of(load_pretrained(folder, dtype).p, table(MODEL))
    for name, array in exact.items():
        assert found[name].dtype == dtype and np.array_equal(found[name], array.astype(dtype))


def shards(folder, files=("a.safetensors", "b.safetensors")):
    arrays = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: files[i % 2] for i, name in enumerate(sorted(arrays))}
    for file in files:
        save_file({name: array for name, array in arrays.items() if places[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}), encoding="utf-8")


def test_shards(folder, p):
    shards(folder)
    assert same_bits(load_pretrained(folder).p, p)
    (folder / "b.safetensors").unlink()
    with pytest.raises(ValueError, match=r"lacks 1 of its 2 shards: b\.safetensors"):
        load_pretrained(folder)


def test_a_tensor_that_its_shard_has_not(folder):
    shards(folder)
    path = folder / "model.safetensors.index.json"
    places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    change(path, weight_map=places | {"more.weight": "a.safetensors"})
    with pytest.raises(ValueError, match=r"says that more\.weight is in a\.safetensors, where it is not"):
        load_pretrained(folder)
    change(path, weight_map=places | {"more.weight": "../a.safetensors"})
    with pytest.raises(ValueError, match="names a file outside of its folder"):
        load_pretrained(folder)


def test_everything_that_does_not_fit_is_listed(folder):
    path = folder / "model.safetensors"
    arrays = load_file(path)
    del arrays["transformer.h.0.mlp.c_fc.bias"]
    arrays["transformer.wpe.weight"] = np.ones((8, 6), np.float32)
    arrays["classifier.weight"] = np.ones(3, np.float32)
    save_file(arrays, path)
    with pytest.raises(ValueError) as caught:
        load_pretrained(folder)
    for part in (
        "missing: transformer.h.0.mlp.c_fc.bias",
        "unknown: transformer.classifier.weight",
        "transformer.wpe.weight has shape (8, 6), expected (9, 6)",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "setting, value, message",
    [
        ("model_type", "mamba", "has the model_type 'mamba'; there are: bert, distilbert, gpt2, llama, roberta"),
        ("activation_function", "relu", "activation_function is 'relu'; what is here has 'gelu_new'"),
        ("n_inner", 7, "n_inner is 7; what is here has four times n_embd"),
        ("n_inner", "\n", r"n_inner is '\n'; what is here has four times n_embd"),
        ("n_head", 4, "n_heads=4 does not divide d_model=6"),
        ("n_layer", "two", "n_layers"),
        ("vocab_size", 268, "its tokenizer has 269 tokens, but the model's embedding 268 rows"),
        ("vocab_size", 301, "transformer.wte.weight has shape (269, 6), expected (301, 6)"),
        ("n_layer", 3, "n_layer is 3, but there are tensors of 2 layers"),
        ("n_layer", 10**9, "n_layer is 1000000000, but there are tensors of 2 layers"),
        ("n_embd", 2 * 10**9, "transformer.wte.weight has shape"),
        ("n_positions", 10**9, "transformer.wpe.weight has shape (9, 6), expected (1000000000, 6)"),
        ("model_type", ["gpt2"], "has the model_type ['gpt2']"),
    ],
)
def test_configurations_that_are_not_ours(setting, value, message, folder):
    change(folder / "config.json", **{setting: value})
    with pytest.raises(ValueError, match=r".") as caught:
        load_pretrained(folder)
    assert message in str(caught.value)


def rewrite_header(path, edit):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    edit(header)
    new = json.dumps(header).encode()
    path.write_bytes(len(new).to_bytes(8, "little") + new + data[8 + length :])


def first(header):
    return min((n for n in header if n != "__metadata__"), key=lambda n: header[n]["data_offsets"])


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda h: h[first(h)].update(shape=[1, 1]), "does not fit into"),
        (lambda h: h[first(h)].update(dtype="I8"), "is of dtype I8; read are F64, F32, F16, BF16"),
        (lambda h: h[first(h)].update(shape=[-1, 4]), "entry of .* is damaged"),
        (lambda h: h[first(h)].update(dtype=["F32"]), "is of dtype .*; read are"),
        (lambda h: h[first(h)].update(data_offsets=[float("inf")] * 2), "entry of .* is damaged"),
        (lambda h: h.update({"a\nb\x1b": {"dtype": "I8"}}), "entry of a\ufffdb\ufffd is damaged"),
        (lambda h: h[first(h)].pop("data_offsets"), "entry of .* is damaged"),
        (lambda h: h.pop(first(h)), "where the tensor before it ends at 0"),
        (lambda h: h.update(twice=h[first(h)]), "begins at byte 0, where the tensor before it ends at"),
    ],
)
def test_headers_that_lie(edit, message, folder):
    rewrite_header(folder / "model.safetensors", edit)
    with pytest.raises(ValueError, match=message):
        load_pretrained(folder)


def test_bytes_that_belong_to_nothing(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"1234")
    with pytest.raises(ValueError, match="4 bytes more than its tensors"):
        load_pretrained(folder)


def test_a_name_that_comes_twice(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(b'"transformer.h.0.ln_1.bias"', b'"transformer.h.1.ln_1.bias"'))
    with pytest.raises(ValueError, match="a name comes twice"):
        load_pretrained(folder)


@pytest.mark.parametrize("length", [0, 5, 8, 100, 2000, -1])
def test_truncated_files(length, folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"model\.safetensors(:| is).*(truncated|damaged|no safetensors)"):
        load_pretrained(folder)


def test_pickles_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin, a pickle.*safe_serialization=True"):
        load_pretrained(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ValueError, match=r"has no weights: neither model\.safetensors nor"):
        load_pretrained(folder)


def test_no_folder_is_written_over(folder, p):
    with pytest.raises(FileExistsError, match="is there already"):
        save_pretrained(folder, MODEL, p, TOKENIZER)


@pytest.mark.parametrize(
    "model, tokenizer, dtype, message",
    [
        (GPT2(TOKENIZER.vocab_size, 9, 1, 2, 6), TOKENIZER, np.float32, "not expected: layers.1"),
        (GPT2(TOKENIZER.vocab_size, 9, 2, 2, 8), TOKENIZER, np.float32, "expected"),
        (GPT2(TOKENIZER.vocab_size + 1, 9, 2, 2, 6), TOKENIZER, np.float32, "but the model's vocab_size"),
        (MODEL, CharTokenizer("abc"), np.float32, "a CharTokenizer has no published form here"),
        (MODEL, TOKENIZER, np.longdouble, "have no published form"),
        (object(), TOKENIZER, np.float32, "a object has no published form here; there are: MaskedLanguageModel"),
    ],
)
def test_what_does_not_fit_is_not_saved(model, tokenizer, dtype, message, p, tmp_path):
    with pytest.raises(ValueError, match=r".") as caught:
        save_pretrained(tmp_path / "new", model, tree_map(lambda leaf: leaf.astype(dtype), p), tokenizer)
    assert message in str(caught.value) and not list(tmp_path.iterdir())


def test_without_a_tokenizer(folder):
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    with pytest.raises(ValueError, match=r"has no tokenizer: neither vocab\.json with merges\.txt nor tokenizer\.json"):
        load_pretrained(folder)


# -------------------------------------------------------------------------------------------------- the command line


def test_it_writes_on(folder, capsys):
    assert main(["generate", str(folder), "--prompt", "the cat", "--tokens", "5", "--seed", "1", "--greedy"]) == 0
    out, error = capsys.readouterr()
    assert (
        out.startswith("the cat") and len(out) > len("the cat\n") and not error.startswith("minitransformer generate:")
    )


def test_it_stops_where_the_text_ends(tmp_path, capsys, rng):
    """The model says the token that ends a text, and nothing of it is shown."""
    tokenizer = BPETokenizer([*TOKENIZER.tokens, b"<|endoftext|>"], TOKENIZER.merges)
    model = GPT2(tokenizer.vocab_size, 9, 1, 1, 6)
    p = model.init(rng)
    p["norm"]["weight"][:], p["norm"]["bias"][:] = 0, 1  # whatever was read, the logits are the sums of the embeddings
    p["token"]["weight"][-1] = 3
    save_pretrained(tmp_path / "gpt2", model, p, tokenizer)
    config = json.loads((tmp_path / "gpt2" / "config.json").read_text(encoding="utf-8"))
    assert config["eos_token_id"] == tokenizer.vocab_size - 1
    assert main(["generate", str(tmp_path / "gpt2"), "--prompt", "cat", "--tokens", "50", "--greedy"]) == 0
    assert capsys.readouterr().out == "cat\n"


def test_without_a_prompt_it_begins_behind_the_end_of_another_text(tmp_path, capsys, rng):
    tokenizer = BPETokenizer([*TOKENIZER.tokens, b"<|endoftext|>"], TOKENIZER.merges)
    assert list(prompt_ids(tokenizer, None)) == [tokenizer.end] == [tokenizer.vocab_size - 1]
    assert list(prompt_ids(tokenizer, "the")) == list(tokenizer.encode("the"))
    assert list(prompt_ids(TOKENIZER, None)) == list(TOKENIZER.encode("\n"))  # which knows no such sign
    model = GPT2(tokenizer.vocab_size, 9, 1, 1, 6)
    p = model.init(rng)
    save_pretrained(tmp_path / "ended", model, p, tokenizer)
    expected = list(generate(model, p, [tokenizer.end], max_tokens=5, temperature=9.0, seed=3))
    assert main(["generate", str(tmp_path / "ended"), "--tokens", "5", "--temperature", "9", "--seed", "3"]) == 0
    assert capsys.readouterr().out == tokenizer.decode(expected) + "\n" and tokenizer.end not in expected


def test_what_attends_to_what(folder, tmp_path, capsys):
    assert main(["attend", str(folder), "the cat", "--out", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").stat().st_size > 10_000


@pytest.mark.parametrize("command, more", [("generate", ["--prompt", "x"]), ("attend", ["x"])])
def test_mistakes_are_one_line(command, more, folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change(folder / "config.json", model_type="mamba")
    assert main([command, str(folder), *more]) == 1
    error = capsys.readouterr().err
    assert "has the model_type 'mamba'; there are: bert, distilbert, gpt2, llama, roberta" in error
    assert "Traceback" not in error


# -------------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("rng", [0], indirect=True, ids="seed{}".format)  # whatever the numbers are, there are as many
@pytest.mark.parametrize("stored", [np.float32, np.float16])
def test_loading_takes_hardly_more_than_the_arrays(stored, folder, tmp_path):
    """At most a tenth more than the bytes of the tensors in the precision asked for."""
    model = GPT2(TOKENIZER.vocab_size, 9, 12, 4, 512)  # 150 MB
    p = tree_map(lambda leaf: leaf.astype(stored), model.init(np.random.default_rng(0)))
    save_pretrained(tmp_path / "large", model, p, TOKENIZER)
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from bench.child import begin_peak, peak\n"
        "from minitransformer.pretrained import load_pretrained\n"
        "from minitransformer.trees import leaves, n_bytes\n"
        f"load_pretrained({str(folder)!r})\n"  # so that only the arrays are new
        "before = begin_peak()\n"
        f"p = load_pretrained({str(tmp_path / 'large')!r}).p\n"
        "print((peak() - before) / n_bytes(leaves(p)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert 0.9 < float(done.stdout) < 1.1
