"""What is injected into neurons, handed out row by row: long drives are never copied as a whole."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, final

import numpy as np
import torch

from ..errors import ModelError, ParameterError, ShapeError, did_you_mean
from ..models.base import NeuronModel
from ..units import plain

Current = float | np.ndarray | Callable[[np.ndarray], np.ndarray] | Any

_CHECKED_AT_ONCE = 1 << 22  # numbers


@final
class Currents:
    """A drive of ``steps`` steps into the input, state or port ``target`` of ``model``.

    ``current`` is a number, an array ``[N]`` of constants, an array ``[T, N]``, or a function of the times at which
    steps begin. A parameter with a value for each of N neurons makes N of one. ``single`` tells that there is one
    neuron without an axis of its own. Raises ModelError for an unknown target, ShapeError and ParameterError for
    values that do not fit.

    >>> import spikeloom as sl
    >>> currents = Currents(sl.LIF(), "i", lambda t: 2.0 * t, np.array([0.0, 0.5]))
    >>> currents.rows(0, 2, np.dtype("f8")).tolist(), currents.single
    ([[0.0], [1.0]], True)
    """

    def __init__(self, model: NeuronModel, target: str, current: Current, begins: np.ndarray) -> None:
        units = {**{name: i.unit for name, i in model.inputs.items()}, **model.targets}
        if target not in units:
            what = f"{type(model).__name__} has no input {target!r}"
            raise ModelError(what, mend=did_you_mean(target, units))
        self.target, self.steps, self._unit = target, len(begins), units[target]
        self._current: Any = current
        self.function = self._plain if callable(current) else None
        values = np.asarray(self._plain(begins) if callable(current) else plain(current, self._unit, "current"))
        one = values.ndim == 0 or (callable(current) and values.ndim == 1)
        self.constant = values.ndim == 0 or (not callable(current) and values.ndim == 1)
        if values.ndim == 1 and self.constant and len(values) == self.steps > 1:
            warnings.warn(
                f"an array of {self.steps} currents is {self.steps} neurons with a constant current each; "
                f"the time course of one neuron has the shape [{self.steps}, 1]",
                stacklevel=3,
            )
        self._values = values.reshape(1, -1) if self.constant else values[:, None] if one else values
        self._check()
        many = max((np.size(value) for value in model.values.values()), default=1)
        self.single = one and many == 1
        if one and many > 1:
            self._values = np.broadcast_to(self._values, (len(self._values), many))
        elif self.neurons != many > 1:
            got, expected = f"for {self.neurons} neurons", f"{many}, one for each value of a parameter"
            raise ShapeError("current", got=got, expected=expected)

    @property
    def neurons(self) -> int:
        """N."""
        return self._values.shape[1]

    def rows(self, begin: int, end: int, dtype: np.dtype) -> torch.Tensor:
        """The drive in steps ``begin`` to ``end``, ``[end - begin, N]``; ``[N]`` where it never changes."""
        chosen = self._values[0] if self.constant else self._values[begin:end]
        return torch.from_numpy(np.require(chosen, dtype, ["C", "W"]))

    def of_neuron(self, neuron: int, steps: np.ndarray) -> np.ndarray:
        """The drive of one neuron in ``steps``, ``[len(steps), 1]`` in float64."""
        column = self._values[:, neuron : neuron + 1]
        return np.array(np.broadcast_to(column, (len(steps), 1)) if self.constant else column[steps], np.float64)

    def whole(self) -> np.ndarray:
        """The drive as one array ``[T, N]`` of float64."""
        return np.array(np.broadcast_to(self._values, (self.steps, self.neurons)), dtype=np.float64)

    def breaks(self) -> tuple[float, ...] | None:
        """Times in ms at which a function of time says that it jumps; None where it does not say."""
        return tuple(self._current.breaks()) if hasattr(self._current, "breaks") else None

    def _plain(self, times: np.ndarray) -> Any:
        return plain(self._current(times), self._unit, "current")

    def _check(self) -> None:
        values = self._values
        if values.ndim != 2 or (not self.constant and len(values) != self.steps):
            expected = f"a number, [N], or [{self.steps}, N]"
            raise ShapeError("current", got=f"shape {values.shape}", expected=expected)
        if values.dtype.kind not in "fiub":
            raise ParameterError("current", got=f"an array of {values.dtype}", expected="real numbers")
        rows = max(1, _CHECKED_AT_ONCE // max(1, self.neurons))
        if not all(np.isfinite(values[k : k + rows]).all() for k in range(0, len(values), rows)):
            raise ParameterError("current is not finite", got="NaN or infinity", expected="finite numbers")


__all__ = ["Current", "Currents"]
