"""What the published folders of BERT and of those after it have in common; each kind's names are in a file of its own.

The head follows from `architectures`; one can also ask for another one, and find its tensors missing or not.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..models import SentenceEncoder
from .config import check_config
from .names import Row
from .tensors import shown

MOST_CLASSES = 1_000_000


class Head(NamedTuple):
    """A head of ours, and its tensors."""

    architecture: str
    model: Any
    maps: dict  # theirs -> ours; linear maps and norms, each a weight and a bias
    biases: dict = {}  # theirs -> ours; a parameter each
    settings: dict = {}  # field -> its name in config.json, and what it is where that says nothing
    fixed: dict = {}  # field -> what it is in every model of this kind


def labels_of(config):
    """[label], by class: id2label, or LABEL_0, LABEL_1, ... of as many as there are"""
    labels, n = config.get("id2label"), config.get("num_labels", 2)
    if labels is None:
        if type(n) is not int or not 1 <= n <= MOST_CLASSES:
            raise ValueError(f"num_labels is {n!r}, and not from 1 to {MOST_CLASSES:,}")
        return [f"LABEL_{i}" for i in range(n)]
    if not isinstance(labels, dict) or sorted(labels) != sorted(map(str, range(len(labels)))):
        raise ValueError("id2label does not name the classes 0, 1, 2, ... each once")
    if not all(isinstance(label, str) and label.strip() and is_text(label) for label in labels.values()):
        raise ValueError("id2label gives a class a name that is no text")
    if len(set(labels.values())) < len(labels):
        raise ValueError("id2label gives two classes one name")
    return [labels[str(i)] for i in range(len(labels))]


def is_text(label):
    """Whether it has no half of a surrogate pair, which cannot be written."""
    return not any("\ud800" <= c <= "\udfff" for c in label)


@dataclass(frozen=True)
class Encoder:
    """One kind: what its configuration and its tensors are called."""

    model_type: str
    body: Any  # our class
    sizes: dict  # field -> its name in config.json
    settings: dict  # field -> its name in config.json, and what it is where that says nothing
    fixed: dict  # theirs -> the values with which it is the model that we have; the first is the published one
    prefix: str  # before the names of the body's tensors, but for files of a body alone
    tables: dict  # theirs -> ours, and the field that says how many rows it has
    norm: str  # of the embeddings' sum
    layer: str  # before the number of a layer
    maps: dict  # of a layer, theirs -> ours; linear maps and norms, each a weight and a bias
    heads: tuple
    parts: dict = field(default_factory=dict)  # heads that another one is a part of: the whole -> its part
    elsewhere: tuple = ()  # what one head has, and another does not look at; and numbers of places: no parameters

    labels_of = staticmethod(labels_of)

    @property
    def models(self):
        return [head.model for head in self.heads]

    def takes(self, model):
        """Whether this is a model of this kind."""
        return type(model) in self.models and type(model.body) is self.body

    def head_of(self, model):
        return next(head for head in self.heads if type(model) is head.model)

    def model_of(self, config, head=None):
        """The model that config.json describes, or that body under another head. ValueError for what we do not have."""
        check_config(config, self.sizes, self.fixed)
        sizes = {ours: config[theirs] for ours, theirs in self.sizes.items()}
        body = self.body(**sizes, **given(config, self.settings))
        there = self.published_head(config)
        kind = head or there
        # Another than the published one may have tensors of the same names, of other meaning; the last takes any body.
        if kind not in (there, self.parts.get(there), SentenceEncoder):
            raise ValueError(f"its head is that of a {there.__name__}, and not of a {kind.__name__}")
        if "n_classes" not in kind.__dataclass_fields__:
            return self.under(body, kind, config)
        if config.get("problem_type") not in (None, "single_label_classification") or len(labels_of(config)) == 1:
            what = f"problem_type {config.get('problem_type')!r}, {len(labels_of(config))} label(s)"
            raise ValueError(f"it is not one class among several that it gives ({what}), and nothing else is here")
        return self.under(body, kind, config, len(labels_of(config)))

    def under(self, body, kind, config, *n_classes):
        """This body under a head of that class, as this kind has it."""
        head = next(each for each in self.heads if each.model is kind)
        return kind(body, *n_classes, **given(config, head.settings), **head.fixed)

    def published_head(self, config):
        known = {head.architecture: head.model for head in self.heads}
        bare = next(head.architecture for head in self.heads if head.model is SentenceEncoder)
        names = config.get("architectures") or [bare]
        if not isinstance(names, list) or not isinstance(names[0], str) or names[0] not in known:
            raise ValueError(f"architectures is {shown(repr(names))}; there are: {', '.join(known)}")
        return known[names[0]]

    def config_of(self, model, labels=None):
        """What config.json says of this model. ValueError where it has no words for it."""
        body, head = model.body, self.head_of(model)
        if wrong := [name for name, value in head.fixed.items() if getattr(model, name) != value]:
            what = "; ".join(f"{name} is {getattr(model, name)}, not {head.fixed[name]}" for name in wrong)
            raise ValueError(f"a {type(model).__name__} over a {self.body.__name__} is not published so: {what}")
        sizes = {theirs: getattr(body, ours) for ours, theirs in self.sizes.items()}
        settings = said(body, self.settings) | said(model, head.settings)
        fixed = {name: values[0] for name, values in self.fixed.items()}
        named = {}
        if hasattr(model, "n_classes"):
            labels = labels or [f"LABEL_{i}" for i in range(model.n_classes)]
            named = {
                "id2label": {str(i): label for i, label in enumerate(labels)},
                "label2id": {label: i for i, label in enumerate(labels)},
            }
        kind = {"model_type": self.model_type, "architectures": [head.architecture]}
        return {**kind, **sizes, **settings, **fixed, **named}

    def table(self, model):
        """[Row, ...] of all parameters."""
        head, rows = self.head_of(model), []

        def pair(theirs, ours):
            rows.extend(Row(f"{theirs}.{kind}", (f"{ours}.{kind}",)) for kind in ("weight", "bias"))

        for theirs, (ours, _) in self.tables.items():
            rows.append(Row(f"{self.prefix}{theirs}.weight", (f"body.{ours}.weight",)))
        pair(f"{self.prefix}{self.norm}", "body.norm")
        for i in range(model.body.n_layers):
            for theirs, ours in self.maps.items():
                pair(f"{self.prefix}{self.layer}{i}.{theirs}", f"body.layers.{i}.{ours}")
        for theirs, ours in head.maps.items():
            pair(theirs, ours)
        return rows + [Row(theirs, (ours,)) for theirs, ours in head.biases.items()]

    def check_sizes(self, model, stored):
        """What config.json says of the sizes, against the tensors: before anything is made of those sizes."""
        body, layer = model.body, self.prefix + self.layer
        numbers = {name.removeprefix(layer).partition(".")[0] for name in stored if name.startswith(layer)}
        if len(numbers) != body.n_layers:
            theirs = self.sizes["n_layers"]
            raise ValueError(f"{theirs} is {body.n_layers}, but there are tensors of {len(numbers)} layers")
        rows = {f"{self.prefix}{theirs}.weight": getattr(body, size) for theirs, (_, size) in self.tables.items()}
        up = next(theirs for theirs, ours in self.maps.items() if ours == "feed_forward.up")
        for name, n in (rows | {f"{layer}0.{up}.weight": body.d_ff}).items():
            if name in stored and stored[name].shape != (n, body.d_model):
                raise ValueError(f"{name} has shape {stored[name].shape}, expected {(n, body.d_model)}")

    def our_view(self, stored, model):
        """The tensors under their newest names, and without what is no parameter of this model: other heads'."""
        head, found = self.head_of(model), {}
        ours = tuple(f"{name}." for name in head.maps) + tuple(head.biases)
        inside = ("embeddings.", self.layer, "pooler.")
        for name, each in stored.items():
            name = self.prefix + name if name.startswith(inside) else name
            for old, new in ((".gamma", ".weight"), (".beta", ".bias")):  # as they were called in the first files
                name = name.removesuffix(old) + new if name.endswith(old) else name
            if name in found:
                raise ValueError(f"{name} is there twice, under two names")
            if name.startswith(ours) or not name.startswith(self.elsewhere):
                found[name] = each
        return found


def given(config, settings):
    """{field: number} of what config.json says."""
    return {ours: config.get(theirs, otherwise) for ours, (theirs, otherwise) in settings.items()}


def said(thing, settings):
    """{theirs: number} of a body or a head; a head's None means its body's, for which not every kind has a word."""
    found = {}
    for ours, (theirs, otherwise) in settings.items():
        number = getattr(thing, ours)
        if number is None and otherwise is not None:
            number = getattr(thing.body, ours)
        found[theirs] = number if number is None or isinstance(otherwise, int) else float(number)
    return found
