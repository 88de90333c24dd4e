"""The models that translate, by the names that settings have for them: the Transformer, and what came before it."""

from functools import partial

from ...blocks.recurrence import CELLS
from ...models import BahdanauSeq2Seq, LuongSeq2Seq, Seq2Seq, Transformer
from ...models.luong import SCORES

MODELS = ("transformer", *CELLS)
LUONG = {f"luong-{score}": partial(LuongSeq2Seq, score=score) for score in SCORES}
ATTENTIONS = {  # what a recurrent decoder has of its source
    "none": Seq2Seq,
    "mean": partial(Seq2Seq, summary="mean"),
    "bahdanau": BahdanauSeq2Seq,
    "luong": LUONG["luong-general"],
    **LUONG,
}


def check_translator(settings):
    """ValueError for a model or an attention that there is not, and for an attention of a Transformer."""
    if settings.model not in MODELS:
        raise ValueError(f"unknown model {settings.model!r}; there are: {', '.join(MODELS)}")
    if settings.attention not in ATTENTIONS:
        raise ValueError(f"unknown attention {settings.attention!r}; there are: {', '.join(ATTENTIONS)}")
    if settings.model == "transformer" and settings.attention != "none":
        raise ValueError(
            f"the attention {settings.attention} is of a recurrent model ({', '.join(CELLS)}): a transformer has "
            "its own"
        )


def translator(settings, vocab_size):
    """The model that the settings ask for, with one vocabulary for source and target."""
    sizes = {
        "vocab_size": vocab_size,
        "n_layers": settings.layers,
        "d_model": settings.width,
        "dropout_rate": settings.dropout,
    }
    if settings.model == "transformer":
        return Transformer(**sizes, n_heads=settings.heads, d_ff=settings.inner)
    return ATTENTIONS[settings.attention](**sizes, cell=settings.model)
