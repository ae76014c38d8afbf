"""What ``spikeloom simulate`` does once its options are known: build, run, measure, write the folder."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import time
import warnings
from typing import Any

from ..kernels.backends import last_kernels
from ..networks import NamedNetwork, NetworkConfig
from ..networks.facts import Fact
from ..plot.populations import population_raster, population_rates
from ..sim.groups import Population
from ..sim.network import Network
from ..sim.result import Result
from ..train.progress import show_status
from ..train.provenance import machine, versions
from ..train.run_folder import RunFolder, plain_config
from .interrupts import interrupts_deferred
from .simulate_bar import show_simulation


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of wall time: drawing the connections; compiling and the ``first_ms`` simulated; simulating the rest."""

    build: float
    compile: float
    run: float
    first_ms: float

    def seconds(self) -> dict[str, float]:
        """Those of the three parts."""
        return {name: round(getattr(self, name), 3) for name in ("build", "compile", "run")}


def simulate_and_report(network: NamedNetwork, config: NetworkConfig, folder: RunFolder) -> tuple[str, str]:
    """Simulate ``network`` and write its spikes, pictures, summary and report to ``folder``.

    Returns the result in a few lines, and where Ctrl-C ended it before its time ("" for a whole run).
    """
    module = importlib.import_module(network.module)
    last_kernels()
    net, result, times = _simulated(module, config)
    where = "" if result.complete else f"stopped at {result.end:g} of {config.length:g} ms; "
    where += f"what was simulated is in {folder.path}"
    said = ""
    try:
        with interrupts_deferred():  # what was simulated is not lost
            result.save(folder.path / "result.json")
            facts: dict[str, Fact] = module.facts(config, result) if result.end > config.discard else {}
            if not result.complete:  # what was published is of whole runs
                facts = {name: Fact(fact.value, fact.unit) for name, fact in facts.items()}
            summary = _summary(network, config, (net, result, times), facts)
            if hasattr(module, "details"):
                summary["details"] = module.details(config, result)
            folder.write_json("summary.json", summary)
            said = _text(network, summary, folder)
            _draw(network, config, folder, (net, result), facts, summary)
    except KeyboardInterrupt:
        if not said:
            raise
        return said, f"interrupted while its pages were drawn; {where}"
    return said, "" if result.complete else where


def _draw(
    network: NamedNetwork, config: NetworkConfig, folder: RunFolder, found: tuple[Network, Result],
    facts: dict[str, Fact], summary: dict[str, Any],
) -> None:  # fmt: skip
    """The pictures and the page."""
    result = found[1]
    with show_status("drawing"):
        own = importlib.import_module(network.pictures).pictures(config, result) if network.pictures else {}
        for name, figure in {**_pictures(network, result), **own}.items():
            with folder.file(name) as path:
                figure.savefig(path, dpi=150)
        _report(folder, config, found, facts, summary, list(own))


def _simulated(module: Any, config: NetworkConfig) -> tuple[Network, Result, Times]:
    begun = time.perf_counter()
    with show_status("connecting"):
        net: Network = module.build(config)
        net.prepare()
        synapses = sum(p.size for p in net.projections.values())
    built = time.perf_counter()
    first: list[tuple[float, float]] = []
    with show_simulation(f"{synapses:,} synapses") as show, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="stopped at")  # said below, with the folder

        def progress(done: float, total: float, seconds: float) -> None:
            if not first:
                first.append((done, seconds))
            show(done, total, seconds)

        result = net.run(config.length, threads=config.threads or None, progress=progress)
    done, seconds = first[0] if first else (0.0, result.wall_time)  # stopped before the first part
    return net, result, Times(built - begun, seconds, result.wall_time - seconds, done)


def _summary(
    network: NamedNetwork, config: NetworkConfig, found: tuple[Network, Result, Times], facts: dict[str, Fact]
) -> dict[str, Any]:
    net, result, times = found
    return {
        "network": network.name,
        "facts": {name: fact.plain() for name, fact in facts.items()},
        "complete": result.complete,
        "simulated_ms": result.end,
        "neurons": {name: group.size for name, group in net.groups.items() if isinstance(group, Population)},
        "sources": {name: group.size for name, group in net.groups.items() if not isinstance(group, Population)},
        "synapses": {name: p.size for name, p in net.projections.items()},
        "spikes": {name: len(trains) for name, trains in result.spikes.items()},
        "times_s": times.seconds(),
        "compiled_within_ms": round(times.first_ms, 6),
        "wall_s_per_simulated_s": round(times.run / (1e-3 * max(result.end - times.first_ms, net.dt)), 4),
        "memory_mib": {"network": round(net.memory() / 2**20, 1), "process_peak": peak_memory()},
        "seed": config.seed,
        "config": plain_config(config),
        "versions": versions(),
        "machine": machine(),
        "kernels": last_kernels(),
    }


def peak_memory() -> float | None:
    """The most memory that this process has had, in MiB; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _pictures(network: NamedNetwork, result: Result) -> dict[str, Any]:
    """Figures that all networks have, by the name of their file."""
    drawn = {"raster.png": population_raster, "rates.png": population_rates}
    return {name: draw(result, title=network.name) for name, draw in drawn.items()}


def _report(
    folder: RunFolder, config: NetworkConfig, found: tuple[Network, Result], facts: dict[str, Fact],
    summary: dict[str, Any], names: list[str],
) -> None:  # fmt: skip
    """The page, with the pictures called ``names``, which are in the folder."""
    from ..report.network import write_network_report

    net, result = found
    pictures = {name: (folder.path / name).read_bytes() for name in names}
    write_network_report(folder.path, config, result, facts, net=net, summary=summary, pictures=pictures)


def _text(network: NamedNetwork, summary: dict[str, Any], folder: RunFolder) -> str:
    """The result in a few lines."""
    total, synapses = sum(summary["neurons"].values()), sum(summary["synapses"].values())
    times = summary["times_s"]
    lines = [
        f"{network.name}: {total:,} neurons, {synapses:,} synapses, {summary['simulated_ms']:g} ms in "
        f"{times['run']:.2f} s (built in {times['build']:.2f} s, compiled in {times['compile']:.2f} s)",
        *(f"  {name}: {_figure(fact)}" for name, fact in summary["facts"].items()),
        f"-> {folder.path}",
    ]
    return "\n".join(lines)


def _figure(fact: dict[str, Any]) -> str:
    value = "none" if fact["value"] is None else f"{fact['value']:.4g} {fact['unit']}".rstrip()
    if "published" not in fact:
        return value
    if fact["within"] is None:
        return f"{value} ({fact['source']}: {fact['published']:g})"
    verdict = "within" if fact["within"] else "OUTSIDE"
    allowed = f"{fact['low']:.4g} to {fact['high']:.4g}"
    return f"{value} ({fact['source']}: {fact['published']:g}; {verdict} {allowed})"  # the source may be a simulator
