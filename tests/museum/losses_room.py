"""The fourth room: losses, and what they are divided by."""

import numpy as np

from minitransformer.gradcheck import Draw
from minitransformer.gradcheck.cases import case
from minitransformer.models import GPT2
from minitransformer.ops import cross_entropy, cross_entropy_backward, embedding, embedding_backward
from minitransformer.training.losses import next_token_loss
from minitransformer.training.optimizer import AdamW
from minitransformer.training.parallel import value_and_gradient
from minitransformer.trees import leaves, tree_map

from .checks import distance, gradient_check, parity
from .exhibit import Check, Pair, Room

ROOM = Room(
    "What a loss is divided by",
    """A mean needs its number, and a target its place. Nothing here looks wrong while it trains: the curves fall. Bugs
    like these are seen by cutting the same data in another way, which must change nothing.""",
)

# -------------------------------------------------------------------------------------------- cross-entropy

IGNORED = -100


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def onehot(targets, size):
    """Zero in the rows that are ignored."""
    return (targets[..., None] == np.arange(size)).astype(float)


def rows(rng, ignored):
    """logits (7, 5) and targets of which so many are ignored."""
    logits, targets = 2 * rng.normal(size=(7, 5)), rng.integers(0, 5, 7)
    targets[rng.permutation(7)[:ignored]] = IGNORED
    return logits, targets


def loss_case(label_smoothing):
    def make(thing, rng):
        logits, targets = rows(rng, 3)
        return case(thing, logits=logits, targets=targets, static={"label_smoothing": label_smoothing})

    return make


def without_the_ignored(label_smoothing):
    """How much the loss changes where the ignored rows are taken out."""

    def measure(thing, rng):
        logits, targets = rows(rng, 3)
        counted = targets != IGNORED
        with_them, _ = thing(logits, targets, label_smoothing=label_smoothing)
        without, _ = thing(logits[counted], targets[counted], label_smoothing=label_smoothing)
        return abs(with_them - without)

    return measure


def loss_of(thing, logits, targets, label_smoothing=0.0):
    return thing(logits, targets, label_smoothing=label_smoothing)[0]


def reference(*args):
    return loss_of(cross_entropy, *args)


GRADIENT = gradient_check("gradient check", loss_case(0.0))
GRADIENT_SMOOTH = gradient_check("gradient check, smoothed", loss_case(0.1))
WHOLE = parity("parity, nothing ignored", loss_of, reference, lambda rng: rows(rng, 0))
DELETE = Check("delete the ignored rows: the loss stays", without_the_ignored(0.0), at_most=1e-12)
DELETE_SMOOTH = Check("delete the ignored rows, smoothed: the loss stays", without_the_ignored(0.1), at_most=1e-12)
RIGHT_LOSS = Pair(cross_entropy, cross_entropy_backward)


def mean_over_every_row(logits, targets, *, label_smoothing=0.0):
    logp, hit = log_softmax(logits), onehot(targets, logits.shape[-1])
    return -(hit * logp).sum(-1).mean(), (logp, hit)


def mean_over_every_row_backward(dloss, saved):
    logp, hit = saved
    counted = hit.sum(-1, keepdims=True)
    return (np.exp(logp) * counted - hit) * dloss / len(hit)


ROOM.exhibit(
    "Padding in the mean",
    """The ignored rows are zero, and `mean` divides by them all the same. The more padding a batch has, the smaller its
    loss and its gradient: a token counts for less among short texts. Forward and backward agree.""",
    reported=("eladhoffer/utils.pytorch 4",),
    wrong=Pair(mean_over_every_row, mean_over_every_row_backward),
    right=RIGHT_LOSS,
    blind=(GRADIENT, WHOLE),
    caught=(DELETE,),
    right_code=(cross_entropy,),
)


