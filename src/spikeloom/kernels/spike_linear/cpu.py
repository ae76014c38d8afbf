"""Products of spikes and weights on the CPU: rows of the transposed weights are added up where there is a spike."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import numpy as np
import torch

from ..cache import load
from ..memory import uninitialised
from ..threads import over_blocks
from ..widths import CACHE, WIDEST, power_of_two, width_of
from .sources import AHEAD, TOGETHER, source

BITS = 64
MOST = 2**16 - 1  # inputs: places are held in 16 bits
_LANES = 64  # what over_blocks divides by
_NARROWEST = 16  # outputs of which products are formed at once
_ADDRESS, _INT = ctypes.c_void_p, ctypes.c_int64


def pack(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Words int64 ``[R, ceil(N / 64)]`` (bit k of word w: input ``64 w + k``) and spikes of each row int32 ``[R]``.

    ``x`` is float32 ``[R, N]``, each row contiguous. Where it holds anything but 0 and 1, the first count is -1.
    Or it is contiguous bytes, of which each that is not 0 counts.
    """
    rows, inputs = x.shape
    words = uninitialised((rows, -(-inputs // BITS)), torch.int64, x.device)
    counts = torch.empty(rows, dtype=torch.int32)
    if x.dtype == torch.uint8:
        mark, places = _kernel("pack_bytes", WIDEST), [t.data_ptr() for t in (x, words, counts)]
        over_blocks(lambda begin, end: mark(begin, end, inputs, *places), rows, inputs)
        return words, counts
    other = torch.zeros(1, dtype=torch.int64)
    kernel = _kernel("pack", WIDEST)
    addresses = [t.data_ptr() for t in (x, words, counts, other)]
    over_blocks(lambda begin, end: kernel(begin, end, inputs, x.stride(0), *addresses), rows, inputs)
    if int(other):
        counts[0] = -1
    return words, counts


def forward(words: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """``x W^T + b`` as ``[R, O]`` for packed ``x``, weights ``[O, N]`` and bias ``[O]``."""
    rows, (outputs, inputs) = words.shape[0], weight.shape
    width = width_of(outputs, inputs)
    table = _arranged(weight, width)
    start = torch.zeros(len(table) * width)
    if bias is not None:
        start[:outputs] = bias
    add = _kernel("forward", width)
    y = uninitialised((rows, outputs), torch.float32, words.device)

    def run(begin: int, end: int) -> None:
        places = np.empty(AHEAD * inputs, np.uint16)
        addresses = [t.data_ptr() for t in (words, table, start, y)]
        add(begin, end, inputs, outputs, *addresses, places.ctypes.data)

    over_blocks(run, rows, outputs)
    return y


def weight_gradient(
    words: torch.Tensor, counts: torch.Tensor, grad: torch.Tensor, inputs: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """``g^T x`` as ``[O, N]`` and the sum of ``g`` over rows as ``[O]``, for packed ``x``, contiguous ``g`` ``[R, O]``.

    The spikes of a chunk of rows are listed by input; a chunk's gradients, and the sums, then stay in the cache.
    """
    rows, outputs = grad.shape
    if not rows:
        return grad.new_zeros((outputs, inputs)), grad.new_zeros(outputs)
    width = min(WIDEST, power_of_two(outputs))
    chunk = CACHE // (4 * width)
    chunks = -(-rows // chunk)
    firsts = np.zeros(chunks + 1, np.int64)
    np.cumsum(np.add.reduceat(counts.numpy(), range(0, rows, chunk), dtype=np.int64), out=firsts[1:])
    starts = torch.empty((chunks, inputs + 1), dtype=torch.int64)
    places = torch.empty(int(firsts[-1]), dtype=torch.int16)
    listing, add = _kernel("by_input", width), _kernel("gradient", width)
    how = rows, inputs, chunk, firsts.ctypes.data, words.data_ptr(), starts.data_ptr(), places.data_ptr()
    over_blocks(lambda begin, end: listing(begin // _LANES, end // _LANES, *how), chunks * _LANES, inputs * chunk)
    found, total = torch.empty((outputs, inputs)), torch.empty(outputs)
    addresses = [t.data_ptr() for t in (grad, starts, places, found, total)]

    def run(first: int, last: int, low: int, high: int) -> None:
        table, sums = np.empty((chunk, width), np.float32), np.empty((high - low + 1, width), np.float32)
        add(first, last, low, high, rows, inputs, outputs, chunk, *addresses, table.ctypes.data, sums.ctypes.data)

    blocks = -(-outputs // width)
    if blocks >= torch.get_num_threads():
        over_blocks(lambda begin, end: run(begin // _LANES, end // _LANES, 0, inputs), blocks * _LANES, rows * inputs)
    else:
        over_blocks(lambda begin, end: run(0, blocks, begin, end), inputs, rows * outputs)
    return found, total


def input_gradient(needed: torch.Tensor, grad: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``g W`` as ``[R, N]`` where ``needed`` (packed) has a bit, and 0 elsewhere; contiguous ``g`` ``[R, O]``.

    Each number is a sum over blocks of outputs in their order, whatever else is needed.
    """
    (rows, outputs), inputs = grad.shape, weight.shape[1]
    width = max(min(WIDEST, power_of_two(outputs)), _NARROWEST)
    table, form = _arranged(weight, width), _kernel("input_gradient", width)
    found = uninitialised((rows, inputs), torch.float32, grad.device)

    def run(begin: int, end: int) -> None:
        places, sums = np.empty(TOGETHER * TOGETHER, np.uint16), np.empty(TOGETHER * TOGETHER, np.float32)
        addresses = [t.data_ptr() for t in (needed, table, grad, found)]
        tail = np.empty(width, np.float32)
        form(begin, end, inputs, outputs, *addresses, *(a.ctypes.data for a in (places, sums, tail)))

    over_blocks(run, rows, outputs)
    return found


def _arranged(weight: torch.Tensor, width: int) -> torch.Tensor:
    """The weights ``[O, N]`` as ``[ceil(O / width), N, width]``, with zeros after the last output."""
    outputs, inputs = weight.shape
    table = uninitialised((-(-outputs // width), inputs, width), torch.float32, weight.device)
    arrange = _kernel("arrange", width)
    how = inputs, outputs, weight.data_ptr(), table.data_ptr()
    over_blocks(lambda begin, end: arrange(begin // _LANES, end // _LANES, *how), len(table) * _LANES, inputs)
    return table


_ARGUMENTS = {
    "pack": [*[_INT] * 4, *[_ADDRESS] * 4],
    "pack_bytes": [*[_INT] * 3, *[_ADDRESS] * 3],
    "arrange": [*[_INT] * 4, *[_ADDRESS] * 2],
    "forward": [*[_INT] * 4, *[_ADDRESS] * 5],
    "by_input": [*[_INT] * 5, *[_ADDRESS] * 4],
    "gradient": [*[_INT] * 8, *[_ADDRESS] * 7],
    "input_gradient": [*[_INT] * 4, *[_ADDRESS] * 7],
}


@functools.cache
def _kernel(name: str, width: int) -> Callable[..., None]:
    signature = ctypes.CFUNCTYPE(None, *_ARGUMENTS[name])
    return signature(getattr(load(source(name, width)), name).address)
