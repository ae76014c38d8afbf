"""A part of a neuron that carries current: ion channels, synapses, noise. Written once, put into any membrane."""

from __future__ import annotations

from typing import Any, ClassVar

from ..errors import DimensionError
from ..units import Quantity, Unit, mS_per_cm2, nS, one, pA, uA_per_cm2
from ..units import membrane_conductance as conductance
from ..units import membrane_current as current
from .declared import Declared

_EITHER = {current.name: (pA, uA_per_cm2, one), conductance.name: (nS, mS_per_cm2, one)}


class Mechanism(Declared, role=True):
    """Base of what is put into a neuron by ``sl.With(model, name=...)`` or named in the body of a ``sl.Membrane``.

    Its equations see its own states ``s``, the membrane's voltage ``v`` and its own held inputs ``x``. Units may be
    ``sl.units.membrane_current`` and ``sl.units.membrane_conductance``: those of the membrane it is put into.

    ==============  ===============================================================================
    ``derivative``  d(state)/dt of each own state
    ``inward``      current into the membrane, in the unit of its input (None: carries none)
    ``outward``     current out of the membrane (None: carries none)
    ``initial``     initial values of states where they differ from the declared ones
    ``receives``    unit of the weight of a spike that arrives; None where none can
    ``arrive``      new values of own states when a spike arrives; ``"v"`` is what the membrane jumps by
    ``noise``       amplitudes of white noise in the equations of own states
    ==============  ===============================================================================
    """

    receives: ClassVar[Unit | None] = None

    def __init__(self, *positional: object, **values: object) -> None:
        given: dict[str, Unit] = {}
        for name, value in values.items():
            declared = self.params.get(name)
            if declared is not None and isinstance(value, Quantity) and declared.unit.name in _EITHER:
                given[name], values[name] = _converted(name, value, _EITHER[declared.unit.name])
        super().__init__(*positional, **values)
        self.__dict__["given_units"] = given

    given_units: dict[str, Unit]

    def derivative(self, s: Any, v: Any, x: Any) -> dict[str, Any]:
        return {}

    def inward(self, s: Any, v: Any, x: Any) -> Any:
        return None

    def outward(self, s: Any, v: Any, x: Any) -> Any:
        return None

    def initial(self, v: Any) -> dict[str, Any]:
        return {}

    def arrive(self, s: Any, amount: Any) -> dict[str, Any]:
        return {}

    def noise(self, s: Any) -> dict[str, Any]:
        return {}


def _converted(name: str, value: Quantity, units: tuple[Unit, ...]) -> tuple[Unit, Any]:
    for unit in units:
        if unit.dimension == value.unit.dimension:
            return unit, value.to(unit)
    mend = f"Give {name} as a plain number in the unit of the membrane it is put into."
    expected = " or ".join(str(unit) for unit in units[:-1])
    raise DimensionError(f"{name} has the wrong dimension", got=value.unit, expected=expected, mend=mend)
