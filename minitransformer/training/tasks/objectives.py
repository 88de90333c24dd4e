"""What a model of the BERT family is asked before anything else, by the name of the model.

    tokenizer, head, model(...), loss     what is trained; the head is over a body
    masked(model)                   the model that is asked for masked tokens alone, with the same parameters
    special, least                  special tokens of a row; documents that must be there on either side
    rows(tokens, room, key)         the rows of a text
    batch(examples, pad)            the arguments of the loss
    static                          whether a row's masks are the same whenever it is seen, as published

BERT has both tasks of Devlin et al. 2019, section 3.1; RoBERTa only the first (Liu et al. 2019, section 4).
"""

import numpy as np

from ...data.packing import collated, full_sentences, segment_pairs
from ...models import BERT, MaskedLanguageModel, PreTraining, RoBERTa
from ...tokenizers import RobertaTokenizer, WordPieceTokenizer
from ..losses import masked_token_loss, pretraining_loss


def sizes(settings):
    """What a body of either kind is made with."""
    return {
        "n_layers": settings.layers,
        "n_heads": settings.heads,
        "d_model": settings.width,
        "d_ff": 4 * settings.width,
        "dropout_rate": settings.dropout,
        "attention_dropout_rate": settings.dropout,
    }


class MaskedAndNext:
    """BERT: what was masked, and whether the second segment follows the first."""

    tokenizer, head, loss, special, least, static = WordPieceTokenizer, PreTraining, pretraining_loss, 3, 2, True
    rows = staticmethod(segment_pairs)

    @staticmethod
    def model(settings, tokenizer):
        return PreTraining(BERT(tokenizer.vocab_size, settings.context, **sizes(settings)))

    @staticmethod
    def masked(model):
        return model.masked

    @staticmethod
    def batch(examples, pad):
        return *collated(examples, pad), np.array([example.origin for example in examples])


class MaskedAlone:
    """RoBERTa: what was masked, in rows as full as they can be."""

    tokenizer, head, loss, special, least, static = (
        RobertaTokenizer,
        MaskedLanguageModel,
        masked_token_loss,
        2,
        1,
        False,
    )
    batch = staticmethod(collated)

    @staticmethod
    def model(settings, tokenizer):
        positions = settings.context + tokenizer.pad + 1
        return MaskedLanguageModel(RoBERTa(tokenizer.vocab_size, positions, tokenizer.pad, **sizes(settings)))

    @staticmethod
    def masked(model):
        return model

    @staticmethod
    def rows(tokens, room, key):
        return full_sentences(tokens, room)


OBJECTIVES = {"bert": MaskedAndNext, "roberta": MaskedAlone}
