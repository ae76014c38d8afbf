"""Groups of a network: populations of neurons, and sources that only send spikes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np

from ..errors import ModelError, ParameterError, ShapeError, did_you_mean
from ..models.base import NeuronModel, require_model
from ..models.mechanism import Mechanism
from ..solvers import DormandPrince, Located, OffGrid, Solver
from ..units import Hz, Quantity, ms, one
from .distributions import Distribution
from .edges import Side
from .numbers import MOST, array_of, at_times, numbers_of, require_finite, whole
from .ports import with_synapses

_LAST = 2**53  # steps, beyond which not every whole number is one of float64


class Group:
    """What connections start from: ``size`` members called ``name``, at ``positions`` [size, dimensions] or nowhere.

    Raises ParameterError unless ``size`` is a whole number of at least 1, ShapeError for other positions.
    """

    def __init__(self, name: str, size: int, positions: Any = None) -> None:
        self.name, self.size = name, whole(size, f"size of {name}", 1, MOST)
        self.positions = None if positions is None else _positions(name, self.size, positions)

    @property
    def side(self) -> Side:
        """What connection rules see of it."""
        return Side(self.size, self.positions)

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of {self.size}>"


@final
class Population(Group):
    """``size`` neurons of ``model``; made by :meth:`Network.population`.

    Parameters may differ between neurons: give the model arrays [size]. Raises ModelError for a solver that only
    :func:`spikeloom.simulate` runs.
    """

    def __init__(
        self, name: str, size: int, model: NeuronModel, solver: Solver | None = None, positions: Any = None
    ) -> None:
        require_model(f"population {name}", model)
        super().__init__(name, size, positions)
        many = {n: np.size(v) for n, v in model.values.items() if np.size(v) not in (1, self.size)}
        if many:
            expected = f"one value or {self.size}"
            raise ShapeError(f"parameters of population {name}", got=many, expected=expected)
        if solver is not None and not isinstance(solver, Solver):  # pyright: ignore[reportUnnecessaryIsInstance]
            what, expected = f"solver of population {name}", "one such as sl.solvers.Exact()"
            raise ParameterError(what, got=repr(solver), expected=expected)
        if isinstance(solver, DormandPrince):
            what, expected = f"population {name} cannot have this solver", "one such as sl.solvers.Located()"
            raise ModelError(what, got=repr(solver), expected=expected)
        self._model, self.solver = model, solver
        self.synapses: dict[str, Mechanism] = {}
        self.initial: dict[str, Any] = {}
        self.built = False  # whether a network has taken the initial values

    @property
    def model(self) -> NeuronModel:
        """The model with the synapses that connections brought."""
        return with_synapses(self._model, self.synapses)

    @property
    def given_model(self) -> NeuronModel:
        """The model as it was given."""
        return self._model

    @property
    def timed(self) -> bool:
        """Whether its spikes have times between the points of the grid."""
        return isinstance(self.solver, OffGrid) and (self.fires or isinstance(self.solver, Located))

    @property
    def fires(self) -> bool:
        """Whether its neurons make spikes."""
        model = self._model.symbolic()  # parameters may be arrays, which equations on symbols do not take
        return model.threshold(model.symbols()[0]) is not None

    def set(self, **states: Any) -> None:
        """Initial values of states: a number, an array [size], or a distribution such as ``sl.sim.uniform(-60, -50)``.

        Times that are left, such as that of a refractory neuron, are in ms, rounded up to whole steps.
        Raises ModelError for an unknown state, ShapeError and ParameterError for values that do not fit, ParameterError
        once the network was prepared or has run.
        """
        if self.built:
            mend = "Set initial values before the network is prepared or runs."
            raise ParameterError(f"population {self.name} has its initial values already", got=list(states), mend=mend)
        known = self.model.states
        for name, value in states.items():
            if name not in known:
                raise ModelError(f"population {self.name} has no state {name!r}", mend=did_you_mean(name, known))
            if isinstance(value, Distribution):
                self.initial[name] = value
                continue
            kinds = f"a number, [{self.size}] or a distribution such as sl.sim.uniform(0.0, 1.0)"
            numbers = numbers_of(value, known[name].unit, f"{name} of {self.name}", kinds)
            if numbers.shape not in ((), (self.size,)):
                raise ShapeError(f"{name} of {self.name}", got=numbers.shape, expected=f"a number or [{self.size}]")
            self.check_initial(name, numbers)
            self.initial[name] = numbers

    def check_initial(self, name: str, numbers: np.ndarray) -> None:
        """Raise ParameterError unless a state can begin with these."""
        require_finite(f"{name} of {self.name}", numbers)
        if self.model.states[name].timer and (numbers < 0.0).any():
            expected = "times that are left, at least 0 ms"
            raise ParameterError(f"{name} of {self.name}", got=numbers.min(), expected=expected)


@final
class PoissonGroup(Group):
    """Independent Poisson trains of ``rate`` Hz: a number, an array [size], or a function of the time in ms.

    With a ``correlation`` c all trains copy spikes of one common train, so that the counts of any two of equal rate
    have the correlation c (Kuhn, Aertsen & Rotter 2003); as there is at most one spike a step, it is (c - p) / (1 - p)
    where p = rate dt is not small. Raises ParameterError for rates that are negative, or above one spike in each step.
    """

    def __init__(self, name: str, size: int, rate: Any, correlation: float = 0.0, positions: Any = None) -> None:
        super().__init__(name, size, positions)
        self.rate = Rate(f"rate of {name}", rate, self.size)
        if not isinstance(correlation, (int, float, np.number)) or not 0.0 <= correlation <= 1.0:
            raise ParameterError(f"correlation of {name}", got=repr(correlation), expected="a number from 0 to 1")
        self.correlation = float(correlation)

    def check(self, most: float) -> None:
        """Raise ParameterError where ``most``, the highest chance to fire in a step, is too high."""
        limit = self.correlation or 1.0
        if most > limit:
            what = f"{self.rate.label} gives {most:.3g} spikes a step"
            mend = "Take a smaller dt, a lower rate, or more members."
            raise ParameterError(what, got=most, expected=f"at most {limit:g}", mend=mend)


@final
class SpikeSource(Group):
    """Members that fire at the given ``times`` (ms): ``neurons[k]`` at ``times[k]``, in any order.

    A time is rounded to the step that ends nearest to it, and lies after 0. Raises ShapeError for arrays of different
    lengths, ParameterError for times and neurons that cannot be.
    """

    def __init__(self, name: str, size: int, times: Any, neurons: Any, positions: Any = None) -> None:
        super().__init__(name, size, positions)
        moments, indices = numbers_of(times, ms, f"times of {name}"), array_of(neurons)
        if moments.ndim != 1 or indices.shape != moments.shape:
            got = f"{moments.shape} and {indices.shape}"
            raise ShapeError(f"times and neurons of {name}", got=got, expected="two arrays [K]")
        require_finite(f"times of {name}", moments)
        if indices.size and indices.dtype.kind not in "iu":
            raise ParameterError(f"neurons of {name}", got=f"an array of {indices.dtype}", expected="whole numbers")
        if indices.size and not (indices.min() >= 0 and indices.max() < self.size):
            got = f"{indices.min()} to {indices.max()}"
            raise ParameterError(f"neurons of {name}", got=got, expected=f"0 to {self.size - 1}")
        self.times, self.neurons = moments, indices.astype(np.int32)

    def by_step(self, dt: float) -> tuple[np.ndarray, np.ndarray]:
        """Steps (a spike at time t belongs to the step that ends at t) and neurons, in order."""
        if self.times.size and self.times.max() / dt > _LAST:
            got = f"{self.times.max():g} ms"
            raise ParameterError(f"times of {self.name}", got=got, expected=f"at most {_LAST * dt:g} ms")
        steps = np.rint(self.times / dt).astype(np.int64) - 1
        if steps.size and steps.min() < 0:
            got = f"{self.times.min():g} ms"
            raise ParameterError(f"times of {self.name}", got=got, expected=f"at least one step, {dt:g} ms")
        order = np.lexsort((self.neurons, steps))
        steps, neurons = steps[order], self.neurons[order]
        same = (np.diff(steps) == 0) & (np.diff(neurons) == 0)
        if same.any():
            at = int(np.flatnonzero(same)[0])
            got = f"neuron {neurons[at]} twice in the step that ends at {(steps[at] + 1) * dt:g} ms"
            mend = "A neuron fires once a step: drop one of them, or take a smaller dt."
            raise ParameterError(f"times of {self.name}", got=got, mend=mend)
        return steps, neurons


@final
class Rate:
    """A rate in Hz: a number, an array [N], or a function of times [T] in ms that gives [T]."""

    def __init__(self, label: str, value: Any, size: int) -> None:
        self.label = label
        self.function: Callable[[np.ndarray], Any] | None = value if callable(value) else None
        self.numbers = np.zeros(1)
        if self.function is None:
            self.numbers = np.atleast_1d(numbers_of(value, Hz, label))
            if self.numbers.shape not in ((1,), (size,)):
                raise ShapeError(label, got=self.numbers.shape, expected=f"a number or [{size}]")
            self._check(self.numbers)

    def per_step(self, dt: float, first: int, steps: int) -> np.ndarray:
        """Mean spikes a step: [1, 1] or [1, N] where it does not change, [steps, 1] where it does."""
        if self.function is None:
            return np.ascontiguousarray(self.numbers[None] * (dt * 1e-3))
        label = f"{self.label}, from its function"
        found = numbers_of(at_times(self.function, (np.arange(steps) + first) * dt, label), Hz, label)
        if found.shape not in ((), (steps,)):
            raise ShapeError(self.label, got=found.shape, expected=f"[{steps}], one rate for each time")
        self._check(found)
        return np.ascontiguousarray(np.broadcast_to(found, (steps,))[:, None] * (dt * 1e-3))

    def _check(self, numbers: np.ndarray) -> None:
        if not (np.isfinite(numbers).all() and (numbers >= 0.0).all()):
            bad = numbers[~(numbers >= 0.0) | ~np.isfinite(numbers)].flat[0]
            raise ParameterError(self.label, got=bad, expected="finite rates of at least 0 Hz")


def require_own(group: object, own: Mapping[str, Group], kind: type[Group]) -> None:
    """Raise ParameterError unless ``group`` is one of a network's ``own``, and of a ``kind``."""
    what, expected = "group", "what net.population, net.poisson or net.spikes returned"
    if not isinstance(group, Group):
        mend = f"Use net.groups[{group!r}]." if isinstance(group, str) and group in own else "Give the object itself."
        raise ParameterError(what, got=repr(group), expected=expected, mend=mend)
    if own.get(group.name) is not group:
        mend = "Connect groups that this network made; networks cannot be connected with each other."
        raise ParameterError(f"{group!r} is not of this network", mend=mend)
    if not isinstance(group, kind):
        raise ParameterError(what, got=repr(group), expected="a population", mend="Sources only send: use net.connect.")


def _positions(name: str, size: int, given: Any) -> np.ndarray:
    mend = "Give plain numbers, all in the unit of length of your rules."
    if isinstance(given, Quantity):
        raise ParameterError(f"positions of {name}", got=f"numbers in {given.unit}", expected="numbers", mend=mend)
    positions = numbers_of(given, one, f"positions of {name}", mend=mend)
    positions = positions[:, None] if positions.ndim == 1 else positions
    if positions.ndim != 2 or len(positions) != size:
        raise ShapeError(f"positions of {name}", got=positions.shape, expected=f"[{size}, dimensions]")
    if not np.isfinite(positions).all():
        raise ParameterError(f"positions of {name}", got="NaN or infinity", expected="finite numbers")
    return positions


__all__ = ["Group", "PoissonGroup", "Population", "Rate", "SpikeSource", "require_own"]
