"""Parts of configurations that recipes share, and the checks that keep a wrong value from starting a run."""

from __future__ import annotations

import math
import types
import typing
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, Literal

from ..errors import ConfigError, did_you_mean


def require(
    name: str, value: float, *, low: float = -math.inf, high: float = math.inf, above: float | None = None
) -> None:
    """Raise :class:`ConfigError` unless ``value`` is a finite number in range; ``above`` is a strict bound.

    >>> require("epochs", 0, low=1)
    Traceback (most recent call last):
    ...
    spikeloom.errors.ConfigError: epochs is out of range: got 0, expected at least 1
    """
    number = isinstance(value, Real)
    if number and math.isfinite(value) and low <= value <= high and (above is None or value > above):
        return
    bounds = [f"above {above:g}"] if above is not None else []
    bounds += [f"at least {low:g}"] if low > -math.inf else []
    bounds += [f"at most {high:g}"] if high < math.inf else []
    expected = " and ".join(bounds) or "a finite number"
    if not number:
        raise ConfigError(f"{name} is no number", got=repr(value), expected=expected)
    raise ConfigError(f"{name} is out of range", got=value, expected=expected)


def require_choices(config: Any) -> None:
    """Raise :class:`ConfigError` unless each field of ``config`` that is a ``Literal`` has one of its values.

    >>> require_choices(EncodingConfig(kind="rate"))
    """
    for name, kind in typing.get_type_hints(type(config)).items():
        value, choices = getattr(config, name), list(_choices(kind))
        if choices and not any(isinstance(value, type(c)) and value == c for c in choices):
            names = [c for c in choices if isinstance(c, str)]
            expected = " or ".join(f'"{c}"' if isinstance(c, str) else str(c) for c in choices)
            raise ConfigError(name, got=repr(value), expected=expected, mend=did_you_mean(str(value), names))


def _choices(kind: Any) -> tuple[Any, ...]:
    """The values of a ``Literal``, also of one that may be None; nothing of any other type."""
    if typing.get_origin(kind) is Literal:
        return typing.get_args(kind)
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return (None,) if kind is type(None) else ()
    parts = [_choices(part) for part in typing.get_args(kind)]
    return tuple(value for part in parts for value in part) if all(parts) else ()


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
class LIFConfig:
    """Hidden LIF neurons."""

    tau: float = 20.0
    """Membrane time constant in ms; a step is 1 ms."""
    learn_tau: bool = False
    """Whether training changes tau as well."""

    def __post_init__(self) -> None:
        require("tau", self.tau, above=0.0)


@dataclass(frozen=True)
class NeuronConfig(LIFConfig):
    """The hidden layer of LIF neurons."""

    width: int = 128
    """Number of neurons."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require("width", self.width, low=1, high=1_000_000)


@dataclass(frozen=True)
class ReadoutConfig:
    """The output neurons and their loss: leaky integrators for a loss of membranes, LIF neurons for one of spikes."""

    tau: float = 20.0
    """Membrane time constant in ms."""
    loss: Literal["mean-then-softmax", "softmax-then-mean", "rate", "count", "first-spike"] = "mean-then-softmax"
    """Cross-entropy of the membrane, averaged over time before or after the softmax; of the firing `rate`; of the time
    of the `first-spike`; or the square error of the spike `count`. The answer is the highest membrane, the most spikes,
    or the first one."""
    smoothing: float = 0.0
    """Label smoothing: the share of the target that is spread evenly over all classes (losses of membranes)."""
    scale: float = 10.0
    """Score of a neuron that fires in every step (`rate`)."""
    right: float = 0.5
    """Spikes per step that are wanted of the right neuron (`count`)."""
    wrong: float = 0.05
    """Spikes per step that are wanted of the others (`count`)."""
    lead: float = 1.0
    """Steps by which a class has to be first to be e times as likely as another (`first-spike`)."""

    def __post_init__(self) -> None:
        require("tau", self.tau, above=0.0)
        require("smoothing", self.smoothing, low=0.0, high=0.99)
        require("scale", self.scale, above=0.0, high=1e6)
        require("wrong", self.wrong, low=0.0)
        require("right", self.right, above=self.wrong, high=1.0)
        require("lead", self.lead, above=0.0, high=1e9)
        if self.fires and self.smoothing:
            what = f"readout.smoothing with readout.loss {self.loss}, which has none"
            raise ConfigError(what, got=self.smoothing, expected="0")

    @property
    def fires(self) -> bool:
        """Whether the loss is one of spikes."""
        return self.loss in ("rate", "count", "first-spike")

    @property
    def whole(self) -> bool:
        """Whether the loss asks what a neuron does in a whole sequence, so that no piece of it can be judged."""
        return self.loss in ("count", "first-spike")


@dataclass(frozen=True)
class OptimiserConfig:
    """The optimiser and its schedule, torch's."""

    kind: Literal["adamw", "sgd"] = "adamw"
    """`adamw`, or `sgd` with Nesterov's momentum."""
    learning_rate: float = 0.01
    """Peak learning rate."""
    weight_decay: float = 0.01
    """Decay of weights; biases and time constants do not decay."""
    momentum: float = 0.9
    """Momentum of `sgd`."""
    schedule: Literal["cosine", "one-cycle", "constant"] = "cosine"
    """`cosine`: falls from the peak to zero over the run; `one-cycle`: rises first; `constant`: stays."""
    warmup: float = 0.0
    """Fraction of all steps over which the rate rises to the peak."""
    batch_size: int = 64
    """Images per step."""
    clip: float = 1.0
    """The gradient is scaled down to this norm when it is larger."""

    def __post_init__(self) -> None:
        require("learning_rate", self.learning_rate, above=0.0, high=1e6)
        require("weight_decay", self.weight_decay, low=0.0, high=1e6)
        require("momentum", self.momentum, low=0.0, high=1.0)
        require("warmup", self.warmup, low=0.0, high=0.99)
        if self.warmup and self.schedule == "one-cycle":
            raise ConfigError("warmup", got=self.warmup, expected="0, since one-cycle has a rise of its own")
        require("batch_size", self.batch_size, low=1)
        require("clip", self.clip, above=0.0)


