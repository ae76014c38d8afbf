"""Parts of configurations that recipes share, and the checks that keep a wrong value from starting a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError


def require(
    name: str, value: float, *, low: float = -math.inf, high: float = math.inf, above: float | None = None
) -> None:
    """Raise :class:`ConfigError` unless ``value`` is finite and in range; ``above`` is a strict bound.

    >>> require("epochs", 0, low=1)
    Traceback (most recent call last):
    ...
    spikeloom.errors.ConfigError: epochs is out of range: got 0, expected at least 1
    """
    if math.isfinite(value) and low <= value <= high and (above is None or value > above):
        return
    bounds = [f"above {above:g}"] if above is not None else []
    bounds += [f"at least {low:g}"] if low > -math.inf else []
    bounds += [f"at most {high:g}"] if high < math.inf else []
    raise ConfigError(f"{name} is out of range", got=value, expected=" and ".join(bounds) or "a finite number")


@dataclass(frozen=True)
class SplitConfig:
    """The split of the data; what is left is the test set."""

    train: float = 0.6
    """Fraction for training."""
    validation: float = 0.2
    """Fraction for choosing the model."""
    seed: int = 0
    """Seed of the split; it does not change with the seeds of training."""

    def __post_init__(self) -> None:
        require("train", self.train, above=0.0, high=1.0)
        require("validation", self.validation, above=0.0, high=1.0)
        require("train + validation", self.train + self.validation, high=0.99)
        require("seed", self.seed, low=0, high=2**63 - 1)


@dataclass(frozen=True)
class AugmentConfig:
    """How training images are varied; validation and test images never are."""

    shift: float = 0.5
    """Every image is moved by up to this many pixels, anew in every epoch."""

    def __post_init__(self) -> None:
        require("shift", self.shift, low=0.0, high=8.0)


@dataclass(frozen=True)
class EncodingConfig:
    """How a still image becomes a sequence."""

    kind: Literal["direct", "rate"] = "direct"
    """`direct`: the pixel in every step; `rate`: random spikes with the pixel as probability."""
    steps: int = 10
    """Time steps per image."""

    def __post_init__(self) -> None:
        require("steps", self.steps, low=1, high=100_000)


@dataclass(frozen=True)
class NeuronConfig:
    """The hidden layer of LIF neurons."""

    width: int = 128
    """Number of neurons."""
    tau: float = 20.0
    """Membrane time constant in ms; a step is 1 ms."""
    learn_tau: bool = False
    """Whether training changes tau as well."""

    def __post_init__(self) -> None:
        require("width", self.width, low=1, high=1_000_000)
        require("tau", self.tau, above=0.0)


@dataclass(frozen=True)
class ReadoutConfig:
    """The leaky integrators that give the class scores."""

    tau: float = 20.0
    """Membrane time constant in ms."""
    loss: Literal["mean-then-softmax", "softmax-then-mean"] = "mean-then-softmax"
    """Whether the membrane is averaged over time before or after the softmax of the cross-entropy."""

    def __post_init__(self) -> None:
        require("tau", self.tau, above=0.0)


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW."""

    learning_rate: float = 0.01
    """Peak learning rate."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """`cosine`: falls from the peak to zero over the run; `constant`: stays."""
    batch_size: int = 64
    """Images per step."""
    clip: float = 1.0
    """The gradient is scaled down to this norm when it is larger."""

    def __post_init__(self) -> None:
        require("learning_rate", self.learning_rate, above=0.0, high=1e6)
        require("weight_decay", self.weight_decay, low=0.0, high=1e6)
        require("batch_size", self.batch_size, low=1)
        require("clip", self.clip, above=0.0)
