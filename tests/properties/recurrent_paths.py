"""The ways through the recurrent encoder-decoders: from target ids to the outputs, the source being given."""

import functools

from minitransformer.gradcheck import Draw
from minitransformer.models import BahdanauSeq2Seq, LuongSeq2Seq, Seq2Seq
from minitransformer.trees import tree_map

from .paths import VOCAB, WIDTH, Path, evaluation, every_prompt, one_by_one, row_by_row, training
from .transformer_paths import LENGTH, Answering


def recurrent_paths(model):
    """Teacher-forced and decoding. There is no mask of the target: its padding stands behind it."""

    def path(way, **true):
        def make(rng):
            p = tree_map(lambda a: 0.7 * a, Draw(rng).perturbed(model.init(rng, float)))  # so that no unit is stuck
            answering = Answering(model, rng.integers(0, VOCAB, (1, LENGTH)))
            return functools.partial(way, answering, p, Draw(rng).key())

        return Path(make, ids=True, masks=False, **true)

    name = type(model).__name__
    return {
        f"{name} training": path(training, random=True),
        f"{name} evaluation": path(evaluation),
        f"{name} evaluation, row by row": path(row_by_row),
        f"{name} decoding, one by one": path(one_by_one),
        f"{name} decoding, a prompt": path(every_prompt),
    }


SIZES = {"vocab_size": VOCAB, "d_model": WIDTH, "dropout_rate": 0.1}

RECURRENT_PATHS = {
    **recurrent_paths(Seq2Seq(**SIZES, cell="lstm", n_layers=2)),
    **recurrent_paths(LuongSeq2Seq(**SIZES, cell="gru", n_layers=1, score="general")),
    **recurrent_paths(BahdanauSeq2Seq(**SIZES, cell="lstm")),
}
