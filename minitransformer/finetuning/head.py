"""The model that fine-tuning begins with: a published body, under the head that the task needs.

The head is the published one where it is of that kind and knows all labels. Otherwise it is drawn anew, but for a
pooler, which is published with the body.
"""

from typing import Any, NamedTuple

from ..models import SentenceEncoder
from ..pretrained import ARCHITECTURES, chat_files, ends_of, labels_of, load_pretrained, spare_rows
from ..pretrained.tensors import stored_tensors
from ..trees import fill


class Start(NamedTuple):
    model: Any
    p: Any
    labels: list  # by class; empty where there are no classes
    drawn: bool  # whether the head is a new one
    ends: Any = ()  # the ids with which a text ends, where the model writes
    spare: Any = None  # rows of the vocabulary that are no token's
    chat: Any = None  # the files that say how a model is asked to write, where it writes


def load_body(folder, head):
    """A published folder, of which the body counts; with head=None, all of it. ValueError for one of another kind."""
    found = load_pretrained(folder, head=head and SentenceEncoder)
    if head is None and hasattr(found.model, "body"):
        kind = type(found.model).__name__
        raise ValueError(f"{folder} holds a {kind}, which reads; a GPT-2 or a LLaMA is needed, which writes")
    return found


def starting_point(folder, found, head, labels, rng):
    """found: what `load_body` gave   labels: those of the data   rng: what a new head is drawn from   ->   Start"""
    spare = spare_rows(folder, found.model)
    if head is None:
        return Start(found.model, found.p, [], False, ends_of(folder, found.tokenizer), spare, chat_files(folder))
    architecture = ARCHITECTURES[found.config["model_type"]]
    if architecture.published_head(found.config) is head and set(labels) <= set(labels_of(found)):
        whole = load_pretrained(folder, head=head)
        return Start(whole.model, whole.p, labels_of(whole) if labels else [], False, spare=spare)
    if len(labels) == 1:
        raise ValueError(f"all labels are {labels[0]!r}: there is nothing to tell apart")
    model = architecture.under(found.model.body, head, found.config, *([len(labels)] if labels else []))
    p = model.init(rng) | {"body": found.p["body"]}
    if "pooler" in p:
        p["pooler"] = published(folder, architecture, model, "pooler", p["pooler"])
    return Start(model, p, labels, True, spare=spare)


def published(folder, architecture, model, part, drawn):
    """The parameters of this part that the folder has, or those that were drawn."""
    stored, prefix = architecture.our_view(stored_tensors(folder), model), f"{part}."
    rows = [row for row in architecture.table(model) if row.ours[0].startswith(prefix)]
    if not all(row.theirs in stored for row in rows):
        return drawn
    named = {row.ours[0].removeprefix(prefix): stored[row.theirs] for row in rows}
    try:
        return fill(drawn, {name: each.parts(1, drawn[name].dtype)[0] for name, each in named.items()})
    except ValueError as error:
        raise ValueError(f"the {part} in {folder} does not fit its body: {error}") from None
