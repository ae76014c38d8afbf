"""Forward Euler one state after the other, as many published neuron scripts are written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..errors import ParameterError
from ..models.base import NeuronModel
from .base import Solver, Update, moving_states, slopes


@dataclasses.dataclass(frozen=True)
class SequentialEuler(Solver):
    """Forward Euler in which each state is updated with the new values of those declared before it; order 1.

    ``substeps`` divides the step of the first state only: ``v' = v + dt/n f_v(v, u)``, n times, then
    ``u' = u + dt f_u(v', u)``. Two published schemes of the Izhikevich neuron are of this kind: the network of
    2003 with ``SequentialEuler(substeps=2)`` at dt = 1 ms, the figure of 2004 with ``SequentialEuler()``. Models
    defined by such a scheme change their behaviour under an accurate solver. For a membrane and its slow variable
    this is also the symplectic Euler method. Raises ParameterError unless ``substeps`` is a whole number >= 1.

    >>> import spikeloom as sl
    >>> class Pair(sl.NeuronModel):
    ...     v, u = sl.state(1.0), sl.state(0.0)
    ...     def derivative(self, s, x): return dict(v=-s.u * 1.0, u=s.v * 1.0)
    >>> SequentialEuler().update(Pair(), dt=0.5)({"v": 1.0, "u": 0.5}, {})
    {'v': 0.75, 'u': 0.875}
    """

    substeps: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.substeps, bool) or not isinstance(self.substeps, int) or self.substeps < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ParameterError("SequentialEuler: substeps", got=self.substeps, expected="a whole number >= 1")

    def update(self, model: NeuronModel, dt: Any, held: tuple[str, ...] = ()) -> Update:
        first, *others = moving_states(model)
        part = dt * (1.0 / self.substeps)

        def advance(states: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
            field, new = slopes(model, inputs, held), dict(states)
            for _ in range(self.substeps):
                new[first] = new[first] + part * field(new)[first]
            for name in others:
                new[name] = new[name] + dt * field(new)[name]
            return {name: new[name] for name in (first, *others)}

        return advance


__all__ = ["SequentialEuler"]
