"""The command `minitransformer translate`: training on pairs, answers, and what it refuses."""

import io
import json
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minitransformer import decoding
from minitransformer.cli import main, translate
from minitransformer.data.pairs import END, START
from minitransformer.installing import install
from minitransformer.models import Transformer
from minitransformer.training import metrics
from minitransformer.training.checkpoint import load_model

TINY = "--layers 1 --heads 2 --width 8 --inner 8 --batch 6 --steps 3 --warmup 1 --evaluate-every 2 --threads 1".split()


@pytest.fixture(autouse=True)
def without_sacrebleu(monkeypatch):
    """Whether it is installed or not, all that follows is the same."""
    monkeypatch.setitem(sys.modules, "sacrebleu", None)


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """Forty pairs in a file, the second side the first one reversed."""
    monkeypatch.chdir(tmp_path)
    words = [f"{a}{b} x" for a in "abcde" for b in "fghijklm"]
    (tmp_path / "pairs.tsv").write_text("".join(f"{word}\t{word[::-1]}\n" for word in words), encoding="utf-8")
    return "pairs.tsv"


@pytest.fixture
def trained(pairs, capsys):
    assert main(["translate", "train", "--pairs", pairs, "--out", "run", *TINY]) == 0
    capsys.readouterr()
    return "run"


@pytest.fixture
def says(trained, capsys):
    """says(words) is what the command prints on standard output, line by line."""

    def says(*words):
        assert main(["translate", trained, "--max-tokens", "7", *words]) == 0
        return capsys.readouterr().out.split("\n")[:-1]

    return says


def decoded(trained, text, **settings):
    """The same by hand: what the model says to one text, greedily, or the hypotheses of a beam."""
    model, p, tokenizer = load_model(trained)
    (start,), (end,) = tokenizer.encode(START), tokenizer.encode(END)
    caches = model.start(p, tokenizer.encode(text)[None], length=7)
    search = decoding.beam_search if settings else decoding.decode
    (found,) = search(model, p, caches, [[start]], max_tokens=7, end=end, **settings)
    return [(tokenizer.decode(ids), score) for ids, score in found] if settings else tokenizer.decode(found)


# ------------------------------------------------------------------------------------------------------------ training


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_a_run_on_pairs(pairs, tmp_path, capsys, tokenizer):
    words = ["--tokenizer", tokenizer, "--vocab-size", "270", "--dropout", "0.1"]
    assert main(["translate", "train", "--pairs", pairs, "--out", "run", *TINY, *words]) == 0
    out = capsys.readouterr().out
    assert "your pairs: 36 to learn from, 4 held out" in out and "  →  " in out
    assert out.count(f"note: BLEU and chrF take sacrebleu, which `{install('translate')}` brings") == 1
    records = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [record["step"] for record in records] == [2, 3]
    for record in records:
        accuracy, exact = record["token_accuracy"], record["exact_match_held_out"]
        assert "BLEU" not in record and 0 <= exact <= 1 and 0 <= accuracy <= 1
        assert f"\n              token accuracy {accuracy}   exact match held out {exact}\n" in out
    assert "translate run 'ej x'\n" in out
    assert main(["translate", "train", "--resume", "run"]) == 0


def test_a_run_on_pairs_with_sacrebleu(pairs, capsys, monkeypatch):
    monkeypatch.setattr(metrics, "score", lambda name, answers, references: metrics.Score(3.14159, f"how {name} is"))
    assert main(["translate", "train", "--pairs", pairs, "--out", "run", *TINY]) == 0
    out = capsys.readouterr().out
    assert out.count("   BLEU 3.14   chrF 3.14\n") == 2
    assert "note: BLEU is that of sacrebleu, how BLEU is\nnote: chrF is that of sacrebleu, how CHRF is\n" in out


