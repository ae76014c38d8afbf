"""What ``spikeloom bench simulate`` does once its options are known."""

from __future__ import annotations

from typing import Any

from ..bench.config import SimulateConfig
from ..bench.machine import described, machine_facts
from ..bench.simulate import OURS, WORKLOADS, bench, interpreters
from ..bench.tables import NETWORK_HEAD, network_rows, text_table, verdict
from ..bench.train import RECORDED
from ..errors import BenchError
from ..train.provenance import versions
from ..train.run_folder import RunFolder, plain_config
from .bench_bar import show_bench
from .bench_pages import draw


def measure(config: SimulateConfig, folder: RunFolder) -> None:
    """Measure network after network, print each as soon as it is known, and write the folder.

    Raises :class:`BenchError` at the end where a contender failed or computed something else.
    """
    peers = interpreters(config)
    print(described(), flush=True)
    networks: dict[str, Any] = {}
    for name in config.networks:
        with show_bench() as say:
            networks[name] = bench(WORKLOADS[name], config, peers, say)
        print(f"\n{text_of(name, networks[name])}", flush=True)
        summary = {
            "benchmark": "simulate",
            "networks": networks,
            "config": plain_config(config),
            "versions": versions(),
            "machine": machine_facts(),
        }
        folder.write_json("summary.json", summary)  # after each, so that Ctrl-C keeps what was measured
    draw(folder.path)
    print(f"\n-> {folder.path}")
    raise_for(networks)


def text_of(name: str, found: dict[str, Any]) -> str:
    """One network: its table, the verdict, and what was left out."""
    others = found["other_work_cores"]
    busy = "" if others is None else f"; other work kept {others:g} cores busy"
    lines = [f"{name}, {found['neurons']:,} neurons{busy}", text_table(NETWORK_HEAD, network_rows(found))]
    lines += [verdict(found)] if verdict(found) else []
    lines += [f"no figures: {label} {why}" for label, why in found["refused"].items()]
    lines += [f"no figures: {why}" for why in found["failed"].values()]
    return "\n".join(lines)


def raise_for(found: dict[str, Any]) -> None:
    """Raise :class:`BenchError` where something was left out; a peer that cannot be recorded in a graph is no fault."""
    left = [(name, label) for name, part in found.items() for label in [*part["refused"], *part["failed"]]]
    out = [f"{name}: {label}" for name, label in left if OURS in label or not label.endswith(RECORDED)]
    if out:
        raise BenchError("some contenders have no figures, because they failed or compute something else", got=out)
