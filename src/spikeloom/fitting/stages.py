"""The two stages of a fit: a global search by CMA-ES, and descent along the gradient through the simulation."""

from __future__ import annotations

import dataclasses
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ..errors import NonFiniteError, ParameterError
from ..surrogates import ATan, Surrogate
from .objective import Objective
from .prediction import Driven
from .space import Box


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a stage is: ``done`` of ``total`` rounds, and the best ``loss`` so far."""

    stage: str
    done: int
    total: int
    loss: float


Observer = Callable[[Progress], None]


@dataclasses.dataclass(frozen=True)
class Stage:
    """What a stage did: the best loss after each round (``losses[0]``: before the first), the parameters it ended
    with, and the seconds it took. ``gain`` is by how much it lowered the loss."""

    name: str
    losses: tuple[float, ...]
    values: Mapping[str, float]
    seconds: float

    @property
    def gain(self) -> float:
        return self.losses[0] - self.losses[-1]


@dataclasses.dataclass(frozen=True)
class Task:
    """What both stages need: the simulation, the loss, and the box of parameters."""

    driven: Driven
    objective: Objective
    box: Box

    def losses(self, points: np.ndarray) -> np.ndarray:
        """Losses ``[N]`` at points ``[N, P]`` of the unit cube."""
        return self.driven.losses(self.box.values(torch.from_numpy(points)), self.objective)

    def stage(self, name: str, losses: list[float], point: np.ndarray, began: float) -> Stage:
        values = {n: float(v) for n, v in self.box.values(torch.from_numpy(point)).items()}
        return Stage(name, tuple(losses), values, time.perf_counter() - began)


class Method(ABC):
    """Base of the methods: a frozen value that knows how to go from one point of the unit cube to a better one."""

    @abstractmethod
    def run(self, task: Task, start: np.ndarray, seed: int, observer: Observer) -> Stage:
        """The stage from ``start``; ``seed`` decides on all of its random numbers."""


@dataclasses.dataclass(frozen=True)
class Search(Method):
    """Covariance matrix adaptation (Hansen 2016) in the unit cube of the parameters' box, from several ``starts``.

    ``first`` points from a Latin hypercube, and the point before, are tried and dealt into as many groups as there are
    starts; the best of each group begins an evolution with a step of ``spread``. After each quarter of the
    ``generations`` the worse half of the evolutions ends: a train of spikes makes a loss with many valleys, and an
    evolution seldom leaves the one it has settled in. All candidates of a generation, ``population`` per evolution, are
    simulated at once as neurons of one scan. Needs the package ``cma``.
    """

    generations: int = 100
    population: int = 48
    starts: int = 4
    first: int = 512
    spread: float = 0.2

    def __post_init__(self) -> None:
        _check_counts(self, ("generations", 1), ("population", 4), ("starts", 1), ("first", self.starts))
        if not 0 < self.spread < math.inf:
            raise ParameterError("Search: spread", got=self.spread, expected="a finite number > 0")

    def run(self, task: Task, start: np.ndarray, seed: int, observer: Observer) -> Stage:
        evolution_from = self._evolutions(generator := np.random.Generator(np.random.Philox(seed)))
        began = time.perf_counter()
        points = np.concatenate([start[None], _latin_hypercube(generator, self.first, len(start))])
        found = task.losses(points)
        losses, best = [float(found[0])], points[found.argmin()]
        groups = [np.arange(k, len(points), self.starts) for k in range(self.starts)]
        alive = [evolution_from(points[g[found[g].argmin()]]) for g in groups]
        loss = float(found.min())
        for generation in range(self.generations):
            if generation and 4 * generation // self.generations > 4 * (generation - 1) // self.generations:
                alive = sorted(alive, key=lambda evolution: evolution.best.f)[: (len(alive) + 1) // 2]
            asked = [np.array(evolution.ask()) for evolution in alive]
            points = np.concatenate(asked)
            found = task.losses(points)
            # Ranks are all that matters, and an infinite value would make the package warn.
            finite = np.where(np.isfinite(found), found, 1e30)
            for k, evolution in enumerate(alive):
                evolution.tell(list(asked[k]), finite[k * self.population : (k + 1) * self.population].tolist())
            if found.min() < loss:
                best, loss = points[found.argmin()], float(found.min())
            losses.append(loss)
            observer(Progress("search", generation + 1, self.generations, loss))
            if len(alive) == 1 and alive[0].stop():
                break
        return task.stage("search", losses, best, began)

    def _evolutions(self, generator: np.random.Generator) -> Callable[[np.ndarray], Any]:
        try:
            import cma
        except ImportError:
            mend = "Install it with pip install 'spikeloom[search]', or fit with methods=(sl.fitting.Refine(),)."
            raise ParameterError("the global search needs the package cma, which is missing", mend=mend) from None

        def randn(*shape: int) -> np.ndarray:
            return generator.standard_normal(shape)

        options = {"bounds": [0.0, 1.0], "popsize": self.population, "verbose": -9}
        # Its own random numbers: the package would seed and use those of all of NumPy.
        options |= {"randn": randn, "seed": np.nan}
        # Flat is flat: a loss of order 1 that no longer changes in its sixth digit has been found.
        options |= {"tolfun": 1e-6, "tolfunhist": 1e-6}
        return lambda start: cma.CMAEvolutionStrategy(start.tolist(), self.spread, dict(options))


@dataclasses.dataclass(frozen=True)
class Refine(Method):
    """Adam (Kingma and Ba 2015) along the gradient through the whole simulation, spikes by a ``surrogate``.

    ``steps`` steps of size ``rate``, which falls to 0 along half a cosine, in the logit of the unit cube, so that no
    step leaves the box. The gradient's norm is clipped to 1, for one that has gone through thousands of spikes can be
    of any size, and the best point met is kept: this stage never makes a fit worse. Where spikes take part, it goes far
    down from a rough start for the price of few simulations, and not to the bottom: spike times move in whole steps,
    which no derivative sees. Parameters that a simulation rounds to whole steps (``t_ref``) have no gradient.
    """

    steps: int = 60
    rate: float = 0.1
    surrogate: Surrogate = dataclasses.field(default_factory=lambda: ATan(width=0.2))

    def __post_init__(self) -> None:
        _check_counts(self, ("steps", 1))
        if not 0 < self.rate < math.inf:
            raise ParameterError("Refine: rate", got=self.rate, expected="a finite number > 0")

    def run(self, task: Task, start: np.ndarray, seed: int, observer: Observer) -> Stage:
        began = time.perf_counter()
        raw = torch.logit(torch.from_numpy(start.clip(1e-4, 1 - 1e-4))[None]).requires_grad_()
        optimiser = torch.optim.Adam([raw], lr=self.rate)
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.steps)
        best, loss = start, float(task.losses(start[None])[0])
        losses = [loss]
        for step in range(self.steps):
            cube = torch.sigmoid(raw)
            try:
                found = task.objective(*task.driven.run(task.box.values(cube), self.surrogate)).sum()
            except NonFiniteError:
                break
            if float(found.detach()) < loss:
                best, loss = cube.detach().numpy()[0], float(found.detach())
            losses.append(loss)
            observer(Progress("refine", step + 1, self.steps, loss))
            optimiser.zero_grad()
            found.backward()
            if raw.grad is None or not bool(torch.isfinite(raw.grad).all()):
                break
            torch.nn.utils.clip_grad_norm_([raw], 1.0)
            optimiser.step()
            rates.step()
        return task.stage("refine", losses, best, began)


def _latin_hypercube(generator: np.random.Generator, count: int, dimensions: int) -> np.ndarray:
    """``[count, dimensions]``: one point in each of ``count`` slices of every axis."""
    slices = generator.permuted(np.tile(np.arange(count), (dimensions, 1)), axis=1).T
    return (slices + generator.random((count, dimensions))) / count


def _check_counts(owner: object, *least: tuple[str, int]) -> None:
    for name, low in least:
        value = getattr(owner, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            expected = f"a whole number >= {low}"
            raise ParameterError(f"{type(owner).__name__}: {name}", got=value, expected=expected)


__all__ = ["Observer", "Progress", "Refine", "Search", "Stage", "Task"]
