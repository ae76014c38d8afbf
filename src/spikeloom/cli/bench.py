"""``spikeloom bench NAME``: the project's benchmarks beside installed peers and physical floors."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

from ..bench.config import BenchConfig, ScalingConfig, SimulateConfig, TrainConfig
from ..errors import ConfigError, did_you_mean
from ..train.progress import show_status
from ..train.run_folder import open_run_folder, reopen_run_folder
from .evaluate import named_run
from .interrupts import interrupts_deferred
from .options import parse


@dataclass(frozen=True)
class Benchmark:
    """A word after ``spikeloom bench``; its module is imported only when it runs."""

    name: str
    summary: str
    config: type[BenchConfig]
    module: str


BENCHMARKS = (
    Benchmark("simulate", "networks beside plain loops, NEST and Brian2", SimulateConfig, "bench_simulate"),
    Benchmark("train", "training and inference beside floors and frameworks", TrainConfig, "bench_train"),
    Benchmark("scaling", "a training step while nets and data grow", ScalingConfig, "bench_scaling"),
)  # fmt: skip


def run(arguments: Sequence[str]) -> None:
    """Find the benchmark, let the options override its configuration, measure."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    by_name = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    if arguments[0] not in by_name:
        mend = f"{did_you_mean(arguments[0], by_name)} See `spikeloom bench --help`."
        raise ConfigError("there is no such benchmark", got=repr(arguments[0]), mend=mend)
    benchmark = by_name[arguments[0]]
    prog, description = f"spikeloom bench {benchmark.name}", f"Measure {benchmark.summary}."
    config = parse(benchmark.config(), arguments[1:], prog=prog, description=description)
    opened = (
        open_run_folder(config.out, config.name, f"bench-{benchmark.name}")
        if config.goes_on is None
        else reopen_run_folder(named_run(config.goes_on, "bench scaling --resume"))
    )
    with opened as folder:
        with show_status("loading"), interrupts_deferred():
            module = importlib.import_module(f"spikeloom.cli.{benchmark.module}")
        module.measure(config, folder)


def usage() -> str:
    """The text of ``spikeloom bench --help``."""
    width = max(len(benchmark.name) for benchmark in BENCHMARKS)
    return "\n".join(
        [
            "usage: spikeloom bench NAME [--rounds N] [--field value ...]",
            "",
            "Measures speed and memory. Every contender runs in a process of its own, and all take turns; what they",
            "compute is compared first, and no figure is shown for one that computes something else. Peers take part",
            "where they are installed. Writes summary.json and report.html to runs/<name>/;",
            "`spikeloom report runs/NAME` makes page and pictures again.",
            "",
            "benchmarks:",
            *(f"  {benchmark.name:<{width}}  {benchmark.summary}" for benchmark in BENCHMARKS),
            "",
            "  `spikeloom bench NAME --help` lists every field with its default.",
        ]
    )
