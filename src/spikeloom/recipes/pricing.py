"""What a test image costs in the networks of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..data.arrays import Labelled
from ..energy import Accuracies, EnergyReport, Measured, compare, measure
from ..nets.twin import ann_twin
from ..train.evaluate import Task
from ..train.metrics import mean_and_sd
from ..train.seeds import derive_seed
from .problem import ANN, DT, SPIKING, as_ann

if TYPE_CHECKING:
    from .trained import Trained

MOST_IMAGES = 2000
_BATCH = 250


def energy_of(trained: Sequence[Trained], test: Labelled, between: Callable[[], None]) -> EnergyReport:
    """Operations of the first seed's spiking network on test images, and of its ANN twin, priced.

    Where no twin was trained the operations are those of the twin with the spiking network's weights, whose share of
    silent rectifiers need not be that of a trained one; there are no accuracies then, and no ratio is given. At most
    MOST_IMAGES images are counted, spread evenly over the test set: a mean over 2000 images has a standard error below
    one percent.
    """
    spiking = next(each for each in trained if each.variant == SPIKING)
    twin = next((each for each in trained if each.variant == ANN), None)
    part = test.take(np.unique(np.linspace(0, len(test) - 1, MOST_IMAGES).astype(np.int64)))
    seed = derive_seed(spiking.seed, "test")
    counted = _measured(spiking.task, part, seed, between)
    if twin is None:
        net = ann_twin(spiking.task.net, scores=True)
        return compare(counted, _measured(as_ann(spiking.task, net), part, seed, between))
    means = {
        variant: mean_and_sd([t.test.accuracy.correct for t in trained if t.variant == variant])[0]
        for variant in (SPIKING, ANN)
    }
    accuracies = Accuracies(spiking=means[SPIKING], ann=means[ANN])
    return compare(counted, _measured(twin.task, part, seed, between), accuracies=accuracies)


def _measured(task: Task, data: Labelled, seed: int, between: Callable[[], None]) -> Measured:
    def sequences() -> Iterator[torch.Tensor]:
        for number, start in enumerate(range(0, len(data), _BATCH)):
            between()
            images, _ = task.batch(data, slice(start, start + _BATCH))
            yield task.encode(images, derive_seed(seed, "evaluate", number))

    with torch.no_grad():
        return measure(task.net, sequences(), dt=DT)
