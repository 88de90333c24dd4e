"""How a model is asked to write goes along when its folder is written again, bit for bit, and fine-tuning keeps it."""

import json
import re

import pytest

from minitransformer.cli import main
from minitransformer.models import GPT2, LLaMA
from minitransformer.pretrained import chat_files, load_pretrained, save_pretrained
from minitransformer.tokenizers import BPETokenizer, Llama3Tokenizer

TEXT = "the cat sat on the mat; the cat, the mat and again: the cat sat on the mat\n" * 4
BPE, LLAMA3 = BPETokenizer.train(TEXT, 270), Llama3Tokenizer.train(TEXT, 290)
MODELS = {
    "gpt2": (GPT2(BPE.vocab_size, 9, 1, 2, 6), BPE),
    "llama": (LLaMA(LLAMA3.vocab_size, 9, 1, 2, 1, 4, 8, 8), LLAMA3),
}

SAID = {
    "generation_config.json": b'{\n  "temperature": 0.7, "eos_token_id": 2}',
    "chat_template.jinja": "{{ messages[0].content }} né\n".encode(),
    "additional_chat_templates/tools.jinja": b"{{ tools }}",
    "additional_chat_templates/.jinja": b"{{ a name that a file may have }}",
}


@pytest.fixture(params=MODELS)
def folder(request, tmp_path, rng):
    model, tokenizer = MODELS[request.param]
    folder = tmp_path / request.param
    save_pretrained(folder, model, model.init(rng), tokenizer)
    (folder / "additional_chat_templates").mkdir()
    for name, data in SAID.items():
        (folder / name).write_bytes(data)
    about = json.loads((folder / "tokenizer_config.json").read_bytes())
    about["chat_template"] = [{"name": "default", "template": "{{ messages }}"}]
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return folder


def test_it_goes_along(folder, tmp_path):
    found = load_pretrained(folder)
    said = chat_files(folder)
    save_pretrained(tmp_path / "again", *found[:3], chat=said)
    assert chat_files(tmp_path / "again") == said
    assert SAID.items() < said.items()
    assert len(said) == len(SAID) + 1
    save_pretrained(tmp_path / "without", *found[:3])
    assert chat_files(tmp_path / "without") == {}
    ours = [load_pretrained(tmp_path / name) for name in ("again", "without")]
    assert ours[0].tokenizer.to_json() == ours[1].tokenizer.to_json() == found.tokenizer.to_json()
    written = [json.loads((tmp_path / name / "tokenizer_config.json").read_bytes()) for name in ("again", "without")]
    assert written[0] == written[1] | {"chat_template": [{"name": "default", "template": "{{ messages }}"}]}


@pytest.mark.parametrize(
    "name", ["../a", "config.json", "a/b/c.jinja", "additional_chat_templates/../../a.jinja", "chat_template.jinja/a"]
)
def test_files_of_other_names_are_refused(name, tmp_path, rng):
    """They would be written over the model's own, or outside its folder."""
    model, tokenizer = MODELS["gpt2"]
    with pytest.raises(ValueError, match=f"{re.escape(repr(name))} says nothing of how a model is asked to write"):
        save_pretrained(tmp_path / "folder", model, model.init(rng), tokenizer, chat={name: b"{}"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", [b"[1]", b"{", b"\xff", b'{"tokenizer_class": "A", "chat_template": "a"}'])
def test_of_the_tokenizers_file_there_is_the_template_alone(data, tmp_path, rng):
    model, tokenizer = MODELS["gpt2"]
    with pytest.raises(ValueError, match="the tokenizer_config.json of a chat has a chat_template and nothing else"):
        how = {"chat": {"tokenizer_config.json": data}}
        save_pretrained(tmp_path / "folder", model, model.init(rng), tokenizer, **how)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("template", [None, "", {"default": "{{ a }}"}, "half a \ud83d pair, \\ and \\ud83d"])
def test_whatever_the_template_is(template, folder, tmp_path):
    """None is as good as none; of half a surrogate pair there is no UTF-8, but JSON."""
    about = json.loads((folder / "tokenizer_config.json").read_bytes())
    (folder / "tokenizer_config.json").write_text(json.dumps(about | {"chat_template": template}))
    save_pretrained(tmp_path / "again", *load_pretrained(folder)[:3], chat=chat_files(folder))
    assert json.loads((tmp_path / "again" / "tokenizer_config.json").read_bytes()).get("chat_template") == template


def test_fine_tuning_keeps_it(folder, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    how = ["--task", "lm", "--data", str(tmp_path / "text.txt"), "--out", str(tmp_path / "tuned"), "--epochs", "1"]
    assert main(["finetune", str(folder), *how, "--backend", "reference", "--threads", "1"]) == 0
    assert chat_files(tmp_path / "tuned") == chat_files(folder)
