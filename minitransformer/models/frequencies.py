"""The frequencies of rotary positions, and how a model trained on short texts is made to read longer ones.

    f_i = base^(-2i/K)        i = 0 ... K/2 - 1        (Su et al. 2021, section 3.2.2)

linear      f_i / factor: all positions move together (Chen et al. 2023, "Extending Context Window of Large Language
            Models via Positional Interpolation", equation 4)
llama3      by how often a point turned in the context that the model was trained on (Grattafiori et al. 2024, "The
            Llama 3 Herd of Models", and the code published with Llama 3.1): more than `high` times, f_i; fewer than
            `low` times, f_i / factor; in between, from one to the other along a line
"""

import numpy as np

SCALINGS = {"linear": ("factor",), "llama3": ("factor", "low", "high", "context")}  # by kind: what else it must say


def frequencies(width, base, scaling=None):
    """(width/2) float64, radians a position; scaling: None, or {"kind": "linear", "factor": 2.0} and the like"""
    found = base ** (-np.arange(0, width, 2) / width)
    if scaling is None:
        return found
    if scaling["kind"] == "linear":
        return found / scaling["factor"]
    turns = scaling["context"] * found / (2 * np.pi)
    kept = np.clip((turns - scaling["low"]) / (scaling["high"] - scaling["low"]), 0, 1)
    return kept * found + (1 - kept) * found / scaling["factor"]


def check_scaling(scaling):
    """ValueError for one that is not known, or does not say what it must."""
    if scaling is None:
        return
    kind = scaling.get("kind") if isinstance(scaling, dict) else None
    if not isinstance(kind, str) or kind not in SCALINGS:
        raise ValueError(f"rotary positions are scaled {scaling!r}; there are: {', '.join(SCALINGS)}")
    values = {name: value for name, value in scaling.items() if name != "kind"}
    numbers = all(type(value) in (int, float) and 1e-30 < value < 1e30 for value in values.values())
    if set(values) != set(SCALINGS[kind]) or not numbers:
        raise ValueError(f"{kind} scaling takes {', '.join(SCALINGS[kind])}, numbers above 0, not {values!r}")
    if kind == "llama3" and not values["low"] < values["high"]:
        raise ValueError(f"llama3 scaling needs low < high, not {values['low']} and {values['high']}")
