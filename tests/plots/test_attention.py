"""Pictures of attention: the weights are the model's, stand at their tokens, and no text breaks a page."""

import base64
import io
import json
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from minitransformer.convention import Saved
from minitransformer.plots import attention as plots
from minitransformer.plots.attention import (
    Attention,
    Text,
    attention_in_pair,
    attention_in_text,
    attention_page,
    attention_weights,
    draw_attention,
    select,
    shown_tokens,
)
from minitransformer.tokenizers import BPETokenizer

from .models import CHARACTERS, END, MODELS, SIZE, START, parameters

DANGEROUS = "</script><b>&amp; \"'\\\n\té😀שلم\u0301\u200d\u202e\u2028$a$"
START_ID, END_ID = *CHARACTERS.encode(START), *CHARACTERS.encode(END)


def in_text(text="abcd efg", **changes):
    model = replace(MODELS["GPT2"], **changes)
    return attention_in_text(model, parameters(model), CHARACTERS, CHARACTERS.encode(text))


def in_pair(source="abcd efghij", target="jab", name="Transformer"):
    model = MODELS[name]
    ids = CHARACTERS.encode(source), CHARACTERS.encode(target)
    return attention_in_pair(model, parameters(model), CHARACTERS, *ids, START_ID, END_ID)


# ------------------------------------------------------------------------------------------------- the saved tree


def saved_weights(saved, *names):
    for name in names:
        saved = saved[name]
    return saved["attend"].values[4][0]


def test_the_weights_of_a_gpt(rng):
    model = MODELS["GPT2"]
    p, ids = parameters(model), rng.integers(SIZE, size=(2, 7))
    _, saved = model.forward(p, ids)
    expected = [saved_weights(saved, "layers", i, "attention") for i in range(3)]
    ((name, found),) = attention_weights(model, p, ids).items()
    assert name == "attention" and found.shape == (3, 2, 7, 7)
    assert np.array_equal(found, expected) and not np.array_equal(found[0], found[1])
    assert np.abs(found.sum(-1) - 1).max() < 1e-6
    assert np.array_equal(found > 0, np.broadcast_to(np.tri(7, dtype=bool), found.shape))


@pytest.mark.parametrize(
    ("name", "encoder", "decoder"),
    [
        ("Transformer", ("encoder",), ("decoder",)),
        ("PreNormTransformer", ("encoder",), ("decoder",)),
    ],
)
def test_the_weights_of_a_transformer(name, encoder, decoder, rng):
    model = MODELS[name]
    p, source, target = parameters(model), rng.integers(SIZE, size=(2, 7)), rng.integers(SIZE, size=(2, 5))
    mask = np.arange(7) < 6
    _, saved = model.forward(p, source, target, source_mask=mask[None, None, None])
    expected = {
        "encoder.attention": [saved_weights(saved, *encoder, i, "attention") for i in range(model.n_layers)],
        "decoder.attention": [saved_weights(saved, *decoder, i, "attention") for i in range(model.n_layers)],
        "decoder.cross_attention": [
            saved_weights(saved, *decoder, i, "cross_attention") for i in range(model.n_layers)
        ],
    }
    found = attention_weights(model, p, source, target, source_mask=mask[None, None, None])
    assert list(found) == list(expected)
    for which, weights in found.items():
        assert np.array_equal(weights, expected[which]), which
        assert np.abs(weights.sum(-1) - 1).max() < 1e-6, which
    assert [weights.shape[2:] for weights in found.values()] == [(7, 7), (5, 5), (5, 7)]
    assert not found["decoder.cross_attention"][..., 6].any() and not found["encoder.attention"][..., 6].any()
    assert np.array_equal(found["decoder.attention"].any((0, 1)), np.tri(5, dtype=bool))


