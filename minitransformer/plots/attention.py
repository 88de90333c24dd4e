"""What attends to what: the weights of every attention in a model, as small multiples or as a page to explore.

Nothing is computed anew for a picture. A forward saves the weights for its backward, under "attend", wherever there is
an attention; where it stands says which attention of which layer it is:

    saved["layers"][0]["attention"]["attend"]                   attention, the first layer
    saved["encoder"][1]["attention"]["attend"]                  encoder.attention, the second layer
    saved["decoder"][0]["cross_attention"]["attend"]            decoder.cross_attention, the first layer

Where a decoder looks step by step, what is saved there is a list, a step each. So a model of the convention needs no
line of its own.
"""

import functools
import html
import io
import json
import re
import unicodedata
from dataclasses import replace
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from ..convention import Saved

WEIGHTS = {  # of an operation that attends, from what it saved
    "attention": lambda q, k, v, bias, weights, *_: weights,
    "context": lambda weights, v: weights[:, None],  # one head
}
VISIBLE = {" ": "␣", "\n": "⏎", "\t": "⇥", "\2": "⟨start⟩", "\3": "⟨end⟩"}
MOST_WEIGHTS = 4_000_000  # on a page: some 10 MB
LARGEST = 45  # inches, the width and height of a picture
DPI = 200


class Text(NamedTuple):
    title: str
    tokens: tuple  # of strings, as they are shown


class Attention(NamedTuple):
    """All attentions of one kind: what asks, what answers, and how much; rows of weights sum to 1."""

    title: str
    queries: Text  # T tokens
    keys: Text  # S tokens, perhaps the same
    weights: np.ndarray  # (L, H, T, S)
    layers: list  # their numbers, from 1 on
    heads: list


# --------------------------------------------------------------------------------------------- out of the saved tree


def attention_weights(model, p, *inputs, **static):
    """What `model.forward` takes   ->   {name: weights (L, H, T, S) of the first row of the batch}

    ValueError for a model without attention.
    """
    if getattr(model, "recompute", False):
        model = replace(model, recompute=False)  # such layers save nothing
    _, saved = model.forward(p, *inputs, **static)
    found = {}
    for path, attend in attends(saved):
        found.setdefault(name_of(path), []).append(weights_of(attend)[0])
    if not found:
        raise ValueError(f"there is no attention in what {type(model).__name__} saved")
    if not all(np.isfinite(weights).all() for layers in found.values() for weights in layers):
        raise ValueError("the weights are not finite: this model has diverged")
    return {name: np.stack(layers) for name, layers in found.items()}


def weights_of(attend):
    """(B, H, T, S) from what an operation that attends has saved, or from a list of it: one query after another"""
    if isinstance(attend, list):
        return np.concatenate([weights_of(step) for step in attend], -2)
    return WEIGHTS[attend.op](*attend.values)


def attends(saved, path=()):
    """(path, Saved or a list of them) of every attention in a saved tree, in the order of the layers."""
    if isinstance(saved, dict):
        for name, part in saved.items():
            if name == "attend" and isinstance(part, (Saved, list)):
                yield path, part
            else:
                yield from attends(part, (*path, name))
    elif isinstance(saved, list):
        for part in saved:
            yield from attends(part, path)


def name_of(path):
    """layers, attention   ->   attention: what it is called where the layers have one name only"""
    return ".".join(name for name in path if name != "layers")


# ------------------------------------------------------------------------------------------------ with their tokens


def attention_in_text(model, p, tokenizer, ids):
    """ids (T)   ->   [Attention], each of the text to itself"""
    text = Text("text", shown_tokens(tokenizer, ids))
    found = attention_weights(model, p, np.asarray(ids)[None])
    return [attention(name, text, text, weights) for name, weights in found.items()]


def attention_in_pair(model, p, tokenizer, source_ids, target_ids, start_id, end_id):
    """The same for a model with an encoder and a decoder, which reads START and the target, and writes it and END.

    The decoder's self-attention is among the tokens it reads; its cross-attention is of those that it writes.
    """
    read_ids, written_ids = np.array([start_id, *target_ids]), [*target_ids, end_id]
    source = Text("source", shown_tokens(tokenizer, source_ids))
    read = Text("target, as it is read", shown_tokens(tokenizer, read_ids))
    written = Text("target, as it is written", shown_tokens(tokenizer, written_ids))
    sides = {"encoder": (source, source), "decoder": (read, read)}
    found = attention_weights(model, p, np.asarray(source_ids)[None], read_ids[None])
    return [
        attention(name, *((written, source) if "cross" in name else sides[name.split(".")[0]]), weights)
        for name, weights in found.items()
    ]