@dataclass(frozen=True)
class GradientConfig:
    """How a gradient is computed, where memory or time is short."""

    kind: Literal["through-time", "online"] = "through-time"
    """`through-time`: backpropagation; `online`: in each step, from memory that does not depend on the number of steps;
    slow, and approximate between layers."""
    accumulate: int = 1
    """Every batch is computed in this many pieces, from less memory."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`bfloat16`: matrix products in half precision, states and weights in float32."""
    truncate: int = 0
    """Backpropagate through at most this many time steps (0: all)."""
    recompute: int = 0
    """Keep only the state every so many time steps and compute the rest again (0: keep all)."""

    def __post_init__(self) -> None:
        require("accumulate", self.accumulate, low=1, high=1_000_000)
        require("truncate", self.truncate, low=0, high=1e9)
        require("recompute", self.recompute, low=0, high=1e9)
        if self.truncate and self.recompute:
            raise ConfigError("truncate and recompute exclude each other", mend="Set one of them to 0.")
        if self.kind == "online" and (self.truncate or self.recompute or self.precision != "float32"):
            mend = "Set truncate and recompute to 0 and precision to float32."
            raise ConfigError("gradient.kind online excludes truncate, recompute and bfloat16", mend=mend)


@dataclass(frozen=True)
class PenaltyConfig:
    """What hidden spikes cost in training; 0 for nothing."""

    rate: float = 0.0
    """Strength of the penalty on a layer's mean rate outside [least-rate, target]; 1 to 100 is usual."""
    target: float = 0.0
    """Highest rate that costs nothing, in spikes per neuron and step."""
    least_rate: float = 0.0
    """Lowest rate that costs nothing."""
    count: float = 0.0
    """Strength of the penalty on spikes of one neuron in one sample above `most`."""
    most: float = 0.0
    """Spikes of one neuron in one sample that cost nothing."""
    silent: float = 0.0
    """Strength of the penalty on neurons that never fire in a batch."""

    def __post_init__(self) -> None:
        for name in ("rate", "count", "silent"):
            require(name, getattr(self, name), low=0.0)
        require("target", self.target, low=self.least_rate)
        require("least_rate", self.least_rate, low=0.0)
        require("most", self.most, low=0.0)


@dataclass(frozen=True)
class KeepConfig:
    """What is kept while the training runs, besides a checkpoint after every epoch."""

    every: int = 0
    """Steps between checkpoints within an epoch (0: none)."""
    log_every: int = 10
    """Steps between lines of the log."""
    tensorboard: bool = False
    """Whether to write for TensorBoard too (needs the package tensorboard)."""

    def __post_init__(self) -> None:
        require("every", self.every, low=0)
        require("log_every", self.log_every, low=1)


@dataclass(frozen=True)
class TrainConfig:
    """What all recipes that train have in common."""

    epochs: int = 30
    """Passes over the training set."""
    seeds: int = 3
    """Number of independent trainings; mean and spread are over these."""
    seed: int = 0
    """The first seed; the others follow it."""
    threads: int = 1
    """Threads of the computation; on a busy machine more than one can be far slower."""
    baseline: bool = False
    """Whether to train the artificial network of equal shape as well, beside the spiking one."""
    choose: Literal["loss", "accuracy"] = "loss"
    """What makes an epoch the best on the validation set."""
    out: Path = Path("runs")
    """Folder in which the folder of this run is made."""
    name: str = ""
    """Name of the folder of this run; empty: the recipe and the time."""
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    gradient: GradientConfig = field(default_factory=GradientConfig)
    penalty: PenaltyConfig = field(default_factory=PenaltyConfig)
    keep: KeepConfig = field(default_factory=KeepConfig)
    readout: ReadoutConfig = field(default_factory=ReadoutConfig)

    def __post_init__(self) -> None:
        require("epochs", self.epochs, low=1)
        require("seeds", self.seeds, low=1, high=1000)
        require("seed", self.seed, low=0)
        require("threads", self.threads, low=1, high=1024)
        if self.gradient.truncate and (self.penalty.count or self.penalty.silent):
            # Both ask what a neuron does in a whole sample, of which a truncated training sees one piece at a time.
            mend = "Leave one of them out; penalty.rate goes with both."
            raise ConfigError("gradient.truncate excludes penalty.count and penalty.silent", mend=mend)
        if self.gradient.kind == "online" and (self.penalty.rate or self.penalty.count or self.penalty.silent):
            raise ConfigError("gradient.kind online excludes every penalty", mend="Leave the penalties out.")
        if self.gradient.kind == "online" and self.readout.loss != "softmax-then-mean":
            # The others average, or ask for times, over the whole sequence, which is not known in a step.
            what = "readout.loss with gradient.kind online, which takes the loss step by step"
            mend = "Set readout.loss to softmax-then-mean as well."
            raise ConfigError(what, got=self.readout.loss, expected="softmax-then-mean", mend=mend)
        if self.gradient.truncate and self.readout.whole:
            mend = "Set gradient.truncate to 0."
            raise ConfigError(f"gradient.truncate excludes readout.loss {self.readout.loss}", mend=mend)
