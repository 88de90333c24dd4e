"""What architectures are made of: attention with its heads, the feed-forward network, layers, and layers of layers."""

from .attentive import attentive
from .bidirectional import bidirectional
from .cache import Cache, CrossCache, StateCache
from .character_cnn import character_cnn, character_cnn_backward
from .feed_forward import feed_forward, feed_forward_backward
from .gated_feed_forward import gated_feed_forward, gated_feed_forward_backward
from .heads import merge_heads, split_heads
from .highway import highway, highway_backward
from .layer_mix import layer_mix, layer_mix_backward
from .llama_layer import llama_layer, llama_layer_backward, llama_layer_step
from .luong_attention import luong_attention, luong_attention_backward
from .multi_head_attention import attend, keys_values, multi_head_attention, multi_head_attention_backward
from .post_norm_decoder_layer import (
    post_norm_decoder_layer,
    post_norm_decoder_layer_backward,
    post_norm_decoder_layer_step,
)
from .post_norm_layer import post_norm_layer, post_norm_layer_backward
from .pre_norm_decoder_layer import pre_norm_decoder_layer, pre_norm_decoder_layer_backward, pre_norm_decoder_layer_step
from .pre_norm_layer import pre_norm_layer, pre_norm_layer_backward, pre_norm_layer_step
from .recompute import recompute
from .recurrence import CELLS, cell_of, recurrence
from .scores import (
    bahdanau_scores,
    bahdanau_scores_backward,
    concat_scores,
    concat_scores_backward,
    general_scores,
    general_scores_backward,
)
from .stack import stack
from .weight_dropped import weight_dropped

__all__ = [name for name in dir() if not name.startswith("_")]