def test_the_published_schedule(pairs, tmp_path, capsys):
    train = ["translate", "train", "--pairs", pairs, *TINY]
    assert main([*train, "--out", "run", "--schedule", "inverse-square-root"]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert config["settings"]["schedule"] == "inverse-square-root"
    assert main([*train, "--out", "other"]) == 0
    one, other = (load_model(name)[1]["source"]["weight"] for name in ("run", "other"))
    assert np.abs(one - other).max() > 1e-4


# ------------------------------------------------------------------------------------------------------------- answers


def test_greedy_is_decode_and_has_no_score(trained, says, monkeypatch):
    texts = ["af x", "b", "ce x"]
    monkeypatch.setattr(decoding, "beam_search", None)
    assert says(*texts) == [decoded(trained, text) for text in texts]
    assert says("af x", "--beam", "1", "--n-best", "1") == [decoded(trained, "af x")]


@pytest.mark.parametrize(
    ("words", "width", "n_best"),
    [(["--n-best", "3"], 3, 3), (["--beam", "5", "--n-best", "2"], 5, 2), (["--beam", "40", "--n-best", "30"], 40, 30)],
    ids=["n-best alone", "both", "above the vocabulary"],
)
def test_the_best_of_a_beam_with_their_scores(trained, says, words, width, n_best):
    lines = iter(says("af x", "ce", *words))
    for text in ("af x", "ce"):
        expected = decoded(trained, text, width=width, n_best=n_best, length_penalty=0.6)
        assert len(expected) == n_best
        for answer, score in expected:
            assert next(lines) == f"{score:9.4f}  {answer}  ←  {text}"
    assert list(lines) == []


def test_a_beam_alone_says_the_best(trained, says):
    ((best, _),) = decoded(trained, "ce x", width=4, n_best=1, length_penalty=0.0)
    assert says("ce x", "--beam", "4", "--length-penalty", "0") == [best]


def test_options_may_stand_anywhere(trained, says):
    assert says("af x", "--beam", "2") == says("--beam", "2", "af x") != []
    assert main(["translate", "--beam", "2", trained, "af x"]) == 0


# ---------------------------------------------------------------------------------------------------- files of lines


@pytest.mark.parametrize(
    "content", ["af x\n\nb\n  \nce x\n", "af x\r\n\r\nb\r\n  \r\nce x", "\ufeffaf x\n\nb\n  \nce x"]
)
@pytest.mark.parametrize("where", ["file", "standard input"])
@pytest.mark.parametrize("words", [[], ["--beam", "2"]], ids=["greedy", "beam"])
def test_the_lines_of_a_file_have_the_same_numbers(says, tmp_path, monkeypatch, content, where, words):
    alone = [says(text, *words)[0] for text in ("af x", "b", "ce x")]
    path = tmp_path / "lines.txt"
    path.write_bytes(content.encode("utf-8"))
    if where == "standard input":
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes()), encoding="ascii"))
        path = "-"
    assert says("--file", str(path), *words) == [alone[0], "", alone[1], "", alone[2]]


def test_an_empty_line_among_the_best_is_one_empty_line(says, tmp_path):
    (tmp_path / "lines.txt").write_text("af x\n\nb\n", encoding="utf-8")
    lines = says("--file", "lines.txt", "--n-best", "2")
    assert [line[9:].partition("←")[2] for line in lines] == ["  af x", "  af x", "", "  b", "  b"]


def test_many_lines_in_batches(says, tmp_path, monkeypatch):
    texts = [f"{a}{b * n} x" for n in range(4) for a in "abc" for b in "fghi"]
    (tmp_path / "lines.txt").write_text("\n".join(texts), encoding="utf-8")
    together = says("--file", "lines.txt")
    monkeypatch.setattr(translate, "ROWS", 5)
    assert says("--file", "lines.txt") == together and len(together) == 48
    assert together == [says(text)[0] for text in texts]


def test_an_answer_never_breaks_its_line():
    assert translate.one_line("a\nb\r\nc\N{LINE SEPARATOR}d") == "a b  c\N{LINE SEPARATOR}d"


def test_line_breaks_in_text_and_answer(says, monkeypatch):
    from minitransformer.tokenizers import CharTokenizer

    monkeypatch.setattr(CharTokenizer, "decode", lambda self, ids: "one\ntwo")
    assert says("af x") == ["one two"]
    assert {line[9:] for line in says("af x", "--n-best", "2")} == {"  one two  ←  af x"}


def test_control_characters_do_not_reach_the_terminal(says, monkeypatch):
    from minitransformer.tokenizers import CharTokenizer

    monkeypatch.setattr(CharTokenizer, "decode", lambda self, ids: "a\x1b[31m")
    assert says("af x") == ["a\x1b[31m"]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert says("af x") == ["a\N{REPLACEMENT CHARACTER}[31m"]


