"""The role of a plasticity rule: how a connection's weight changes with the spikes on its two sides."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..errors import DimensionError, ModelError
from ..lang.expr import symbol
from ..models.base import Values
from ..models.declare import State
from ..models.declared import Declared
from ..units import Quantity, Unit, mS_per_cm2, mV, nS, one, pA, plain, synaptic_weight, uA_per_cm2
from ..units import ms as _ms

_WEIGHTS = (mV, pA, nS, mV / _ms, uA_per_cm2, mS_per_cm2, one)


@dataclasses.dataclass(frozen=True)
class Trace(State):
    """A declared state of the neuron on one ``side`` of a connection, "pre" or "post"."""

    side: str = "pre"


def pre_trace(default: object = 0.0, unit: Unit = one) -> Any:
    """Declare a trace of the presynaptic neuron, such as one that jumps at each of its spikes and decays."""
    return Trace(float(plain(default, unit, "an initial value")), unit, side="pre")  # type: ignore[arg-type]


def post_trace(default: object = 0.0, unit: Unit = one) -> Any:
    """Declare a trace of the postsynaptic neuron."""
    return Trace(float(plain(default, unit, "an initial value")), unit, side="post")  # type: ignore[arg-type]


class Plasticity(Declared, role=True):
    """Base of plasticity rules: parameters, traces and states of an edge are declared, methods say what happens.

    ``w`` is the weight; :func:`pre_trace` and :func:`post_trace` declare traces of the neurons, ``sl.state`` what each
    connection remembers besides.

    ==============  ===============================================================================
    ``derivative``  d/dt of traces and states between spikes: linear, each in itself alone
    ``pre``         new values when a presynaptic spike arrives, of the connection and of presynaptic traces
    ``post``        the same when a postsynaptic spike arrives
    ``periodic``    new values of the connection after every ``period`` ms; the rule declares that parameter
    ``limits``      the lowest and the highest weight; what the other methods give is clipped to them
    ==============  ===============================================================================

    What happens at the same time happens in this order: presynaptic spikes, what is periodic, postsynaptic spikes.
    What is not named stays. All methods read the values from just before the spike. A trace of a neuron changes at its
    own spikes only, and for its own reasons.

    A rule of a user's own:

    >>> import spikeloom as sl
    >>> from spikeloom.plasticity import Plasticity, post_trace, pre_trace
    >>> class Hebb(Plasticity):
    ...     tau = sl.param(20.0, sl.ms, low=0.0)
    ...     step = sl.param(0.1, sl.units.synaptic_weight)
    ...     x = pre_trace()
    ...     def derivative(self, s): return {"x": -s.x / self.tau}
    ...     def pre(self, s): return {"x": s.x + 1.0}
    ...     def post(self, s): return {"w": s.w + self.step * s.x}
    >>> Hebb(tau=10.0)
    Hebb(tau=10.0)
    """

    def __init__(self, *positional: object, **values: object) -> None:
        given: dict[str, Unit] = {}
        for name, value in values.items():
            declared = self.params.get(name)
            if isinstance(value, Quantity) and declared is not None and declared.unit is synaptic_weight:
                given[name], values[name] = _coherent(name, value)
        super().__init__(*positional, **values)
        self.__dict__["given_units"] = given
        for name, value in self.values.items():
            if not isinstance(value, float):
                raise ModelError(f"{type(self).__name__}: {name}", got=repr(value), expected="one number for all edges")
        if "w" in self.states or "w" in self.params:
            raise ModelError(f"{type(self).__name__} declares w", expected="another name: w is the weight")

    given_units: dict[str, Unit]

    def derivative(self, s: Any) -> dict[str, Any]:
        return {}

    def pre(self, s: Any) -> dict[str, Any]:
        return {}

    def post(self, s: Any) -> dict[str, Any]:
        return {}

    def periodic(self, s: Any) -> dict[str, Any]:
        return {}

    def limits(self) -> tuple[Any, Any]:
        """The lowest and the highest weight; None where there is no bound."""
        return None, None

    def symbols(self) -> Values:
        """The weight, traces and states as symbols."""
        units = {"w": synaptic_weight, **{n: s.unit for n, s in self.states.items()}}
        return Values(**{n: symbol(f"s.{n}", unit) for n, unit in units.items()})

    def side_of(self, name: str) -> str:
        """ "pre" or "post" for a trace, "edge" for the weight and other states of a connection."""
        declared = self.states.get(name)
        return declared.side if isinstance(declared, Trace) else "edge"

    def check_unit(self, unit: Unit) -> None:
        """Raise DimensionError unless weights that were given with a unit fit weights in ``unit``."""
        for name, given in self.given_units.items():
            if given.dimension != unit.dimension:
                raise DimensionError(f"{type(self).__name__}: {name}", got=given, expected=unit)


def _coherent(name: str, value: Quantity) -> tuple[Unit, Any]:
    for unit in _WEIGHTS:
        if unit.dimension == value.unit.dimension:
            return unit, value.to(unit)
    expected = ", ".join(str(unit) for unit in _WEIGHTS[:-1])
    raise DimensionError(f"{name} has the wrong dimension for a weight", got=value.unit, expected=expected)


__all__ = ["Plasticity", "Trace", "post_trace", "pre_trace"]
