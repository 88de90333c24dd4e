"""The seventh room: decoding, one token after the other, and the tokens themselves."""

import functools
import inspect

import numpy as np

from minitransformer import ops
from minitransformer.blocks import pre_norm_layer_step
from minitransformer.decoding import probabilities
from minitransformer.gradcheck import Draw
from minitransformer.models import GPT2
from minitransformer.ops import embedding, gelu_tanh, layer_norm, learned_positions, linear
from minitransformer.ops.softmax import stable_softmax
from minitransformer.tokenizers import BPETokenizer
from minitransformer.tokenizers.pretokens import split

from ..tokenizers import slow
from .checks import distance
from .exhibit import Check, Room

ROOM = Room(
    "Decoding and tokens",
    """Training never comes here. A model whose loss is perfect can speak nonsense from its second token on, or better
    sense than it has learnt. What sees it is to do the same thing in two ways.""",
)

# ------------------------------------------------------------------------------------- positions in a cache


def model_and_ids(rng):
    model = GPT2(11, context_length=12, n_layers=2, n_heads=2, d_model=8, dropout_rate=0.0)
    return model, Draw(rng).perturbed(model.init(rng, np.float64)), rng.integers(0, 11, (3, 7))


def step(model, p, ids, caches, positions_of):
    """`GPT2.step`, with positions from this function."""
    positions = positions_of(caches[0].length, ids.shape[1])
    h, _ = learned_positions(p["position"], embedding(p["token"], ids)[0], positions=positions)
    for p_layer, cache in zip(p["layers"], caches, strict=True):
        h = pre_norm_layer_step(p_layer, h, cache, n_heads=model.n_heads, activation=gelu_tanh)
    return linear(p["token"], layer_norm(p["norm"], h[:, -1])[0])[0]


def off_the_whole(*cuts):
    """How far the last logits are from `forward`, where the ids come in pieces that end at these places."""

    def measure(positions_of, rng):
        model, p, ids = model_and_ids(rng)
        caches = model.start(p, len(ids))
        for begin, end in zip((0, *cuts), (*cuts, 7)):
            logits = step(model, p, ids[:, begin:end], caches, positions_of)
        return distance(logits, model.forward(p, ids)[0][:, -1])

    return measure


def repeats_itself(positions_of, rng):
    model, p, ids = model_and_ids(rng)
    runs = [step(model, p, ids, model.start(p, 3), positions_of) for _ in range(2)]
    return distance(*runs)


PROMPT = Check("a prompt in one piece: off the whole", off_the_whole(), at_most=1e-12)
TWICE = Check("the same prompt twice: distance", repeats_itself, at_most=0)
CACHED = Check("one token at a time: off the whole", off_the_whole(*range(1, 7)), at_most=1e-12)
AFTER_PROMPT = Check("a prompt, then two more tokens: off the whole", off_the_whole(5), at_most=1e-12)


def positions_after_the_cache(cached, T):
    return cached + np.arange(T)


def positions_from_zero(cached, T):
    return np.arange(T)


ROOM.exhibit(
    "Positions that begin again",
    """A step has one token, and positions are made from its length: 0. In training, and for the prompt, that is how
    they begin. From the second token on, each is put at the beginning of the text. It stays fluent for a while, since
    the cache remembers the prompt where it was.""",
    reported=("lucidrains/rotary-embedding-torch 11", "pytorch/executorch 2010"),
    wrong=positions_from_zero,
    right=positions_after_the_cache,
    blind=(PROMPT, TWICE),
    caught=(CACHED, AFTER_PROMPT),
    right_code=(positions_after_the_cache, GPT2.step),
)


def positions_of_the_last(cached, T):
    return max(cached - 1, 0) + np.arange(T)


