"""What a training leaves in memory."""

from __future__ import annotations

from dataclasses import dataclass

from ..train.evaluate import Evaluation, Task
from ..train.loop import Fitted


@dataclass(frozen=True)
class Trained:
    """One variant of one seed: what was trained, and what the chosen model does on the test set."""

    variant: str
    seed: int
    task: Task
    fitted: Fitted
    test: Evaluation
