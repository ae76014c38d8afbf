"""Ion channels: a channel is its gates and its current, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, final

from ..errors import ModelError
from ..units import membrane_conductance as conductance
from ..units import mV
from .declare import param
from .mechanism import Mechanism


class Gate(Protocol):
    """How the open fraction y of a gate moves at a voltage: ``dy/dt = (y_inf - y) / tau``."""

    @property
    def steady(self) -> Any:
        """The open fraction at which it rests, ``y_inf``."""
        ...

    @property
    def time_constant(self) -> Any:
        """The time constant ``tau`` in ms."""
        ...

    def slope(self, y: Any) -> Any:
        """dy/dt at the open fraction ``y``, in 1/ms."""
        ...


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Rates:
    """A gate by its opening and closing rate in 1/ms: ``dy/dt = opening (1 - y) - closing y``.

    >>> Rates(opening=0.75, closing=0.25).steady
    0.75
    """

    opening: Any
    closing: Any

    @property
    def steady(self) -> Any:
        return self.opening / (self.opening + self.closing)

    @property
    def time_constant(self) -> Any:
        return 1.0 / (self.opening + self.closing)

    def slope(self, y: Any) -> Any:
        return self.opening * (1.0 - y) - self.closing * y


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Relaxation:
    """A gate by its steady value and time constant in ms: ``dy/dt = (steady - y) / time_constant``.

    >>> Relaxation(steady=0.75, time_constant=2.5).slope(0.5)
    0.1
    """

    steady: Any
    time_constant: Any

    def slope(self, y: Any) -> Any:
        return (self.steady - y) / self.time_constant


class Channel(Mechanism):
    """Base of ion channels: declare gates, say how they move, say the current.

    ``gates(v)`` gives a :class:`Rates` or :class:`Relaxation` for each declared gate; ``current(s, v)`` is the
    current out of the cell, in the unit of the membrane's input. Gates start in equilibrium.

    >>> import spikeloom as sl
    >>> class DelayedRectifier(sl.Channel):
    ...     g = sl.param(36.0, sl.units.membrane_conductance, low=0.0, inclusive=True)
    ...     e = sl.param(-77.0, sl.mV)
    ...     n = sl.gate()
    ...     def gates(self, v):
    ...         return dict(n=sl.Relaxation(sl.math.sigmoid((v + 53.0) / 15.0), 3.0))
    ...     def current(self, s, v):
    ...         return self.g * s.n**4 * (v - self.e)
    >>> class Cell(sl.Membrane):
    ...     leak = sl.Leak(g=0.3, e=-54.4)
    ...     k = DelayedRectifier()
    >>> list(Cell().states)
    ['v', 'n']
    """

    def gates(self, v: Any) -> dict[str, Gate]:
        """How each gate moves at the voltage ``v``."""
        return {}

    def current(self, s: Any, v: Any) -> Any:
        """The current out of the cell at gates ``s``."""
        raise ModelError(f"{type(self).__name__} has no current", mend="Define current(self, s, v).")

    def outward(self, s: Any, v: Any, x: Any) -> Any:
        current = self.current(s, v)
        if current is None:
            raise ModelError(f"{type(self).__name__}.current", got="None", expected="the current out of the cell")
        return current

    def derivative(self, s: Any, v: Any, x: Any) -> dict[str, Any]:
        found, label = self.gates(v), f"{type(self).__name__}.gates"
        declared = {name for name, state in self.states.items() if state.gate}
        if not isinstance(found, dict) or set(found) != declared:  # pyright: ignore[reportUnnecessaryIsInstance]
            got = sorted(found) if isinstance(found, dict) else type(found).__name__  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ModelError(label, got=got, expected=f"one entry for each of {sorted(declared)}")
        for name, gate in found.items():
            if not hasattr(gate, "slope"):
                raise ModelError(
                    f"{label}: {name}", got=f"a {type(gate).__name__}", expected="sl.Rates(...) or sl.Relaxation(...)"
                )
        return {name: gate.slope(getattr(s, name)) for name, gate in found.items()}

    def initial(self, v: Any) -> dict[str, Any]:
        return {name: gate.steady for name, gate in self.gates(v).items()}


class Leak(Channel):
    """A channel that is always open: ``g (v - e)``.

    >>> Leak(g=0.3, e=-70.0)
    Leak(g=0.3, e=-70.0)
    """

    g = param(0.1, conductance, low=0.0, inclusive=True)
    e = param(-65.0, mV)

    def current(self, s: Any, v: Any) -> Any:
        return self.g * (v - self.e)


__all__ = ["Channel", "Gate", "Leak", "Rates", "Relaxation"]
