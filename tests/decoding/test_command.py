"""`minitransformer generate`, with a model that was not trained."""

import io
import sys

import numpy as np
import pytest

from minitransformer.cli import main
from minitransformer.decoding import generate
from minitransformer.tokenizers import BPETokenizer, CharTokenizer

from .models import gpt2

CHARACTERS = CharTokenizer("\n abcdefghij😀")  # 13, as many as the model's vocabulary


@pytest.fixture
def loaded(monkeypatch):
    """What loading gives: model, p, tokenizer. A test may put something else in the list."""
    parts = [*gpt2(64), CHARACTERS]

    def load_model(folder):
        assert folder == "FOLDER"
        return tuple(parts)

    monkeypatch.setattr("minitransformer.training.checkpoint.load_model", load_model)
    return parts


def expected(loaded, prompt, **settings):
    model, p, tokenizer = loaded
    ids = generate(model, p, tokenizer.encode(prompt), **{"max_tokens": 200, "temperature": 0.8} | settings)
    return tokenizer.decode(list(ids))


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ("--seed 3", {"seed": 3}),
        ("--seed 3 --tokens 50", {"seed": 3, "max_tokens": 50}),
        ("--seed 3 --temperature 1.7", {"seed": 3, "temperature": 1.7}),
        ("--seed 4 --top-k 2", {"seed": 4, "top_k": 2}),
        ("--seed 4 --top-p 0.4", {"seed": 4, "top_p": 0.4}),
        ("--seed 4 --min-p 0.2", {"seed": 4, "min_p": 0.2}),
        ("--seed 4 --repetition-penalty 3", {"seed": 4, "repetition_penalty": 3.0}),
        ("--greedy", {"temperature": 0}),
        ("--temperature 0", {"temperature": 0}),
        ("--seed 5 --no-cache", {"seed": 5, "cached": False}),
    ],
)
def test_the_prompt_goes_on_as_the_settings_say(loaded, capsys, arguments, settings):
    assert main(["generate", "FOLDER", "--prompt", "a bad", *arguments.split()]) == 0
    assert capsys.readouterr().out == "a bad" + expected(loaded, "a bad", **settings) + "\n"


def test_no_cache_computes_the_whole_context(loaded, monkeypatch):
    monkeypatch.setattr(type(loaded[0]), "start", None)
    assert main(["generate", "FOLDER", "--no-cache", "--tokens", "3"]) == 0
    with pytest.raises(TypeError):
        main(["generate", "FOLDER", "--tokens", "3"])


def test_without_a_prompt_it_begins_with_a_line_break_and_does_not_print_it(loaded, capsys):
    assert main(["generate", "FOLDER", "--seed", "1", "--tokens", "20"]) == 0
    assert capsys.readouterr().out == expected(loaded, "\n", seed=1, max_tokens=20) + "\n"


def test_without_a_seed_another_text_every_time(loaded, capsys):
    texts = []
    for _ in range(2):
        assert main(["generate", "FOLDER"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] != texts[1]


def test_bytes_of_one_character_are_printed_together(loaded, capsys):
    """All logits alike but for the bytes of 🙂, each the likeliest after the one before it."""
    loaded[:] = Spelling("🙂é".encode()), None, BPETokenizer.train("", 256)
    assert main(["generate", "FOLDER", "--prompt", "x", "--greedy", "--tokens", "6"]) == 0
    assert capsys.readouterr().out == "x🙂é\n"


def test_it_stops_before_the_text_that_it_is_told(loaded, capsys):
    """Also where that is spread over tokens; what follows it is not computed. A prompt stops nothing."""
    letters = "one.\n\ntwo 🙂\n".encode()
    loaded[:] = Spelling(letters), None, BPETokenizer.train("", 256)
    for stop, expected in [("\n\n", "one."), (" 🙂", "one.\n\ntwo"), ("🙃", letters.decode()), ("x", letters.decode())]:
        arguments = ["--prompt", "x", "--greedy", "--tokens", str(len(letters)), "--stop", stop]
        assert main(["generate", "FOLDER", *arguments]) == 0
        assert capsys.readouterr().out == f"x{expected}\n"
    assert main(["generate", "FOLDER", "--prompt", "x", "--greedy", "--tokens", "99", "--stop", "\n\n"]) == 0
    with pytest.raises(IndexError):  # but without it, the letters are soon used up
        main(["generate", "FOLDER", "--prompt", "x", "--greedy", "--tokens", "99"])


class Spelling:
    """After n tokens, the likeliest is letter n - 1."""

    context_length = 100

    def __init__(self, letters):
        self.letters = letters

    def start(self, p, batch):
        return [0]

    def step(self, p, ids, caches):
        caches[0] += ids.shape[1]
        return np.eye(256)[[self.letters[caches[0] - 1]]]


@pytest.mark.parametrize(
    ("prompt", "tokens", "overflows"),
    [("ab", 63, False), ("ab", 64, True), ("a" * 64, 1, False), ("a" * 65, 1, True)],
)
def test_a_full_context_is_said_on_stderr(loaded, capsys, prompt, tokens, overflows):
    """64 tokens fit; the last token is predicted from all those before it."""
    assert main(["generate", "FOLDER", "--prompt", prompt, "--tokens", str(tokens), "--seed", "0"]) == 0
    out, err = capsys.readouterr()
    assert len(out) == len(prompt) + tokens + 1
    if overflows:
        assert err.startswith("note: the context of 64 tokens is full before all ")
        assert "the newest 32 are read again" in err
        assert err.count("\n") == 1
    else:
        assert err == ""


class Stream(io.StringIO):
    """Remembers what had been written whenever it was flushed."""

    def __init__(self):
        super().__init__()
        self.flushed = []

    def flush(self):
        self.flushed.append(self.getvalue())


def test_text_is_flushed_as_it_comes(loaded, monkeypatch):
    stream = Stream()
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["generate", "FOLDER", "--prompt", "abc", "--tokens", "4", "--seed", "0"]) == 0
    text = stream.getvalue()
    assert [text[:n] for n in range(3, 9)] == sorted(set(stream.flushed), key=len)


