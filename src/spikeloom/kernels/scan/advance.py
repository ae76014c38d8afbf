"""Advance a model piece by piece without gradients: states stay where they are, outputs go where they are told."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import torch

from ...models.base import NeuronModel
from ...solvers import Solver
from ...surrogates import ATan
from .. import prepare, random
from ..backends import choose, note_kernel
from ..memory import uninitialised
from ..program import CONSTANT, NEXT, SHOWN, SPIKE, STREAM, program
from . import reference
from .plan import Plan, forward_plan

Tensors = Mapping[str, torch.Tensor]


class Advance:
    """``N`` neurons of ``model`` at their ``states`` ``[N]``, which every call moves on; ``step`` counts.

    A run may be split into calls as one likes: it gives the same bits. ``solver`` and ``dt`` are those of
    :func:`~spikeloom.kernels.scan.scan.scan`; random numbers depend on ``seed``. On the CPU a call takes no memory
    but for the spikes, a byte each, and for random numbers. Nothing looks for NaN here.

    >>> import spikeloom as sl
    >>> run = Advance(sl.LIF(tau=10.0), "v", {"v": torch.zeros(1)}, dt=1.0)
    >>> run(torch.tensor([0.5]), 5).flatten().tolist()
    [0, 0, 1, 0, 1]
    """

    def __init__(
        self, model: NeuronModel, into: str, states: Tensors, *, dt: float, solver: Solver | None = None, seed: int = 0
    ) -> None:
        self.states = {name: states[name].clone(memory_format=torch.contiguous_format) for name in model.states}
        self.step, self.dt, self.solver = 0, dt, solver
        self._label, self._into, self._seed = type(model).__name__, into, random.checked_seed(seed)
        self._like = next(iter(self.states.values()))
        self._width = self._like.numel()
        self._program = program(model, solver, ATan(), (into,))
        given = prepare.constants(self._program, model, {}, dt, (self._width,), self._like)
        self._constants = {f"{CONSTANT}{k}": c for k, c in enumerate(given)}

    def go_to(self, states: Tensors, step: int) -> None:
        """Continue from copies of ``states`` as if ``step`` steps had been done."""
        self.states, self.step = {name: states[name].clone() for name in self.states}, step

    def __call__(self, drive: torch.Tensor, steps: int, shown: Tensors | None = None) -> torch.Tensor | None:
        """``steps`` steps with ``drive`` ``[steps, N]``, or ``[N]`` where it stays the same.

        What a recorder sees of the states in ``shown`` is written there, ``[steps, N]``. Returns the spikes
        ``[steps, N]`` as bytes; None for a model that never fires.
        """
        choice, shown = choose("cpu"), shown or {}
        streams = {STREAM + self._into: drive}
        for name in self._program.random:
            drawn = random.draw(name, self._seed, self.step, steps, self._width, self._like)
            streams[STREAM + name] = drawn
        if choice.name == "cpu":
            spikes = self._on_cpu(streams, steps, shown, choice.strict)
        else:
            rows = {name: x.expand(steps, self._width).contiguous() for name, x in streams.items()}
            run = self._on_reference if choice.name == "reference" else self._on_gpu
            spikes = run(rows, steps, shown, choice.strict)
        note_kernel(f"scan/{choice.name}/{self._label}/forward")
        self.step += steps
        return spikes

    def _on_cpu(self, streams: Tensors, steps: int, shown: Tensors, strict: bool) -> torch.Tensor | None:
        from . import cpu

        arrays = self._arrays(streams, steps, shown, torch.uint8)
        cpu.forward(_byte_plan(self._program.text, tuple(shown)), steps, arrays, self._label, strict)
        return arrays.get(SPIKE)

    def _on_gpu(self, streams: Tensors, steps: int, shown: Tensors, strict: bool) -> torch.Tensor | None:
        from . import gpu

        arrays = self._arrays(streams, steps, shown, self._like.dtype)
        gpu.forward(forward_plan(self._program.text, tuple(shown)), steps, arrays, self._label, strict)
        return (arrays[SPIKE] > 0).to(torch.uint8) if self._program.fires else None

    def _arrays(self, streams: Tensors, steps: int, shown: Tensors, kind: torch.dtype) -> dict[str, torch.Tensor]:
        spikes = {SPIKE: uninitialised((steps, self._width), kind, self._like.device)} if self._program.fires else {}
        rows = {SHOWN + name: row for name, row in shown.items()}
        states = {NEXT + name: value for name, value in self.states.items()}
        per_lane = {n: c if c.numel() == 1 else c.contiguous() for n, c in self._constants.items()}
        return {**streams, **per_lane, **spikes, **rows, **states}

    def _on_reference(self, streams: Tensors, steps: int, shown: Tensors, _: bool) -> torch.Tensor | None:
        inputs = {name: x.unsqueeze(1) for name, x in streams.items()}
        before = {name: value.unsqueeze(0) for name, value in self.states.items()}
        rows, final = reference.run(self._program.step, inputs, before, self._constants, tuple(shown))
        self.states = {name: value[0] for name, value in final.items()}
        for name, row in shown.items():
            row.copy_(rows[SHOWN + name][:, 0])
        return (rows[SPIKE][:, 0] > 0).to(torch.uint8) if self._program.fires else None


@functools.lru_cache(maxsize=1024)
def _byte_plan(text: str, recorded: tuple[str, ...]) -> Plan:
    """Forward with spikes as bytes."""
    return dataclasses.replace(forward_plan(text, recorded), conditions=frozenset({SPIKE}))


__all__ = ["Advance"]
