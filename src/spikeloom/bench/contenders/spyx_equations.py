"""The equations of Spyx's ``LIF`` in plain torch, one step at a time: what Spyx is held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .reference_training import Reference
from .training import DECAY, started, versions


class Equations(Reference):
    """s[t] = H(v[t-1] - 1), v[t] = 0.875 v[t-1] + x[t] - s[t], and the reset has a gradient."""

    def over_time(self, x: Any, w_rec: Any) -> Any:
        v = self.torch.zeros_like(x[0])
        found = []
        for now in x:
            spikes = self.spike(v - 1.0)
            v = DECAY * v + now - spikes
            found.append(spikes)
        return self.torch.stack(found)


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    return versions()


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Build."""
    return started(Equations, spec)