@pytest.mark.parametrize(
    ("name", "where"), [("LuongSeq2Seq", "cross_attention"), ("BahdanauSeq2Seq", "decoder.cross_attention")]
)
def test_the_weights_of_a_recurrent_model(name, where, rng):
    """One layer, one head; those of the whole target are those of its beginnings, the last row of each."""
    model = MODELS[name]
    p, source, target = parameters(model), rng.integers(SIZE, size=(2, 7)), rng.integers(SIZE, size=(2, 5))
    mask = (np.arange(7) < 6)[None, None, None]
    ((found_where, found),) = attention_weights(model, p, source, target, source_mask=mask).items()
    assert found_where == where and found.shape == (1, 1, 5, 7)
    assert np.abs(found.sum(-1) - 1).max() < 1e-6 and not found[..., 6].any() and found[..., :6].all()
    assert np.abs(np.diff(found, axis=2)).max() > 1e-3
    for T in range(1, 5):
        (shorter,) = attention_weights(model, p, source, target[:, :T], source_mask=mask).values()
        np.testing.assert_allclose(shorter[..., -1, :], found[..., T - 1, :], rtol=1e-4, atol=1e-6)
    (alone,) = attention_weights(model, p, source[:, :6], target).values()
    np.testing.assert_allclose(alone, found[..., :6], rtol=1e-4, atol=1e-6)
    (shown,) = in_pair(name=name)
    assert (shown.queries.title, shown.keys.title) == ("target, as it is written", "source")


def test_layers_that_save_nothing_show_theirs_too():
    assert np.array_equal(in_text(recompute=True)[0].weights, in_text()[0].weights)


class Later:
    """A model of the convention that nobody knew when this was written: it saves this."""

    def __init__(self, **saved):
        self.saved = saved

    def forward(self, p, ids):
        return ids, self.saved


def saved_by_attention(weights):
    return Saved("attention", "reference", (), None, (None, None, None, None, weights, 1.0, None, 0.0))


def test_a_model_that_comes_later_needs_no_line():
    first, second, other = np.random.default_rng(0).dirichlet(np.ones(4), (3, 1, 2, 4))
    tower = [{"mix": {"attend": saved_by_attention(weights)}} for weights in (first, second)]
    found = attention_weights(Later(tower={"layers": tower}, look={"attend": saved_by_attention(other)}), {}, None)
    assert list(found) == ["tower.mix", "look"]
    assert np.array_equal(found["tower.mix"], [first[0], second[0]]) and np.array_equal(found["look"], other)


def test_a_model_without_attention_and_one_that_diverged():
    with pytest.raises(ValueError, match="there is no attention in what Later saved"):
        attention_weights(Later(layers=[{"norm": saved_by_attention(None)}]), {}, None)
    with pytest.raises(ValueError, match="not finite"):
        attention_weights(Later(mix={"attend": saved_by_attention(np.full((1, 1, 2, 2), np.nan))}), {}, None)


# -------------------------------------------------------------------------------------------------------- the tokens


def test_every_token_is_visible():
    text = " \n\ta\2\3\u0301\u200d\u202e\u2028\x00\xa0é😀"
    tokenizer = BPETokenizer.train("", 256)
    characters = type(CHARACTERS)(text)
    shown = "␣ ⏎ ⇥ a ⟨start⟩ ⟨end⟩ ◌\u0301 ⟨U+200D⟩ ⟨U+202E⟩ ⟨U+2028⟩ ⟨U+0000⟩ ⟨U+00A0⟩ é 😀".split(" ")
    assert shown_tokens(characters, characters.encode(text)) == tuple(shown)
    assert shown_tokens(tokenizer, tokenizer.encode("a é")) == ("a", "␣", r"\xc3", r"\xa9")


