"""The recurrence on the CPU: weights as its kernels want them, and their launch."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping

import numpy as np
import torch

from ..cache import load
from ..program import CONSTANT, NEXT, SPIKE, STATE
from ..scan.plan import ADJOINT, Plan
from ..threads import over_blocks
from . import source

NamedArrays = Mapping[str, torch.Tensor]
Launch = Callable[..., None]
How = tuple[str, bool, str]  # the model's name, whether strict, the stream that spikes come back into

_PRECISION = {torch.float32: "f32", torch.float64: "f64"}
_LANES = 64  # what over_blocks divides by


def forward(
    plan: Plan, arrays: NamedArrays, x: torch.Tensor, first: torch.Tensor, weight: torch.Tensor,
    spikes: tuple[torch.Tensor, torch.Tensor], how: How,
) -> None:  # fmt: skip
    """All steps in place: ``arrays`` holds constants, outputs ``[T, M]`` and states ``next.*`` ``[M]`` filled with the
    initial values; ``x`` is ``[T, B, N]``, ``first`` ``[M]`` comes in with it at the first step, ``weight`` is
    ``[N, N]``. ``spikes`` are words ``[(T + 1) * B, ceil(N / 64)]`` and counts ``[(T + 1) * B]``, of which the first B
    rows are given and the others are written."""
    steps, batch, size = x.shape
    kernel = _kernel(plan, _shapes(arrays, plan, size, batch), _PRECISION[x.dtype], "forward", how)
    table = _in_blocks(weight, source.LANES[_PRECISION[x.dtype]])
    given = [t.data_ptr() for t in (x, first, table, *spikes)]
    kept = [_address(n, a) for n, a in arrays.items()]
    padded = -(-size // source.WORD) * source.WORD

    def run(begin: int, end: int) -> None:
        sums, fired = scratch((source.GROUP, padded), _NUMPY[x.dtype]), np.zeros(padded, _NUMPY[x.dtype])
        places = scratch((source.GROUP, size), np.dtype(np.uint16))
        own = [a.ctypes.data for a in (sums, fired, places)]
        kernel(begin, end, steps, batch, size, *given, *own, *kept)

    _over_samples(run, batch, steps * size)


def backward(
    plan: Plan, arrays: NamedArrays, weight: torch.Tensor, steps: int, batch: int, how: How
) -> None:  # fmt: skip
    """All steps in reverse, in place: the arrays are those of :func:`spikeloom.kernels.scan.cpu.backward`, where
    ``g.spike`` may be a single row ``[M]`` that holds in every step."""
    size, precision = len(weight), _PRECISION[weight.dtype]
    kernel = _kernel(plan, _shapes(arrays, plan, size, batch), precision, "backward", how)
    tiles = _in_blocks(weight.T, source.TILE[precision])
    kept = [_address(n, a) for n, a in arrays.items()]
    padded = -(-size // source.WORD) * source.WORD

    def run(begin: int, end: int) -> None:
        sums = scratch((source.GROUP, padded), _NUMPY[weight.dtype])
        kernel(begin, end, steps, batch, size, tiles.data_ptr(), sums.ctypes.data, *kept)

    _over_samples(run, batch, steps * size * size)


_NUMPY = {torch.float32: np.dtype("f4"), torch.float64: np.dtype("f8")}


def _over_samples(run: Callable[[int, int], None], batch: int, work: int) -> None:
    """Fixed blocks of samples on torch's threads."""
    over_blocks(lambda begin, end: run(begin // _LANES, end // _LANES), batch * _LANES, work)


def scratch(shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    """Uninitialised memory of one thread; tests replace it by memory full of NaN."""
    return np.empty(shape, kind)


def _in_blocks(weight: torch.Tensor, width: int) -> torch.Tensor:
    """``[O, I]`` as ``[ceil(O / width), I, width]``, zeros at the end: what a block of outputs needs lies together."""
    padded = torch.nn.functional.pad(weight, (0, 0, 0, -len(weight) % width))
    return padded.view(-1, width, weight.shape[1]).transpose(1, 2).contiguous()


def _shapes(arrays: NamedArrays, plan: Plan, size: int, batch: int) -> source.Arrays:
    constants = {n: a for n, a in arrays.items() if n.startswith(CONSTANT)}
    shared = frozenset(n for n, a in constants.items() if a.numel() == 1)
    lane_prefixes = (NEXT, ADJOINT + STATE, ADJOINT + CONSTANT)
    lanes = frozenset(
        n for n, a in arrays.items() if n.startswith(lane_prefixes) or (n == ADJOINT + SPIKE and a.dim() == 1)
    )
    return source.Arrays(tuple(arrays), shared, frozenset(constants) - shared, lanes, plan.conditions)


def _address(name: str, array: torch.Tensor) -> int:
    assert array.is_contiguous(), f"{name} is not contiguous"  # the operator made it so
    return array.data_ptr()


@functools.lru_cache(maxsize=1024)
def _kernel(plan: Plan, arrays: source.Arrays, precision: str, direction: str, how: How) -> Launch:
    if direction == "forward":
        text, own = source.forward_source(plan.forward, arrays, precision, *how), 8
    else:
        text, own = source.backward_source(plan.backward, arrays, precision, *how), 2
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 5, *[ctypes.c_void_p] * (own + len(arrays.names)))
    return kind(getattr(load(text), direction).address)
