"""``spikeloom neuron MODEL``: one neuron at a constant current, and its f-I curve."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from ..errors import ConfigError
from ..recipes.common import require
from ..train.run_folder import open_run_folder
from .interrupts import interrupts_deferred
from .models import MODELS, ModelEntry, find_model
from .options import parse

_MOST_STEPS = 5_000_000


@dataclass(frozen=True)
class CurveConfig:
    """The f-I curve: the firing rate at evenly spaced currents."""

    low: float = 0.0
    """Smallest current, in the unit of the model's input."""
    high: float = 0.0
    """Largest current; 0 with low = 0 means twice --current."""
    points: int = 41
    """Number of currents; each is one neuron of a single simulation."""
    duration: float = 1000.0
    """Simulated time in ms; the rate is that of its second half."""

    def __post_init__(self) -> None:
        require("low", self.low)
        require("high", self.high)
        require("points", self.points, low=2, high=10_000)
        require("duration", self.duration, above=0.0)

    def range(self, current: float) -> tuple[float, float]:
        """The currents at the ends, when the trace is at ``current``.

        >>> CurveConfig().range(10.0)
        (0.0, 20.0)
        """
        return (0.0, 2.0 * current) if self.low == self.high == 0.0 else (self.low, self.high)


@dataclass(frozen=True)
class NeuronRun:
    """One neuron, simulated."""

    current: float
    """Constant input current, in the unit of the model's input."""
    duration: float
    """Simulated time in ms."""
    dt: float
    """Time step in ms."""
    out: Path = Path("runs")
    """Folder in which the folder of this run is made."""
    name: str = ""
    """Name of the folder of this run; empty: the model and the time."""
    curve: CurveConfig = dataclasses.field(default_factory=CurveConfig)
    param: Any = None
    """Parameters of the model."""

    def __post_init__(self) -> None:
        require("current", self.current)
        require("duration", self.duration, above=0.0)
        require("dt", self.dt, above=0.0)
        require("duration / dt, the number of steps,", self.duration / self.dt, low=1.0, high=_MOST_STEPS)
        updates = self.curve.duration / self.dt * self.curve.points
        require("curve.duration / dt * curve.points", updates, low=2.0, high=10 * _MOST_STEPS)


def run(arguments: Sequence[str]) -> None:
    """Find the model, let the options override its parameters, simulate."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    if arguments[0].startswith("-"):
        raise ConfigError(
            "the neuron model comes first",
            got=repr(arguments[0]),
            mend="For instance `spikeloom neuron lif`.",
        )
    model, entry = find_model(arguments[0])
    default = _default(model, entry)
    description = f"Simulate {type(model).__name__} and write trace, f-I curve, summary and report to runs/<name>/."
    config = parse(default, arguments[1:], prog=f"spikeloom neuron {arguments[0]}", description=description)
    model = model.replace(**_changed(config.param, default.param))
    # The folder comes first: it is refused at once, while what simulates and draws takes seconds to import.
    with open_run_folder(config.out, config.name, entry.name.lower()) as folder:
        with interrupts_deferred():
            module = importlib.import_module("spikeloom.cli.neuron_run")
        module.simulate_and_report(model, config, folder)


def _default(model: Any, entry: ModelEntry) -> NeuronRun:
    """The options of ``neuron MODEL``, with a field for each parameter of this model."""
    parameters = _parameter_class(model)
    kind = dataclasses.make_dataclass(
        "NeuronRun", [("param", parameters, parameters())], bases=(NeuronRun,), frozen=True
    )
    return kind(current=entry.current, duration=entry.duration, dt=entry.dt)


def _parameter_class(model: Any) -> type:
    import tyro

    fields: list[Any] = []
    for name, declared in model.params.items():
        value = getattr(model, name)
        if isinstance(value, float):  # a file may define a model with one value per neuron; those stay as they are
            fields.append((name, Annotated[float, tyro.conf.arg(help=f"In {declared.unit}.")], value))
    for name, choice in model.options.items():
        fields.append((name, Literal[tuple(choice.choices)], getattr(model, name)))
    return dataclasses.make_dataclass(
        "Parameters", fields, frozen=True, namespace={"__doc__": "Parameters of the model."}
    )


def _changed(parameters: Any, default: Any) -> dict[str, Any]:
    values = dataclasses.asdict(parameters)
    return {name: value for name, value in values.items() if value != getattr(default, name)}


def usage() -> str:
    """The text of ``spikeloom neuron --help``."""
    width = max(len(entry.name) for entry in MODELS)
    lines = [f"  {entry.name:<{width}}  {entry.summary}" for entry in MODELS]
    return "\n".join(
        [
            "usage: spikeloom neuron MODEL [--current 10] [--duration 200] [--dt 0.1] [--param.tau 10] ...",
            "",
            "Simulates one neuron at a constant current; writes trace, f-I curve and report to runs/<name>/.",
            "",
            "models:",
            *lines,
            f"  {'FILE.py:Name':<{width}}  your own: a NeuronModel class in a Python file",
            "",
            "  `spikeloom neuron MODEL --help` lists every option and parameter with its default.",
        ]
    )
