"""Milliseconds on a card, against the floor of moving the bytes or of the dense products alone.

    python benchmarks/scan_gpu.py [--repeats 50]

LIF forward and backward in float32 and bfloat16: ``kernels`` is the two kernels on buffers that are there, ``call`` a
whole ``sl.scan`` with its gradient; the floor is the bytes that the kernels read and write, each once, at the bandwidth
that a large copy reaches in the same run. SpikingJelly's neuron stands beside them, with the backend that it chooses
itself. A recurrent layer: all steps in one kernel, and step by step; its floor is the three dense products over all
steps at once.

``graph`` is what stands before it, recorded in a CUDA graph and played again: without the time that Python and launches
take. Medians of interleaved rounds by CUDA events. Without a card it measures nothing and exits with an error.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
from collections.abc import Callable, Mapping

import torch

import spikeloom as sl
from spikeloom.bench.contenders.on_card import recorded
from spikeloom.kernels.prepare import constants
from spikeloom.kernels.program import CONSTANT, NEXT, SPIKE, STATE, STREAM, Program, program
from spikeloom.kernels.scan import gpu
from spikeloom.kernels.scan.plan import ADJOINT, Plan, training_plan
from spikeloom.lang.graph import Graph

SHAPES = [(100, 32, 1024), (500, 16, 512), (100, 256, 8192)]
RECURRENT = [(250, 128, 256), (250, 128, 512), (250, 128, 1024)]  # the first is W3's
CARRIED = (NEXT, STATE, ADJOINT + NEXT, ADJOINT + STATE)

Run = Callable[[], object]


def medians_ms(runs: Mapping[str, Run], repeats: int) -> dict[str, float]:
    """The median time of each on the card, after warming up, in interleaved rounds."""
    for run in runs.values():
        for _ in range(5):
            run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            run()
            end.record()
            end.synchronize()
            times[name].append(begin.elapsed_time(end))
    return {name: statistics.median(those) for name, those in times.items()}


def copy_bandwidth(repeats: int) -> float:
    """Bytes per millisecond that are read and written by a copy much larger than any cache."""
    source = torch.ones(2**28, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / medians_ms({"copy": lambda: target.copy_(source)}, repeats)["copy"]


def rows_of(graph: Graph) -> list[str]:
    """Names of the ``[T, M]`` arrays that a kernel reads or writes."""
    return [n for n in [*graph.inputs, *graph.outputs] if not n.startswith((*CARRIED, CONSTANT, ADJOINT + CONSTANT))]


def kind_of(plan: Plan, name: str, dtype: torch.dtype) -> torch.dtype:
    """The type of a ``[T, M]`` array where streams and spikes have ``dtype``."""
    if name in plan.conditions:
        return torch.uint8
    return dtype if name.removeprefix(ADJOINT).startswith((STREAM, SPIKE)) else torch.float32


def bytes_moved(plan: Plan, elements: int, dtype: torch.dtype) -> int:
    """What forward and backward read and write, each array once a kernel (a second level cache may spare some)."""
    names = [*rows_of(plan.forward), *rows_of(plan.backward)]
    return elements * sum(kind_of(plan, n, dtype).itemsize for n in names)


class Kernels:
    """The two kernels of a training step of LIF on buffers of their own."""

    def __init__(self, found: Program, plan: Plan, x: torch.Tensor, steps: int) -> None:
        self.plan, self.steps = plan, steps
        lane = torch.zeros(x.shape[1], device=x.device)
        prepared = constants(found, sl.LIF(), {}, 1.0, (x.shape[1],), lane)
        shared = {f"{CONSTANT}{k}": c for k, c in enumerate(prepared)}
        self.forward, self.backward = (
            {**{n: torch.zeros_like(x, dtype=kind_of(plan, n, x.dtype)) for n in rows_of(g)}, **shared}
            for g in (plan.forward, plan.backward)
        )
        for name in found.states:
            self.forward[NEXT + name] = lane.clone()
            self.backward[ADJOINT + STATE + name] = lane.clone()
        self.forward[STREAM + "v"] = x
        self.backward |= {n: self.forward[n] for n in rows_of(plan.backward) if n in self.forward}

    def run(self) -> None:
        gpu.forward(self.plan, self.steps, self.forward, "LIF", False)
        gpu.backward(self.plan, self.steps, self.backward, "LIF", False)


def call(x: torch.Tensor, grad: torch.Tensor) -> None:
    """What a user's training step does."""
    result = sl.scan(sl.LIF(), {"v": x})
    assert result.spikes is not None
    torch.autograd.grad(result.spikes, x, grad)


