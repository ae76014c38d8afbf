"""How a network is trained; torch-free."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import ParameterError


@dataclass(frozen=True)
class FitSettings:
    """The optimiser, its schedule, and how a gradient is computed.

    Args:
        epochs: passes over the training set.
        learning_rate: the peak of the schedule.
        weight_decay: of weights; biases and time constants are never pulled towards zero.
        batch_size: samples per step of the optimiser.
        clip: largest norm of the gradient.
        schedule: ``cosine`` falls from the peak to zero over all steps, ``one-cycle`` first rises over a third of
            them, ``constant`` stays. They are torch's; the momentum stays as it is.
        optimiser: ``adamw``, or ``sgd`` with Nesterov's ``momentum``.
        warmup: fraction of all steps over which the rate rises linearly to the schedule's start.
        accumulate: each batch is computed in this many pieces, which saves memory. The samples, their encoding and the
            loss are those of the batch; what looks at a whole batch sees a piece: batch norm, penalties on rates and
            silent neurons, and the draw of dropout's masks.
        precision: ``bfloat16`` runs matrix products under autocast; states and weights stay float32.
        truncate: backpropagate through at most this many time steps; the state is carried on without gradient and the
            loss is taken over each piece. 0: through all.
        recompute: keep only the state every so many time steps and compute the rest again in the backward pass: the
            same gradient from less memory. 0: keep all.
        gradient: ``through-time`` for backpropagation, or ``online`` (:class:`~spikeloom.learn.Online`), whose memory
            does not depend on the number of steps and which is approximate between layers. The loss is then taken in
            each step by itself and averaged; there is nothing to truncate or recompute, and no bfloat16.
        choose: what makes an epoch the best, the lowest validation ``loss`` or the highest ``accuracy`` (equal ones:
            the lower loss). On a few hundred samples accuracy ties and jumps where the loss does not.

    Raises :class:`ParameterError` for values that make no training.
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    clip: float
    schedule: Literal["cosine", "one-cycle", "constant"] = "cosine"
    optimiser: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9
    warmup: float = 0.0
    accumulate: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    truncate: int = 0
    recompute: int = 0
    choose: Literal["loss", "accuracy"] = "loss"
    gradient: Literal["through-time", "online"] = "through-time"

    def __post_init__(self) -> None:
        for name, low in (("epochs", 1), ("batch_size", 1), ("accumulate", 1), ("truncate", 0), ("recompute", 0)):
            if getattr(self, name) < low:
                raise ParameterError(name, got=getattr(self, name), expected=f"at least {low}")
        if not 0.0 <= self.warmup < 1.0:
            raise ParameterError("warmup", got=self.warmup, expected="a fraction from 0 to below 1")
        if self.warmup and self.schedule == "one-cycle":
            raise ParameterError("warmup", got=self.warmup, expected="0, since one-cycle has a rise of its own")
        if self.truncate and self.recompute:
            raise ParameterError("truncate and recompute exclude each other", mend="Set one of them to 0.")
        if self.gradient == "online":
            wanted = {"truncate": 0, "recompute": 0, "precision": "float32"}
            for name, only in wanted.items():
                if getattr(self, name) != only:
                    raise ParameterError(f"{name} of online learning", got=getattr(self, name), expected=only)

    def steps(self, samples: int) -> int:
        """Steps of the optimiser in one epoch over ``samples``.

        >>> FitSettings(1, 0.1, 0.0, 64, 1.0).steps(100)
        2
        """
        return math.ceil(samples / self.batch_size)


def default_settings() -> dict[str, Any]:
    """The fields that need not be given.

    >>> default_settings()["optimiser"], "epochs" in default_settings()
    ('adamw', False)
    """
    fields = dataclasses.fields(FitSettings)
    return {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