def test_which_text_asks_and_which_answers():
    encoder, decoder, cross = in_pair("ab c", "de", name="PreNormTransformer")
    source, read, written = tuple("ab␣c"), ("⟨start⟩", "d", "e"), ("d", "e", "⟨end⟩")
    for attention, title, queries, keys in (
        (encoder, "encoder self-attention", source, source),
        (decoder, "decoder self-attention", read, read),
        (cross, "decoder cross-attention", written, source),
    ):
        assert (attention.title, attention.queries.tokens, attention.keys.tokens) == (title, queries, keys)
        assert attention.weights.shape == (3, 2, len(queries), len(keys))
        assert (attention.layers, attention.heads) == ([1, 2, 3], [1, 2])
    model = MODELS["PreNormTransformer"]
    source, target = CHARACTERS.encode("ab c"), CHARACTERS.encode(f"{START}de")
    expected = attention_weights(model, parameters(model), source[None], target[None])
    assert np.array_equal(cross.weights, expected["decoder.cross_attention"])
    assert np.array_equal(decoder.weights, expected["decoder.attention"])
    (attention,) = in_text("a b")
    assert attention.title == "self-attention" and attention.queries == attention.keys == Text("text", tuple("a␣b"))


def test_one_layer_and_one_head():
    (attention,) = in_text()
    part = select(attention, layer=3, head=2)
    assert (part.layers, part.heads) == ([3], [2])
    assert np.array_equal(part.weights, attention.weights[2:, 1:])
    assert select(attention).layers == attention.layers and select(attention, head=1).weights.shape[:2] == (3, 1)
    for wrong, message in [
        ({"layer": 4}, "no layer 4: the self-attention has layers 1 to 3"),
        ({"layer": 0}, "no layer 0"),
        ({"head": 3}, "no head 3: the self-attention has heads 1 to 2"),
        ({"head": -1}, "no head -1"),
    ]:
        with pytest.raises(ValueError, match=message):
            select(attention, **wrong)


# ---------------------------------------------------------------------------------------------------------- the page