def test_answers_that_were_cut_off_are_counted(trained, capsys, monkeypatch):
    monkeypatch.setattr(decoding, "decode", lambda *_, max_tokens, **__: [np.full(max_tokens, 5), np.full(2, 5)])
    assert main(["translate", trained, "af x", "b", "--max-tokens", "3"]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 2
    assert err.startswith("note: 1 of 2 answers had not ended after 3 tokens") and "--max-tokens" in err
    assert main(["translate", trained, "af x", "b", "--max-tokens", "4"]) == 0
    monkeypatch.setattr(decoding, "decode", lambda *_, **__: [np.full(2, 5), np.full(0, 5)])
    capsys.readouterr()
    assert main(["translate", trained, "af x", "b", "--max-tokens", "3"]) == 0
    assert capsys.readouterr().err == ""


# ------------------------------------------------------------------------------------------------------------- refused


def refused(capsys, *words):
    """The one line of a command that fails."""
    assert main(["translate", *words]) == 1
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and "Traceback" not in error
    return error.removeprefix("minitransformer translate: ").rstrip("\n")


FILES = {
    "none.tsv": b"a\tb\nab\n",
    "two.tsv": b"a\tb\na\tb\tc\n",
    "no_source.tsv": b"a\tb\n\tb\n",
    "no_target.tsv": b"a\tb\na\t \n",
    "latin.tsv": b"a\tb\nna\xefve\tb\n",
    "one.tsv": b"a\tb\n",
    "empty": b"",
    "latin.txt": b"af x\n\nna\xefve\n",
    "unknown.txt": "af x\n\naf \u00ffx\n".encode(),
    "start.txt": b"af x\nb\x02\n",
}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "nothing to translate: give a text or --file FILE"),
        (["run", ""], "text 1 is empty"),
        (["run", "a", "  "], "text 2 is empty"),
        (["run", "a", "b\u00ff"], "text 2: the character 'ÿ' (U+00FF), number 2 of the text, is not among the 17"),
        (["run", "\x1b[31m"], "text 1: the character '\\x1b' (U+001B), number 1 of the text"),
        (["run", "ab\x03"], "text 1 holds '\\x03', which marks the end of a text, at character 3"),
        (["run", "ab\udcff"], "text 1 is not valid text: surrogates not allowed, character 3"),
        (["run", "--file", "unknown.txt"], "unknown.txt, line 3: the character 'ÿ' (U+00FF), number 4 of the text"),
        (["run", "--file", "start.txt"], "start.txt, line 2 holds '\\x02', which marks the start of a text"),
        (["run", "--file", "latin.txt"], "latin.txt, line 3 is not UTF-8: byte 3 of the line is 0xef"),
        (["run", "--file", "empty"], "empty is empty"),
        (["run", "--file", "nowhere"], "nowhere: No such file"),
        (["run", "--file", "run"], "run: Is a directory"),
        (["nowhere", "a"], "nowhere is not a folder"),
        ([".", "a"], ". holds no complete checkpoint"),
        (["run", "a", "--beam", "0"], "--beam must be at least 1, not 0"),
        (["run", "a", "--n-best", "-1"], "--n-best must be at least 1, not -1"),
        (["run", "a", "--max-tokens", "0"], "--max-tokens must be at least 1, not 0"),
        (["run", "a", "--n-best", "5", "--beam", "2"], "--n-best 5 takes a --beam of at least 5, not 2"),
        (["run", "a", "--beam", "2", "--length-penalty", "nan"], "the length penalty must be from -10 to 10"),
        (["run", "a", "--steps", "5"], "--steps: only with `translate train`"),
        (["run", "a", "--out", "new", "--schedule", "x"], "--out, --schedule: only with `translate train`"),
        (["run", "a", "--overwrite", "--pairs", "x"], "--pairs, --overwrite: only with `translate train`"),
        (
            ["train", "extra", "words", "--pairs", "one.tsv"],
            "`translate train` takes no text, as 'extra': --pairs FILE says",
        ),
        (["train", "--beam", "2", "--pairs", "one.tsv"], "--beam: only with a FOLDER to translate with"),
        (
            ["train", "--file", "x", "--n-best", "1", "--pairs", "one.tsv"],
            "--file, --n-best: only with a FOLDER to translate with",
        ),
        (["train", "--out", "new", "--pairs", "none.tsv"], "none.tsv, line 2 has no tabs, where one parts the source"),
        (["train", "--out", "new", "--pairs", "two.tsv"], "two.tsv, line 2 has 2 tabs, where one parts the source"),
        (["train", "--out", "new", "--pairs", "no_source.tsv"], "no_source.tsv, line 2: the source is empty"),
        (["train", "--out", "new", "--pairs", "no_target.tsv"], "no_target.tsv, line 2: the target is empty"),
        (["train", "--out", "new", "--pairs", "latin.tsv"], "latin.tsv, line 2 is not UTF-8: byte 3 of the line"),
        (["train", "--out", "new", "--pairs", "one.tsv"], "one pair is not enough"),
        (["train", "--out", "new", "--pairs", "empty"], "empty is empty"),
        (
            ["train", "--schedule", "x", "--out", "new", "--pairs", "two.tsv"],
            "unknown schedule 'x'; there are: cosine, inverse-square-root",
        ),
    ],
    ids=lambda value: " ".join(value).encode("ascii", "backslashreplace").decode() if isinstance(value, list) else "",
)
def test_what_it_refuses(trained, tmp_path, capsys, words, message):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    assert message in refused(capsys, *words)
    assert not (tmp_path / "new").exists()


