"""Where a simulation left the finite numbers, and with what step it would not have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch

from ..errors import NonFiniteError
from ..kernels.scan.advance import Advance
from ..kernels.step import with_timers_in_steps
from ..models.base import NeuronModel
from ..solvers import Solver, default_solver
from .currents import Currents

_EFFORT = 1 << 22  # steps of one neuron that all trials may take together: about a second
_HALVINGS, _BISECTIONS = 10, 4
_LARGER = 10.0  # a run whose states grow to this many times what they are with smaller steps is unstable
_BEYOND, _AT_LEAST = (
    2,
    1 << 15,
)  # trials go on so many times as long as the run that failed, and for so many of its steps

States = Mapping[str, torch.Tensor]


@final
class BlowUpError(NonFiniteError):
    """A simulation that left the finite numbers: which ``state`` of which ``neuron``, at what ``time`` in ms.

    ``stable_dt`` is the largest step in ms that was found to work, by trying; None where none was found.
    """

    def __init__(
        self, what: str, *, got: object = None, mend: str = "", state: str = "", neuron: int = 0, time: float = 0.0,
        stable_dt: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(what, got=got, expected="finite numbers", mend=mend)
        self.state, self.neuron, self.time, self.stable_dt = state, neuron, time, stable_dt

    def __reduce__(self) -> tuple[object, ...]:
        parts = {name: value for name, value in vars(self).items() if name not in ("what", "expected")}
        return _rebuild, (self.what, parts)


def _rebuild(what: str, parts: dict[str, Any]) -> BlowUpError:
    return BlowUpError(what, **parts)


def is_finite(states: States) -> bool:
    """Whether no value is NaN or infinite."""
    return all(np.isfinite(value.numpy()).all() for value in states.values())


def blow_up(model: NeuronModel, run: Advance, currents: Currents, start: States, within: int) -> BlowUpError:
    """What went wrong in the next steps of ``run``, at most ``within``, and the largest step that avoids it.

    ``run`` stands before them; ``start`` is where the simulation began.
    """
    _to_first_failure(run, currents, within)
    wrong = {name: ~torch.isfinite(value) for name, value in run.states.items()}
    state = next(name for name, where in wrong.items() if bool(where.any()))
    neuron, time = int(wrong[state].nonzero()[0]), run.step * run.dt
    horizon = min(currents.steps, max(_BEYOND * run.step, _AT_LEAST))
    trials = _Trials(_single(model, neuron), currents, neuron, {n: v[neuron : neuron + 1] for n, v in start.items()})
    stable = trials.largest_step(run.solver, run.dt, horizon)
    what = f"{type(model).__name__}: state {state} left the finite numbers at {time:g} ms"
    where = f" in neuron {neuron}" if currents.neurons > 1 else ""
    got = (
        f"{float(run.states[state][neuron])}{where} with dt = {run.dt:g} ms and {run.solver or default_solver(model)!r}"
    )
    mend = trials.advice(stable, horizon * run.dt)
    return BlowUpError(what, got=got, mend=mend, state=state, neuron=neuron, time=time, stable_dt=stable)


def _to_first_failure(run: Advance, currents: Currents, within: int) -> None:
    """Let ``run`` end with the step after which a state is not finite: it is known that ``within`` steps have one."""
    dtype = next(iter(run.states.values())).numpy().dtype
    while True:
        before, begin, half = dict(run.states), run.step, max(within // 2, 1)
        run.go_to(before, begin)  # copies, so that there is a way back
        run(currents.rows(begin, begin + half, dtype), half)
        if is_finite(run.states):
            within -= half
        elif half == 1:
            return
        else:
            run.go_to(before, begin)
            within = half


def _single(model: NeuronModel, neuron: int) -> NeuronModel:
    many = {name: value for name, value in model.values.items() if isinstance(value, np.ndarray)}
    return model.bind({n: float(np.ravel(v)[neuron if v.size > 1 else 0]) for n, v in many.items()}) if many else model


class _Trials:
    """Runs of the one neuron that failed, with smaller steps."""

    def __init__(self, model: NeuronModel, currents: Currents, neuron: int, start: States) -> None:
        self._model, self._currents, self._neuron, self._start = model, currents, neuron, start
        self._left, self._smallest, self._cut_short = _EFFORT, math.inf, False

    def advice(self, stable: float | None, length: float) -> str:
        """What to do, given the largest step that works over ``length`` ms."""
        span = f"over the first {length:g} ms"
        if stable is not None:
            found = f"Use dt <= {stable:g} ms, the largest step whose states stayed bounded {span} when tried"
            return f"{found}; halve it until the result stays the same."
        if self._cut_short:
            return f"Use a smaller step: which one would have taken too long to find {span}."
        question = (
            "do the equations grow without bound under this current, or divide 0 by 0 somewhere? "
            "Write x / (exp(x) - 1) as 1 / sl.math.exprel(x)."
        )
        return f"Steps down to {self._smallest:g} ms, tried {span}, did no better: {question}"

    def largest_step(self, solver: Solver | None, dt: float, horizon: int) -> float | None:
        """The largest step below ``dt`` with which the neuron stays bounded over ``horizon`` steps of ``dt``.

        Found by halving, until a step does much the same as its half, and bisection; three digits, rounded down.
        """
        step, found = 0.5 * dt, self._sizes(solver, dt, 0.5 * dt, horizon)
        for _ in range(_HALVINGS):
            finer = self._sizes(solver, dt, 0.5 * step, horizon)
            if _bounded(found, finer):
                break
            step, found = 0.5 * step, finer
        else:
            return None
        low, high = step, 2.0 * step
        for _ in range(_BISECTIONS):
            middle = math.sqrt(low * high)
            if _bounded(self._sizes(solver, dt, middle, horizon), finer):
                low = middle
            else:
                high = middle
        unit = 10.0 ** (math.floor(math.log10(low)) - 2)
        return math.floor(low / unit * (1.0 + 1e-12)) * unit

    def _sizes(self, solver: Solver | None, dt: float, step: float, horizon: int) -> dict[str, float] | None:
        """The largest magnitude of each state in a run with ``step``; None where one is not finite, or too long."""
        count = max(round(horizon * dt / step), 1)
        self._cut_short |= count > self._left
        if self._cut_short:
            return None
        self._left, self._smallest = self._left - count, min(self._smallest, step)
        # The slack keeps a step that begins with one of the original ones in it.
        at = np.minimum((np.arange(count) * (step / dt) * (1.0 + 1e-12)).astype(np.int64), self._currents.steps - 1)
        drive = torch.from_numpy(self._currents.of_neuron(self._neuron, at))
        like = next(iter(self._start.values()))
        start = with_timers_in_steps(self._model, self._start, step)
        run = Advance(self._model, self._currents.target, start, dt=step, solver=solver)
        rows = {name: torch.empty(count, 1, dtype=like.dtype) for name in run.states}
        run(drive.to(like.dtype), count, rows)
        sizes = {name: float(row.abs().amax()) for name, row in rows.items()}
        return sizes if all(map(math.isfinite, sizes.values())) else None


def _bounded(sizes: dict[str, float] | None, reference: dict[str, float] | None) -> bool:
    """Whether states are about as large as with a smaller step."""
    if sizes is None or reference is None:
        return False
    return all(size <= _LARGER * reference[name] for name, size in sizes.items())


__all__ = ["BlowUpError", "blow_up", "is_finite"]