class Page(HTMLParser):
    """The elements of a page in their order, its addresses, and the text within each kind of element."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.text, self.open = [], [], {}, []
        self.feed(text)
        self.close()
        self.data = json.loads("".join(self.text["script"][:1]))

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.open.append(tag)
        self.text.setdefault(tag, []).append("")
        self.addresses += [value for name, value in attributes if name in ("src", "href", "action", "srcset")]

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open:
            self.text[self.open[-1]][-1] += data


def test_the_page_holds_every_weight():
    attentions = in_pair()
    page = Page(attention_page(attentions, "a title"))
    assert [attention["title"] for attention in page.data["attentions"]] == [
        attention.title for attention in attentions
    ]
    for shown, attention in zip(page.data["attentions"], attentions, strict=True):
        weights = np.array(shown["weights"])
        assert weights.shape == attention.weights.shape and weights.dtype.kind == "i"
        assert np.abs(weights / 1000 - attention.weights).max() <= 0.0005 + 1e-6
        assert np.abs(weights.sum(-1) - 1000).max() <= weights.shape[-1] / 2
        for side in ("queries", "keys"):
            text = getattr(attention, side)
            assert page.data["texts"][shown[side]] == {"title": text.title, "tokens": list(text.tokens)}
        assert (shown["layers"], shown["heads"]) == (attention.layers, attention.heads)
    assert len(page.data["texts"]) == 3


def test_the_page_needs_nothing_else():
    text = attention_page(in_text(), "a title")
    page = Page(text)
    assert page.addresses == ["data:,"]
    assert "default-src 'none'" in text and "url(" not in text and "@import" not in text and "://" not in text
    assert page.text["h1"] == ["a title"] and page.text["title"] == ["Attention: a title"]


def test_no_text_breaks_the_page():
    harmless = Page(attention_page(in_pair("aaa", "a"), "a title"))
    text = attention_page(in_pair(DANGEROUS, DANGEROUS[::-1]), f"{DANGEROUS} {{{{ data }}}} {{{{ title }}}}")
    page = Page(text)
    assert page.tags == harmless.tags and page.addresses == harmless.addresses
    source = page.data["texts"][page.data["attentions"][0]["keys"]]["tokens"]
    assert (
        tuple(source) == shown_tokens(CHARACTERS, CHARACTERS.encode(DANGEROUS)) and source[0] == "<" and "😀" in source
    )
    assert "{{ data }} {{ title }}" in page.text["h1"][0] and "</script><b>&amp;" in page.text["h1"][0]
    (inline,) = [line for line in text.splitlines() if 'id="data"' in line]
    between = inline.removeprefix('<script type="application/json" id="data">').removesuffix("</script>")
    assert not set("<>&\u2028\u2029\u202e\x00") & set(between)


def test_a_page_too_large_is_refused(monkeypatch):
    (attention,) = in_text()
    monkeypatch.setattr(plots, "MOST_WEIGHTS", attention.weights.size)
    attention_page([attention], "")
    monkeypatch.setattr(plots, "MOST_WEIGHTS", attention.weights.size - 1)
    with pytest.raises(ValueError, match="the page would hold 384 weights, more than 383: choose one layer or"):
        attention_page([attention], "")


# ------------------------------------------------------------------------------------------------------- the picture


def panels(svg):
    """The images in an SVG: arrays of how dark (0 to 1), in the order of drawing; the scale is the last."""
    from PIL import Image

    found = []
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}image"):
        _, data = element.get("{http://www.w3.org/1999/xlink}href").split("base64,")
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), float)
        pixels = pixels[::-1] if "matrix(1 0 0 -1" in (element.get("transform") or "") else pixels
        found.append((765 - pixels.sum(-1)) / 765)
    return found


def test_a_panel_for_every_layer_and_head():
    attentions = in_pair("abcde", "fg")
    *found, scale = panels(draw_attention(attentions, "a title", "svg"))
    expected = [weights for attention in attentions for layer in attention.weights for weights in layer]
    assert len(found) == len(expected) == 3 * 2 * 4
    for dark, weights in zip(found, expected, strict=True):
        assert dark.shape == weights.shape
        order = np.argsort(weights, axis=None)
        assert (np.diff(dark.ravel()[order]) > -1e-9).all()  # the more weight, the darker
        assert dark.max() > 0.3


def test_tokens_stand_on_the_axes_of_the_outer_panels():
    attentions = in_pair("ab c", "d\n")
    svg = draw_attention(attentions, "its title", "svg").decode("utf-8")
    labels = [line.strip()[5:-4] for line in svg.splitlines() if line.strip().startswith("<!-- ")]
    assert [labels.count(token) for token in ("a", "b", "␣", "c")] == [
        (4 + 2) + 4
    ] * 4  # 4 columns of heads, 2 rows of layers
    assert labels.count("d") == labels.count("⏎") == (4 + 2) + 2
    assert labels.count("⟨start⟩") == 4 + 2 and labels.count("⟨end⟩") == 2
    for word in (
        "its title",
        "layer 2",
        "decoder cross-attention",
        "rows: target, as it is written   columns: source",
        "weight",
    ):
        assert word in labels
    assert [labels.count(f"head {i}") for i in range(1, 6)] == [3, 3, 3, 3, 0]
    assert [labels.count(f"layer {i}") for i in range(1, 4)] == [3, 3, 0]


def test_pictures_are_the_same_bytes_each_time_and_no_text_breaks_one():
    attentions = in_pair(DANGEROUS, "$a$")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a glyph that it does not have
        first, second = (draw_attention(attentions, f"{DANGEROUS} 漢", "svg") for _ in range(2))
    assert first == second and "漢" not in first.decode("utf-8") and "⟨U+6F22⟩" in first.decode("utf-8")
    png = draw_attention(in_text("$a$"), "$\\frac$", "png")
    assert png.startswith(b"\x89PNG") and len(png) > 5000


def test_a_picture_too_large_is_refused():
    text = Text("text", ("a",) * 120)
    attention = Attention("self-attention", text, text, np.zeros((1, 4, 120, 120)), [1], [1, 2, 3, 4])
    with pytest.raises(ValueError, match=r"would be \d+ by \d+ inches: choose one layer or one head"):
        draw_attention([attention], "", "png")


def test_a_long_title_fits():
    svg = draw_attention(in_text("a"), "a title " * 15, "svg")
    assert float(ElementTree.fromstring(svg).get("width").removesuffix("pt")) > 72 * 7  # inches; 4.5 without the title
