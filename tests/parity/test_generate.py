"""Decoding beside transformers' `generate`, on the same weights: the same ids, and the same scores.

There a score is log p / |Y|^α, here it is that of Wu et al. 2016: α = 0 is the same in both. Their "never" is our
early_stopping=False: the search goes on until nothing better can come. `generate` takes the logits to float32 before it
adds them up or turns them into probabilities, whatever the model computes in, and so the bar for those is 1e-5.
"""

import numpy as np
import pytest
import torch

from minitransformer.decoding import beam_search, decode, probabilities
from minitransformer.gradcheck import Draw
from minitransformer.models import GPT2
from minitransformer.trees import tree_map

from .agreement import relative, tensor
from .models import gpt2_names, published_gpt2

MODEL = GPT2(vocab_size=17, context_length=24, n_layers=2, n_heads=2, d_model=12, dropout_rate=0.0)
NEW = 12  # tokens at most
FLOAT32 = 1e-5


@pytest.fixture
def p(rng):
    """Away from where GPT-2 starts, where all tokens are alike."""
    p = Draw(rng).perturbed(MODEL.init(rng, np.float64))
    return tree_map(lambda leaf: 1.5 * leaf, p)


@pytest.fixture
def prompts(rng):
    return [rng.integers(0, MODEL.vocab_size, n) for n in (4, 1, 9, 6)]


def generate(p, prompts, end, **settings):
    """What transformers' `generate` returns for prompts with padding on their left, and only what it adds to them."""
    module = published_gpt2(MODEL).eval()
    with torch.no_grad():
        for name, value in gpt2_names(tree_map(tensor, p)).items():
            module.get_parameter(name).copy_(value)
    T = max(map(len, prompts))
    ids = torch.tensor([[0] * (T - len(prompt)) + prompt.tolist() for prompt in prompts])
    there = torch.tensor([[0] * (T - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    found = module.generate(
        ids,
        attention_mask=there,
        eos_token_id=end,
        pad_token_id=0,
        max_new_tokens=NEW,
        return_dict_in_generate=True,
        output_scores=True,
        **settings,
    )
    return found, [until(row, end) for row in found.sequences[:, T:].tolist()]


def until(ids, end):
    return ids[: ids.index(end)] if end in ids else ids


def an_end(texts):
    """A token with which some of these texts end early, but not all at once."""
    return max(set(texts[0]), key=lambda id: len({len(until(text, id)) for text in texts}))


@pytest.mark.parametrize("settings", [{}, {"repetition_penalty": 1.3}])
def test_greedy(p, prompts, settings):
    def ours(end):
        caches = MODEL.start(p, len(prompts))
        return [ids.tolist() for ids in decode(MODEL, p, caches, prompts, max_tokens=NEW, end=end, **settings)]

    if settings:  # there the padding counts as repeated: one row at a time
        theirs = lambda end: [generate(p, [prompt], end, do_sample=False, **settings)[1][0] for prompt in prompts]
    else:
        theirs = lambda end: generate(p, prompts, end, do_sample=False)[1]
    end = an_end(ours(None))
    assert len(set(map(len, ours(end)))) > 1
    assert ours(end) == theirs(end)


@pytest.mark.parametrize("early", [True, False])
def test_beams_and_their_scores(p, prompts, early, hold):
    caches = MODEL.start(p, len(prompts))
    end = an_end([ids.tolist() for ids in decode(MODEL, p, caches, prompts, max_tokens=NEW)])
    theirs, their_texts = generate(
        p,
        prompts,
        end,
        do_sample=False,
        num_beams=3,
        num_return_sequences=3,
        length_penalty=0.0,
        early_stopping=early or "never",
    )
    ours = [
        hypothesis
        for beam in beam_search(
            MODEL,
            p,
            MODEL.start(p, len(prompts)),
            prompts,
            width=3,
            n_best=3,
            max_tokens=NEW,
            end=end,
            length_penalty=0.0,
            early_stopping=early,
        )
        for hypothesis in beam
    ]
    assert [hypothesis.ids.tolist() for hypothesis in ours] == their_texts
    assert len(set(map(len, their_texts))) > 1
    scores = np.array([hypothesis.score for hypothesis in ours])
    hold("beam search: scores", {"scores": relative(scores, theirs.sequences_scores.numpy())}, bar=FLOAT32)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7},
        {"top_k": 5},
        {"top_p": 0.8},
        {"min_p": 0.1},
        {"repetition_penalty": 1.4},
        {"temperature": 1.5, "top_k": 9, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 0.8},
    ],
)
def test_what_is_drawn_from(p, prompts, settings, hold):
    """At every token that they draw, our probabilities after the same ids are theirs."""
    torch.manual_seed(0)
    found, compared = {}, 0
    for prompt in prompts:
        theirs, (text,) = generate(p, [prompt], None, do_sample=True, **{"top_k": 0} | settings)
        assert len(text) == NEW
        for t, scores in enumerate(theirs.scores):
            ids = np.array([*prompt, *text[:t]])
            logits = MODEL.forward(p, ids[None])[0][0, -1]
            ours = probabilities(logits, ids, **settings)
            found[f"{len(prompt)} + {t}"] = relative(ours, torch.softmax(scores[0], -1).numpy())
            compared += np.count_nonzero(ours == 0)
    assert compared or not {"top_k", "top_p", "min_p"} & settings.keys()
    hold("sampling: probabilities", found, bar=FLOAT32)
