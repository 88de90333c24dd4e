"""Folders with Llama 3's tokenizer: written and read again, gone on with, and what does not fit is said and named."""

import json

import pytest

from minitransformer.cli import main
from minitransformer.models import LLaMA
from minitransformer.pretrained import ends_of, load_pretrained, save_pretrained
from minitransformer.pretrained.tokenizers import read_tokenizer, tokenizer_files
from minitransformer.tokenizers import Llama3Tokenizer, SentencePieceTokenizer
from minitransformer.tokenizers.llama3 import BEGIN, TURN

from ..arrays import same_bits

TEXT = "the cat sat on the mat; the cat, the mat — né à Łódź 猫 🐈 and 1234: the cat sat on the mat\n\n  twice\n" * 2
TOKENIZER = Llama3Tokenizer.train(TEXT, 290)
MODEL = LLaMA(TOKENIZER.vocab_size, 9, 2, 4, 2, 12, 4, 10)
CAT = int(TOKENIZER.encode(" cat")[0])


@pytest.fixture
def folder(tmp_path, rng):
    """Of a model that says " cat", whatever it has read."""
    p = MODEL.init(rng)
    for layer in p["layers"]:
        layer["attention"]["out"]["weight"][:] = layer["feed_forward"]["down"]["weight"][:] = 0
    p["token"]["weight"][:] = 1
    p["head"]["weight"][CAT] = 1
    save_pretrained(tmp_path / "llama", MODEL, p, TOKENIZER)
    return tmp_path / "llama"


def change(path, **more):
    data = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(data | more), encoding="utf-8")


def test_what_was_written_is_read(tmp_path, rng):
    p = MODEL.init(rng)
    save_pretrained(tmp_path / "llama", MODEL, p, TOKENIZER)
    found = load_pretrained(tmp_path / "llama")
    assert type(found.tokenizer) is Llama3Tokenizer and found.tokenizer.to_json() == TOKENIZER.to_json()
    assert found.model == MODEL and same_bits(found.p, p)
    assert (found.config["bos_token_id"], found.config["eos_token_id"]) == (TOKENIZER.begin, TOKENIZER.end)


def test_both_tokenizers_of_llamas_are_told_apart(tmp_path):
    older = SentencePieceTokenizer.train(TEXT, 320)
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_files(older, "llama")["tokenizer.json"])
    assert read_tokenizer(tmp_path, "llama").to_json() == older.to_json()


# ------------------------------------------------------------------------------------- with what a text ends


@pytest.mark.parametrize(
    "config, generation, expected",
    [
        (CAT, None, {CAT}),
        ([CAT, 7], None, {CAT, 7}),
        (None, None, {TOKENIZER.end}),
        ([], None, {TOKENIZER.end}),
        (7, [CAT], {CAT}),
        (7, "nothing", {7}),
        (50256, None, {TOKENIZER.end}),  # of another vocabulary
        ([CAT, TOKENIZER.vocab_size], None, {CAT}),
        (CAT, 50256, {CAT}),
    ],
)
def test_a_folder_says_with_what_a_text_ends(config, generation, expected, folder, capsys):
    change(folder / "config.json", eos_token_id=config)
    if generation is not None:
        change(folder / "generation_config.json", **({} if generation == "nothing" else {"eos_token_id": generation}))
    assert ends_of(folder, TOKENIZER) == expected
    assert main(["generate", str(folder), "--prompt", "the", "--tokens", "5", "--greedy"]) == 0
    assert capsys.readouterr().out == ("the\n" if CAT in expected else "the cat cat cat cat cat\n")


