"""Accuracy against the strength of a perturbation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..data.arrays import Labelled
from ..errors import ParameterError
from .evaluate import Evaluation, Task, evaluate
from .metrics import mean_and_sd
from .perturbations import DeadNeurons, InputNoise, Perturbation, SpikeDeletion, SpikeJitter, WeightNoise
from .places import has_spikes
from .seeds import derive_seed


@dataclass(frozen=True)
class Curve:
    """One perturbation at several levels.

    ``accuracy`` and ``spikes`` (per neuron and step, as they arrive at the next layer) are [level][repeat].
    ``skipped`` says why there is nothing, and is empty where there is.
    """

    title: str
    unit: str
    levels: tuple[float, ...]
    accuracy: tuple[tuple[float, ...], ...]
    spikes: tuple[tuple[float, ...], ...]
    skipped: str = ""

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean accuracy at each level."""
        return tuple(mean_and_sd(row)[0] for row in self.accuracy)

    @property
    def sd(self) -> tuple[float, ...]:
        """Sample standard deviation at each level."""
        return tuple(mean_and_sd(row)[1] for row in self.accuracy)

    def joined(self, other: Curve) -> Curve:
        """The repeats of both, for instance of two seeds of training.

        Raises :class:`ParameterError` for another perturbation or other levels.
        """
        if (self.title, self.levels, self.skipped) != (other.title, other.levels, other.skipped):
            got, expected = f"{other.title} at {other.levels}", f"{self.title} at {self.levels}"
            raise ParameterError("curves that do not belong together", got=got, expected=expected)
        accuracy = tuple(a + b for a, b in zip(self.accuracy, other.accuracy, strict=True))
        spikes = tuple(a + b for a, b in zip(self.spikes, other.spikes, strict=True))
        return Curve(self.title, self.unit, self.levels, accuracy, spikes, self.skipped)

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        if self.skipped:
            return {"skipped": self.skipped}
        return {"mean": self.mean, "sd": self.sd, "accuracy": self.accuracy, "spikes_per_neuron_step": self.spikes}


def standard_sweeps(*, clip: bool = False) -> tuple[tuple[Perturbation, ...], ...]:
    """Every perturbation, each from nothing to where little is left of most networks.

    ``clip`` keeps the noisy input within [0, 1].
    """
    shares = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
    return (
        tuple(InputNoise(level, clip=clip) for level in (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)),
        tuple(SpikeDeletion(level) for level in shares),
        tuple(SpikeJitter(level) for level in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)),
        tuple(WeightNoise(level) for level in (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)),
        tuple(DeadNeurons(level) for level in shares),
    )


def evaluations(task: Task, sweeps: Sequence[Sequence[Perturbation]], *, repeats: int) -> int:
    """How many times :func:`robustness_curves` evaluates the network, for a progress bar."""
    wanted = [p for sweep in sweeps for p in sweep if p.level and not (p.needs_spikes and not has_spikes(task.net))]
    return 1 + repeats * len(wanted)


def robustness_curves(
    task: Task,
    data: Labelled,
    sweeps: Sequence[Sequence[Perturbation]],
    *,
    seed: int,
    repeats: int = 3,
    step: Callable[[str], None] | None = None,
) -> tuple[Curve, ...]:
    """Evaluate ``task`` on ``data`` under every perturbation, ``repeats`` times with different random numbers.

    ``seed`` is that of the encoder, as in :func:`evaluate`, in all repeats; the perturbations' own seeds derive from
    it. So level 0 is ``evaluate(task, data, seed=seed)`` exactly, and a network and its twin that are given the same
    seed meet the same disturbances. A sweep is one kind of perturbation at several levels. ``step`` hears what is
    done next. Where a network has no spikes to move, the curve says so in ``skipped``.

    Raises :class:`ParameterError` for fewer than one repeat or an empty or mixed sweep.
    """
    if repeats < 1:
        raise ParameterError("repeats", got=repeats, expected="at least 1")
    for sweep in sweeps:
        if len({type(p) for p in sweep}) != 1:
            raise ParameterError("a sweep", got=list(sweep), expected="one kind of perturbation at one level or more")
    say = step or (lambda text: None)
    say("undisturbed")
    undisturbed = evaluate(task, data, seed=seed)
    return tuple(_curve(task, data, sweep, undisturbed, seed, repeats, say) for sweep in sweeps)


def _curve(
    task: Task,
    data: Labelled,
    sweep: Sequence[Perturbation],
    undisturbed: Evaluation,
    seed: int,
    repeats: int,
    say: Callable[[str], None],
) -> Curve:
    first = sweep[0]
    levels = tuple(float(p.level) for p in sweep)
    if first.needs_spikes and not has_spikes(task.net):
        return Curve(first.title, first.unit, levels, (), (), "it has no spikes to move")
    rows: list[list[Evaluation]] = []
    for perturbation in sweep:
        if perturbation.level == 0:
            rows.append([undisturbed] * repeats)
            continue
        rows.append([])
        for repeat in range(repeats):
            say(f"{perturbation.title} {perturbation.level:g}")
            with perturbation.applied(task, derive_seed(seed, "robustness", repeat)) as disturbed:
                rows[-1].append(evaluate(disturbed, data, seed=seed))
    accuracy = tuple(tuple(e.accuracy.correct for e in row) for row in rows)
    spikes = tuple(tuple(e.spikes_per_neuron_step for e in row) for row in rows)
    return Curve(first.title, first.unit, levels, accuracy, spikes)
