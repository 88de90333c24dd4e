"""The ways through the recurrent encoder-decoders: from target ids to the outputs, the source being given."""

from minitransformer.models import BahdanauSeq2Seq, LuongSeq2Seq, Seq2Seq

from .paths import VOCAB, WIDTH
from .transformer_paths import answering_paths

SIZES = {"vocab_size": VOCAB, "d_model": WIDTH, "dropout_rate": 0.1}
SMALLER = 0.7  # than drawn, so that no unit is stuck at -1 or 1

RECURRENT_PATHS = {
    **answering_paths(Seq2Seq(**SIZES, cell="lstm", n_layers=2), SMALLER),
    **answering_paths(LuongSeq2Seq(**SIZES, cell="gru", n_layers=1, score="general"), SMALLER),
    **answering_paths(BahdanauSeq2Seq(**SIZES, cell="lstm"), SMALLER),
}
