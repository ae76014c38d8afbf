"""Five small trainings, and the process that the reliability campaigns kill."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

import spikeloom as sl
from spikeloom.coding import encode
from spikeloom.data.arrays import Labelled
from spikeloom.learn import cross_entropy_of_mean
from spikeloom.nets import ConvBlock, conv_net
from spikeloom.storage import files
from spikeloom.storage.checkpoint import load_checkpoint
from spikeloom.train.evaluate import Task
from spikeloom.train.history import Epoch, Step
from spikeloom.train.loop import FitSettings, Keep, fit
from spikeloom.train.stop import StoppedError, stop_on_signals

KINDS = ("lif", "alif", "recurrent", "conv-batch-norm", "learned-tau-dropout-rate")
SETTINGS = FitSettings(epochs=3, learning_rate=0.02, weight_decay=0.01, batch_size=16, clip=1.0)
STEPS = 3 * 6
EVERY = 2
# Where inside a save a process may die.
MOMENTS = ("opened", "half written", "written", "before rename", "after rename")


def samples(count: int, seed: int) -> Labelled:
    """Noisy pictures of one of three bars."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    pictures = generator.random((count, 1, 6, 6)) * 0.4
    pictures[np.arange(count), 0, 2 * labels] += 0.6
    return Labelled(pictures.astype(np.float32), labels)


TRAIN, VALIDATION = samples(96, 1), samples(40, 2)


def task(kind: str) -> Task:
    """The network of ``kind`` with its initial weights."""
    nn, flat = sl.nn, kind != "conv-batch-norm"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        read = [torch.nn.Linear(16, 3), nn.Neuron(sl.LI(tau=5.0))]
        first = torch.nn.Linear(36, 16)
        if kind == "lif":
            net: torch.nn.Module = nn.Sequential(first, nn.Neuron(sl.LIF(tau=5.0)), *read)
        elif kind == "alif":
            net = nn.Sequential(first, nn.Neuron(sl.ALIF()), *read)
        elif kind == "recurrent":
            net = nn.Sequential(first, nn.Recurrent(nn.Neuron(sl.LIF(tau=5.0)), 16), *read)
        elif kind == "conv-batch-norm":
            blocks = [ConvBlock(4, pooled="currents")]
            net = conv_net((1, 6, 6), 3, sl.LIF(tau=5.0), sl.LI(tau=5.0), blocks=blocks, norm=torch.nn.BatchNorm2d)
        else:
            net = nn.Sequential(first, nn.Neuron(sl.LIF(tau=5.0), learn=("tau",)), torch.nn.Dropout(0.3), *read)

    def shown(images: torch.Tensor, key: int) -> torch.Tensor:
        x = images.flatten(1) if flat else images
        if kind == "learned-tau-dropout-rate":
            return encode.rate(x, 4, torch.Generator().manual_seed(key))
        return encode.direct(x, 4)

    return Task(net, shown, cross_entropy_of_mean)


@dataclass(frozen=True)
class DieInSave:
    """Kill this process at the ``save``-th file it writes, at one of ``MOMENTS``."""

    save: int
    moment: str

    def opener(self) -> Callable[[Path], BinaryIO]:
        """Opens files for ``write_atomic`` and, when it is time, dies."""
        count, replace, moment = 0, os.replace, self.moment

        def renamed(source: Path, target: Path) -> None:
            due = count == self.save
            if due and moment == "before rename":
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target)
            if due and moment == "after rename":
                os.kill(os.getpid(), signal.SIGKILL)

        files.os.replace = renamed  # type: ignore[assignment]

        def opened(path: Path) -> BinaryIO:
            nonlocal count
            count += 1
            stream = files.open_new(path)
            if count == self.save and moment in MOMENTS[:3]:
                return _Dying(stream, moment)  # type: ignore[return-value]
            return stream

        return opened


class _Dying:
    def __init__(self, stream: BinaryIO, moment: str) -> None:
        self.stream, self.moment = stream, moment

    def __enter__(self) -> _Dying:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def write(self, data: bytes) -> None:
        part = {"opened": 0, "half written": len(data) // 2, "written": len(data)}[self.moment]
        self.stream.write(data[:part])
        self.stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Told:
    """Writes a byte to a pipe after every step, so that a parent can time its signal; notes steps after a request."""

    pipe: int
    after: int = 0
    asked: Callable[[], bool] = bool

    def begin(self, total: int, samples: int) -> None:
        os.write(self.pipe, b"b")

    def step(self, done: Step) -> None:
        os.write(self.pipe, b"s")
        self.after += self.asked()

    def epoch(self, row: Epoch) -> None:
        os.write(self.pipe, b"e")


def train(kind: str, folder: Path, pipe: int, death: DieInSave | None = None) -> None:
    """The body of a child: train, or go on, until the end or a signal; exit code 0, 143, or 99 for a late stop."""
    torch.set_num_threads(1)
    opener = death.opener() if death else files.open_new
    with stop_on_signals() as stop:
        told = Told(pipe, asked=lambda: bool(stop))
        keep = Keep(folder, every=EVERY, open_file=opener)
        try:
            fit(task(kind), SETTINGS, TRAIN, VALIDATION, seed=7, observer=told, keep=keep, stop=stop)
        except StoppedError as error:
            sys.exit(99 if told.after > 1 else 128 + error.number)


_CONTEXT = multiprocessing.get_context("forkserver")


class Child:
    """A training in a process forked from one that has torch loaded already; context manager, so that none is left."""

    def __init__(self, kind: str, folder: Path, death: DieInSave | None = None) -> None:
        # The server looks for modules nowhere else.
        here, known = str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")
        if here not in known.split(os.pathsep):
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (here, known)))
        _CONTEXT.set_forkserver_preload(["reliability_warm"])
        self.reader, self.writer = _CONTEXT.Pipe(duplex=False)
        self.process: BaseProcess = _CONTEXT.Process(target=_behind, args=(kind, folder, self.writer, death))

    def __enter__(self) -> Child:
        self.process.start()
        self.writer.close()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.reader.close()

    def wait_for_begin(self) -> None:
        """Until the first byte: data, network and checkpoint are loaded."""
        try:
            os.read(self.reader.fileno(), 1)
        except OSError:
            return

    def end(self, timeout: float = 120.0) -> int:
        """The exit code, negative for a signal."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, "the child hangs"
        return self.process.exitcode


def _behind(kind: str, folder: Path, writer: object, death: DieInSave | None) -> None:
    train(kind, folder, writer.fileno(), death)  # type: ignore[attr-defined]


def contents(folder: Path) -> str:
    """A hash of best and last: every tensor and every fact but the wall time."""
    digest = hashlib.sha256()
    for name in ("best.json", "last.json"):
        loaded = load_checkpoint(folder / name)
        for key in sorted(loaded.tensors):
            digest.update(key.encode() + loaded.tensors[key].numpy().tobytes())
        digest.update(repr(_timeless(loaded.meta)).encode())
    return digest.hexdigest()


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in sorted(value.items()) if key != "time_s"}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def undisturbed(kind: str) -> str:
    """:func:`contents` of a training that nothing happened to, in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        with Child(kind, folder) as run:
            assert run.end() == 0
        return contents(folder)
