"""Learning rates over time. Each makes a function from the step, counted from 0, to the rate of that step.

All begin with a linear warm-up, rate = peak (step + 1) / warmup: Adam's second moment knows little at first.
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


def inverse_square_root(*, d_model, warmup, factor=1.0):
    """factor · d_model^-½ · min(t^-½, t · warmup^-1½), t = step + 1 (Vaswani et al. 2017, equation 3)."""
    warmup = max(warmup, 1)
    return lambda step: factor * d_model**-0.5 * min((step + 1) ** -0.5, (step + 1) * warmup**-1.5)
