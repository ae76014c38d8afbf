"""Whether nets compute the same: spikes and gradients against those of a loop in plain torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# A sum in another order moves a membrane that is at the threshold to its other side: a few spikes of a million.
MOST_SPIKES, MOST_GRADIENT = 2e-4, 1e-2


def difference(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> str:
    """What differs, in words; "" where all is the same.

    Spikes may differ in 0.02 % of a layer's neurons and steps, a gradient by 1 % of its norm. Gradients that are
    missing differ; of spikes, those of the last layer are enough, for a net that is compiled as a whole has no others.

    >>> s, g = np.array([0.0, 1.0]), np.array([3.0, 4.0])
    >>> difference({"spikes 1": s, "gradient 0": g}, {"spikes 1": s, "gradient 0": g + 0.01})
    ''
    >>> difference({"spikes 1": s, "gradient 0": g}, {"spikes 1": 1 - s, "gradient 0": g})
    'spikes 1 differs: 100 % of all values'
    >>> difference({"spikes 1": s}, {"spikes 1": s, "gradient 0": g})
    'gradient 0 is missing'
    """
    for name, right in expected.items():
        if name not in found:
            if name.startswith("gradient") or name == "spikes 1":
                return f"{name} is missing"
            continue
        own = found[name]
        if own.shape != right.shape:
            return f"{name} has the shape {own.shape}, not {right.shape}"
        if name.startswith("spikes"):
            share = float((own != right).mean())
            if not share <= MOST_SPIKES:
                return f"{name} differs: {100 * share:.3g} % of all values"
        else:
            error = float(np.linalg.norm(own - right) / max(float(np.linalg.norm(right)), 1e-30))
            if not error <= MOST_GRADIENT:
                return f"{name} differs by {100 * error:.3g} % of its norm"
    return ""
