"""The Transformer (Vaswani et al. 2017, "Attention Is All You Need"): an encoder that reads, a decoder that writes.

    memory = encoder layers of dropout(√D · source[ids] + sinusoids)
    h      = decoder layers of dropout(√D · target[ids] + sinusoids), each of which attends to the memory
    logits = head · h

Source and target embeddings and the head may be one table (section 3.4). `Transformer` has its norms after the
residual additions, as published; `PreNormTransformer` has them inside the branches, and one more after each stack.
"""

from dataclasses import dataclass

import numpy as np

from ..blocks import (
    CrossCache,
    keys_values,
    post_norm_decoder_layer,
    post_norm_decoder_layer_step,
    post_norm_layer,
    pre_norm_decoder_layer,
    pre_norm_decoder_layer_step,
    pre_norm_layer,
    stack,
)
from ..convention import fold, registered
from ..ops import (
    dropout,
    dropout_backward,
    embedding,
    embedding_backward,
    layer_norm,
    layer_norm_backward,
    linear,
    linear_backward,
    relu,
    sinusoidal_positions,
    sinusoidal_positions_backward,
)
from ..ops.dropout import check_rate
from ..trees import tree_map
from .checks import check_count


@registered("model")
@dataclass(frozen=True)
class Transformer:
    """Encoder and decoder, post-norm. The defaults are the published base model, but for its vocabulary."""

    vocab_size: int = 37000  # of the source and, unless that is given, of the target
    target_vocab_size: int | None = None
    n_layers: int = 6  # of the encoder, and of the decoder
    n_heads: int = 8
    d_model: int = 512
    d_ff: int = 2048
    dropout_rate: float = 0.1
    shared: bool = True  # one table: source embedding, target embedding and head

    def __post_init__(self):
        for name in ("vocab_size", "n_layers", "n_heads", "d_model", "d_ff"):
            check_count(name, getattr(self, name))
        if self.target_vocab_size is not None:
            check_count("target_vocab_size", self.target_vocab_size)
        if self.d_model % self.n_heads:
            raise ValueError(f"n_heads={self.n_heads} does not divide d_model={self.d_model}")
        if self.shared and self.target_vocab_size not in (None, self.vocab_size):
            raise ValueError("one shared table needs one vocabulary: target_vocab_size is not vocab_size")
        check_rate(self.dropout_rate)

    @property
    def tables(self):
        """Under which names the parameters of source embedding, target embedding and head stand."""
        return ("source",) * 3 if self.shared else ("source", "target", "head")

    @property
    def settings(self):
        return {"n_heads": self.n_heads, "activation": relu}

    def init(self, rng, dtype=np.float32):
        """Parameters drawn from `rng`, a NumPy generator: maps uniform (Glorot), tables of standard deviation 1/√D."""
        D, F = self.d_model, self.d_ff

        def affine(out, inp):
            limit = np.sqrt(6 / (inp + out))  # Glorot & Bengio 2010, equation 16
            return {"weight": rng.uniform(-limit, limit, (out, inp)).astype(dtype), "bias": np.zeros(out, dtype)}

        def norm():
            return {"weight": np.ones(D, dtype), "bias": np.zeros(D, dtype)}

        def attention():
            return {name: affine(D, D) for name in ("q", "k", "v", "out")}

        def layer(*attentions):
            norms = {f"norm{i + 1}": norm() for i in range(len(attentions) + 1)}
            feed_forward = {"up": affine(F, D), "down": affine(D, F)}
            return norms | {name: attention() for name in attentions} | {"feed_forward": feed_forward}

        sizes = (self.vocab_size, self.target_vocab_size or self.vocab_size, self.target_vocab_size or self.vocab_size)
        return {
            **{name: {"weight": rng.normal(0, D**-0.5, (V, D)).astype(dtype)} for name, V in zip(self.tables, sizes)},
            "encoder": [layer("attention") for _ in range(self.n_layers)],
            "decoder": [layer("attention", "cross_attention") for _ in range(self.n_layers)],
        }

    # ------------------------------------------------------------------------------------------ forward, backward

    def forward(self, p, source, target, *, source_mask=None, key=None):
        """source (B, S), target (B, T) ids   ->   logits (B, T, V) of the token after each target

        source_mask (B, 1, 1, S) Boolean, True = a token is there; what is not stands behind what is, for positions
        count from the beginning of a row. The decoder looks back only, so padding behind a target needs no mask, only
        targets that do not count.
        """
        source_table, target_table, head_table = (p[name] for name in self.tables)
        saved = {}
        h, saved["source"] = self.embed(source_table, source, fold(key, 0))
        memory, saved_encoder = self.encoder(p, h, source_mask, fold(key, 1))
        h, saved["target"] = self.embed(target_table, target, fold(key, 2))
        h, saved_decoder = self.decoder(p, h, memory, source_mask, fold(key, 3))
        logits, saved["head"] = linear(head_table, h)  # (B,T,V)
        return logits, saved | saved_encoder | saved_decoder

    def backward(self, dlogits, saved):
        """dlogits (B, T, V)   ->   g, the gradient of every parameter"""
        dh, g_head = linear_backward(dlogits, saved["head"])
        dh, dmemory, g_decoder = self.decoder_backward(dh, saved)
        g_target = self.embed_backward(dh, saved["target"])
        dh, g_encoder = self.encoder_backward(dmemory, saved)
        g_source = self.embed_backward(dh, saved["source"])
        g = g_encoder | g_decoder
        for name, g_table in zip(self.tables, (g_source, g_target, g_head), strict=True):
            g[name] = tree_map(np.add, g[name], g_table) if name in g else g_table  # one table, used thrice: add
        return g

    def encode(self, p, source, source_mask=None):
        """source (B, S)   ->   memory (B, S, D), for decoding: layer by layer, and nothing is saved"""
        h, _ = self.embed(p[self.tables[0]], source, None)
        for p_layer in p["encoder"]:
            h, _ = self.encoder_layers.layer(p_layer, h, mask=source_mask, **self.settings)
        return self.last(p, "encoder_norm", h)

    def embed(self, p, ids, key):
        """√D W[ids] + sinusoids, dropped: ids (B, T)   ->   h (B, T, D)"""
        saved = {}
        h, saved["embedding"] = embedding(p, ids)
        h, saved["positions"] = sinusoidal_positions(h * self.d_model**0.5)
        h, saved["dropout"] = dropout(h, rate=self.dropout_rate, key=key)
        return h, saved

    def embed_backward(self, dh, saved):
        dh = dropout_backward(dh, saved["dropout"])
        dh = sinusoidal_positions_backward(dh, saved["positions"]) * self.d_model**0.5
        return embedding_backward(dh, saved["embedding"])

    # ---------------------------------------------------------------------- the stacks, with their norms within

    encoder_layers, decoder_layers = stack(post_norm_layer), stack(post_norm_decoder_layer)
    decoder_step = staticmethod(post_norm_decoder_layer_step)

    def encoder(self, p, h, mask, key):
        saved, rate = {}, self.dropout_rate
        h, saved["encoder"] = self.encoder_layers(
            p["encoder"], h, mask=mask, dropout_rate=rate, key=key, **self.settings
        )
        return h, saved

    def encoder_backward(self, dmemory, saved):
        g = {}
        dh, g["encoder"] = self.encoder_layers.backward(dmemory, saved["encoder"])
        return dh, g

    def decoder(self, p, h, memory, memory_mask, key):
        saved, rate = {}, self.dropout_rate
        h, saved["decoder"] = self.decoder_layers(
            p["decoder"], h, memory, memory_mask=memory_mask, dropout_rate=rate, key=key, **self.settings
        )
        return h, saved

    def decoder_backward(self, dh, saved):
        g = {}
        dh, dmemory, g["decoder"] = self.decoder_layers.backward(dh, saved["decoder"])
        return dh, dmemory, g

    # ------------------------------------------------------------------------------------------------- decoding

    def start(self, p, source, *, source_mask=None, length=512):
        """What `step` remembers: the source as every layer's keys and values, and room for `length` target tokens."""
        memory = self.encode(p, source, source_mask)
        size = len(source), self.n_heads, length, self.d_model // self.n_heads
        if source_mask is not None:
            source_mask = np.broadcast_to(source_mask, (len(source), *source_mask.shape[1:]))
        return [
            CrossCache(
                *size, memory.dtype, (*keys_values(layer["cross_attention"], memory, n_heads=self.n_heads), source_mask)
            )
            for layer in p["decoder"]
        ]

    def step(self, p, ids, caches, *, positions=None, mask=None):
        """ids (B, T), the newest target tokens   ->   logits (B, V) of what follows the last; the caches grow by T

        positions (T) or (B, T) of the newest, by default those that follow what the caches hold
        mask (B or 1, 1, T or 1, S) Boolean, beside the causal one, of all S target tokens that the caches then hold
        """
        if positions is None:
            positions = caches[0].length + np.arange(ids.shape[1])
        h, _ = embedding(p[self.tables[1]], ids)
        h, _ = sinusoidal_positions(h * self.d_model**0.5, positions=positions)
        for p_layer, cache in zip(p["decoder"], caches, strict=True):
            h = self.decoder_step(p_layer, h, cache, mask=mask, **self.settings)
        return linear(p[self.tables[2]], self.last(p, "decoder_norm", h[:, -1]))[0]

    def last(self, p, name, h):
        """What becomes of the output of a stack: as published, nothing more."""
        return h

    # ---------------------------------------------------------------- how many numbers a pair of S and T tokens takes

    def attention_size(self, S, T):
        """The attention weights of all layers and heads: both sides to themselves, the target to the source."""
        return self.n_layers * self.n_heads * (S * S + T * T + T * S)

    def reading_size(self, S):
        """While a layer of the encoder reads: scores and weights of every head."""
        return 2 * self.n_heads * S * S

    def decoding_size(self, S, T):
        """What decoding remembers: keys and values of source and target."""
        return self.n_layers * 2 * self.d_model * (S + T)


