"""What ``spikeloom neuron gallery`` does once its options are known: simulate each preset, draw the page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import NonFiniteError
from ..experiments import Experiment
from ..kernels.backends import last_kernels
from ..models.base import NeuronModel
from ..models.equations import equations
from ..plot.gallery import gallery
from ..report.gallery import Exhibit, Room, write_gallery
from ..report.labels import pretty_unit
from ..report.spike_tops import with_spike_tops
from ..stimuli import Stimulus
from ..train.provenance import machine, versions
from ..train.run_folder import RunFolder, plain_config
from .models import MODELS, ModelEntry
from .neuron_gallery import GalleryConfig
from .parts import Part, parts
from .progress import Steps, steps_shown

Facts = dict[str, Any]


def draw_gallery(config: GalleryConfig, folder: RunFolder) -> Facts:
    """Simulate all experiments and write ``gallery.html``, ``gallery.png`` and ``summary.json`` to ``folder``.

    Returns the summary.
    """
    began = time.perf_counter()
    chosen = [entry for entry in MODELS if not config.models or entry.name in config.models]
    shown = {entry.name: experiments(entry) for entry in chosen}
    others = {} if config.models else parts()
    total = sum(map(len, shown.values())) + sum(map(len, others.values()))
    with steps_shown(total + 1) as bar:
        rooms = [_model_room(entry, shown[entry.name], bar) for entry in chosen]
        rooms += [_part_room(name, members, bar) for name, members in others.items()]
        bar.step("drawing")
        write_gallery(folder.path / "gallery.html", rooms)
        with folder.file("gallery.png") as path:
            gallery(rooms).savefig(path, dpi=110)
    facts = {
        "models": len(chosen),
        "experiments": total,
        "spikes": sum(len(e.spikes) for r in rooms for e in r.exhibits),
    }
    summary = _summary(config, rooms, facts)
    summary["wall_time_s"] = round(time.perf_counter() - began, 3)
    folder.write_json("summary.json", summary)
    print(f"{facts['models']} models, {facts['experiments']} experiments, {facts['spikes']} spikes -> {folder.path}")
    return summary


def experiments(entry: ModelEntry) -> dict[str, Experiment]:
    """The experiments of a model by preset; of a model without presets the one of its usual current, called "".

    >>> from spikeloom.cli.models import MODELS
    >>> list(experiments(MODELS[0]))
    ['']
    """
    model: NeuronModel = entry.load()
    if model.presets:
        return {name: Experiment.of(model, name) for name in model.presets}
    return {"": Experiment(model, entry.current, entry.duration, entry.dt)}


def exhibit(name: str, experiment: Experiment, summary: str = "", details: str = "") -> Exhibit:
    """Run an experiment and keep what is drawn of it."""
    model, current = experiment.model, experiment.current
    try:
        trace = experiment.run()
    except NonFiniteError as error:
        raise NonFiniteError(f"{type(model).__name__} {name}: {error}") from error
    constant = "" if isinstance(current, Stimulus) else f"{current:g} {pretty_unit(experiment.unit)}".strip()
    return Exhibit(
        name or "constant current",
        summary or constant,
        trace.times,
        np.asarray(with_spike_tops(model, trace)[model.membrane]),
        experiment.drive(trace.times),
        np.asarray(trace.spike_times),
        details,
        experiment.unit,
    )


def model_exhibit(entry: ModelEntry, name: str, experiment: Experiment) -> Exhibit:
    """The exhibit of a preset, or of the model at its usual current."""
    preset = experiment.model.presets.get(name)
    if preset is None:
        return exhibit(name, experiment, details=f"spikeloom neuron {entry.name}")
    values = ", ".join(f"{key} {v:g}" if isinstance(v, float) else f"{key} {v}" for key, v in preset.values.items())
    details = [preset.source, values, f"spikeloom neuron {entry.name} --preset {name}"]
    return exhibit(name, experiment, preset.summary, "\n".join(filter(None, details)))


def _model_room(entry: ModelEntry, shown: dict[str, Experiment], bar: Steps) -> Room:
    exhibits = []
    for name, experiment in shown.items():
        bar.step(f"{entry.name} {name}".strip())
        exhibits.append(model_exhibit(entry, name, experiment))
    return room(entry, exhibits)


def room(entry: ModelEntry, exhibits: Sequence[Exhibit]) -> Room:
    """A model with its exhibits."""
    model: NeuronModel = entry.load()
    membrane = model.membrane, str(model.states[model.membrane].unit)
    unit, many = Experiment(model).unit, bool(model.presets)
    return Room(entry.name, type(model).__name__, entry.summary, equations(model), membrane, unit, exhibits, many)


def _part_room(name: str, members: Sequence[Part], bar: Steps) -> Room:
    exhibits = []
    for part in members:
        bar.step(part.name)
        exhibits.append(exhibit(part.name, part.experiment, part.summary, repr(part.experiment.model)))
    title = name[:1].upper() + name[1:]
    about = "Shown in a leaky integrate-and-fire neuron; any model can take them"
    return Room(name.replace(" ", "-"), title, about, [], ("v", "mV"), "pA", exhibits, command=False)


def _summary(config: GalleryConfig, rooms: Sequence[Room], facts: Facts) -> Facts:
    return {
        **facts,
        "rooms": {
            r.name: {e.name: {"spikes": len(e.spikes), "spike_times_ms": e.spikes.tolist()} for e in r.exhibits}
            for r in rooms
        },
        "config": plain_config(config),
        "versions": versions(),
        "machine": machine(),
        "kernels": last_kernels(),
    }