def smooth_every_row(logits, targets, *, label_smoothing=0.0):
    logp, hit = log_softmax(logits), onehot(targets, logits.shape[-1])
    uniform = np.full_like(logp, 1 / logits.shape[-1])
    t = (1 - label_smoothing) * hit + label_smoothing * uniform
    return -(t * logp).sum() / hit.sum(), (logp, t, hit.sum())


def smooth_every_row_backward(dloss, saved):
    logp, t, n = saved
    return (np.exp(logp) * t.sum(-1, keepdims=True) - t) * dloss / n


ROOM.exhibit(
    "Smoothing what is ignored",
    """The one-hot part of an ignored row is zero by itself; the uniform part of label smoothing is not, and pulls the
    model towards knowing nothing wherever there is padding. Without smoothing it is the right loss, and without padding
    too: it takes both to see it.""",
    reported=("pytorch/pytorch 73205", "pytorch/pytorch 69511"),
    wrong=Pair(smooth_every_row, smooth_every_row_backward),
    right=RIGHT_LOSS,
    blind=(GRADIENT, GRADIENT_SMOOTH, WHOLE, DELETE),
    caught=(DELETE_SMOOTH,),
    right_code=(cross_entropy,),
)


def smooth_the_others(logits, targets, *, label_smoothing=0.0):
    logp, hit = log_softmax(logits), onehot(targets, logits.shape[-1])
    others = (1 - hit) / (logits.shape[-1] - 1)
    t = ((1 - label_smoothing) * hit + label_smoothing * others) * hit.sum(-1, keepdims=True)
    return -(t * logp).sum() / hit.sum(), (logp, t, hit.sum())


ROOM.exhibit(
    "The other smoothing",
    """α is either spread over all V tokens, the right one among them, or over the V - 1 others. Both are published,
    both are called label smoothing, and each is right about its own gradient. Losses that are compared must be of one
    kind; parity is what tells them apart.""",
    reported=("awslabs/sockeye 203",),
    wrong=Pair(smooth_the_others, smooth_every_row_backward),
    right=RIGHT_LOSS,
    blind=(GRADIENT_SMOOTH, WHOLE, DELETE_SMOOTH),
    caught=(parity("parity, smoothed", loss_of, reference, lambda rng: (*rows(rng, 3), 0.1)),),
    wrong_code=(smooth_the_others,),
    right_code=(cross_entropy,),
)

# ------------------------------------------------------------------------------------------ pieces of a batch


def whole_and_pieces(*lengths):
    """How far the gradient of texts of these lengths, one by one, is from that of all of them in one batch."""

    def measure(accumulate, rng):
        model = GPT2(7, context_length=8, n_layers=1, n_heads=2, d_model=4, dropout_rate=0.0)
        p = Draw(rng).perturbed(model.init(rng, np.float64))
        loss = next_token_loss(model)
        ids, targets = rng.integers(0, 7, (2, len(lengths), 8))
        targets[np.arange(8) >= np.array(lengths)[:, None]] = IGNORED
        _, saved = loss(p, ids, targets)
        whole = leaves(loss.backward(1.0, saved))
        pieces = [(ids[i : i + 1], targets[i : i + 1]) for i in range(len(lengths))]
        apart = max(distance(a, b) for (_, a), (_, b) in zip(leaves(accumulate(loss, p, pieces)[1]), whole))
        return apart / max(np.max(np.abs(g)) for _, g in whole)

    return measure


def mean_of_means(loss, p, pieces):
    value, g = 0.0, None
    for piece in pieces:
        mean, saved = loss(p, *piece)
        g_piece = loss.backward(1 / len(pieces), saved)
        g = g_piece if g is None else tree_map(np.add, g, g_piece)
        value += mean / len(pieces)
    return value, g


ROOM.exhibit(
    "A mean of means",
    """A batch that does not fit is cut, and the gradients of the pieces are averaged. Each piece has a mean over its
    own targets, and pieces differ: a text of a few tokens counts as much as a long one. With texts of one length it is
    exact, and that is how it was tested, for years and in many places at once.""",
    reported=("huggingface/transformers 24725", "meta-pytorch/torchtune 1875"),
    wrong=mean_of_means,
    right=value_and_gradient,
    blind=(Check("pieces of equal lengths: off the whole by", whole_and_pieces(5, 5, 5), at_most=1e-9),),
    caught=(Check("pieces of unequal lengths: off the whole by", whole_and_pieces(1, 8, 3), at_most=1e-9),),
)

