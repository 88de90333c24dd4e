"""The page of attention in a real browser: what one points at, chooses and presses shows the weights of the model."""

import numpy as np
import pytest

from minitransformer.plots.attention import attention_in_pair, attention_in_text, attention_page

from ..plots.models import CHARACTERS, END, MODELS, START, parameters

HALF = 0.0005 + 1e-6  # weights are shown in thousandths
SOURCE, TARGET = "abc</b> 😀 de\nfgש", "jih ab"
MEAN = "mean of heads"
CROSS = 2  # where the cross-attention stands among the three


def pair(source=SOURCE, target=TARGET):
    model = MODELS["Transformer"]
    ids = [CHARACTERS.encode(text) for text in (source, target, START, END)]
    return attention_in_pair(model, parameters(model), CHARACTERS, *ids[:2], *ids[2], *ids[3])


def gpt(text=SOURCE):
    model = MODELS["GPT2"]
    return attention_in_text(model, parameters(model), CHARACTERS, CHARACTERS.encode(text))


@pytest.fixture
def show(browser, tmp_path):
    """show(attentions) opens their page; at the end, nothing was complained of, and nothing else asked for."""
    path = tmp_path / "a page.html"

    def show(attentions, title='</title><script>alert("&amp;")</script>', **how):
        path.write_text(attention_page(attentions, title), encoding="utf-8")
        browser.open(path, **how)
        return browser

    yield show
    assert browser.complaints() == []
    assert browser.requests() == [path.as_uri()]


def weights(browser, side):
    """The weights that the tokens of a text carry, and how strong their colors are."""
    shown = browser.run(
        f"""[...document.querySelectorAll("#{side} .token")].map((token) => [
            token.dataset.weight ?? null, getComputedStyle(token).backgroundColor])"""
    )
    return [weight for weight, _ in shown], np.array([strength(color) for _, color in shown])


def strength(color):
    """The opacity in rgb(1, 2, 3) or rgba(1, 2, 3, 0.5)"""
    parts = color.partition("(")[2].rstrip(")").split(",")
    return float(parts[3]) if len(parts) == 4 else 1.0


def shows(browser, side, expected, error=HALF):
    """The tokens carry these weights, and are colored in proportion."""
    found, colors = weights(browser, side)
    assert np.abs(np.array(found, float) - expected).max() < error
    assert np.abs(colors - expected / expected.max()).max() < 0.005 + 0.002 / expected.max()


def token(side, index):
    return f"#{side} .token:nth-child({index + 1})"


def chosen(browser):
    return browser.run(
        """[...document.querySelectorAll('[aria-selected="true"]')].map((e) => [e.dataset.side, +e.dataset.index])"""
    )


def test_pointing_at_a_token_shows_its_weights(show):
    (attention,) = gpt()
    browser = show([attention])
    before = browser.screenshot()
    for index in (3, 11, 0, 15):
        browser.point(token("queries", index))
        shows(browser, "queries", attention.weights[0, 0, index])
        assert chosen(browser) == [["queries", index]]
    browser.point(token("queries", 6))
    assert browser.screenshot() != before
    browser.point("h1")  # away from the text: what was chosen, in the beginning the last
    shows(browser, "queries", attention.weights[0, 0, -1])


def test_the_answer_says_it_in_words(show):
    (attention,) = gpt()
    browser = show([attention])
    browser.point(token("queries", 12))
    said = browser.run('document.querySelector("#question").textContent')
    assert said == f"Token 13, {attention.queries.tokens[12]}, gives its weight to"
    items = browser.run('[...document.querySelectorAll("#largest li")].map((item) => item.textContent)')
    row = attention.weights[0, 0, 12]
    order = np.argsort(-row)[: len(items)]
    assert 1 < len(items) <= 8
    for item, i in zip(items, order, strict=True):
        who, _, percent = item.removesuffix(" %").rpartition(f"{i + 1}")
        assert who == f"{attention.keys.tokens[i]} " and abs(float(percent) - 100 * row[i]) < 0.051


def test_layer_head_and_mean_change_the_picture(show):
    (attention,) = gpt()
    browser = show([attention])
    browser.click(token("queries", 9))
    browser.point("h1")
    pictures = {browser.screenshot()}
    for layer in range(3):
        browser.choose("#layer", layer)
        for head in range(2):
            browser.choose("#head", head)
            shows(browser, "queries", attention.weights[layer, head, 9])
            pictures.add(browser.screenshot())
        browser.choose("#head", "mean")
        shows(browser, "queries", attention.weights[layer].mean(0)[9], 2 * HALF)  # rounded twice
    assert len(pictures) == 6
    options = browser.run('[...document.querySelectorAll("#head option")].map((option) => option.textContent)')
    assert options == ["1", "2", MEAN]


def test_a_click_on_a_small_picture_chooses_its_head(show):
    (attention,) = gpt()
    browser = show([attention])
    browser.click('canvas[data-layer="2"][data-head="1"]')
    assert browser.run('[document.querySelector("#layer").value, document.querySelector("#head").value]') == ["2", "1"]
    shows(browser, "queries", attention.weights[2, 1, -1])
    pixels = browser.run(
        """(() => { const canvas = document.querySelector("canvas.chosen");
        return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]; })()"""
    )
    alpha = np.reshape(pixels, (*attention.weights.shape[2:], 4))[..., 3] / 255
    expected = attention.weights[2, 1] / attention.weights[2, 1].max(-1, keepdims=True)
    assert np.abs(alpha - expected).max() < 0.02


