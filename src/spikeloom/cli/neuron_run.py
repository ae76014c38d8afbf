"""What ``spikeloom neuron`` does once its options are known: simulate, draw, write the folder."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..experiments import Experiment
from ..kernels.backends import last_kernels
from ..models.base import NeuronModel
from ..models.equations import equations
from ..plot.dynamics import draw_phase_plane
from ..plot.neurons import fi_curve
from ..plot.neurons import trace as draw_trace
from ..report.labels import pretty_unit
from ..report.neuron import NeuronReport, write_neuron_report
from ..report.phase import PhasePlane, held_longest, is_planar, phase_plane_of
from ..report.spike_tops import with_spike_tops
from ..simulation import Trace, simulate
from ..solvers import default_solver
from ..stimuli import Stimulus
from ..train.progress import show_status
from ..train.provenance import machine, versions
from ..train.run_folder import RunFolder, plain_config
from .neuron import NeuronRun

Facts = dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """All that one run found: the trace, the f-I curve, and the phase plane of a model with two states."""

    experiment: Experiment
    trace: Trace
    currents: np.ndarray
    rates: np.ndarray
    held: float
    phase: PhasePlane | None

    @property
    def drawn(self) -> Trace:
        """The trace as pictures show it."""
        return with_spike_tops(self.experiment.model, self.trace)

    @property
    def stimulus(self) -> Stimulus | None:
        """The current, where it changes with time."""
        current = self.experiment.current
        return current if isinstance(current, Stimulus) else None


def simulate_and_report(model: NeuronModel, config: NeuronRun, folder: RunFolder) -> Facts:
    """Simulate ``model`` and write ``summary.json``, ``report.html`` and the pictures to ``folder``.

    Returns the summary.
    """
    began = time.perf_counter()
    with show_status("simulating, after compiling the model on its first run"):
        found = _outcome(_experiment(model, config), config)
        summary = _summary(found, config)
        for name, figure in _pictures(found).items():
            with folder.file(name) as path:
                figure.savefig(path, dpi=150)
        write_neuron_report(folder.path / "report.html", _report(found, summary))
    summary["wall_time_s"] = round(time.perf_counter() - began, 3)
    folder.write_json("summary.json", summary)
    print(f"{_sentence(summary)} -> {folder.path}")
    return summary


def _experiment(model: NeuronModel, config: NeuronRun) -> Experiment:
    """What the preset leaves to it, with the current, duration and time step of the options."""
    shown = Experiment.of(model, config.preset) if config.preset else Experiment(model)
    current = shown.current if config.current is None else config.current
    return dataclasses.replace(
        shown, model=model, current=current, duration=config.duration, dt=config.dt, seed=config.seed
    )


def _outcome(experiment: Experiment, config: NeuronRun) -> Outcome:
    trace = experiment.run()
    drive = experiment.drive(trace.times)
    low, high = config.curve.range(float(drive[np.abs(drive).argmax()]))
    currents = np.linspace(low, high, config.curve.points)
    # One simulation: each current is a neuron.
    curve = simulate(
        experiment.model, currents, config.curve.duration, experiment.dt, record=(), solver=experiment.solver,
        state=experiment.state, seed=experiment.seed,
    )  # fmt: skip
    rates = steady_rates(curve, config.curve.duration)
    held = held_longest(drive)
    phase = phase_plane_of(experiment.model, held, trace) if is_planar(experiment.model) else None
    return Outcome(experiment, trace, currents, rates, held, phase)


def steady_rates(curve: Trace, duration: float) -> np.ndarray:
    """Firing rates in Hz ``[N]`` in the second half; the first is left to adaptation.

    From the intervals between spikes, which is exact for regular firing. Where the half begins or ends with a silence
    longer than two of the intervals, as when a few bursts fall into it, spikes are counted instead.
    """
    rates, start = np.array(curve.rates(start=duration / 2)), duration / 2
    for k, times in enumerate(curve.spike_times):
        late = times[times > start]
        silence = max(late[0] - start, duration - late[-1]) if len(late) else 0.0
        if len(late) > 1 and silence > 2.0 * np.diff(late).max():
            rates[k] = 1000.0 * len(late) / (duration - start)
    return rates


def _summary(found: Outcome, config: NeuronRun) -> Facts:
    experiment, trace, model = found.experiment, found.trace, found.experiment.model
    preset = model.presets.get(config.preset)
    firing = found.currents[found.rates > 0]
    return {
        "model": type(model).__name__,
        "preset": {"name": config.preset, "summary": preset.summary, "source": preset.source} if preset else None,
        "stimulus": str(experiment.current),
        "solver": (experiment.solver or default_solver(model)).name,
        "initial_state": dict(experiment.state),
        "metrics": {
            "spikes": len(trace.spike_times),
            "rate_hz": trace.rates(),
            "first_spike_ms": float(trace.spike_times[0]) if len(trace.spike_times) else None,
            "lowest_firing_current": float(firing[0]) if len(firing) else None,
        },
        "input_unit": experiment.unit,
        "parameters": {
            name: {"value": np.asarray(getattr(model, name)).tolist(), "unit": str(declared.unit)}
            for name, declared in model.params.items()
        },
        "options": {name: getattr(model, name) for name in model.options},
        "fi_curve": {"currents": found.currents.tolist(), "rates_hz": found.rates.tolist()},
        "phase_plane": _resting(found),
        "config": plain_config(config),
        "versions": versions(),
        "machine": machine(),
        "kernels": last_kernels(),
    }


def _resting(found: Outcome) -> Facts | None:
    """The current at which the phase plane is drawn, and its resting points."""
    if found.phase is None:
        return None
    points = [
        {
            "kind": point.kind,
            "state": dict(point.state),
            "eigenvalues_per_ms": [[float(e.real), float(e.imag)] for e in point.eigenvalues],
        }
        for point in found.phase.points
    ]
    return {"current": found.held, "resting_points": points}


def _pictures(found: Outcome) -> dict[str, Figure]:
    unit = found.experiment.unit
    pictures = {
        "trace.png": draw_trace(found.drawn, current=found.stimulus, current_unit=unit),
        "fi_curve.png": fi_curve(found.currents, found.rates, unit),
    }
    if found.phase is not None:
        pictures["phase_plane.png"] = draw_phase_plane(found.phase)
    return pictures


def _report(found: Outcome, summary: Facts) -> NeuronReport:
    experiment, trace, preset = found.experiment, found.drawn, summary["preset"]
    unit, metrics = summary["input_unit"], summary["metrics"]
    facts = {
        **({} if found.stimulus else {f"current ({pretty_unit(unit)})": experiment.current}),
        "spikes": metrics["spikes"],
        "rate (Hz)": round(metrics["rate_hz"], 2),
        "solver": summary["solver"],
        "dt (ms)": experiment.dt,
        **({"published preset": preset} if preset else {}),
        **({"stimulus": summary["stimulus"]} if found.stimulus else {}),
        **{name: summary[name] for name in ("config", "kernels", "versions", "machine")},
    }
    return NeuronReport(
        title=f"{summary['model']}: {preset['name']}" if preset else summary["model"],
        summary=facts,
        times=trace.times,
        traces={name: (trace[name], trace.units[name]) for name in trace.names()},
        spike_times=trace.spike_times,
        currents=found.currents,
        rates=found.rates,
        current_unit=unit,
        parameters={name: (p["value"], p["unit"]) for name, p in summary["parameters"].items()},
        equations=equations(experiment.model),
        about=_sentence_case(f"{preset['summary']} ({preset['source']})") if preset else "",
        stimulus=experiment.drive(trace.times) if found.stimulus else None,
        phase=found.phase,
    )


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(summary: Facts) -> str:
    metrics, config, preset = summary["metrics"], summary["config"], summary["preset"]
    count = metrics["spikes"]
    rate = f", {metrics['rate_hz']:.4g} Hz" if metrics["rate_hz"] else ""
    spikes = f"{count} spike{'' if count == 1 else 's'}{rate}"
    who = f"{summary['model']} ({preset['name']})" if preset else summary["model"]
    drive = "under its stimulus" if config["current"] is None else f"at {config['current']:g} {summary['input_unit']}"
    return f"{who} {drive} for {config['duration']:g} ms: {spikes}"
