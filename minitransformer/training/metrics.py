"""How good translations are: exact match, token accuracy, BLEU and chrF.

BLEU (Papineni et al. 2002) counts the n-grams of words that a translation shares with its reference, chrF (Popović
2015) those of characters. Both depend on details of tokenization, so nobody should count them anew: sacrebleu (Post
2018) does, and its signature says how.
"""

from typing import NamedTuple

from ..data.pairs import IGNORED
from ..installing import install


class Score(NamedTuple):
    score: float  # 0 ... 100
    signature: str  # what a reader must know to get the same number


def exact_match(answers, references):
    """The share of answers that are their reference, character by character."""
    check_lengths(answers, references)
    return sum(a == r for a, r in zip(answers, references)) / len(references)


def token_accuracy(batches):
    """[(predicted (...), targets (...))]   ->   the share of targets, of those that count, that were predicted

    Over all batches together: a mean of the batches' shares would weigh a token by the company it came in.
    """
    right = counted = 0
    for predicted, targets in batches:
        if predicted.shape != targets.shape:
            raise ValueError(f"predicted has shape {predicted.shape}, targets {targets.shape}")
        counts = targets != IGNORED
        right += int(((predicted == targets) & counts).sum())
        counted += int(counts.sum())
    if not counted:
        raise ValueError("there is no target that counts")
    return right / counted


def bleu(answers, references):
    """BLEU of the answers as one corpus, as sacrebleu computes it by default. ImportError without sacrebleu."""
    return score("BLEU", answers, references)


def chrf(answers, references):
    """chrF of the answers as one corpus, as sacrebleu computes it by default. ImportError without sacrebleu."""
    return score("CHRF", answers, references)


OF_SACREBLEU = {"BLEU": bleu, "chrF": chrf}


def signatures():
    """What a reader must know of each, by name; it does not depend on the texts. ImportError without sacrebleu."""
    return {name: measure(["a"], ["a"]).signature for name, measure in OF_SACREBLEU.items()}


def score(name, answers, references):
    check_lengths(answers, references)
    try:
        from sacrebleu import metrics
    except ImportError:
        raise ImportError(f"BLEU and chrF take sacrebleu, which `{install('translate')}` brings") from None
    metric = getattr(metrics, name)()
    result = metric.corpus_score(answers, [references]).score  # one reference for each answer
    return Score(result, str(metric.get_signature()))


def check_lengths(answers, references):
    if len(answers) != len(references):
        raise ValueError(f"{len(answers)} answers, but {len(references)} references")
    if not references:
        raise ValueError("there is nothing to score")
