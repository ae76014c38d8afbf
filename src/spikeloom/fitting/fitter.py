"""``sl.fit``: parameters of a model from a current-clamp recording."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ..data.current_clamp import Recording
from ..errors import ParameterError
from ..models.base import NeuronModel, require_model
from ..solvers import Solver
from .bar import show
from .objective import Loss, Objective
from .prediction import driven
from .score import Score, score
from .space import Ranges, box
from .stages import Method, Observer, Refine, Search, Stage, Task

METHODS: tuple[Method, ...] = (Search(), Refine())


@dataclasses.dataclass(frozen=True)
class Fit:
    """The fitted ``model``, its :class:`Score` on the sweeps it was fitted to, and what each stage did."""

    model: NeuronModel
    train: Score
    stages: tuple[Stage, ...]
    loss: Loss
    seed: int
    solver: Solver | None = None

    @property
    def values(self) -> Mapping[str, float]:
        """The fitted parameters."""
        return self.stages[-1].values

    @property
    def losses(self) -> tuple[float, ...]:
        """The best loss after each round of all stages."""
        return tuple(loss for stage in self.stages for loss in stage.losses)

    def score(self, recording: Recording, delta: float = 4.0) -> Score:
        """The score on other sweeps, such as those held out."""
        return score(self.model, recording, loss=self.loss, delta=delta, solver=self.solver, seed=self.seed)

    def __str__(self) -> str:
        rows = [f"{self.model!r}", f"training: {self.train}"]
        rows += [
            f"{stage.name}: loss {stage.losses[0]:.4f} to {stage.losses[-1]:.4f} in {stage.seconds:.0f} s"
            for stage in self.stages
        ]
        return "\n".join(rows)


def fit(
    model: NeuronModel, recording: Recording, parameters: Ranges, *, loss: Loss | None = None,
    methods: Sequence[Method] = METHODS, solver: Solver | None = None, seed: int = 0, progress: Observer | None = None,
) -> Fit:  # fmt: skip
    """Fit ``parameters`` of ``model`` to all sweeps of ``recording``: a global search, then descent along the gradient.

    ``parameters`` maps names to ranges ``(low, high)``, or lists names, whose ranges then follow from the model
    (:func:`.box`). :class:`Loss` is what is minimised, by :class:`Search` and then :class:`Refine`, or by other
    ``methods`` in their order, each from where the one before ended. The simulation has the recording's time step:
    ``recording.resampled(0.1)`` makes it coarser. Sweeps to be held out are not passed: ``recording.sweeps([0, 2])``.

    The same ``seed`` gives the same fit on the same machine. ``progress`` is called after each round; by default a bar
    is shown on a terminal.

    Raises ParameterError, ModelError or DimensionError for a model or parameters that cannot be fitted.

    >>> import numpy as np, spikeloom as sl
    >>> cell = sl.LIF(tau=12.0, v_rest=-65.0, v_threshold=-50.0, v_reset=-65.0, r=0.2, reset_mechanism="value")
    >>> current = np.repeat([0.0, 60.0, -40.0], 400)[:, None]
    >>> trace = sl.simulate(cell, current, duration=120.0, dt=0.1)
    >>> recording = sl.Recording(trace["v"][:-1, 0], current[:, 0], dt=0.1)
    >>> found = fit(cell.replace(tau=30.0), recording, {"tau": (2.0, 50.0)}, methods=(Search(20, 8, 2, 16),))
    >>> bool(abs(found.values["tau"] - 12.0) < 0.05)
    True
    """
    require_model("fit", model)
    if not isinstance(recording, Recording):
        mend = "Make one with sl.Recording(v, current, dt) or sl.load_recording(path)."
        raise ParameterError("fit needs a recording", got=type(recording).__name__, mend=mend)
    if not methods or not all(isinstance(method, Method) for method in methods):
        mend = "Give them made, as in (sl.fitting.Search(), sl.fitting.Refine())."
        raise ParameterError("methods of a fit", got=repr(methods), expected="at least one Method", mend=mend)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ParameterError("seed of a fit", got=seed, expected="a whole number from 0 to 2^63 - 1")
    loss, space = loss or Loss(), box(model, parameters)
    task = Task(driven(model, recording, solver=solver, seed=seed), Objective(recording, loss), space)
    point, stages = space.point(model.values), []
    with show(progress) as observer:
        for method in methods:
            stages.append(method.run(task, point, seed, observer))
            point = space.point(stages[-1].values)
    fitted = model.replace(**stages[-1].values)
    return Fit(fitted, score(fitted, recording, loss=loss, solver=solver, seed=seed), tuple(stages), loss, seed, solver)


__all__ = ["Fit", "fit"]
