"""Solvers that find spikes between the points of the grid: :func:`spikeloom.simulate` and networks run them."""

from __future__ import annotations

import dataclasses
from typing import Any, final

from ..errors import ModelError, ParameterError
from ..models.base import NeuronModel
from .base import Solver, Update


class OffGrid(Solver):
    """A solver whose spikes have times of their own.

    A scan has one spike or none in each step, which is what layers are made of: there these solvers raise ModelError.
    """

    def update(self, model: NeuronModel, dt: Any, held: tuple[str, ...] = ()) -> Update:
        what = f"{self!r} finds spikes between grid points, which scan and sl.nn layers cannot have"
        raise ModelError(what, mend=f"Give them {self.on_grid()}.")

    def on_grid(self) -> str:
        """What to use instead where spikes stay on the grid, for messages."""
        return "sl.solvers.RK4()"


@final
@dataclasses.dataclass(frozen=True)
class Located(OffGrid):
    """A one-step solver with spikes located off the grid, by root finding on its own partial steps.

    Where the threshold quantity reaches 0 within a step, or would in between and falls back, the step is cut there,
    the neuron reset, and the rest of the step continued from the new state; a refractory time lasts exactly
    ``t_ref``. Inputs are held over each step as on the grid; what arrives does so at its end. This restores the
    order of ``base`` (by default the model's default solver), which spikes on a grid lower to 1; with
    :class:`Exact`, spike times are those of the closed form for any dt.

    :func:`spikeloom.simulate` takes one neuron at a time in plain Python: some 10 to 50 us a step, a hundred times
    slower than on the grid, but with no compilation. In a network of float64 it is for populations of linear models,
    with :class:`Exact`: there spikes also arrive within steps, at the times at which they were sent plus their delay,
    and no more than one of a neuron may fall in a step. Raises ModelError for a base that is stochastic or off the
    grid itself.

    >>> import spikeloom as sl
    >>> lif = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
    >>> trace = sl.simulate(lif, 20.0, 30.0, dt=1.0, solver=sl.solvers.Located())
    >>> trace.spike_times.round(6).tolist()  # 10 ln 4, and twice that
    [13.862944, 27.725887]
    """

    base: Solver | None = None

    def __post_init__(self) -> None:
        base: object = self.base
        fits = isinstance(base, Solver) and not base.stochastic and not isinstance(base, OffGrid)
        if base is not None and not fits:
            what, expected = "Located goes around a deterministic one-step solver", "one such as sl.solvers.RK4()"
            raise ModelError(what, got=repr(base), expected=expected)

    def on_grid(self) -> str:
        return "no solver, or RK4()" if self.base is None else f"sl.solvers.{self.base!r}"


@final
@dataclasses.dataclass(frozen=True)
class Interpolated(OffGrid):
    """A one-step solver on the grid whose spikes get times from a line through the threshold quantity in their step.

    States, resets, refractory times and arrivals are those of ``base`` (by default the model's default solver) on the
    grid, to the last bit: only the time that is reported lies between. With the quantity at ``q0 < 0`` before a step
    and ``q1 >= 0`` after its integration, a spike is ``dt q1 / (q1 - q0)`` before the end of the step. Where it
    takes what arrives at the end of the step to cross, the spike is there, too.

    For populations of networks, where a run takes about 1.3 times as long. The error of a single crossing is of second
    order in dt; resets and deliveries stay on the grid, which makes later spikes late. :class:`Located` resets where
    the crossing is. Raises ModelError for a base that is off the grid itself.

    >>> import spikeloom as sl
    >>> net = sl.sim.Network(dt=0.5, dtype="float64")
    >>> cells = net.population(sl.LIF(tau=10.0, v_threshold=15.0), 1, "cells", solver=sl.solvers.Interpolated())
    >>> _ = net.inject(cells, 20.0)
    >>> net.run(20.0).spikes["cells"].times.round(3).tolist()  # 10 ln 4 is 13.863
    [13.865]
    """

    base: Solver | None = None

    def __post_init__(self) -> None:
        base: object = self.base
        fits = isinstance(base, Solver) and not isinstance(base, OffGrid)
        if base is not None and not fits:
            what, expected = "Interpolated goes around a solver on the grid", "one such as sl.solvers.RK4()"
            raise ModelError(what, got=repr(base), expected=expected)

    def on_grid(self) -> str:
        return "no solver" if self.base is None else f"sl.solvers.{self.base!r}"


@final
@dataclasses.dataclass(frozen=True)
class DormandPrince(OffGrid):
    """The adaptive embedded pairs of Dormand and Prince, with spikes located on the continuous solution.

    ``order`` 8 runs SciPy's DOP853 (Hairer, Nørsett and Wanner 1993, II.5), 5 its RK45 (Dormand and Prince 1980).
    Each step's error is kept below ``atol + rtol |state|``. The step is the solver's own: dt only says where the
    trace is recorded. A current given as a function is evaluated at any time; the integration stops at its
    ``breaks()`` (:mod:`spikeloom.stimuli`), and takes no step longer than dt through a function that has none. An
    array is held over each step of dt, as everywhere.

    For reference solutions of :func:`spikeloom.simulate`: about 0.3 ms a step of its own, of which a period of the
    Hodgkin-Huxley neuron takes 200. Raises ParameterError for tolerances that cannot be had.

    >>> import spikeloom as sl
    >>> trace = sl.simulate(sl.LIF(tau=10.0, v_threshold=15.0), 20.0, 20.0, solver=sl.solvers.DormandPrince())
    >>> trace.spike_times.round(6).tolist()  # 10 ln 4
    [13.862944]
    """

    rtol: float = 1e-10
    atol: float = 1e-10
    order: int = 8

    def __post_init__(self) -> None:
        for name, value, low in (("rtol", self.rtol, 2.3e-14), ("atol", self.atol, 0.0)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value < 1.0:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ParameterError(f"DormandPrince: {name}", got=value, expected=f"a number from {low:g} to 1")
        if self.order not in (5, 8):
            raise ParameterError("DormandPrince: order", got=self.order, expected="5 or 8")


__all__ = ["DormandPrince", "Interpolated", "Located", "OffGrid"]
