"""Small models with opinions: weights so large that their attention is not uniform."""

import numpy as np

from minitransformer.models import GPT2, BahdanauSeq2Seq, LuongSeq2Seq, PreNormTransformer, Transformer
from minitransformer.tokenizers import CharTokenizer
from minitransformer.trees import tree_map

START, END = "\2", "\3"
CHARACTERS = CharTokenizer.train(
    f"{START}{END} \n\tabcdefghijklmnopqrstuvwxyz<>&;/'\"$\\é😀שلم\u0301\u200d\u202e\u2028"
)
SIZE = CHARACTERS.vocab_size
MODELS = {
    "GPT2": GPT2(vocab_size=SIZE, context_length=64, n_layers=3, n_heads=2, d_model=8),
    "Transformer": Transformer(vocab_size=SIZE, n_layers=2, n_heads=4, d_model=8, d_ff=12, shared=False),
    "PreNormTransformer": PreNormTransformer(vocab_size=SIZE, n_layers=3, n_heads=2, d_model=8, d_ff=12),
    "LuongSeq2Seq": LuongSeq2Seq(vocab_size=SIZE, n_layers=2, d_model=8, score="general"),
    "BahdanauSeq2Seq": BahdanauSeq2Seq(vocab_size=SIZE, d_model=8, cell="lstm"),
}


def parameters(model, seed=0):
    rng = np.random.default_rng(seed)
    return tree_map(lambda array: (array + 0.7 * rng.normal(size=array.shape)).astype(np.float32), model.init(rng))
