"""Milliseconds of LIF forward and backward on a card, against the floor of moving its bytes.

    python benchmarks/scan_gpu.py [--repeats 50]

``kernels`` is the two kernels on buffers that are there, ``call`` a whole ``sl.scan`` with ``backward()``. The floor
is the bytes that the kernels read and write, each once, at the bandwidth that a large copy reaches in the same run.
The medians are taken over CUDA events; the ratios are to the floor.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch

import spikeloom as sl
from spikeloom.kernels.prepare import constants
from spikeloom.kernels.program import CONSTANT, NEXT, STATE, Program, program
from spikeloom.kernels.scan import gpu
from spikeloom.kernels.scan.plan import ADJOINT, Plan, training_plan
from spikeloom.lang.graph import Graph

SHAPES = [(100, 32, 1024), (500, 16, 512), (100, 256, 8192)]
ELEMENT = 4  # bytes of a float32
CARRIED = (NEXT, STATE, ADJOINT + NEXT, ADJOINT + STATE)


def median_ms(run: Callable[[], object], repeats: int) -> float:
    """The median time of ``run`` on the card, after warming up."""
    for _ in range(5):
        run()
    times = []
    for _ in range(repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def copy_bandwidth(repeats: int) -> float:
    """Bytes per millisecond that are read and written by a copy much larger than any cache."""
    source = torch.ones(2**28, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() * ELEMENT / median_ms(lambda: target.copy_(source), repeats)


def rows_of(graph: Graph) -> list[str]:
    """Names of the ``[T, M]`` arrays that a kernel reads or writes."""
    return [n for n in [*graph.inputs, *graph.outputs] if not n.startswith((*CARRIED, CONSTANT, ADJOINT + CONSTANT))]


def bytes_moved(plan: Plan, elements: int) -> int:
    """What forward and backward read and write, each array once a kernel (a second level cache may spare some)."""
    names = [*rows_of(plan.forward), *rows_of(plan.backward)]
    return elements * sum(1 if n in plan.conditions else ELEMENT for n in names)


class Kernels:
    """The two kernels of a training step of LIF on buffers of their own."""

    def __init__(self, found: Program, plan: Plan, x: torch.Tensor, steps: int) -> None:
        self.plan, self.steps = plan, steps
        like, features = x.new_empty(0), (x.shape[1],)
        shared = {f"{CONSTANT}{k}": c for k, c in enumerate(constants(found, sl.LIF(), {}, 1.0, features, like))}
        lane = torch.zeros(x.shape[1], device=x.device)
        self.forward, self.backward = (
            {**{n: torch.zeros_like(x, dtype=self._dtype(n)) for n in rows_of(g)}, **shared}
            for g in (plan.forward, plan.backward)
        )
        for name in found.states:
            self.forward[NEXT + name] = lane.clone()
            self.backward[ADJOINT + STATE + name] = lane.clone()
        self.forward["x.v"] = x
        self.backward |= {n: self.forward[n] for n in rows_of(plan.backward) if n in self.forward}

    def _dtype(self, name: str) -> torch.dtype:
        return torch.uint8 if name in self.plan.conditions else torch.float32

    def run(self) -> None:
        gpu.forward(self.plan, self.steps, self.forward, "LIF", False)
        gpu.backward(self.plan, self.steps, self.backward, "LIF", False)


def call(x: torch.Tensor, grad: torch.Tensor) -> None:
    """What a user's training step does."""
    result = sl.scan(sl.LIF(), {"v": x})
    assert result.spikes is not None
    torch.autograd.grad(result.spikes, x, grad)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="LIF forward and backward on a card, against the floor of moving the bytes"
    )
    parser.add_argument("--repeats", type=int, default=50)
    repeats = parser.parse_args().repeats
    if not torch.cuda.is_available():
        print("scan_gpu: no CUDA device here, nothing measured")
        return
    bandwidth = copy_bandwidth(repeats)
    print(f"{torch.cuda.get_device_name()}: a copy moves {bandwidth / 1e6:.0f} GB/s")
    found = program(sl.LIF(), None, sl.ATan(), ("v",))
    plan = training_plan(found.text, (), (True,), (False,) * len(found.prepare))
    print(f"{'LIF [T, B, N]':>18}  {'floor ms':>9}  {'kernels ms':>10}  {'ratio':>5}  {'call ms':>9}  {'ratio':>5}")
    for shape in SHAPES:
        x = 0.5 * torch.rand(shape, device="cuda")
        floor = bytes_moved(plan, x.numel()) / bandwidth
        kernels = median_ms(Kernels(found, plan, x.flatten(1), shape[0]).run, repeats)
        leaf, grad = x.requires_grad_(), torch.rand(shape, device="cuda")
        whole = median_ms(lambda leaf=leaf, grad=grad: call(leaf, grad), repeats)
        columns = f"{floor:9.4f}  {kernels:10.4f}  {kernels / floor:5.2f}  {whole:9.4f}  {whole / floor:5.2f}"
        print(f"{shape!s:>18}  {columns}")


if __name__ == "__main__":
    main()