ROOM.exhibit(
    "Positions off by one",
    """The index of the last token is one less than how many there are, and the new one comes after it: or does it? An
    offset counted too early, too late, or twice makes the same bug. Each token sits on the place of the one before, and
    the text gets only a little worse.""",
    reported=("fla-org/flash-linear-attention 766", "skyzh/tiny-llm 46"),
    wrong=positions_of_the_last,
    right=positions_after_the_cache,
    blind=(PROMPT, TWICE),
    caught=(CACHED, AFTER_PROMPT),
    right_code=(positions_after_the_cache, GPT2.step),
)

# ----------------------------------------------------------------------------------------------- left padding


def batch_and_singles(lengths):
    """How far the last logits of texts padded on the left are from those of the same texts alone."""

    def measure(padded, rng):
        model, p, ids = model_and_ids(rng)
        there = np.arange(7) >= 7 - np.array(lengths)[:, None]
        together, _ = model.forward(p, ids, **padded(there))
        alone = [model.forward(p, row[None, 7 - length :])[0][0, -1] for row, length in zip(ids, lengths)]
        return distance(together[:, -1], alone)

    return measure


def padding_is_not_read(padded, rng):
    """How far the last logits move where padding holds other ids."""
    model, p, ids = model_and_ids(rng)
    there = np.arange(7) >= np.array([[0], [2], [4]])

    def last(ids):
        return model.forward(p, ids, **padded(there))[0][:, -1]

    return distance(last(ids), last(np.where(there, ids, (ids + 1) % 11)))


def masked_only(there):  # (B,T), True where there is a token
    return {"mask": there[:, None, None]}


def masked_and_placed(there):
    return {"mask": there[:, None, None], "positions": np.maximum(there.cumsum(1) - 1, 0)}


ROOM.exhibit(
    "Padding that takes up places",
    """Texts of a batch are padded on the left, so that all of them end at the same place. The mask keeps the padding
    out of every attention, and a test of that passes. But the first word of a padded text sits at position 4 and not at
    0: the shorter a text, the more it is answered as if something had come before.""",
    reported=("huggingface/transformers 7552", "ndif-team/nnsight 672", "unslothai/unsloth 4078"),
    wrong=masked_only,
    right=masked_and_placed,
    blind=(
        Check("other ids as padding: the logits move by", padding_is_not_read, at_most=0),
        Check("texts of equal lengths: batch off each alone", batch_and_singles((7, 7, 7)), at_most=1e-12),
    ),
    caught=(Check("texts of unequal lengths: batch off each alone", batch_and_singles((3, 5, 7)), at_most=1e-12),),
)

# --------------------------------------------------------------------------------------------------- sampling


def logits(rng):
    return np.log(rng.dirichlet(np.ones(9)))


def mass_kept(top_p, p=None):
    """The probability that tokens had, before, which may still come; of these p, or of random ones."""

    def measure(thing, rng):
        given = logits(rng) if p is None else np.log(p)
        return np.exp(given)[thing(given, top_p=top_p) > 0].sum()

    return measure


def most_probable_kept(thing, rng):
    """Whether whatever is kept is at least as probable as whatever is dropped."""
    given = logits(rng)
    kept = thing(given, top_p=0.8) > 0
    return float(given[kept].min() > given[~kept].max())


def kept_but_for_the_least(thing, rng):
    given = logits(rng)
    kept = np.exp(given)[thing(given, top_p=0.9) > 0]
    return kept.sum() - kept.min()


def top_p_up_to_the_edge(logits, *, top_p):
    p = stable_softmax(logits)
    falling = np.sort(p)[::-1]
    kept = falling[np.cumsum(falling) <= top_p]
    p = np.where(np.isin(p, kept), p, 0)
    return p / p.sum()


FEW = np.array([0.4, 0.3, 0.2, 0.1])

