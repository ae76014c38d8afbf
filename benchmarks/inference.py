"""A net compiled for inference against its own matrix products, and against the net itself.

    python benchmarks/inference.py [--rounds 15] [--threads 2] [--only batches chunks densities]

784-512-512-10 as in benchmarks/mlp.py, T=100, input 10 % dense. The floor is the same Linear layers called once over
T*B without neurons, on the same threads. All are measured in interleaved rounds of one run; the medians' ratios are
quoted with the quartiles of the rounds' own ratios. Before anything is timed, spikes are compared with the net's.
"chunks" are calls of a few steps each, with the state handed on; their floor is called in the same pieces.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from measuring import Tasks, command, measure, quoted
from mlp import BATCH, DENSITY, Floor, data, inferring, spiking

import spikeloom as sl


class Contenders:
    """The compiled net, the net and the floor, over one input in pieces of ``length`` steps."""

    def __init__(self, x: torch.Tensor, length: int) -> None:
        self._net, self._floor = spiking(), Floor()
        self._fast = sl.nn.compile_inference(self._net)
        self._pieces, self._x = x.split(length), x

    def tasks(self) -> Tasks:
        return {"floor": self._products, "compiled": lambda: self._stepped(self._fast), "net": self._in_net}

    def check(self) -> None:
        """Refuse to go on unless the spikes are the net's."""
        with torch.no_grad():
            apart = int((self._fast(self._x)[0] != self._net(self._x)[0]).sum())
        if apart:
            sys.exit(f"{apart} spikes differ from the net's; nothing is measured")

    def _products(self) -> None:
        for piece in self._pieces:
            inferring(self._floor, piece)()

    def _in_net(self) -> None:
        with torch.no_grad():
            self._stepped(self._net)

    def _stepped(self, run: Callable[..., tuple[torch.Tensor, sl.State]]) -> None:
        state = None
        for piece in self._pieces:
            _, state = run(piece, state)


def report(title: str, contenders: Contenders, rounds: int) -> None:
    contenders.check()
    times = measure(contenders.tasks(), rounds)
    print(f"{title:32s}", "; ".join(f"{n} {quoted(times, n).strip()}" for n in ("compiled", "net")), flush=True)


def batches(rounds: int) -> None:
    for batch in (1, 8, BATCH):
        report(f"batch {batch}", Contenders(data(batch)[0], 100), rounds * (20 if batch == 1 else 1))


def chunks(rounds: int) -> None:
    for length in (1, 10):
        report(f"batch 1, {length} steps a call", Contenders(data(1)[0], length), rounds)


def densities(rounds: int) -> None:
    for density in (0.0, 0.01, DENSITY, 0.3, 1.0):
        report(f"batch 1, input {density:g}", Contenders(data(1, density)[0], 100), rounds * 5)


if __name__ == "__main__":
    command(__doc__, {"batches": batches, "chunks": chunks, "densities": densities}, rounds=15)