# -------------------------------------------------------------------------------------------------- targets


def learned_cycle(thing, rng):
    """A table of what follows each id, trained with this loss on 0 1 2 3 4 0 1 ...; and the last loss."""
    text = np.arange(21) % 5
    ids, targets = text[None, :-1], text[None, 1:]
    p, optimizer = {"weight": 0.1 * rng.normal(size=(5, 5))}, AdamW()
    for _ in range(60):
        logits, saved_table = embedding(p, ids)
        loss, saved = thing(logits, targets)
        optimizer.step(p, embedding_backward(thing.backward(1.0, saved), saved_table), 0.3)
    return p["weight"], loss


def last_loss(thing, rng):
    return learned_cycle(thing, rng)[1]


def counted_on(thing, rng):
    table, _ = learned_cycle(thing, rng)
    return np.mean(table.argmax(-1) == (np.arange(5) + 1) % 5)


def shift_once_more(logits, targets):
    loss, saved = cross_entropy(logits[:, :-1], targets[:, 1:])
    return loss, saved


def shift_once_more_backward(dloss, saved):
    dlogits = cross_entropy_backward(dloss, saved)
    return np.pad(dlogits, ((0, 0), (0, 1), (0, 0)))


ROOM.exhibit(
    "Shifted twice",
    """Targets are the ids one place on. The data shifts them, and so does the loss, since each could not know of the
    other; the model learns what comes after the next token. On text that loss is somewhat higher than it would be; on
    the cycle 0 1 2 3 4 here it is just as low. No curve shows it. Let it speak.""",
    reported=("huggingface/transformers 47394", "huggingface/transformers 46898"),
    wrong=Pair(shift_once_more, shift_once_more_backward),
    right=RIGHT_LOSS,
    blind=(
        gradient_check(
            "gradient check",
            lambda thing, rng: case(thing, logits=rng.normal(size=(2, 4, 5)), targets=rng.integers(0, 5, (2, 4))),
        ),
        Check("loss after training on 0 1 2 3 4 0 1 ...", last_loss, at_most=0.01),
    ),
    caught=(Check("share of the digits after which it counts on", counted_on, at_least=1),),
    wrong_code=(shift_once_more,),
    right_code=(next_token_loss,),
)

END = 0  # the token that ends a text


def padded(rng, pad):
    """ids (3, 9): texts with an end, then padding; and how many of the ids are text, with the end."""
    lengths = rng.permutation([4, 6, 9])
    ids = rng.integers(2, 7, (3, 9))
    ids[np.arange(3), lengths - 1] = END
    ids[np.arange(9) >= lengths[:, None]] = pad
    return ids, lengths


def targets_among(which):
    """The share of these places at which there is a target: which(ids, text) -> Boolean."""

    def measure(make_targets, rng, pad=END):
        ids, lengths = padded(rng, pad)
        text = np.arange(9) < lengths[:, None]
        return np.mean(make_targets(ids, lengths, pad)[which(ids, text)] != IGNORED)

    return measure


def every_text_ends(pad):
    measure = targets_among(lambda ids, text: text & (ids == END))
    return lambda make_targets, rng: measure(make_targets, rng, pad)


def targets_that_are_no_padding(ids, lengths, pad):
    return np.where(ids == pad, IGNORED, ids)


def targets_within_the_text(ids, lengths, pad):
    return np.where(np.arange(ids.shape[1]) < lengths[:, None], ids, IGNORED)


