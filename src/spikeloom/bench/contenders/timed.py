"""What contenders that simulate networks share: how they answer when they are asked to run on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def actions(spec: dict[str, Any], run: Callable[[float], int]) -> dict[str, Callable[[], Any]]:
    """Actions of a contender whose ``run(ms)`` runs on and returns the number of spikes."""

    def settle() -> None:
        run(spec["settle"])

    def measured() -> dict[str, float]:
        begun = time.perf_counter()
        spikes = run(spec["span"])
        return measure(spec, time.perf_counter() - begun, spikes)

    return {"settle": settle, "run": measured}


def measure(spec: dict[str, Any], seconds: float, spikes: int) -> dict[str, float]:
    """Wall seconds per simulated second, and spikes of a neuron per second."""
    simulated = 1e-3 * spec["span"]
    return {"wall": seconds / simulated, "rate": spikes / spec["n"] / simulated}
