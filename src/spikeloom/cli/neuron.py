"""``spikeloom neuron MODEL``: one neuron under a current, and its f-I curve."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from ..errors import ConfigError
from ..recipes.common import require
from ..train.progress import show_status
from ..train.run_folder import open_run_folder
from .interrupts import interrupts_deferred
from .models import MODELS, ModelEntry, find_model, find_preset
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

    preset: str
    """Published parameters with their experiment, by name; empty: none."""
    current: float | None
    """Constant input current; None: the stimulus of the preset."""
    duration: float
    """Simulated time in ms."""
    dt: float
    """Time step in ms."""
    seed: int = 0
    """Seed of the random numbers of a stochastic model."""
    out: Path = Path("runs")
    """Folder in which the folder of this run is made."""
    name: str = ""
    """Name of the folder of this run; empty: the model and the time."""
    curve: CurveConfig = dataclasses.field(default_factory=CurveConfig)
    param: Any = None
    """Parameters of the model."""

    def __post_init__(self) -> None:
        if self.current is not None:
            require("current", self.current)
        require("seed", self.seed, low=0, high=2**62)
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
    if arguments[0] == "gallery":
        importlib.import_module("spikeloom.cli.neuron_gallery").run(arguments[1:])
        return
    if arguments[0].startswith("-"):
        raise ConfigError(
            "the neuron model comes first",
            got=repr(arguments[0]),
            mend="For instance `spikeloom neuron lif`.",
        )
    model, entry = find_model(arguments[0])
    preset = find_preset(model, entry, _peek(arguments[1:], "--preset"))
    if preset:
        model = model.replace(**model.presets[preset].values)
    default = _default(model, entry, preset)
    config = parse(
        default, arguments[1:], prog=f"spikeloom neuron {arguments[0]}", description=_description(model, entry.name)
    )
    config = dataclasses.replace(config, preset=preset)
    model = model.replace(**_changed(config.param, default.param))
    # The folder comes first: it is refused at once, while what simulates and draws takes seconds to import.
    with open_run_folder(config.out, config.name, preset_folder(entry.name, preset)) as folder:
        with show_status("loading"), interrupts_deferred():
            module = importlib.import_module("spikeloom.cli.neuron_run")
        module.simulate_and_report(model, config, folder)


def preset_folder(model: str, preset: str) -> str:
    """What the name of a run's folder begins with.

    >>> preset_folder("adex", "initial burst")
    'adex-initial-burst'
    """
    words = re.sub(r"[^a-z0-9]+", "-", f"{model} {preset}".lower())
    return words.strip("-") or "neuron"


def _peek(arguments: Sequence[str], option: str) -> str:
    """The value that ``arguments`` give to ``option``, before they are parsed: it decides on the defaults."""
    found = ""
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == option:
            found = value if equals else "".join(arguments[position + 1 : position + 2])
    return found


def _description(model: Any, name: str) -> str:
    text = f"Simulate {type(model).__name__} and write trace, f-I curve, summary and report to runs/<name>/."
    if not model.presets:
        return text
    width = max(map(len, model.presets))
    rows = (f"  {preset:<{width}}  {found.summary}" for preset, found in model.presets.items())
    return "\n".join([text, "", f"presets (spikeloom neuron {name} --preset NAME):", *rows])


def _default(model: Any, entry: ModelEntry, preset: str) -> NeuronRun:
    """The options of ``neuron MODEL``, with a field for each parameter of this model."""
    import tyro

    parameters = _parameter_class(model)
    unit = next((held.unit for held in model.inputs.values()), "the unit of the model's input")
    shown = model.presets[preset] if preset else entry
    constant = isinstance(shown.current, (int, float))
    text = f"Constant input current in {unit}{'' if constant else '; None: the stimulus of the preset'}."
    current = Annotated[float if constant else float | None, tyro.conf.arg(help=text)]
    kind = dataclasses.make_dataclass(
        "NeuronRun", [("current", current), ("param", parameters, parameters())], bases=(NeuronRun,), frozen=True
    )
    start = float(shown.current) if constant else None
    return kind(preset=preset, current=start, duration=shown.duration, dt=shown.dt)


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
            "usage: spikeloom neuron MODEL [--preset NAME] [--current 10] [--duration 200] [--param.tau 10] ...",
            "       spikeloom neuron gallery",
            "",
            "Simulates one neuron; writes trace, f-I curve, phase plane and report to runs/<name>/.",
            "`gallery` draws every model and every preset into one page.",
            "",
            "models:",
            *lines,
            f"  {'FILE.py:Name':<{width}}  your own: a NeuronModel class in a Python file",
            "",
            "  `spikeloom neuron MODEL --help` lists its presets, options and parameters with their defaults.",
        ]
    )