ROOM.exhibit(
    "Padding with the end",
    """The vocabulary has no token for padding, and so the token that ends a text is taken. Then padding is ignored by
    its id, and with it goes every true end: nowhere is the model told to stop, and it never does. Padding is a place,
    not an id.""",
    reported=("NVIDIA-NeMo/Megatron-Bridge 4660", "mlabonne/llm-course 33"),
    wrong=targets_that_are_no_padding,
    right=targets_within_the_text,
    blind=(
        Check("share of the padding that is a target", targets_among(lambda ids, text: ~text), at_most=0),
        Check("share of the words that are", targets_among(lambda ids, text: text & (ids != END)), at_least=1),
        Check("share of the ends that are, padding with another id", every_text_ends(1), at_least=1),
    ),
    caught=(Check("share of the ends that are, padding with the end", every_text_ends(END), at_least=1),),
)

# ------------------------------------------------------------------------------------------------ perplexity


def perplexity(batches):
    nll = np.concatenate(batches)
    return np.exp(nll.mean())


def tokens(rng, n=60):
    """How surprising each token was: -log p."""
    return rng.exponential(2.0, n)


def alike(thing, rng):
    """All seven tokens were equally likely, everywhere."""
    return abs(thing(np.split(np.full(60, np.log(7)), [10, 20])) - 7)


def batches_of_one_size(thing, rng):
    batches = np.split(tokens(rng), 6)
    return abs(thing(batches) / perplexity(batches) - 1)


def batches_cut_elsewhere(thing, rng):
    nll = tokens(rng)
    return abs(thing(np.split(nll, [2, 5, 40])) / thing([nll]) - 1)


def text_was_this_likely(thing, rng):
    """perplexity⁻ⁿ is the probability of the text: their logarithms, per token."""
    nll = tokens(rng)
    return abs(np.log(thing([nll])) - nll.sum() / len(nll))


ALIKE = Check("seven equally likely tokens: off 7 by", alike, at_most=1e-9)
EQUAL = Check("batches of one size: off by a share of", batches_of_one_size, at_most=1e-9, kind="parity")
CUT = Check("the same tokens cut into other batches: off by", batches_cut_elsewhere, at_most=1e-9)
LIKELY = Check("log perplexity against -log p of the text, per token", text_was_this_likely, at_most=1e-9)


def perplexity_of_mean_losses(batches):
    return np.exp(np.mean([nll.mean() for nll in batches]))


def mean_of_perplexities(batches):
    return np.mean([np.exp(nll.mean()) for nll in batches])


def mean_of_exponentials(batches):
    return np.mean(np.exp(np.concatenate(batches)))


PERPLEXITY = {"right": perplexity}

ROOM.exhibit(
    "Perplexity of mean losses",
    """The mean of the losses of the batches, as the training loop has them anyway, and then exp. Where batches have
    different numbers of tokens it is the mean of means once more.""",
    reported=("huggingface/transformers 34138", "huggingface/transformers 34387"),
    wrong=perplexity_of_mean_losses,
    blind=(ALIKE, EQUAL, LIKELY),
    caught=(CUT,),
    **PERPLEXITY,
)

ROOM.exhibit(
    "Mean of perplexities",
    """A perplexity for each batch, and then their mean. exp is convex, so that comes out too large, and the larger the
    smaller the batches are: two people with one model and two batch sizes report two numbers.""",
    reported=("keras-team/keras-hub 2958", "keras-team/keras 13537"),
    wrong=mean_of_perplexities,
    blind=(ALIKE, LIKELY),
    caught=(EQUAL, CUT),
    **PERPLEXITY,
)

ROOM.exhibit(
    "Mean of exponentials",
    """exp of every token's loss, and then the mean. It does not hang on how the text is cut, which looks like virtue; a
    change that was merged as a fix went this way. But a few tokens that surprised the model are nearly all of it, and
    its inverse is the probability of nothing.""",
    reported=("magenta/magenta 239",),
    wrong=mean_of_exponentials,
    blind=(ALIKE, CUT),
    caught=(EQUAL, LIKELY),
    **PERPLEXITY,
)