@pytest.mark.parametrize("arguments", [[], ["--no-cache"]], ids=["cached", "not cached"])
def test_what_is_said_of_compilation_comes_before_the_text(loaded, monkeypatch, capsys, arguments):
    """Kernels are compiled for the first token, after many, and for the second, after one; then the text begins."""
    name, seen = "forward" if arguments else "step", []
    whole = getattr(type(loaded[0]), name)

    def compiling(self, *args):
        seen.append(capsys.readouterr().out)
        return whole(self, *args)

    monkeypatch.setattr(type(loaded[0]), name, compiling)
    assert main(["generate", "FOLDER", "--prompt", "abc", "--tokens", "4", *arguments]) == 0
    assert seen[:2] == ["", ""] and seen[2].startswith("abc")


def test_ctrl_c_keeps_what_is_written_and_says_130(loaded, monkeypatch, capsys):
    steps = []

    def step(self, p, ids, caches):
        steps.append(ids)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return np.eye(13)[[2]]

    monkeypatch.setattr(type(loaded[0]), "step", step)
    assert main(["generate", "FOLDER", "--prompt", "b", "--greedy"]) == 130
    assert capsys.readouterr().out.rstrip("\n") == "baaa"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prompt", "aXb"], "the character 'X' (U+0058), number 2 of the text"),
        (["--prompt", ""], "a prompt of at least one token is needed"),
        (["--temperature", "-1"], "the temperature must be 0 (greedy) or more, not -1.0"),
        (["--temperature", "nan"], "the temperature must be 0 (greedy) or more, not nan"),
        (["--top-k", "0"], "top_k must be at least 1, not 0"),
        (["--top-p", "0"], "top_p must be above 0 and at most 1, not 0.0"),
        (["--min-p", "1.5"], "min_p must be from 0 to 1, not 1.5"),
        (["--repetition-penalty", "0"], "the repetition penalty must be above 0 (1 is none), not 0.0"),
        (["--stop", ""], "the string to stop at must not be empty"),
        (["--tokens", "-1"], "max_tokens must be 0 or more, not -1"),
        (["--seed", "-1"], "the seed must be 0 or more, not -1"),
    ],
)
def test_mistakes_are_one_clear_line_and_nothing_is_printed(loaded, capsys, arguments, message):
    assert main(["generate", "FOLDER", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_no_line_break_to_begin_with(loaded, capsys):
    loaded[2] = CharTokenizer("abcdefghijklm")
    assert main(["generate", "FOLDER"]) == 1
    assert "knows no line break to begin with: --prompt TEXT is needed" in capsys.readouterr().err


def test_greedy_and_a_temperature_contradict_each_other(loaded, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["generate", "FOLDER", "--greedy", "--temperature", "0.5"])
    assert exit.value.code == 2
    assert "not allowed with" in capsys.readouterr().err
