"""Folders of sentence vectors: what is done before the BERT in them and after it is read, and written again."""

import json

import pytest

from minitransformer.models import SentenceEncoder
from minitransformer.pretrained import length_of, load_pretrained, lowers, pooling_of

from .test_bert import BODY, MODELS, change, saved

POOLINGS = [
    '{"pooling_mode_max_tokens": true}',
    '{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}',
    '{"pooling_mode": "max"}',
    '{"pooling_mode": ["cls"]}',
    '{"pooling_mode": "mean", "pooling_mode_cls_token": true}',
    '{"pooling_mode_cls_token": "true"}',
    '{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": 1}',
    '{"word_embedding_dimension": 6}',
    "[]",
    "{",
]


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_pooling_is_kept(pooling, rng, tmp_path):
    saved(SentenceEncoder(BODY, pooling), rng, tmp_path / "bert")
    assert load_pretrained(tmp_path / "bert").model.pooling == pooling == pooling_of(tmp_path / "bert")


@pytest.mark.parametrize("length, lowered", [(7, False), (7, True), (None, True)])
def test_what_texts_it_is_made_for_is_kept(length, lowered, rng, tmp_path):
    model = SentenceEncoder(BODY, max_length=length, lowers=lowered)
    saved(model, rng, tmp_path / "bert")
    assert load_pretrained(tmp_path / "bert").model == model
    said = json.loads((tmp_path / "bert" / "sentence_bert_config.json").read_text())
    assert said == {"max_seq_length": length or BODY.context_length, "do_lower_case": lowered}
    assert json.loads((tmp_path / "bert" / "tokenizer_config.json").read_text())["model_max_length"] == (
        length or BODY.context_length
    )
    change(tmp_path / "bert" / "sentence_bert_config.json", max_seq_length=10**30)  # more than its context
    assert load_pretrained(tmp_path / "bert").model == SentenceEncoder(BODY, lowers=lowered)


def test_no_folder_says_more_tokens_than_the_context(rng, tmp_path):
    saved(SentenceEncoder(BODY, max_length=BODY.context_length + 1), rng, tmp_path / "bert")
    for file, name in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        assert json.loads((tmp_path / "bert" / file).read_text())[name] == BODY.context_length


@pytest.mark.parametrize(
    "modules, message",
    [
        ([{"type": "a.b.Transformer", "path": ""}, {"type": "a.b.Dense", "path": "2_Dense"}], "go through Dense"),
        ([1], "is damaged"),
        ({"a": 1}, "is damaged"),
        ({}, "is damaged"),
    ],
)
def test_vectors_that_go_through_more(modules, message, rng, tmp_path):
    saved(MODELS[4], rng, tmp_path / "bert")
    (tmp_path / "bert" / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ValueError, match=message):
        load_pretrained(tmp_path / "bert")


@pytest.mark.parametrize("content, expected", [(None, 9), ({"max_seq_length": 7}, 7), ({"do_lower_case": False}, 9)])
def test_the_length_that_it_was_made_for(content, expected, tmp_path):
    """Since version 6, sentence-transformers says it where transformers does."""
    assert length_of(tmp_path) is None
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 9}')
    if content is not None:
        (tmp_path / "sentence_bert_config.json").write_text(json.dumps(content))
    assert length_of(tmp_path) == expected
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": "long"}')
    with pytest.raises(ValueError, match=r"sentence_bert_config\.json has the max_seq_length 'long'"):
        length_of(tmp_path)
    (tmp_path / "sentence_bert_config.json").unlink()
    for anything in ("2", "-1", "1e30", "true", '"512"', "Infinity", "null"):
        (tmp_path / "tokenizer_config.json").write_text(f'{{"model_max_length": {anything}}}')
        assert length_of(tmp_path) is None


@pytest.mark.parametrize(
    "content, expected",
    [(None, False), ({"max_seq_length": 7}, False), ({"do_lower_case": None}, False)]
    + [({"do_lower_case": said}, said) for said in (False, True)],
)
def test_whether_it_was_made_for_lowered_texts(content, expected, tmp_path):
    if content is not None:
        (tmp_path / "sentence_bert_config.json").write_text(json.dumps(content))
    assert lowers(tmp_path) is expected
    (tmp_path / "sentence_bert_config.json").write_text('{"do_lower_case": "yes"}')
    with pytest.raises(ValueError, match="do_lower_case 'yes', which is neither true nor false"):
        lowers(tmp_path)


@pytest.mark.parametrize(
    "content, expected",
    [
        (None, "mean"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "first"),
        ({"embedding_dimension": 6, "pooling_mode": "mean", "include_prompt": True}, "mean"),
        ({"embedding_dimension": 6, "pooling_mode": "cls", "include_prompt": True}, "first"),
    ],
)
def test_how_tokens_become_one(content, expected, tmp_path):
    if content is not None:
        (tmp_path / "1_Pooling").mkdir()
        (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(content))
    assert pooling_of(tmp_path) == expected


@pytest.mark.parametrize("content", POOLINGS)
def test_other_ways_are_refused(content, tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(content)
    with pytest.raises(ValueError, match="1_Pooling"):
        pooling_of(tmp_path)
