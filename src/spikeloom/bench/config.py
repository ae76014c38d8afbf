"""What the commands ``spikeloom bench ...`` may be told; torch-free, so that ``--help`` is fast."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError, did_you_mean
from ..recipes.common import require
from .networks import WORKLOADS as NETWORKS
from .points import AXES, Point, sweep, thread_counts
from .workloads import TASKS


@dataclass(frozen=True)
class BenchConfig:
    """How contenders are measured, and where the results go."""

    rounds: int = 7
    """Rounds in which all contenders take turns; medians of them are shown."""
    out: Path = Path("runs")
    """Folder in which the folder of this run is made."""
    name: str = ""
    """Name of the folder of this run; empty: the benchmark and the time."""

    def __post_init__(self) -> None:
        require("rounds", self.rounds, low=1, high=10_000)

    @property
    def goes_on(self) -> Path | None:
        """The folder of a run that goes on; None: a new one is made."""
        return None


@dataclass(frozen=True)
class SimulateConfig(BenchConfig):
    """Networks beside plain loops, NEST and Brian2: seconds of the clock per simulated second."""

    networks: tuple[str, ...] = tuple(NETWORKS)
    """Which networks."""
    threads: tuple[int, ...] = (1, 2)
    """Numbers of threads, each a contender of its own; plain loops have one."""
    gpu: bool = False
    """Whether our networks run on a CUDA device too, as a contender of its own."""
    span: float = 1000.0
    """Simulated ms of a round."""
    settle: float = 200.0
    """Simulated ms before the first round, which are not measured."""
    nest: str = ""
    """An interpreter that has NEST; empty: this one, if it has."""
    brian: str = ""
    """An interpreter that has Brian2 (and a C++ compiler at hand); empty: this one, if it has."""
    fresh_cache: bool = True
    """Whether kernels are compiled anew, so that this is timed; else they may come from the cache."""
    neurons: int = 0
    """Neurons of every network, for a trial; 0: as many as each has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_known("networks", self.networks, NETWORKS)
        require_threads(self.threads)
        require("span", self.span, low=1.0)
        require("settle", self.settle, low=1.0)
        require("neurons", self.neurons, low=0, high=100_000_000)
        if 0 < self.neurons < 250:
            raise ConfigError("neurons", got=self.neurons, expected="0, or at least 250")


@dataclass(frozen=True)
class TurnsConfig(BenchConfig):
    """How a net is called again and again."""

    seconds: float = 0.5
    """A turn lasts at least so long; its median counts."""
    keep_memory: bool = True
    """Whether the C library (glibc) keeps freed memory, for all contenders alike; it is faster for all of them.
    Their memory is measured without."""
    fresh_cache: bool = True
    """Whether kernels are compiled anew, so that this is timed; else they may come from the cache."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require("seconds", self.seconds, low=0.0, high=600.0)


@dataclass(frozen=True)
class TrainConfig(TurnsConfig):
    """Training and inference beside their own matrix products and other frameworks."""

    tasks: tuple[str, ...] = tuple(TASKS)
    """Which workloads."""
    threads: int = 2
    """Threads of every contender."""
    peers: str = ""
    """An interpreter that has snntorch, spikingjelly, norse or sinabs; empty: this one, if it has."""
    jax: str = ""
    """An interpreter that has Spyx, which needs JAX; empty: this one, if it has."""
    batch: int = 0
    """Batch size at most, for a trial; 0: as each workload has it."""
    gpu: bool = False
    """Whether all compute on a CUDA device: as they come, and recorded in a CUDA graph."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_known("tasks", self.tasks, TASKS)
        require_threads((self.threads,))
        require("batch", self.batch, low=0)


@dataclass(frozen=True)
class ScalingConfig(TurnsConfig):
    """A training step beside its own matrix products, while the size of the net and the data change."""

    rounds: int = 5
    """Rounds in which both contenders take turns at each point; medians of them are shown."""
    axes: tuple[str, ...] = tuple(AXES)
    """What is varied, each from the base point."""
    base: Point = field(default_factory=Point)
    steps: tuple[int, ...] = (12, 25, 50, 100, 200, 400)
    """Numbers of time steps."""
    batch: tuple[int, ...] = (1, 8, 32, 128, 512)
    """Batch sizes."""
    width: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    """Neurons of each hidden layer."""
    density: tuple[float, ...] = (0.002, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
    """Spikes per neuron and step, of the input and of every layer."""
    depth: tuple[int, ...] = (2, 3, 5, 9)
    """Layers of weights."""
    threads: tuple[int, ...] = field(default_factory=thread_counts)
    """Threads of the computation."""
    seconds: float = 0.2
    """A turn lasts at least so long; its median counts."""
    fresh_cache: bool = False
    """Whether kernels are compiled anew in each process; else they may come from the cache."""
    resume: Path | None = None
    """Folder of a run that goes on: points that it has are not measured again."""
    pictures: Path | None = None
    """Folder to which the pictures and summary.json go as well."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_known("axes", self.axes, AXES)
        for axis in AXES:
            if not getattr(self, axis):
                raise ConfigError(f"{axis} is empty", mend="Give at least one value.")
        self.points()

    @property
    def goes_on(self) -> Path | None:
        return self.resume

    def values(self) -> dict[str, tuple[float, ...]]:
        """The values of each axis, in ascending order."""
        return {axis: tuple(sorted(set(getattr(self, axis)))) for axis in self.axes}

    def points(self) -> list[Point]:
        """All points, those of one axis after those of the other."""
        return sweep(self.base, self.values())


def require_known(field: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise :class:`ConfigError` for no name at all, or one that is not known."""
    names, known = list(names), list(known)
    if not names:
        raise ConfigError(f"{field} is empty", mend=f"Known: {', '.join(known)}.")
    for name in names:
        if name not in known:
            raise ConfigError(f"{field}: there is no such benchmark", got=repr(name), mend=did_you_mean(name, known))


def require_threads(threads: Iterable[int]) -> None:
    """Raise :class:`ConfigError` unless there are some and each is usable."""
    threads = list(threads)
    if not threads:
        raise ConfigError("threads is empty", mend="Give at least one number.")
    for count in threads:
        require("threads", count, low=1, high=1024)
