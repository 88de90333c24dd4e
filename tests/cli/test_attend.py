"""The command `minitransformer attend`: the files it writes, the answer it draws, and what it refuses."""

import json
import sys

import numpy as np
import pytest

from minitransformer.cli import main
from minitransformer.cli.attend import LONGEST_ANSWER, excerpt
from minitransformer.installing import install
from minitransformer.plots.attention import attention_in_text, shown_tokens
from minitransformer.pretrained import save_pretrained
from minitransformer.tokenizers import CharTokenizer, framed
from minitransformer.training.checkpoint import load_model, save_checkpoint
from minitransformer.trees import tree_map

from ..plots.models import CHARACTERS, END, MODELS, START, parameters
from ..pretrained import test_bert, test_distilbert, test_llama, test_roberta


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a checkpoint of each model, to be in."""
    monkeypatch.chdir(tmp_path)
    for name, model in MODELS.items():
        save(name, model, CHARACTERS)
    return tmp_path


def save(name, model, tokenizer, p=None):
    save_checkpoint(name, 1, model, p or parameters(model), tokenizer, {"losses": np.zeros(0)}, {})


def data_of(path):
    (line,) = [line for line in path.read_text(encoding="utf-8").splitlines() if 'id="data"' in line]
    return json.loads(line.partition(">")[2].removesuffix("</script>"))


def fails(capsys, *words):
    """The one line of a command that fails."""
    assert main(["attend", *words]) == 1
    out, error = capsys.readouterr()
    assert "Traceback" not in error and not out and error.count("\n") == 1
    return error


def test_a_page_by_default(folder, capsys):
    assert main(["attend", "GPT2", "ab cab"]) == 0
    assert capsys.readouterr().out == "ab cab\nattention.html: self-attention\n"
    (attention,) = attention_in_text(*load_model("GPT2"), CHARACTERS.encode("ab cab"))
    found = data_of(folder / "attention.html")
    assert found["texts"] == [{"title": "text", "tokens": ["a", "b", "␣", "c", "a", "b"]}]
    assert np.abs(np.array(found["attentions"][0]["weights"]) / 1000 - attention.weights).max() < 0.00051


@pytest.mark.parametrize(
    ("name", "begin"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.html", b"<!doctype html>")]
)
def test_every_format(folder, capsys, name, begin):
    words = ["attend", "Transformer", "abc", "--target", "de", "--out", name]
    assert main(words) == 0
    kinds = "encoder self-attention, decoder self-attention, decoder cross-attention"
    assert capsys.readouterr().out == f"abc → de\n{name}: {kinds}\n"
    content = (folder / name).read_bytes()
    assert content.startswith(begin) and b"<dc:date>" not in content  # the same bytes each time
    assert sorted(path.name for path in folder.iterdir()) == sorted([*MODELS, name])  # nothing half-written


FRAMED = {  # published models: model, tokenizer, and the tokens of "the cat" with those around it
    "LLaMA": (test_llama.MODEL, test_llama.TOKENIZER, ["<s>", "␣the", "␣cat"]),
    "BERT": (test_bert.MODELS[0], test_bert.TOKENIZER, ["[CLS]", "the", "cat", "[SEP]"]),
    "BERT with classes": (test_bert.MODELS[1], test_bert.TOKENIZER, ["[CLS]", "the", "cat", "[SEP]"]),
    "DistilBERT": (test_distilbert.MODELS["answer"], test_distilbert.TOKENIZER, ["[CLS]", "the", "cat", "[SEP]"]),
    "RoBERTa": (test_roberta.MODELS["embed"], test_roberta.TOKENIZER, ["<s>", "the", "␣cat", "</s>"]),
}


@pytest.mark.parametrize("name", FRAMED)
def test_what_stands_around_a_text(name, folder, capsys, rng):
    """It is among what a published model attends to, and counts for the context."""
    model, tokenizer, tokens = FRAMED[name]
    save_pretrained("published", model, p := model.init(rng), tokenizer)
    assert main(["attend", "published", "the cat"]) == 0
    assert capsys.readouterr().out == "the cat\nattention.html: self-attention\n"
    found, body = data_of(folder / "attention.html"), getattr(model, "body", model)
    assert found["texts"] == [{"title": "text", "tokens": tokens}]
    ids = [tokenizer.begin, *tokenizer.encode("the cat")] if body is model else framed(tokenizer, "the cat")[0].ids
    (attention,) = attention_in_text(body, p.get("body", p), tokenizer, ids)
    assert np.abs(np.array(found["attentions"][0]["weights"]) / 1000 - attention.weights).max() < 0.00051
    room = body.context_length - (len(tokens) - 2)
    assert main(["attend", "published", " ".join(["the"] * room), "--overwrite"]) == 0
    capsys.readouterr()
    error = fails(capsys, "published", " ".join(["the"] * (room + 1)), "--overwrite")
    assert f"the text has {body.context_length + 1} tokens, but the model's context {body.context_length}" in error
    assert "has no --target: it reads one text" in fails(capsys, "published", "the", "--target", "cat", "--overwrite")


def test_one_layer_one_head(folder):
    assert main(["attend", "GPT2", "abc", "--layer", "2", "--head", "1", "--out", "one.html"]) == 0
    assert main(["attend", "GPT2", "abc", "--out", "all.html"]) == 0
    one, all_ = (data_of(folder / name)["attentions"][0] for name in ("one.html", "all.html"))
    assert (one["layers"], one["heads"], one["weights"]) == ([2], [1], [[all_["weights"][1][0]]])


def test_a_file_that_is_there_is_kept(folder, capsys):
    (folder / "mine.html").write_text("mine", encoding="utf-8")
    error = fails(capsys, "GPT2", "abc", "--out", "mine.html")
    assert "mine.html is there already: --overwrite replaces it" in error
    assert (folder / "mine.html").read_text(encoding="utf-8") == "mine"
    assert main(["attend", "GPT2", "abc", "--out", "mine.html", "--overwrite"]) == 0
    assert (folder / "mine.html").read_text(encoding="utf-8").startswith("<!doctype")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["GPT2", "abc", "--out", "a.jpg"], "--out a.jpg: the name must end in .html, .png or .svg"),
        (["GPT2", "abc", "--out", "no/a.png"], "no is not a folder"),
        (["nowhere", "abc"], "nowhere is not a folder"),
        (["GPT2", ""], "the text has 0 tokens: 1 to 512 can be drawn"),
        (["GPT2", "a" * 65], "the text has 65 tokens, but the model's context 64"),
        (["GPT2", "a" * 513], "the text has 513 tokens: 1 to 512"),
        (["GPT2", "XYZ"], "the character 'X' (U+0058)"),
        (["GPT2", "abc", "--target", "d"], "a GPT2 has no --target"),
        (["GPT2", "abc", "--layer", "4"], "there is no layer 4: the self-attention has layers 1 to 3"),
        (["GPT2", "abc", "--head", "0"], "there is no head 0"),
        (["Transformer", "a" * 513], "the text has 513 tokens"),
        (["Transformer", "abc", "--target", ""], "the target has 0 tokens"),
        (["Transformer", "abc", "--target", "a" * 513], "the target has 513 tokens"),
        (["Transformer", "a" * 400, "--target", "a" * 400], "the page would hold 3,"),
        (["Transformer", "a" * 300, "--target", "a" * 30, "--out", "a.png"], "inches: choose one layer or one head"),
    ],
)
def test_what_is_refused(folder, capsys, monkeypatch, words, message):
    monkeypatch.setattr("minitransformer.plots.attention.MOST_WEIGHTS", 3_000_000)
    assert message in fails(capsys, *words)
    assert sorted(path.name for path in folder.iterdir()) == sorted(MODELS)


@pytest.mark.parametrize("words, what", [(["ab\x02c"], "the text"), (["abc", "--target", "a\x03"], "the target")])
def test_no_text_holds_start_or_end(folder, capsys, words, what):
    assert f"{what} holds " in fails(capsys, "Transformer", *words)
    assert main(["attend", "GPT2", "ab\x02c"]) == 0  # to which it is a character like others


def test_a_tokenizer_without_start_and_end_is_refused(folder, capsys):
    model = type(MODELS["Transformer"])(vocab_size=3, n_layers=1, n_heads=1, d_model=2, d_ff=2)
    save("plain", model, CharTokenizer("abc"))
    assert "does not know the start (U+0002) and the end (U+0003) of a text" in fails(capsys, "plain", "abc")


def test_without_matplotlib_only_the_page(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert install("plot") in fails(capsys, "GPT2", "abc", "--out", "a.png")
    assert main(["attend", "GPT2", "abc"]) == 0


@pytest.fixture
def talkative(folder):
    """p, source, answer: a model that does not say the same all the time, and what it says greedily to a source."""
    model = MODELS["Transformer"]
    p = tree_map(lambda leaf: 5 * leaf if leaf.ndim == 2 else leaf, model.init(np.random.default_rng(2)))
    source, found = CHARACTERS.encode("rst xyz"), CHARACTERS.encode(START).tolist()
    for _ in range(LONGEST_ANSWER):
        logits, _ = model.forward(p, source[None], np.array([found]))
        found.append(int(logits[0, -1].argmax()))
    save("talkative", model, CHARACTERS, p)
    return p, source, found[1:]


def target_of(path):
    tokens = {text["title"]: text["tokens"] for text in data_of(path)["texts"]}
    (start, *read), (*written, end) = tokens["target, as it is read"], tokens["target, as it is written"]
    assert (start, end) == ("⟨start⟩", "⟨end⟩") and read == written
    return tuple(read)


def test_the_answer_is_drawn_where_no_target_is_given(folder, talkative, capsys):
    _, _, answer = talkative
    assert len(set(answer)) > 2 and not set(answer) & {*CHARACTERS.encode(END)}
    assert main(["attend", "talkative", "rst xyz"]) == 0
    out, error = capsys.readouterr()
    assert target_of(folder / "attention.html") == shown_tokens(CHARACTERS, answer)
    assert out.startswith("rst xyz → ") and error == "note: the model has not ended its answer after 200 tokens\n"


def test_the_answer_ends_with_end(folder, talkative, capsys):
    """The same model with another tokenizer, in which END is the last id to come up for the first time."""
    p, source, answer = talkative
    last = list(dict.fromkeys(answer))[-1]
    (end_id,), characters = CHARACTERS.encode(END), list(CHARACTERS.characters)
    assert last not in source and end_id not in source
    characters[end_id], characters[last] = characters[last], characters[end_id]
    save("brief", MODELS["Transformer"], CharTokenizer("".join(characters)), p)
    assert main(["attend", "brief", "rst xyz"]) == 0
    assert capsys.readouterr().err == ""
    assert target_of(folder / "attention.html") == shown_tokens(CHARACTERS, answer[: answer.index(last)])
    assert answer.index(last) > 0


def test_an_excerpt_is_one_line_of_what_can_be_seen():
    assert excerpt("a\n b\u202e\x00c") == "a b⟨U+202E⟩⟨U+0000⟩c"
    assert len(excerpt("a" * 61)) == 60 and excerpt("a" * 60) == "a" * 60
