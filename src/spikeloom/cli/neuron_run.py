"""What ``spikeloom neuron`` does once its options are known: simulate, draw, write the folder."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..kernels.backends import last_kernels
from ..models.base import NeuronModel
from ..models.equations import equations
from ..plot import fi_curve
from ..plot import trace as draw_trace
from ..report.neuron import NeuronReport, write_neuron_report
from ..simulation import Trace, simulate
from ..train.progress import show_status
from ..train.provenance import machine, versions
from ..train.run_folder import RunFolder, plain_config
from .neuron import NeuronRun

Facts = dict[str, Any]


def simulate_and_report(model: NeuronModel, config: NeuronRun, folder: RunFolder) -> Facts:
    """Simulate ``model`` and write ``summary.json``, ``report.html``, ``trace.png`` and ``fi_curve.png`` to ``folder``.

    Returns the summary.
    """
    began = time.perf_counter()
    with show_status("simulating, after compiling the model on its first run"):
        trace = simulate(model, config.current, config.duration, config.dt)
        low, high = config.curve.range(config.current)
        currents = np.linspace(low, high, config.curve.points)
        # One simulation: each current is a neuron. The first half is left to adaptation.
        curve = simulate(model, currents, config.curve.duration, config.dt, record=())
        rates = curve.rates(start=config.curve.duration / 2)
        summary = _summary(model, config, trace, currents, rates)
        _draw(folder, trace, currents, rates, summary["input_unit"])
        _report(folder, model, trace, currents, rates, summary)
    summary["wall_time_s"] = round(time.perf_counter() - began, 3)
    folder.write_json("summary.json", summary)
    print(f"{_sentence(summary)} -> {folder.path}")
    return summary


def _summary(model: NeuronModel, config: NeuronRun, trace: Trace, currents: np.ndarray, rates: np.ndarray) -> Facts:
    firing = currents[rates > 0]
    return {
        "model": type(model).__name__,
        "metrics": {
            "spikes": len(trace.spike_times),
            "rate_hz": trace.rates(),
            "first_spike_ms": float(trace.spike_times[0]) if len(trace.spike_times) else None,
            "lowest_firing_current": float(firing[0]) if len(firing) else None,
        },
        "input_unit": str(next(iter(model.inputs.values())).unit),
        "parameters": {
            name: {"value": np.asarray(getattr(model, name)).tolist(), "unit": str(declared.unit)}
            for name, declared in model.params.items()
        },
        "options": {name: getattr(model, name) for name in model.options},
        "fi_curve": {"currents": currents.tolist(), "rates_hz": rates.tolist()},
        "config": plain_config(config),
        "versions": versions(),
        "machine": machine(),
        "kernels": last_kernels(),
    }


def _draw(folder: RunFolder, trace: Trace, currents: np.ndarray, rates: np.ndarray, unit: str) -> None:
    for name, figure in (("trace.png", draw_trace(trace)), ("fi_curve.png", fi_curve(currents, rates, unit))):
        with folder.file(name) as path:
            figure.savefig(path, dpi=150)


def _report(
    folder: RunFolder, model: NeuronModel, trace: Trace, currents: np.ndarray, rates: np.ndarray, summary: Facts
) -> None:
    unit, metrics = summary["input_unit"], summary["metrics"]
    facts = {
        f"current ({unit})": summary["config"]["current"],
        "spikes": metrics["spikes"],
        "rate (Hz)": round(metrics["rate_hz"], 2),
        **{name: summary[name] for name in ("config", "kernels", "versions", "machine")},
    }
    report = NeuronReport(
        title=summary["model"],
        summary=facts,
        times=trace.times,
        traces={name: (trace[name], trace.units[name]) for name in trace.names()},
        spike_times=trace.spike_times,
        currents=currents,
        rates=rates,
        current_unit=unit,
        parameters={name: (p["value"], p["unit"]) for name, p in summary["parameters"].items()},
        equations=equations(model),
    )
    write_neuron_report(folder.path / "report.html", report)


def _sentence(summary: Facts) -> str:
    metrics, config = summary["metrics"], summary["config"]
    count = metrics["spikes"]
    rate = f", {metrics['rate_hz']:.4g} Hz" if metrics["rate_hz"] else ""
    spikes = f"{count} spike{'' if count == 1 else 's'}{rate}"
    return (
        f"{summary['model']} at {config['current']:g} {summary['input_unit']} for {config['duration']:g} ms: {spikes}"
    )
