"""A neuron model: a frozen value that declares parameters, states and inputs, and says its equations once.

It knows nothing of batch, device, time step, solver, learnability or gradients. Its methods are plain Python on
*values*: on numbers and tensors they compute, on expressions they record a program.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, ClassVar, Self

from ..errors import DimensionError, ModelError, ParameterError, did_you_mean
from ..lang.expr import Expr, lift, symbol
from ..units import Unit, ms, one
from .declared import Declared
from .presets import Preset

NORMAL = "normal"


class Values(SimpleNamespace):
    """States or inputs by name, as a model's methods see them: ``s.v``."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ModelError(f"an equation uses {name!r}, which is not declared", mend=did_you_mean(name, vars(self)))


class NeuronModel(Declared, role=True):
    """Base of all neuron models.

    A model is written by declaring its parts and overriding the methods that differ from the defaults:

    ==============  ===============================================================================
    ``derivative``  d(state)/dt of each state, in the state's unit per ms
    ``threshold``   the quantity that makes a spike when it is >= 0 (None: never fires)
    ``reset``       new values of states at a spike; a model without one fires at upward crossings
    ``initial``     initial values that depend on parameters
    ``scale``       the natural size of the threshold quantity, which the surrogate's width refers to
    ``refractory``  a condition under which the membrane is held and no spike is made
    ``peak``        what a recorder shows instead of a state in a spike's step
    ``arrive``      what a weighted spike does to the states where it arrives (default: a jump)
    ``noise``       amplitudes of white noise in the equations of states (none by default)
    ==============  ===============================================================================

    >>> import spikeloom as sl
    >>> class Quadratic(sl.NeuronModel):
    ...     tau = sl.param(10.0, sl.ms, low=0.0)
    ...     v_threshold = sl.param(10.0)
    ...     v = sl.state(0.0)
    ...     i = sl.input()
    ...     def derivative(self, s, x): return dict(v=(s.v * s.v + x.i) / self.tau)
    ...     def threshold(self, s): return s.v - self.v_threshold
    ...     def reset(self, s): return dict(v=-10.0)
    >>> Quadratic(tau=5.0)
    Quadratic(tau=5.0)
    """

    presets: ClassVar[Mapping[str, Preset]] = {}

    def __init_subclass__(cls, role: bool = False) -> None:
        super().__init_subclass__(role)
        if cls.derivative is not NeuronModel.derivative and cls.__init__ is Declared.__init__:  # not a wrapper
            cls().check_units()

    # -- the equations, to be overridden

    def derivative(self, s: Any, x: Any) -> dict[str, Any]:
        """d(state)/dt of every state at states ``s`` and held inputs ``x``."""
        raise ModelError(f"{type(self).__name__} has no derivative", mend="Define derivative(self, s, x).")

    def threshold(self, s: Any) -> Any:
        """The quantity that fires when it is >= 0; None for a model that never fires."""
        return None

    def reset(self, s: Any) -> dict[str, Any]:
        """New values of some states at a spike."""
        return {}

    def initial(self) -> dict[str, Any]:
        """Initial values of states where they differ from the declared ones."""
        return {}

    def scale(self) -> Any:
        """The natural size of the threshold quantity; a surrogate's width is in units of it."""
        return 1.0

    def refractory(self, s: Any) -> Any:
        """A condition under which the membrane keeps its value and no spike is made; None for never."""
        return None

    def peak(self) -> dict[str, Any]:
        """What a recorder shows instead of a state in the step of a spike."""
        return {}

    def arrive(self, into: str, s: Any, amount: Any) -> dict[str, Any]:
        """New values of states when ``amount`` arrives at the state or port ``into``: a jump by default."""
        return {into: getattr(s, into) + amount}

    def noise(self, s: Any, x: Any) -> dict[str, Any]:
        """Amplitude b of white noise in ``d(state) = ... + b dW``, in the state's unit per sqrt(ms)."""
        return {}

    # -- the value

    @classmethod
    def preset(cls, name: str, **changes: object) -> Self:
        """The model with the published parameters called ``name``, some of them changed."""
        if name not in cls.presets:
            raise ParameterError(f"{cls.__name__} has no preset {name!r}", mend=did_you_mean(name, cls.presets))
        return cls(**{**cls.presets[name].values, **changes})

    @property
    def membrane(self) -> str:
        """Name of the first declared state: what jumps reach by default, what a read-out returns."""
        return next(iter(self.states))

    @property
    def targets(self) -> dict[str, Unit]:
        """Where spikes may arrive, with the unit of what arrives: every state but timers, and every port."""
        return {
            **{name: state.unit for name, state in self.states.items() if not (state.timer or state.integral)},
            **{name: port.unit for name, port in self.ports.items()},
        }

    @property
    def held(self) -> tuple[str, ...]:
        """States that keep their value while the neuron is refractory."""
        return (self.membrane,)

    @property
    def random(self) -> tuple[str, ...]:
        """Names of the random numbers that each step needs: ``normal.STATE`` for noise, ``KIND.NAME`` for draws."""
        noisy = [f"{NORMAL}.{state}" for state in self.noise(*self.symbols())]
        return (*noisy, *(f"{draw.kind}.{name}" for name, draw in self.draws.items()))

    def symbols(self) -> tuple[Values, Values]:
        """A symbol for every state and draw, and one for every input: what the equations are traced with."""
        s = {name: symbol(name, st.unit) for name, st in self.states.items()}
        s |= {name: symbol(name, one) for name in self.draws}
        return Values(**s), Values(**{name: symbol(name, i.unit) for name, i in self.inputs.items()})

    def initial_values(self) -> dict[str, Any]:
        """Initial value of every state."""
        return {**{name: s.default for name, s in self.states.items()}, **self.initial()}

    def check_units(self) -> None:
        """Trace every equation once; raises :class:`DimensionError` or :class:`ModelError` naming the culprit."""
        bound, label = self.symbolic(), type(self).__name__
        s, x = self.symbols()
        if not self.states:
            raise ModelError(f"{label} declares no state", mend="Write v = sl.state(0.0, sl.mV) in its body.")
        slopes = _mapping(f"{label}.derivative", bound.derivative(s, x))
        needed = {name for name, st in self.states.items() if not st.timer}
        if set(slopes) != needed:
            raise ModelError(f"{label}.derivative", got=f"{sorted(slopes)}", expected=f"exactly {sorted(needed)}")
        for name, slope in slopes.items():
            _same_unit(f"{label}: d{name}/dt", slope, self.states[name].unit / ms)
        jumps = {into: symbol("amount", unit) for into, unit in self.targets.items()}
        for method, found, per in (
            ("reset", bound.reset(s), one), ("initial", bound.initial(), one), ("peak", bound.peak(), one),
            *(("arrive", bound.arrive(into, s, amount), one) for into, amount in jumps.items()),
            ("noise", bound.noise(s, x), ms ** Fraction(1, 2)),
        ):  # fmt: skip
            for name, value in _mapping(f"{label}.{method}", found).items():
                if name not in self.states:
                    raise ModelError(f"{label}.{method} names an unknown state", got=name, expected=list(self.states))
                _same_unit(f"{label}.{method}: {name}", value, self.states[name].unit / per)
        quantity, held = bound.threshold(s), bound.refractory(s)
        if isinstance(quantity, Expr) and quantity.boolean:
            mend = "Return the quantity that is >= 0 at a spike, such as s.v - self.v_threshold."
            raise ModelError(f"{label}.threshold is a condition", got=str(quantity), expected="a quantity", mend=mend)
        if quantity is None and any(not self.states[name].timer for name in bound.reset(s)):
            mend = "Define threshold(self, s), or check its spelling."
            raise ModelError(f"{label} has a reset but no threshold, so it would never fire", mend=mend)
        if isinstance(held, Expr) and not held.boolean:
            raise ModelError(f"{label}.refractory is a number", got=str(held), expected="a condition")


def require_model(who: str, value: object) -> None:
    """Raise ParameterError unless ``value`` is a neuron model (and not its class, or a layer)."""
    if not isinstance(value, NeuronModel):
        raise ParameterError(f"{who} needs a neuron model", got=repr(value), expected="one such as sl.LIF()")


def _mapping(what: str, found: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise ModelError(what, got=type(found).__name__, expected="a dict of states")
    return found


def _same_unit(what: str, value: object, expected: Unit) -> None:
    value = lift(value)
    if value.boolean:
        raise ModelError(f"{what} is a condition", got=str(value), expected="a number")
    if value.unit is not None and not value.unit.same_as(expected):
        mend = "A bare number takes whatever unit is needed; a declared quantity keeps its own."
        raise DimensionError(f"{what} has the wrong unit", got=f"{value.unit} in {value}", expected=expected, mend=mend)
