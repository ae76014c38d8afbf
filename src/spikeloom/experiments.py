"""An experiment on one neuron: what is simulated when a published preset, or a model's usual current, is shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import solvers
from .errors import ModelError, did_you_mean
from .models.base import NeuronModel, require_model
from .simulation import Trace, simulate
from .solvers import Solver
from .stimuli import Stimulus


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A model under a current (a number or a stimulus) for ``duration`` ms.

    The current feeds the input, state or port ``into``, by default the model's first input, in its unit. ``state``
    holds initial values where they differ from the model's own; ``solver`` None is the default one; ``seed`` decides
    on the random numbers of a stochastic model.
    """

    model: NeuronModel
    current: float | Stimulus = 0.0
    duration: float = 200.0
    dt: float = 0.1
    state: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])
    solver: Solver | None = None
    seed: int = 0
    into: str | None = None

    def __post_init__(self) -> None:
        require_model("Experiment", self.model)

    @classmethod
    def of(cls, model: NeuronModel, preset: str) -> Experiment:
        """The experiment of ``model``'s preset of that name, its parameters replaced by the published ones.

        Raises ParameterError for an unknown preset, naming the near ones.

        >>> from spikeloom.models import LIF
        >>> Experiment.of(LIF(), "slow")
        Traceback (most recent call last):
        ...
        spikeloom.errors.ParameterError: LIF has no preset 'slow'. Known: none.
        """
        kind = type(model)
        kind.preset(preset)  # refuses an unknown name
        found = kind.presets[preset]
        solver = named_solver(found.solver)
        changed = model.replace(**found.values)
        return cls(changed, found.current, found.duration, found.dt, dict(found.state), solver)

    @property
    def unit(self) -> str:
        """Unit of the current."""
        model = self.model
        target = self.into or next(iter(model.inputs), model.membrane)
        return str({**model.states, **model.ports, **model.inputs}[target].unit)

    def drive(self, times: Any) -> np.ndarray:
        """The current ``[T]`` at ``times`` ``[T]`` in ms.

        >>> from spikeloom.models import LIF
        >>> Experiment(LIF(), current=2.0).drive([0.0, 1.0]).tolist()
        [2.0, 2.0]
        """
        t = np.asarray(times, dtype=float)
        return np.asarray(self.current(t)) if isinstance(self.current, Stimulus) else np.full(t.shape, self.current)

    def run(self, record: Sequence[str] | None = None) -> Trace:
        """Simulate it; ``record`` names the states to keep (default: all).

        >>> from spikeloom.models import LIF
        >>> Experiment(LIF(tau=10.0, v_threshold=15.0), current=20.0, duration=15.0).run().spike_times.round(1).tolist()
        [13.9]
        """
        return simulate(
            self.model, self.current, self.duration, self.dt, solver=self.solver, record=record, state=self.state,
            seed=self.seed, into=self.into,
        )  # fmt: skip


def named_solver(name: str) -> Solver | None:
    """The solver of :mod:`spikeloom.solvers` that a preset names; None for "", the model's default.

    >>> named_solver("RK4")
    RK4()
    """
    if not name:
        return None
    if name not in solvers.__all__ or not isinstance(getattr(solvers, name), type):
        raise ModelError(f"there is no solver {name!r}", mend=did_you_mean(name, solvers.__all__))
    return getattr(solvers, name)()


__all__ = ["Experiment", "named_solver"]