def attention(name, queries, keys, weights):
    *where, what = name.split(".")
    title = " ".join([*where, "self-attention" if what == "attention" else what.replace("_", "-")])
    return Attention(title, queries, keys, weights, *(list(range(1, n + 1)) for n in weights.shape[:2]))


def select(attention, layer=None, head=None):
    """The same of one layer, or one head, or both. ValueError if there is none of that number."""
    for what, number, numbers in (("layer", layer, attention.layers), ("head", head, attention.heads)):
        if number is not None and number not in numbers:
            raise ValueError(f"there is no {what} {number}: the {attention.title} has {what}s 1 to {numbers[-1]}")
    layers, heads = attention.layers if layer is None else [layer], attention.heads if head is None else [head]
    weights = attention.weights[np.ix_([i - 1 for i in layers], [i - 1 for i in heads])]
    return attention._replace(weights=weights, layers=layers, heads=heads)


def shown_tokens(tokenizer, ids):
    """What each token is, such that one sees it; bytes that are only a part of a character in hexadecimal."""
    return tuple(
        "".join(map(visible, tokenizer.token_bytes(id).decode("utf-8", errors="backslashreplace")))
        for id in map(int, ids)
    )


def visible(character):
    if character in VISIBLE:
        return VISIBLE[character]
    category = unicodedata.category(character)
    if category[0] in "CZ":  # control characters, the marks of writing direction, other spaces
        return code_point(character)
    return f"◌{character}" if category[0] == "M" else character  # an accent stands on something


def code_point(character):
    return f"⟨U+{ord(character):04X}⟩"


# ------------------------------------------------------------------------------------------------------ the picture


def draw_attention(attentions, title, format):
    """A PNG or SVG (bytes): a block for each attention, in it a row a layer and a column a head.

    ImportError without matplotlib, ValueError where it would be too large.
    """
    import matplotlib
    from matplotlib.figure import Figure  # no pyplot: no window system is needed

    style = {"font.family": "DejaVu Sans", "text.usetex": False, "text.parse_math": False}
    with matplotlib.rc_context(style | {"svg.hashsalt": "minitransformer", "svg.fonttype": "path"}):
        blocks = [Block(attention) for attention in attentions]
        title = drawable(title)
        width = max(length(title, size=10, weight="bold") + 2 * Block.GAP, *(block.width for block in blocks))
        height = sum(block.height for block in blocks) + Block.TITLE + Block.SCALE
        if max(width, height) > LARGEST:
            size = f"{width:.0f} by {height:.0f} inches"
            raise ValueError(f"the picture would be {size}: choose one layer or one head, or a shorter text")
        figure = Figure(figsize=(width, height), dpi=DPI)
        figure.text(Block.GAP / width, 1 - Block.GAP / height, title, va="top", size=10, weight="bold")
        top = height - Block.TITLE
        for block in blocks:
            image = block.draw(figure, top)
            top -= block.height
        scale = figure.add_axes([Block.GAP / width, 0.32 / height, 1.8 / width, 0.1 / height])
        figure.colorbar(image, cax=scale, orientation="horizontal", ticks=[0, 0.1, 0.25, 0.5, 1])
        scale.set_title("weight", size=7, loc="left", pad=3)
        scale.tick_params(labelsize=6.5, length=2)
        out = io.BytesIO()
        figure.savefig(out, format=format, metadata={"Date": None} if format == "svg" else None)
    return out.getvalue()