def test_standard_input_that_is_empty_or_closed(trained, capsys, monkeypatch):
    for stdin in (io.TextIOWrapper(io.BytesIO(b""), encoding="ascii"), None):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert refused(capsys, trained, "--file", "-") == "standard input is empty"


def test_a_gpt_does_not_translate(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("to be, or not to be. " * 20, encoding="utf-8")
    tiny = "--layers 1 --heads 1 --width 4 --context 4 --steps 1 --threads 1".split()
    assert main(["train", "--text", "text.txt", "--out", "gpt", *tiny]) == 0
    capsys.readouterr()
    assert refused(capsys, "gpt", "to") == "gpt holds a GPT2, which does not translate: see `generate`"


def test_a_translator_goes_on_with_no_text(trained, capsys):
    assert main(["generate", trained, "--prompt", "a"]) == 1
    assert f"{trained} holds a Transformer, which goes on with no text: see `translate`" in capsys.readouterr().err


# -------------------------------------------------------------------------------------------------------------- memory


def test_a_text_that_is_too_long(trained, tmp_path, capsys, monkeypatch):
    """Two heads have 2 · 4 bytes of scores and of weights for each pair of tokens: 1,800 leave 10 tokens."""
    monkeypatch.setattr(translate, "MOST_BYTES", 1800)
    (tmp_path / "lines.txt").write_text("af x\nafafafafaf\n", encoding="utf-8")
    translates = ["translate", trained, "--max-tokens", "2", "--file", "lines.txt"]
    assert main(translates) == 0
    capsys.readouterr()
    (tmp_path / "lines.txt").write_text("af x\n\nafafafafafa\n", encoding="utf-8")
    error = refused(capsys, *translates[1:])
    assert error.startswith("lines.txt, line 3 has 11 tokens, more than the 10 that are read at once: reading all of")


def test_a_beam_that_is_too_wide(trained, capsys, monkeypatch):
    """A layer of width 8 keeps 2 · 8 · 4 bytes for each token of source and answer, 3 and 7 of them, and each beam."""
    monkeypatch.setattr(translate, "MOST_BYTES", 640 * 9)
    assert main(["translate", trained, "afx", "--max-tokens", "7", "--beam", "9"]) == 0
    capsys.readouterr()
    error = refused(capsys, trained, "afx", "--max-tokens", "7", "--beam", "10")
    assert error.startswith("answers of up to 7 tokens in a beam of 10 take") and "a narrower --beam" in error
    error = refused(capsys, trained, "afx", "--max-tokens", "8", "--beam", "9")
    assert error.startswith("answers of up to 8 tokens in a beam of 9 take")


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=40), st.integers(1, 4), st.integers(1, 20), st.integers(0, 10**6)
)
@example([3] * 20, 1, 2, 10**6)
def test_batches_fit_into_memory(lengths, width, max_tokens, room):
    """In their order, all of them, no more side by side than there is room for; and no fewer."""
    model = Transformer(vocab_size=5, n_layers=3, n_heads=2, d_model=8, d_ff=8)
    sources = [np.zeros(n, int) for n in lengths]

    def cost(piece):
        S = max(map(len, piece))
        return len(piece) * max(2 * 4 * 2 * S * S, 4 * 3 * 2 * 8 * (S + max_tokens) * width)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(translate, "MOST_BYTES", room)
        patch.setattr(translate, "ROWS", 6)
        slices = list(translate.batches(model, sources, width, max_tokens))
    assert [place.start for place in slices] == [0, *(place.stop for place in slices[:-1])]
    assert slices[-1].stop == len(sources)
    for place in slices:
        piece = sources[place]
        assert len(piece) == 1 or cost(piece) <= room
        assert len(piece) <= 6
        if place.stop < len(sources) and len(piece) < 6:
            assert cost(sources[place.start : place.stop + 1]) > room
