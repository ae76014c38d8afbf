"""``spikeloom bench scaling``: a training step of an MLP beside its own matrix products, from point to point."""

from __future__ import annotations

from typing import Any

from ..errors import BenchError
from .config import ScalingConfig
from .density import weights_for
from .points import AXES, Point, named
from .rounds import Say
from .train import OURS, REFERENCE, compared, measured

DENSE = "dense products"
_MOST_BATCH, _MOST_STEPS = 32, 50  # of what is compared: a loop in torch needs time and memory


def bench(point: Point, config: ScalingConfig, say: Say) -> dict[str, Any]:
    """The figures of one point: seconds of each round, memory, and how dense the spikes were.

    Raises :class:`BenchError` where one of the two fails.
    """
    spec, title = specification(point, config), described(point)
    wanted = {OURS: ("spikeloom_training", spec), DENSE: ("floor_training", {**spec, "floor": "merged"})}
    rows, failed, busy = measured(title, wanted, {}, config, say)
    for label, why in failed.items():
        raise BenchError(f"{title}: {label} failed", got=why)
    return {"contenders": rows, "other_work_cores": busy}


def compare(point: Point, config: ScalingConfig, say: Say) -> None:
    """Raise :class:`BenchError` unless spikes and gradients are those of a loop in torch, for a part of the batch and
    of the steps."""
    spec = specification(point, config)
    spec |= {"batch": min(point.batch, _MOST_BATCH), "steps": min(point.steps, _MOST_STEPS)}
    names = {OURS: "spikeloom_training", REFERENCE: "reference_training"}
    refused, failed = compared(described(point), spec, names, {}, say)
    for label, why in {**refused, **failed}.items():
        raise BenchError(f"{described(point)}: {label} {why}", mend="Nothing is measured.")


def specification(point: Point, config: ScalingConfig) -> dict[str, Any]:
    """What contenders are told."""
    weights, _ = weights_for(point.sizes, point.density, point.steps)
    return {
        "kind": "mlp", "mode": "train", "steps": point.steps, "batch": point.batch, "sizes": point.sizes,
        "density": point.density, "weights": weights, "threads": point.threads, "seconds": config.seconds,
    }  # fmt: skip


def described(point: Point) -> str:
    """A point in one line.

    >>> described(Point())
    'T = 100, batch 128, width 512, density 5 %, 3 layers, 2 threads'
    """
    return ", ".join(named(point, axis) for axis in AXES)


__all__ = ["DENSE", "OURS", "bench", "compare", "described", "specification"]