ROOM.exhibit(
    "A nucleus without its edge",
    """The most probable tokens whose sum is at most top_p: that is how one would say it. The paper means the fewest
    that *reach* it, so the token that crosses the line is in. Without it less is kept than was asked for, every time,
    and where the first token is more probable than top_p nothing is: the more certain the model, the less it may
    say.""",
    reported=("Biohub/esm 360", "thu-nics/C2C 21", "fishaudio/fish-speech 1171"),
    wrong=top_p_up_to_the_edge,
    right=probabilities,
    blind=(
        Check("only the most probable are kept", most_probable_kept, at_least=1),
        Check("probability kept at top_p = 0.9, but for its least", kept_but_for_the_least, at_most=0.9),
    ),
    caught=(
        Check("probability kept of 0.4, 0.3, 0.2, 0.1 at top_p = 0.8", mass_kept(0.8, FEW), at_least=0.8),
        Check("the same at top_p = 0.3", mass_kept(0.3, FEW), at_least=0.3),
        Check("probability kept of random ones at top_p = 0.9", mass_kept(0.9), at_least=0.9),
    ),
)


def at_temperature(temperature):
    def measure(thing, rng):
        given = logits(rng)
        expected = stable_softmax(given / temperature) if temperature else np.arange(9) == given.argmax()
        return distance(thing(given, temperature=temperature), expected)

    return Check(f"temperature {temperature:g}: off the definition", measure, at_most=1e-9, kind="parity")


def divide_by_temperature(logits, *, temperature):
    return stable_softmax(logits / temperature)


ROOM.exhibit(
    "A temperature of zero",
    """Zero means greedy to everybody who sets it, and the code divides by it. All logits become -∞, or ∞, or 0/0; the
    outcome is NaN, an error far away, or the first token for ever. One hundredth is fine, so is a thousandth. The limit
    exists: all of it goes to the largest.""",
    reported=("karpathy/nanoGPT 738", "google-deepmind/gemma 585", "ggml-org/ggml 37"),
    wrong=divide_by_temperature,
    right=probabilities,
    blind=tuple(map(at_temperature, (1.0, 0.5, 1e-3))),
    caught=(at_temperature(0.0),),
)

# ------------------------------------------------------------------------------------------------- tokenizers


@functools.cache
def tokenizer_and_words():
    """A tokenizer trained on the code of the operations, and the words of that code."""
    text = "".join(inspect.getsource(module) for name, module in sorted(vars(ops).items()) if inspect.ismodule(module))
    return BPETokenizer.train(text, vocab_size=512), sorted(set(split(text)))


def share_of_words(which):
    """Of the words, the share for which this is true of (tokenizer, word, ids)."""

    def measure(encode_word, rng):
        tokenizer, words = tokenizer_and_words()
        return np.mean([which(tokenizer, word, encode_word(tokenizer, word)) for word in words])

    return measure


def comes_back(tokenizer, word, ids):
    return tokenizer.decode(ids) == word


def merged_out(tokenizer, word, ids):
    return not any(pair in tokenizer.ranks for pair in zip(ids, ids[1:]))


def as_defined(tokenizer, word, ids):
    return list(ids) == slow.encode_word(tokenizer, word, slow.lowest_rank)


def encode_leftmost(tokenizer, word):
    ids = [tokenizer.byte_ids[byte] for byte in word.encode("utf-8")]
    place = 0
    while place < len(ids) - 1:
        pair = ids[place], ids[place + 1]
        if pair in tokenizer.ranks:
            ids[place : place + 2] = [tokenizer.merged[tokenizer.ranks[pair]]]
            place = 0
        else:
            place += 1
    return ids


ROOM.exhibit(
    "Merges from left to right",
    """Byte-pair encoding merges the pair of the lowest rank, wherever it stands. Who merges the first pair that has a
    rank at all gets other tokens from the same vocabulary, and they decode to the same text. Every round trip is
    perfect, nothing is left to merge, and the model reads words in pieces that it has never seen.""",
    reported=("ztxz16/fastllm 715", "paiml/aprender 2121"),
    wrong=encode_leftmost,
    right=BPETokenizer.encode_word,
    blind=(
        Check("share of the words that come back from their ids", share_of_words(comes_back), at_least=1),
        Check("share of the words with nothing left to merge", share_of_words(merged_out), at_least=1),
    ),
    caught=(
        Check("share of the words whose ids are as defined", share_of_words(as_defined), at_least=1, kind="parity"),
    ),
)