@pytest.mark.parametrize("ends", [{7}, {7, CAT, TOKENIZER.end}])
def test_all_ends_are_written(ends, folder, tmp_path):
    """Of a model that talks there are several; in which of its files they stood, nobody needs to know."""
    change(folder / "generation_config.json", eos_token_id=sorted(ends))
    found = load_pretrained(folder)
    save_pretrained(tmp_path / "again", *found[:3], ends=ends_of(folder, TOKENIZER))
    assert ends_of(tmp_path / "again", TOKENIZER) == ends
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    how = ["--task", "lm", "--data", str(tmp_path / "text.txt"), "--out", str(tmp_path / "tuned"), "--epochs", "1"]
    assert main(["finetune", str(folder), *how, "--backend", "reference", "--threads", "1"]) == 0
    assert ends_of(tmp_path / "tuned", TOKENIZER) == ends
    with pytest.raises(ValueError, match="ids range from 7 to 290, outside the vocabulary of 290"):
        save_pretrained(tmp_path / "more", *found[:3], ends={7, 290})


@pytest.mark.parametrize("said", [-1, "</s>", True, [3, 1.5], [TOKENIZER.vocab_size, -1]])
@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
def test_ends_that_are_none(name, said, folder, capsys):
    change(folder / name, eos_token_id=said)
    assert main(["generate", str(folder), "--prompt", "the"]) == 1
    assert f"{name}: the eos_token_id" in capsys.readouterr().err


def test_it_begins_as_its_texts_do(folder, capsys):
    from minitransformer.cli.generate import prompt_ids

    assert list(prompt_ids(TOKENIZER, "the cat")) == [TOKENIZER.begin, *TOKENIZER.encode("the cat")]
    assert list(prompt_ids(TOKENIZER, None)) == [TOKENIZER.begin]
    assert main(["generate", str(folder), "--tokens", "2", "--greedy"]) == 0
    assert capsys.readouterr().out == "cat cat\n"


# ------------------------------------------------------------------------------------------------- the doors


def replace(*path, by):
    def change(data):
        for name in path[:-1]:
            data = data[name]
        data[path[-1]] = by

    return change


@pytest.mark.parametrize(
    "edit, message",
    [
        (replace("model", "ignore_merges", by=False), "its model has {'ignore_merges': False}"),
        (replace("model", "dropout", by=0.1), "its model has {'dropout': 0.1}"),
        (replace("model", "merges", by=["t xyz"]), "is not of two tokens"),
        (replace("model", "merges", by=None), "damaged or another tokenizer"),
        (lambda data: data["model"]["vocab"].pop("t"), "its ids are not 0, 1, 2"),
        (replace("normalizer", by={"type": "NFC"}), "it has a normalizer"),
        (replace("pre_tokenizer", "pretokenizers", 0, "pattern", by={"Regex": "a"}), "another than Llama 3's"),
        (replace("pre_tokenizer", "pretokenizers", 0, "behavior", by="Removed"), "another than Llama 3's"),
        (replace("pre_tokenizer", "pretokenizers", 1, "add_prefix_space", by=True), "another than Llama 3's"),
        (lambda data: data["pre_tokenizer"]["pretokenizers"].pop(0), "damaged or another tokenizer"),
        (replace("post_processor", by=None), "damaged or another tokenizer"),
        (replace("post_processor", "processors", 0, "trim_offsets", by=True), "its post_processor is another"),
        (lambda data: data["post_processor"]["processors"][1]["single"].reverse(), "its post_processor is another"),
        (replace("added_tokens", 0, "single_word", by=True), f"its token {BEGIN} has single_word, which is not here"),
        (lambda data: data["added_tokens"].pop(0), "its ids are not 0, 1, 2"),
        (replace("added_tokens", by=None), f"the vocabulary has no special {BEGIN}"),
    ],
)
def test_tokenizers_that_are_not_ours(edit, message, folder):
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    edit(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json is damaged or another tokenizer") as caught:
        load_pretrained(folder)
    assert message in str(caught.value)


def test_a_conversation(folder):
    tokenizer = load_pretrained(folder).tokenizer
    text = f"{BEGIN}<|start_header_id|>user<|end_header_id|>\n\nthe cat?{TURN}"
    ids = tokenizer.encode(text)
    assert ids[0] == tokenizer.begin and ids[-1] == tokenizer.special[TURN] and tokenizer.decode(ids) == text
