"""Neuron models by name, and a user's own from a file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, FileError, SpikeloomError, did_you_mean


@dataclass(frozen=True)
class ModelEntry:
    """A row of ``spikeloom list``, with a current (in the model's unit), duration and dt in ms."""

    name: str
    summary: str
    target: str
    current: float
    duration: float = 200.0
    dt: float = 0.1

    def load(self) -> Any:
        """The model, with its default parameters."""
        module, _, attribute = self.target.partition(":")
        return _instance(getattr(importlib.import_module(module), attribute), self.name)


MODELS = (
    ModelEntry("if", "integrate-and-fire, without a leak", "spikeloom.models:IF", 0.05),
    ModelEntry("lif", "leaky integrate-and-fire, integrated exactly", "spikeloom.models:LIF", 2.0),
    ModelEntry("li", "leaky integrator without a threshold, a read-out", "spikeloom.models:LI", 1.0),
    ModelEntry("alif", "LIF with an adaptive threshold", "spikeloom.models:ALIF", 2.0, 1000.0),
    ModelEntry("eif", "LIF with an exponential upstroke", "spikeloom.models:EIF", 40.0, 300.0, 0.01),
    ModelEntry("qif", "quadratic integrate-and-fire", "spikeloom.models:QIF", 60.0, 300.0, 0.01),
    ModelEntry("adex", "EIF with an adaptation current", "spikeloom.models:AdEx", 1000.0, 300.0, 0.01),
    ModelEntry("glif1", "Allen Institute, level 1: leaky", "spikeloom.models:GLIF1", 350.0, 500.0, 0.05),
    ModelEntry("glif2", "level 2: reset rules", "spikeloom.models:GLIF2", 350.0, 500.0, 0.05),
    ModelEntry("glif3", "level 3: after-spike currents", "spikeloom.models:GLIF3", 350.0, 500.0, 0.05),
    ModelEntry("glif4", "level 4: reset rules and currents", "spikeloom.models:GLIF4", 350.0, 500.0, 0.05),
    ModelEntry("glif5", "level 5: and a threshold that adapts", "spikeloom.models:GLIF5", 350.0, 500.0, 0.05),
    ModelEntry(
        "hodgkin-huxley",
        "the squid axon of Hodgkin and Huxley, 1952",
        "spikeloom.models:HodgkinHuxley",
        10.0,
        200.0,
        0.01,
    ),
    ModelEntry("connor-stevens", "an A current delays its spikes", "spikeloom.models:ConnorStevens", 10.0, 300.0, 0.01),
    ModelEntry("wang-buzsaki", "a fast-spiking interneuron", "spikeloom.models:WangBuzsaki", 1.0, 200.0, 0.01),
    ModelEntry("traub-miles", "the cell of the HH-COBA benchmark", "spikeloom.models:TraubMiles", 200.0, 200.0, 0.01),
    ModelEntry("fitzhugh-nagumo", "excitability in two variables", "spikeloom.models:FitzHughNagumo", 0.5, 300.0),
    ModelEntry("morris-lecar", "the barnacle muscle fibre", "spikeloom.models:MorrisLecar", 100.0, 1000.0, 0.05),
    ModelEntry("hindmarsh-rose", "bursts, periodic and chaotic", "spikeloom.models:HindmarshRose", 3.25, 2000.0, 0.05),
    ModelEntry(
        "izhikevich", "a simple model of many firing patterns", "spikeloom.models:Izhikevich", 10.0, 300.0, 0.05
    ),
)


def find_model(text: str) -> tuple[Any, ModelEntry]:
    """The model that ``text`` names: a name of the table or ``path/to/file.py:Name``.

    A file is run, as ``python file.py`` would run it, because the user names it for that. Raises
    :class:`ConfigError` for an unknown name and :class:`FileError` for a file that cannot be run.
    """
    by_name = {entry.name: entry for entry in MODELS}
    if text in by_name:
        return by_name[text].load(), by_name[text]
    path, colon, attribute = text.rpartition(":")
    if not colon or not path.endswith(".py"):
        mend = f"{did_you_mean(text, [*by_name, 'gallery'])} A model of your own is given as path/to/file.py:ClassName."
        raise ConfigError("there is no such neuron model", got=repr(text), mend=mend)
    module = _run_file(Path(path))
    if not hasattr(module, attribute):
        raise ConfigError(f"{path} defines no {attribute!r}", mend=did_you_mean(attribute, _models_in(module)))
    return _instance(getattr(module, attribute), text), ModelEntry(attribute, "", text, 10.0)


def find_preset(model: Any, entry: ModelEntry, text: str) -> str:
    """The preset of ``model`` that ``text`` names, hyphens and underscores being one; "" for no text.

    Raises :class:`ConfigError` for an unknown one, naming the near ones, or the model that has it.
    """
    own = {_plain(name): name for name in model.presets}
    if not text or _plain(text) in own:
        return own[_plain(text)] if text else ""
    owners = [e.name for e in MODELS if _plain(text) in {_plain(name) for name in e.load().presets}]
    if owners:
        mend = f"It is one of {' and '.join(owners)}: spikeloom neuron {owners[0]} --preset {text}."
    else:
        mend = did_you_mean(text, model.presets) if own else "It has none."
    raise ConfigError(f"{entry.name} has no such preset", got=repr(text), mend=mend)


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(" ", "-")


def _run_file(path: Path) -> Any:
    if not path.is_file():
        raise FileError(f"there is no file {path}", mend="Give the path of a Python file, then a colon and the class.")
    name = f"_spikeloom_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise FileError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses inside the file look themselves up
    sys.path.insert(0, str(path.resolve().parent))  # as Python does, so that the file may import its neighbours
    try:
        spec.loader.exec_module(module)
    except SpikeloomError:
        raise  # says by itself what is wrong with the model
    except (Exception, SystemExit) as error:
        raise FileError(
            f"{path} failed when it was run{_where(error, path)}: {type(error).__name__}: {error}"
        ) from error
    return module


def _where(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        return f" (line {error.lineno})"
    lines, frame = [], error.__traceback__
    while frame is not None:
        if Path(frame.tb_frame.f_code.co_filename) == path.resolve():
            lines.append(frame.tb_lineno)
        frame = frame.tb_next
    return f" (line {lines[-1]})" if lines else ""


def _models_in(module: Any) -> list[str]:
    from ..models.base import NeuronModel

    return [n for n, value in vars(module).items() if isinstance(value, type) and issubclass(value, NeuronModel)]


def _instance(value: Any, text: str) -> Any:
    from ..models.base import NeuronModel

    if isinstance(value, type) and issubclass(value, NeuronModel):
        return value()
    if isinstance(value, NeuronModel):
        return value
    raise ConfigError(
        f"{text} is no neuron model",
        got=type(value).__name__,
        expected="a NeuronModel class or one of its values",
    )
