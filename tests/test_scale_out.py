"""Two real processes, started by torchrun, train one network: as one process does, or all of them stop."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.cli import main as spikeloom_main
from spikeloom.data.arrays import Labelled
from spikeloom.errors import ConfigError
from spikeloom.learn import cross_entropy_of_mean
from spikeloom.storage.checkpoint import load_checkpoint, save_checkpoint
from spikeloom.train.evaluate import Evaluation, Task, evaluate
from spikeloom.train.history import Epoch, Step
from spikeloom.train.loop import fit
from spikeloom.train.parallel import shard
from spikeloom.train.ranks import SINGLE, Ranks, ranks_from
from spikeloom.train.settings import FitSettings
from spikeloom.train.snapshot import Keep
from spikeloom.train.stop import StoppedError, StopRequest

# Of 33 samples the last batch holds one, so that the second process has none.
PLAIN = FitSettings(epochs=3, learning_rate=0.02, weight_decay=0.01, batch_size=16, clip=1.0)
WAYS = {
    "plain": PLAIN,
    "accumulate": dataclasses.replace(PLAIN, accumulate=3),
    "truncate": dataclasses.replace(PLAIN, truncate=3),
    "recompute": dataclasses.replace(PLAIN, recompute=3),
    "online": dataclasses.replace(PLAIN, gradient="online", accumulate=2),
}


def samples(count: int, seed: int) -> Labelled:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    return Labelled((2 * np.eye(3, 6)[labels] + generator.normal(size=(count, 6))).astype(np.float32), labels)


TRAIN, VALIDATION = samples(33, 1), samples(30, 2)


def task(*, drawing: bool = False, learn: tuple[str, ...] = ("tau",)) -> Task:
    """A net with random augmentation and encoding; with ``drawing`` dropout and batch norm as well."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        extras = [torch.nn.BatchNorm1d(12), torch.nn.Dropout(0.3)] if drawing else []
        net = sl.nn.Sequential(
            torch.nn.Linear(6, 12), *extras, sl.nn.Neuron(sl.LIF(tau=5.0), learn=learn), torch.nn.Linear(12, 3),
            sl.nn.Neuron(sl.LI(tau=5.0)),
        )  # fmt: skip

    def noise(x: torch.Tensor, key: int, *steps: int) -> torch.Tensor:
        return x + 0.3 * torch.randn(*steps, *x.shape, generator=torch.Generator().manual_seed(key))

    return Task(net, lambda x, key: noise(x, key, 7), cross_entropy_of_mean, noise)


class StopAfter(StopRequest):
    """Asks to stop once its process has seen this many batches; the observer of others hears nothing."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._left = steps

    def __bool__(self) -> bool:
        self._left -= 1
        self.number = signal.SIGTERM if self._left <= 0 else 0
        return self.number != 0


class Loud:
    """An observer that counts."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def begin(self, total: int, samples: int) -> None: ...

    def step(self, done: Step) -> None:
        self.steps.append(done)

    def epoch(self, row: Epoch) -> None: ...


def plain(result: Evaluation) -> dict[str, Any]:
    return {
        "predicted": result.predicted.tolist(), "accuracy": dataclasses.asdict(result.accuracy), "loss": result.loss,
        "activity": result.activity, "rate": result.spikes_per_neuron_step,
    }  # fmt: skip


# What follows up to `main` runs in each of the two processes.


def train_each_way(folder: Path, ranks: Ranks) -> None:
    facts: dict[str, Any] = {"evaluated": {}}
    for size in (256, 8, 4):  # the first leaves the second process without a batch
        facts["evaluated"][size] = plain(evaluate(task(), VALIDATION, seed=4, batch_size=size, ranks=ranks))
    for name, settings in WAYS.items():
        loud = Loud()
        keep = Keep(folder / name)
        fitted = fit(task(), settings, TRAIN, VALIDATION, seed=3, observer=loud, keep=keep, ranks=ranks)
        facts[name] = {
            "samples": sum(step.samples for step in loud.steps),
            "history": [dataclasses.asdict(row) for row in fitted.history],
        }
        # Every process holds the same weights.
        flat = torch.cat([t.flatten() for t in fitted.tensors.values()]).double()
        ranks.require_equal([flat.sum().item(), flat.square().sum().item()], "the weights")  # type: ignore[list-item]
    (folder / f"facts-{ranks.rank}.json").write_text(json.dumps(facts))