def with_graphs(runs: Mapping[str, Run]) -> dict[str, Run]:
    """Each as it is and recorded; says where it cannot be."""
    found: dict[str, Run] = {}
    for name, run in runs.items():
        found[name] = run
        try:
            found[f"{name}, graph"] = recorded(run).replay
        except Exception as error:  # whatever a framework that cannot be recorded raises
            print(f"  {name}: not recorded ({type(error).__name__}: {str(error)[:60]})")
    return found


def peers(x: torch.Tensor, grad: torch.Tensor) -> dict[str, Run]:
    """SpikingJelly on these data, where it is installed; says why it does not run."""
    try:
        neuron = importlib.import_module("spikingjelly.activation_based.neuron")
    except ImportError:
        return {}
    node = neuron.LIFNode(decay_input=False, v_reset=None, detach_reset=True, step_mode="m")

    def run() -> None:
        node.reset()
        torch.autograd.grad(node(x), x, grad)

    try:
        run()
    except Exception as error:  # whatever a backend that is not there raises
        print(f"  spikingjelly: not measured ({type(error).__name__}: {str(error)[:60]})")
        return {}
    return {"spikingjelly": run}


def measure_scan(bandwidth: float, repeats: int) -> None:
    """Print times and ratios of LIF."""
    found = program(sl.LIF(), None, sl.ATan(), ("v",))
    plan = training_plan(found.text, (), (True,), (False,) * len(found.prepare))
    for shape in SHAPES:
        for dtype in (torch.float32, torch.bfloat16):
            x = (0.5 * torch.rand(shape, device="cuda")).to(dtype)
            floor = bytes_moved(plan, x.numel(), dtype) / bandwidth
            leaf, grad = x.clone().requires_grad_(), torch.rand_like(x)
            kernels = Kernels(found, plan, x.flatten(1), shape[0])
            print(f"LIF {shape}, {str(dtype).removeprefix('torch.')}: floor {floor:.4f} ms")
            other = x.clone().requires_grad_()  # what a peer keeps of its graph must not meet ours
            runs = {"kernels": kernels.run, "call": lambda leaf=leaf, grad=grad: call(leaf, grad), **peers(other, grad)}
            show(medians_ms(with_graphs(runs), repeats), floor)


def recurrent_runs(shape: tuple[int, int, int]) -> dict[str, Run]:
    """The floor, the fused layer and the loop, on the same data."""
    steps, batch, size = shape
    layer = sl.nn.Recurrent(sl.nn.Neuron(sl.LIF()), size).cuda()
    loop = sl.nn.Recurrent(sl.nn.Neuron(sl.LIF()), size).cuda()
    loop.load_state_dict(layer.state_dict())
    loop.neuron.register_forward_hook(lambda *_: None)  # a hook hears of every step
    x = (0.12 * torch.rand(shape, device="cuda")).requires_grad_()  # 3.5 % of the neurons fire in a step
    grad, flat = torch.rand_like(x), torch.rand(steps * batch, size, device="cuda")

    def floor() -> tuple[torch.Tensor, ...]:
        weight = layer.weight.detach()
        return flat @ weight.T, flat @ weight, flat.T @ flat

    def train(chosen: sl.nn.Recurrent) -> None:
        torch.autograd.grad(chosen(x)[0], (x, chosen.weight), grad)

    def forward() -> None:
        with torch.no_grad():
            layer(x)

    return {
        "floor": floor, "one kernel": lambda: train(layer), "its forward pass": forward, "by steps": lambda: train(loop)
    }  # fmt: skip


def measure_recurrence(repeats: int) -> None:
    """Print times and ratios of recurrent layers."""
    for shape in RECURRENT:
        sl.last_kernels()
        runs = recurrent_runs(shape)
        recorded_ones = with_graphs({name: run for name, run in runs.items() if name not in ("floor", "by steps")})
        times = medians_ms({**recorded_ones, **runs}, max(repeats // 5, 3))
        kernels = sl.last_kernels()
        assert "recurrence/gpu/LIF/forward" in kernels, kernels
        floor = times.pop("floor")
        print(f"Recurrent LIF {shape}, float32: floor {floor:.4f} ms")
        show(times, floor)


def show(times: Mapping[str, float], floor: float) -> None:
    for name, time in times.items():
        print(f"  {name:<20} {time:9.4f} ms  {time / floor:7.2f} floors")


def main() -> None:
    parser = argparse.ArgumentParser(description="Scan and recurrence on a card, against their floors")
    parser.add_argument("--repeats", type=int, default=50)
    repeats = parser.parse_args().repeats
    if not torch.cuda.is_available():
        raise SystemExit("scan_gpu: no CUDA device here, nothing measured")
    bandwidth = copy_bandwidth(repeats)
    torch.backends.cuda.matmul.allow_tf32 = False
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: a copy moves {bandwidth / 1e6:.0f} GB/s")
    measure_scan(bandwidth, repeats)
    measure_recurrence(repeats)


if __name__ == "__main__":
    main()
