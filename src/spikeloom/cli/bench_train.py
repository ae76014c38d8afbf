"""What ``spikeloom bench train`` does once its options are known."""

from __future__ import annotations

from typing import Any

from ..bench.config import TrainConfig
from ..bench.machine import described, machine_facts
from ..bench.tables import TRAINING_HEAD, text_table, training_rows
from ..bench.train import TASKS, bench, interpreters
from ..train.provenance import versions
from ..train.run_folder import RunFolder, plain_config
from .bench_bar import show_bench
from .bench_pages import draw
from .bench_simulate import raise_for


def measure(config: TrainConfig, folder: RunFolder) -> None:
    """Measure task after task, print each as soon as it is known, and write the folder.

    Raises :class:`BenchError` where spikeloom computes something else, and at the end where a peer failed or did.
    """
    peers = interpreters(config)
    print(described(), flush=True)
    tasks: dict[str, Any] = {}
    for name in config.tasks:
        with show_bench() as say:
            tasks[name] = bench(TASKS[name], config, peers, say)
        print(f"\n{text_of(name, tasks[name])}", flush=True)
        facts = {"versions": versions(), "machine": machine_facts()}
        folder.write_json(
            "summary.json", {"benchmark": "train", "tasks": tasks, "config": plain_config(config), **facts}
        )
    draw(folder.path)
    print(f"\n-> {folder.path}")
    raise_for(tasks)


def text_of(name: str, found: dict[str, Any]) -> str:
    """One task: its table, and what was left out."""
    task, others = TASKS[name], found["other_work_cores"]
    busy = "" if others is None else f"; other work kept {others:g} cores busy"
    on = f", on {found['gpu']}" if found["gpu"] else ""
    sizes = "-".join(map(str, task.sizes))
    lines = [f"{name}: {task.mode}, {sizes}, T={task.steps}, batch {found['batch']}{on}{busy}"]
    lines += [text_table(TRAINING_HEAD, training_rows(found))]
    lines += [f"no figures: {label} {why}" for label, why in found["refused"].items()]
    lines += [f"no figures: {why}" for why in found["failed"].values()]
    return "\n".join(lines)
