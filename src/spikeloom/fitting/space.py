"""The box that a fit searches, as a unit cube: linear or logarithmic in each parameter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ..errors import ParameterError, did_you_mean
from ..models.base import NeuronModel
from ..units import plain

Ranges = Mapping[str, tuple[object, object]] | Sequence[str]
# A positive parameter whose range spans more than this factor is searched in its logarithm.
_DECADES = 4.0


@dataclasses.dataclass(frozen=True)
class Box:
    """Parameter ``names`` with their bounds; ``logarithmic`` says in which the cube's axis is the logarithm."""

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    logarithmic: tuple[bool, ...]

    def values(self, cube: torch.Tensor) -> dict[str, torch.Tensor]:
        """Parameter values at points ``[..., P]`` of the unit cube."""
        found: dict[str, torch.Tensor] = {}
        for k, name in enumerate(self.names):
            low, high, u = self.low[k], self.high[k], cube[..., k]
            value = low * (high / low) ** u if self.logarithmic[k] else low + (high - low) * u
            found[name] = value.clamp(low, high)  # against rounding
        return found

    def point(self, values: Mapping[str, float]) -> np.ndarray:
        """The point of the cube at parameter values, pulled into the box where they lie outside."""
        found = np.empty(len(self.names))
        for k, name in enumerate(self.names):
            low, high, value = self.low[k], self.high[k], values[name]
            value = min(max(value, low), high)
            found[k] = (
                math.log(value / low) / math.log(high / low) if self.logarithmic[k] else (value - low) / (high - low)
            )
        return found


def box(model: NeuronModel, ranges: Ranges) -> Box:
    """The box for ``ranges``: ``{name: (low, high)}``, or names alone.

    A name alone gets the declared bounds where there are two; a factor of ten to either side of the model's value where
    the parameter is positive by declaration; and otherwise ``value - |value|`` to ``value + |value|``.

    Raises ParameterError for no or unknown names, a range that is empty or leaves the declared one, and a name alone
    whose value is 0 or differs between neurons.
    """
    if isinstance(ranges, str) or not ranges:
        mend = 'Name what is to be fitted, as in {"tau": (5.0, 50.0)} or ("tau", "r").'
        raise ParameterError("parameters of a fit", got=repr(ranges), mend=mend)
    given = dict(ranges) if isinstance(ranges, Mapping) else dict.fromkeys(ranges)
    lows, highs, logarithmic = [], [], []
    for name, pair in given.items():
        if name not in model.params:
            raise ParameterError(
                f"{type(model).__name__} has no parameter {name!r}", mend=did_you_mean(name, model.params)
            )
        low, high = _default(model, name) if pair is None else _pair(model, name, pair)
        _check_declared(model, name, low, high)
        lows.append(low)
        highs.append(high)
        logarithmic.append(low > 0 and high / low > _DECADES)
    return Box(tuple(given), tuple(lows), tuple(highs), tuple(logarithmic))


def _pair(model: NeuronModel, name: str, pair: object) -> tuple[float, float]:
    unit = model.params[name].unit
    expected = f"(low, high) in {unit} with low < high"
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ParameterError(f"range of {name}", got=repr(pair), expected=expected)
    low, high = (plain(bound, unit, name) for bound in pair)
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, (int, float, np.number)) or not math.isfinite(bound):
            raise ParameterError(f"range of {name}", got=repr(pair), expected=expected)
    if not low < high:  # pyright: ignore[reportOperatorIssue]
        raise ParameterError(f"range of {name}", got=repr(pair), expected=expected)
    return float(low), float(high)  # pyright: ignore[reportArgumentType]


def _default(model: NeuronModel, name: str) -> tuple[float, float]:
    declared, value = model.params[name], getattr(model, name)
    if declared.low is not None and declared.high is not None:
        margin = 0.0 if declared.inclusive else 1e-6 * (declared.high - declared.low)
        return declared.low + margin, declared.high - margin
    if isinstance(value, np.ndarray) or value == 0:
        mend = f'Give its range: {{"{name}": (low, high)}}.'
        raise ParameterError(f"the range of {name} does not follow from its value", got=value, mend=mend)
    if declared.low == 0:
        return value / 10.0, value * 10.0
    return value - abs(value), value + abs(value)


def _check_declared(model: NeuronModel, name: str, low: float, high: float) -> None:
    """Let the model itself say what is out of its declared range."""
    for bound in (low, high):
        model.replace(**{name: bound})


__all__ = ["Box", "Ranges", "box"]
