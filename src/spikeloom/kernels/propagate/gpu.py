"""Networks on a GPU: kernels for Triton, launched one after another for all steps of a window, and waiting for none.

A launch needs no number that another one finds: the number of the step lies on the device, and lists of spikes have
room for every neuron. So nothing is read back before the end of a run, and the launches of several windows can be
recorded once and played again (a CUDA graph).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Literal

import torch

from ..cache import load_for_triton
from ..scan.gpu import checked_device

_STEPS_IN_GRAPH = 16
_WARP = 32


@dataclasses.dataclass(frozen=True, eq=False)
class Launch:
    """A kernel ``name`` of generated ``source`` with its arguments.

    Kernels take (clock, steps, width, *tensors, block); ``clock`` holds the number of the window's first step. A window
    has several steps: a "loop" kernel is told their number; others look at one step each, which is the place along the
    third axis of the ``grid`` ("grid"), or the second argument ("each": launched again for every step, in order).
    """

    source: str
    name: str
    grid: tuple[int, int]
    width: int
    tensors: tuple[torch.Tensor, ...]
    block: int
    way: Literal["loop", "grid", "each"] = "loop"
    strict: bool = True

    def run(self, clock: torch.Tensor, steps: int, interpreted: bool) -> None:
        """Launch it for a window of ``steps``."""
        kernel = _kernel(self.source, self.name, interpreted)
        deep = steps if self.way == "grid" else 1
        for k in range(steps if self.way == "each" else 1):
            given = {"loop": steps, "grid": 0, "each": k}[self.way]
            options = {"num_warps": max(1, min(8, self.block // _WARP)), "enable_fp_fusion": not self.strict}
            kernel[(*self.grid, deep)](clock, given, self.width, *self.tensors, block=self.block, **options)


def device() -> tuple[torch.device, bool]:
    """Where networks run on the gpu backend, and whether Triton's interpreter runs them.

    Raises BackendError where there is neither a card nor the interpreter.
    """
    card = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    interpreted = checked_device(card)
    return torch.device("cpu") if interpreted else card, interpreted


def drive(launches: Sequence[Launch], clock: torch.Tensor, steps: int, window: int, interpreted: bool) -> None:
    """Launch all kernels for ``steps`` steps, in windows of ``window``; ``clock`` moves on by itself."""

    def go(count: int) -> None:
        for launch in launches:
            launch.run(clock, count, interpreted)
        clock[:1].add_(count)

    windows, rest = divmod(steps, window)
    with torch.cuda.device(clock.device) if clock.is_cuda else contextlib.nullcontext():
        together = max(1, _STEPS_IN_GRAPH // window)
        if clock.is_cuda and windows > 2 * together:
            go(window)  # compiles, which cannot be recorded
            windows -= 1
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for _ in range(together):
                    go(window)
            for _ in range(windows // together):
                graph.replay()
            windows %= together
        for _ in range(windows):
            go(window)
        if rest:
            go(rest)


@functools.lru_cache(maxsize=1024)
def _kernel(source: str, name: str, interpreted: bool) -> Any:
    return getattr(load_for_triton(source, interpreted), name)


__all__ = ["Launch", "device", "drive"]