def stop_and_go_on(folder: Path, ranks: Ranks) -> None:
    """Only the second process is asked to stop."""
    fit(task(drawing=True), PLAIN, TRAIN, VALIDATION, seed=3, keep=Keep(folder / "whole"), ranks=ranks)
    keep = Keep(folder / "parts")
    numbers: list[int] = []
    while True:
        try:
            stop = StopRequest() if ranks.first or len(numbers) == 2 else StopAfter(2)
            fit(task(drawing=True), PLAIN, TRAIN, VALIDATION, seed=3, keep=keep, stop=stop, ranks=ranks)
            break
        except StoppedError as error:
            numbers.append(error.number)
    (folder / f"stops-{ranks.rank}.json").write_text(json.dumps(numbers))


def step_fully_sharded(folder: Path, ranks: Ranks) -> None:
    """One step of a net whose parameters are divided among the processes: the snippet of docs/scale-out.md."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    found = task(learn=())  # fully_shard takes no scalar parameters, such as one tau for a whole layer
    net = found.net
    fully_shard(net, mesh=init_device_mesh("cpu", (ranks.size,)))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    images, labels = found.batch(TRAIN, slice(0, 32))
    x, own, _ = shard(found.encode(images, 0), labels, ranks)
    y, _ = net(x)
    found.loss(y, own).backward()
    optimiser.step()
    whole = {name: p.full_tensor() if isinstance(p, DTensor) else p for name, p in net.named_parameters()}
    if ranks.first:
        tensors = {name: tensor.detach().contiguous() for name, tensor in whole.items()}
        save_checkpoint(folder / "sharded.json", tensors, {})


def diverge(folder: Path, ranks: Ranks) -> None:
    """The second sample of a batch, and so the second process, meets a value that is not finite, in the 2nd epoch."""
    found, calls = task(), 0

    def augment(images: torch.Tensor, key: int) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 5:
            images[1] = torch.nan
        return images

    fit(
        dataclasses.replace(found, augment=augment), PLAIN, TRAIN, VALIDATION, seed=3, keep=Keep(folder / "nan"),
        ranks=ranks,
    )  # fmt: skip


def main(folder: Path, jobs: list[str]) -> None:
    torch.set_num_threads(1)
    ranks = ranks_from(os.environ)
    with ranks.joined():
        for job in jobs:
            try:
                globals()[job](folder, ranks)
            except Exception as error:
                (folder / f"{job}-{ranks.rank}.txt").write_text(f"{type(error).__name__}: {error}")
                raise


def torchrun(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two processes did all that needs no failure, and at last ended with one."""
    folder = tmp_path_factory.mktemp("two")
    process = torchrun(
        __file__, folder, "train_each_way", "stop_and_go_on", "step_fully_sharded", "diverge", cwd=folder
    )
    _, errors = process.communicate(timeout=200)
    assert process.returncode != 0
    assert {path.stem.rpartition("-")[0] for path in folder.glob("*.txt")} == {"diverge"}, errors[-3000:]
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_train_as_one(trained: Path, way: str, tmp_path: Path) -> None:
    fitted = fit(task(), WAYS[way], TRAIN, VALIDATION, seed=3, keep=Keep(tmp_path))
    facts, others = (json.loads((trained / f"facts-{rank}.json").read_text())[way] for rank in (0, 1))
    assert facts["samples"] == 3 * len(TRAIN)
    assert others["samples"] == 0  # it is not told
    for row, found in zip(fitted.history, facts["history"], strict=True):
        assert found["validation_accuracy"] == row.validation_accuracy
        assert found["accuracy"] == row.accuracy
        assert found["loss"] == pytest.approx(row.loss, rel=1e-5)
    one, two = (load_checkpoint(folder / "last.json").tensors for folder in (tmp_path, trained / way))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-6)


