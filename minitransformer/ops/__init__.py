"""The mathematics: one file per operation, its derivation, forward and backward in plain NumPy."""

from .adamw import adamw, adamw_many
from .attention import attention, attention_backward
from .context import context, context_backward
from .conv1d import conv1d, conv1d_backward
from .cross_entropy import counted_targets, cross_entropy, cross_entropy_backward
from .dropout import dropout, dropout_backward
from .embedding import embedding, embedding_backward
from .gelu import gelu, gelu_backward
from .gelu_tanh import gelu_tanh, gelu_tanh_backward
from .global_norm import global_norm
from .gru import gru, gru_backward
from .layer_norm import layer_norm, layer_norm_backward
from .linear import linear, linear_backward
from .linear_cross_entropy import linear_cross_entropy, linear_cross_entropy_backward
from .locked_dropout import locked_dropout, locked_dropout_backward
from .lstm import lstm, lstm_backward
from .masked_max import masked_max, masked_max_backward
from .masked_mean import masked_mean, masked_mean_backward
from .positions import (
    learned_positions,
    learned_positions_backward,
    sinusoidal_positions,
    sinusoidal_positions_backward,
)
from .relu import relu, relu_backward
from .rms_norm import rms_norm, rms_norm_backward
from .rnn import rnn, rnn_backward
from .rotary import rotary, rotary_backward
from .scores import additive_scores, additive_scores_backward, dot_scores, dot_scores_backward
from .silu import silu, silu_backward
from .softmax import softmax, softmax_backward
from .tanh import tanh, tanh_backward

__all__ = [name for name in dir() if not name.startswith("_")]
