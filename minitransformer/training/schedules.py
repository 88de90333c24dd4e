"""Learning rates over time. Each makes a function from the step, counted from 0, to the rate of that step.

All but the slanted triangle begin with a linear warm-up, rate = peak (step + 1) / warmup: Adam's second moment knows
little at first.
"""

import math


def warmup_cosine(*, peak, end, warmup, steps):
    """From the peak to `end`, reached in the last step, along half a cosine (Loshchilov & Hutter 2017, equation 5)."""
    return with_warmup(peak, warmup, steps, lambda done: end + 0.5 * (1 + math.cos(math.pi * done)) * (peak - end))


def warmup_linear(*, peak, end, warmup, steps):
    """From the peak down to `end` along a line (Devlin et al. 2019, appendix A.2), reached in the last step."""
    return with_warmup(peak, warmup, steps, lambda done: peak + done * (end - peak))


def with_warmup(peak, warmup, steps, after):
    def rate(step):
        if step < warmup:
            return peak * (step + 1) / warmup
        return after(min(1.0, (step - warmup + 1) / max(1, steps - warmup)))

    return rate


def inverse_square_root(*, peak, warmup):
    """peak · min(t/u, √(u/t)), t = step + 1, u = warmup: up along a line, and down without an end.

    Vaswani et al. 2017, equation 3, is d_model^-½ · min(t^-½, t · u^-1½); with u^-½ before the brackets it is this, of
    the peak that `published_peak` gives.
    """
    warmup = max(warmup, 1)
    return lambda step: peak * min((step + 1) / warmup, (warmup / (step + 1)) ** 0.5)


def published_peak(*, d_model, warmup):
    """(d_model · warmup)^-½, the highest rate of Vaswani et al. 2017, equation 3."""
    return (d_model * max(warmup, 1)) ** -0.5


def slanted_triangular(*, peak, steps, cut=0.1, ratio=32):
    """Steeply up to the peak, in a share `cut` of the steps, and slowly down again, from and to peak / ratio.

    Howard & Ruder 2018, equation 3, in which t is the step, counted from 0.
    """
    top = int(steps * cut)
    if top < 1:
        raise ValueError(f"of {steps} steps, a share of {cut} is none: there is no way up to the peak")

    def rate(step):
        share = step / top if step < top else 1 - (step - top) / (top * (1 / cut - 1))
        return peak * (1 + max(share, 0.0) * (ratio - 1)) / ratio

    return rate
