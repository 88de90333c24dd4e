"""Unigram tokenizers in tokenizer.json: written and read again, and what is not as it is here is said and named."""

import json

import pytest

from minitransformer.pretrained.tokenizers import read_tokenizer, tokenizer_files
from minitransformer.tokenizers import BPETokenizer, UnigramTokenizer
from minitransformer.tokenizers.sentencepiece import SPACE

from ..tokenizers.double_array import in_base64

TEXT = "low lower lowest new newer newest wide wider widest slow slower slowest " * 2
STEPS = [["charsmap", in_base64({"Ä": "A", "\t": " "})], ["strip", False, True], ["collapse", SPACE], ["lowercase"]]
MORE = [["replace", "``", '"'], ["nfkd"], ["strip_accents"]]
WAYS = [
    {},
    {"special": {"<unk>": False, "<mask>": True}, "first": "<mask>", "separator": "<mask>", "twice": True},
    {"special": {"[SEP]": False}, "first": "[SEP]", "separator": "[SEP]", "second_type": 1, "steps": STEPS + MORE},
    {"before": "first", "byte_fallback": True, "separator": None, "steps": STEPS},
    {"whitespace": True, "steps": [["nfkd"]]},
    {"before": "never"},
]


@pytest.fixture(params=WAYS, ids=str)
def tokenizer(request):
    return UnigramTokenizer.train(TEXT, 330 if request.param.get("byte_fallback") else 40, **request.param)


def write(folder, tokenizer, change=lambda data: None):
    files = tokenizer_files(tokenizer, "t5")
    data = json.loads(files["tokenizer.json"])
    change(data)
    (folder / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")


def test_what_was_written_is_read(tokenizer, tmp_path):
    write(tmp_path, tokenizer)
    for kind in ("t5", "albert", "xlm-roberta"):
        assert read_tokenizer(tmp_path, kind).to_json() == tokenizer.to_json()


def test_a_token_that_was_added(tmp_path):
    tokenizer = UnigramTokenizer.train(TEXT, 40)
    more = {"content": "<new>", "id": tokenizer.vocab_size, "lstrip": True}
    write(tmp_path, tokenizer, lambda data: data["added_tokens"].append(more))
    found = read_tokenizer(tmp_path, "t5")
    assert found.pieces == [*tokenizer.pieces, "<new>"] and found.settings.special["<new>"]
    assert found.encode("low <new>").tolist() == [*tokenizer.encode("low"), tokenizer.vocab_size]


@pytest.mark.parametrize(
    "old, before", [({"add_prefix_space": False}, "never"), ({"add_prefix_space": True}, "always"), ({}, "always")]
)
def test_where_older_files_put_a_space(old, before, tmp_path):
    def change(data):
        del data["pre_tokenizer"]["prepend_scheme"]
        data["pre_tokenizer"] |= old

    write(tmp_path, UnigramTokenizer.train(TEXT, 40, before="first"), change)
    assert read_tokenizer(tmp_path, "t5").settings.before == before


def test_who_plays_which_part_is_told_to_others():
    def roles(**settings):
        data = json.loads(tokenizer_files(UnigramTokenizer.train(TEXT, 40, **settings), "t5")["tokenizer_config.json"])
        return {name.removesuffix("_token"): text for name, text in data.items() if name.endswith("_token")}

    assert roles() == {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
    masked = roles(special={"<s>": False, "<unk>": False, "<mask>": True}, first="<s>", separator=None)
    assert masked == {"bos": "<s>", "unk": "<unk>", "pad": "<unk>", "mask": "<mask>"}


def replace(*path, by):
    def change(data):
        for name in path[:-1]:
            data = data[name]
        data[path[-1]] = by

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (replace("model", "type", by="BPE"), "it is of the kind BPE, and Unigram is needed"),
        (replace("model", "unk_id", by=None), "its unk_id is None, and there are"),
        (replace("model", "unk_id", by=-1), "its unk_id is -1"),
        (replace("model", "unk_id", by=999), "its unk_id is 999"),
        (replace("model", "vocab", by=[["<unk>"]]), "damaged or another tokenizer"),
        (replace("model", "vocab", 3, by=["a", "b"]), "damaged or another tokenizer"),
        (replace("model", "byte_fallback", by=True), "<0x00> is no piece of the vocabulary"),
        (replace("added_tokens", 0, "id", by=7), "was added with the id 7, where there is another, or none"),
        (replace("added_tokens", 0, "id", by=999), "was added with the id 999"),
        (replace("added_tokens", 0, "rstrip", by=True), "its token <pad> has rstrip, which is not here"),
        (replace("normalizer", by={"type": "NFC"}), "has a step that is not here: {'type': 'NFC'}"),
        (replace("normalizer", by={"type": "Precompiled", "precompiled_charsmap": "%"}), "is no base64"),
        (replace("normalizer", by={"type": "Precompiled", "precompiled_charsmap": "AAAA"}), "characters is damaged"),
        (
            replace("normalizer", by={"type": "Replace", "pattern": {"Regex": "a+"}, "content": "a"}),
            "has a step that is not here",
        ),
        (replace("pre_tokenizer", by=None), "damaged or another tokenizer"),
        (replace("pre_tokenizer", "split", by=False), "and Metaspace is needed"),
        (replace("pre_tokenizer", "replacement", by="_"), "and Metaspace is needed"),
        (replace("pre_tokenizer", "prepend_scheme", by="last"), "and Metaspace is needed"),
        (replace("pre_tokenizer", by={"type": "ByteLevel"}), "damaged or another tokenizer"),
        (replace("post_processor", by={"type": "RobertaProcessing"}), "and TemplateProcessing is needed"),
        (
            lambda data: data["post_processor"]["single"].reverse(),
            "its post_processor frames texts otherwise",
        ),
        (replace("model", by=None), "damaged or another tokenizer"),
    ],
)
def test_tokenizers_that_are_not_ours(change, message, tmp_path):
    write(tmp_path, UnigramTokenizer.train(TEXT, 40), change)
    with pytest.raises(ValueError, match=r"tokenizer\.json is damaged or another tokenizer") as caught:
        read_tokenizer(tmp_path, "t5")
    assert message in str(caught.value)


def test_what_has_no_published_form():
    with pytest.raises(ValueError, match="a space before a text that has one has no published form here"):
        tokenizer_files(UnigramTokenizer.train(TEXT, 40, before="one more"), "t5")
    with pytest.raises(ValueError, match="the step 'trim' of its normalisation has no published form"):
        tokenizer_files(UnigramTokenizer.train(TEXT, 40, steps=[["trim"]]), "t5")
    with pytest.raises(ValueError, match="a BPETokenizer has no published form here beside a t5"):
        tokenizer_files(BPETokenizer.train(TEXT, 260), "t5")


def test_without_a_tokenizer(tmp_path):
    with pytest.raises(ValueError, match="has no tokenizer: neither tokenizer.json nor spiece.model"):
        read_tokenizer(tmp_path, "t5")