def test_evaluation_is_that_of_one_process_to_the_bit(trained: Path) -> None:
    for rank in (0, 1):
        found = json.loads((trained / f"facts-{rank}.json").read_text())["evaluated"]
        for size, result in found.items():
            assert result == plain(evaluate(task(), VALIDATION, seed=4, batch_size=int(size)))


def test_a_signal_to_one_process_stops_all_and_resuming_is_exact(trained: Path) -> None:
    assert [json.loads((trained / f"stops-{rank}.json").read_text()) for rank in (0, 1)] == 2 * [2 * [signal.SIGTERM]]
    whole, parts = (load_checkpoint(trained / name / "last.json") for name in ("whole", "parts"))
    assert whole.tensors.keys() == parts.tensors.keys()
    assert all(torch.equal(whole.tensors[name], parts.tensors[name]) for name in whole.tensors)


def test_a_fully_sharded_step_is_that_of_one_process(trained: Path) -> None:
    found = task(learn=())
    images, labels = found.batch(TRAIN, slice(0, 32))
    y, _ = found.net(found.encode(images, 0))
    found.loss(y, labels).backward()
    torch.optim.SGD(found.net.parameters(), lr=0.1).step()
    sharded = load_checkpoint(trained / "sharded.json").tensors
    for name, parameter in found.net.named_parameters():
        torch.testing.assert_close(sharded[name], parameter.detach(), rtol=1e-5, atol=1e-7)


def test_what_is_not_finite_in_one_process_stops_all(trained: Path) -> None:
    said = (trained / "diverge-1.txt").read_text()
    assert said.startswith("NonFiniteError: ")
    assert "epoch 2, step 2" in said
    assert load_checkpoint(trained / "nan" / "last.json").meta["training"]["epoch"] == 2


DIGITS = ("digits", "--epochs", "3", "--seeds", "1", "--neuron.width", "32", "--keep.every", "1")


def test_a_process_that_dies_ends_all_and_the_run_goes_on(tmp_path: Path) -> None:
    process = torchrun("-m", "spikeloom", "train", *DIGITS, "--name", "two", cwd=tmp_path)
    last = tmp_path / "runs" / "two" / "checkpoint" / "spiking-seed-0" / "last.json"
    deadline = time.monotonic() + 60
    while not last.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    workers = sorted(int(pid) for pid in listed.stdout.split())
    os.kill(workers[-1], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0, errors
    assert load_checkpoint(last).meta["training"]["epoch"] >= 1
    assert not (tmp_path / "runs" / "two" / "summary.json").exists()

    process = torchrun("-m", "spikeloom", "train", "--resume", "runs/two", cwd=tmp_path)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors[-3000:]
    assert output.count("\n") == 1  # one process speaks
    assert spikeloom_main(["train", *DIGITS, "--out", str(tmp_path / "runs"), "--name", "one"]) == 0
    one, two = (json.loads((tmp_path / "runs" / name / "summary.json").read_text()) for name in ("one", "two"))
    assert two["metrics"]["test_accuracy"] == one["metrics"]["test_accuracy"]
    assert two["metrics"]["validation_accuracy"] == one["metrics"]["validation_accuracy"]


def test_a_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as busy:
        busy.bind(("", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        monkeypatch.setenv("MASTER_ADDR", "localhost")
        monkeypatch.setenv("MASTER_PORT", port)
        said = rf"the port of localhost:{port} is in use.*--master-port"
        with pytest.raises(ConfigError, match=said), Ranks(0, 2).joined():
            pass


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RANK": "x", "WORLD_SIZE": "2"}, "whole numbers"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "below WORLD_SIZE"),
        ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}, "MASTER_PORT is not set"),
    ],
)
def test_an_unusable_environment_is_refused(environment: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ranks_from(environment)


def test_one_process_never_meets() -> None:
    assert ranks_from({}) == ranks_from({"RANK": "0", "WORLD_SIZE": "1"}) == SINGLE
    with SINGLE.joined():
        assert not torch.distributed.is_initialized()
        assert SINGLE.total([1.5]) == [1.5]
        assert SINGLE.told("here") == "here"


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