class Block:
    """The panels of one attention, placed by hand, in inches: the labels stand at the outer panels alone."""

    GAP, TITLE, SCALE = 0.12, 0.45, 0.6  # between things; above all blocks; below them
    FONT, HEADER = 6.5, 0.65  # points of the labels; inches of the title of a block and the names of its columns

    def __init__(self, attention):
        self.attention = attention
        L, H, T, S = attention.weights.shape
        self.queries, self.keys = (list(map(drawable, text.tokens)) for text in (attention.queries, attention.keys))
        self.cell = min(max(1 / max(T, S), 0.115), 0.3)
        self.panel = max(self.cell * S, 0.5), max(self.cell * T, 0.4)  # inches: room for "head 1", "layer 1"
        lengths = [self.length(key) for key in self.keys]
        self.turns = [90 if length > self.cell else 0 for length in lengths]
        self.left = 0.4 + max(map(self.length, self.queries))
        self.bottom = 0.25 + max(self.FONT / 72, *lengths)
        self.width = max(self.left + H * (self.panel[0] + self.GAP), 4.5) + self.GAP
        self.height = self.HEADER + L * (self.panel[1] + self.GAP) + self.bottom

    def length(self, label):
        return length(label, size=self.FONT)

    @staticmethod
    def places(labels, shown):
        return (range(len(labels)), labels) if shown else ([], [])

    def draw(self, figure, top):
        from matplotlib.colors import PowerNorm

        attention, (width, height) = self.attention, self.panel
        across, up = figure.get_size_inches()
        write = figure.text
        write(self.GAP / across, (top - 0.06) / up, attention.title, va="top", size=9, weight="bold", color="#1f6feb")
        sides = f"rows: {attention.queries.title}   columns: {attention.keys.title}"
        write(self.GAP / across, (top - 0.25) / up, sides, va="top", size=7, color="#59636e")
        top -= self.HEADER
        for i, layer in enumerate(attention.layers):
            bottom = top - i * (height + self.GAP) - height
            for j, head in enumerate(attention.heads):
                left = self.left + j * (width + self.GAP)
                ax = figure.add_axes([left / across, bottom / up, width / across, height / up])
                shades = {"norm": PowerNorm(0.5, 0, 1), "cmap": "Blues"}  # the root: what is small is seen as well
                image = ax.imshow(attention.weights[i, j], **shades, aspect="auto", interpolation="none")
                ax.tick_params(length=0, labelsize=self.FONT, pad=2)
                ax.spines[:].set(color="#b6bec8", linewidth=0.5)
                ax.set_xticks(*self.places(self.keys, layer == attention.layers[-1]))
                ax.set_yticks(*self.places(self.queries, j == 0))
                for label, turn in zip(ax.get_xticklabels(), self.turns):
                    label.set_rotation(turn)
                if i == 0:
                    ax.set_title(f"head {head}", size=7.5, pad=3)
            middle = (bottom + height / 2) / up
            write(self.GAP / across, middle, f"layer {layer}", rotation=90, va="center", size=7.5)
        return image


def length(text, **font):
    """How long a text is, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    return text_to_path.get_text_width_height_descent(text, FontProperties(**font), ismath=False)[0] / 72


def drawable(text):
    """The text with the code points of what the font that comes with matplotlib has no glyph for."""
    return "".join(character if ord(character) in glyphs() else code_point(character) for character in text)


@functools.cache
def glyphs():
    from matplotlib import font_manager

    return font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap()


# --------------------------------------------------------------------------------------------------------- the page


def attention_page(attentions, title):
    """One HTML file (a string) that needs nothing else. ValueError where it would be too large."""
    count = sum(attention.weights.size for attention in attentions)
    if count > MOST_WEIGHTS:
        much = f"{count:,} weights, more than {MOST_WEIGHTS:,}"
        raise ValueError(f"the page would hold {much}: choose one layer or one head, or a shorter text")
    texts = list(dict.fromkeys(text for attention in attentions for text in (attention.queries, attention.keys)))
    data = {
        "texts": [text._asdict() for text in texts],
        "attentions": [
            attention._asdict()
            | {
                "queries": texts.index(attention.queries),
                "keys": texts.index(attention.keys),
                "weights": np.rint(1000 * attention.weights).astype(int).tolist(),  # thousandths
            }
            for attention in attentions
        ],
    }
    parts = {"title": html.escape(title), "data": json_in_html(data)}
    template = files(__package__).joinpath("attention.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{ (title|data) \}\}", lambda match: parts[match[1]], template)


def json_in_html(data):
    """JSON that ends no element and begins none, whatever its strings say: no <, > or & is in it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)