@registered("model")
@dataclass(frozen=True)
class PreNormTransformer(Transformer):
    """The same with pre-norm layers, whose stream nobody normalised: one norm more after each stack."""

    encoder_layers, decoder_layers = stack(pre_norm_layer), stack(pre_norm_decoder_layer)
    decoder_step = staticmethod(pre_norm_decoder_layer_step)

    def init(self, rng, dtype=np.float32):
        D, p = self.d_model, super().init(rng, dtype)
        for name in ("encoder_norm", "decoder_norm"):
            p[name] = {"weight": np.ones(D, dtype), "bias": np.zeros(D, dtype)}
        return p

    def encoder(self, p, h, mask, key):
        h, saved = super().encoder(p, h, mask, key)
        memory, saved["encoder_norm"] = layer_norm(p["encoder_norm"], h)
        return memory, saved

    def encoder_backward(self, dmemory, saved):
        dh, g_norm = layer_norm_backward(dmemory, saved["encoder_norm"])
        dh, g = super().encoder_backward(dh, saved)
        return dh, g | {"encoder_norm": g_norm}

    def decoder(self, p, h, memory, memory_mask, key):
        h, saved = super().decoder(p, h, memory, memory_mask, key)
        h, saved["decoder_norm"] = layer_norm(p["decoder_norm"], h)
        return h, saved

    def decoder_backward(self, dh, saved):
        dh, g_norm = layer_norm_backward(dh, saved["decoder_norm"])
        dh, dmemory, g = super().decoder_backward(dh, saved)
        return dh, dmemory, g | {"decoder_norm": g_norm}

    def last(self, p, name, h):
        return layer_norm(p[name], h)[0]