def test_cross_attention_both_ways(show):
    attentions = pair()
    browser = show(attentions)
    for number, attention in enumerate(attentions):
        browser.choose("#attention", number)
        browser.choose("#head", 3)
        browser.point(token("queries", 2))
        shows(browser, "keys" if number == CROSS else "queries", attention.weights[0, 3, 2])
    assert weights(browser, "queries")[0] == [None] * (len(TARGET) + 1)
    browser.point(token("keys", 4))
    shows(browser, "queries", attentions[CROSS].weights[0, 3, :, 4])
    assert weights(browser, "keys")[0] == [None] * len(SOURCE)
    assert "is given weight by" in browser.run('document.querySelector("#question").textContent')


def test_the_keyboard_alone(show):
    attentions = pair()
    browser = show(attentions)
    browser.choose("#attention", CROSS)
    where = "[document.activeElement.id, document.activeElement.dataset.side, document.activeElement.dataset.index]"
    reached = []
    for _ in range(5):
        browser.press("Tab")
        reached.append(browser.run(where))
    last = str(len(TARGET))
    assert [id for id, *_ in reached[:3]] == ["attention", "layer", "head"]
    assert [rest for _, *rest in reached[3:]] == [["queries", last], ["keys", "0"]]
    for key, index in (("ArrowRight", 1), ("ArrowDown", 2), ("End", len(SOURCE) - 1), ("ArrowRight", len(SOURCE) - 1)):
        browser.press(key)
        assert browser.run(where)[1:] == ["keys", str(index)]
        shows(browser, "queries", attentions[CROSS].weights[0, 0, :, index])
    for key, index in (("ArrowLeft", len(SOURCE) - 2), ("Home", 0), ("ArrowUp", 0)):
        browser.press(key)
        assert chosen(browser) == [["keys", index]]


def test_arrows_follow_the_direction_of_the_text(show):
    browser = show(gpt("שלמ".replace("למ", "ש") + "ab"))
    browser.click(token("queries", 1))
    browser.press("ArrowLeft")
    assert chosen(browser) == [["queries", 2]]


def test_a_tap_chooses(show):
    (attention,) = gpt()
    browser = show([attention], width=360, height=740, touch=True)
    browser.tap(token("queries", 5))
    assert chosen(browser) == [["queries", 5]]
    shows(browser, "queries", attention.weights[0, 0, 5])
    browser.choose("#layer", 1)
    shows(browser, "queries", attention.weights[1, 0, 5])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("attentions", [pair, gpt, lambda: pair("a" * 60, "b\n" * 40)], ids=["pair", "gpt", "long"])
def test_readable_at_360_pixels(show, attentions, dark):
    browser = show(attentions(), width=360, height=740, dark=dark)
    for number in range(len(attentions())):
        browser.choose("#attention", number)
        wide = browser.run(
            """[...document.querySelectorAll("body, body *")].filter((element) =>
            element.getBoundingClientRect().right > document.documentElement.clientWidth).map((e) => e.outerHTML)"""
        )
        assert wide == []
        assert browser.run("document.documentElement.scrollWidth") <= 360
    assert browser.run('parseFloat(getComputedStyle(document.querySelector(".token")).fontSize)') >= 16


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(show, dark):
    """At least 4.5 : 1 (Web Content Accessibility Guidelines 2.2, 1.4.3), even on the strongest color."""
    browser = show(gpt(), dark=dark)
    ink, ground, quiet, mark = browser.run(
        """(() => { const of = (selector, name) => getComputedStyle(document.querySelector(selector))[name];
        return [of("body", "color"), of("body", "backgroundColor"), of(".quiet", "color"),
            `rgb(${getComputedStyle(document.body).getPropertyValue("--mark").trim().replaceAll(" ", ",")})`]; })()"""
    )
    assert (luminance(ink) > luminance(ground)) == dark
    for front, back in ((ink, ground), (quiet, ground), (ink, mark)):
        assert contrast(front, back) > 4.5, (front, back)


def luminance(color):
    parts = np.array([float(part) for part in color.partition("(")[2].rstrip(")").split(",")[:3]]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_named_for_those_who_hear_it(show):
    """The accessibility tree has names for every control and token, and the answer is announced."""
    browser = show(pair("a b\n", "c"))
    nodes = [node for node in browser.ask("Accessibility.getFullAXTree")["nodes"] if not node.get("ignored")]
    found = [(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes]
    for expected in [("combobox", "Attention"), ("combobox", "Layer"), ("combobox", "Head"), ("listbox", "source")]:
        assert expected in found
    options = [name for role, name in found if role == "option"]  # the tokens, and what can be selected
    assert options == [
        "a",
        "space",
        "b",
        "line break",
        *(attention.title for attention in pair()),
        *"12",
        *"1234",
        MEAN,
    ]
    assert not any(role in ("Canvas", "figure") for role, _ in found)
    assert browser.run('document.querySelector("#answer").getAttribute("aria-live")') == "polite"
