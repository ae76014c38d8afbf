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

BITS = 64
MOST = 2**16 - 1  # inputs: places are held in 16 bits
_LANES = 64  # what over_blocks divides by
_AHEAD = 256  # rows whose spikes are listed before they are summed
_ADDRESS, _INT = ctypes.c_void_p, ctypes.c_int64


def pack(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Words int64 ``[R, ceil(N / 64)]`` (bit k of word w: input ``64 w + k``) and spikes of each row int32 ``[R]``.

    ``x`` is float32 ``[R, N]``, each row contiguous. Where it holds anything but 0 and 1, the first count is -1.
    """
    rows, inputs = x.shape
    words = uninitialised((rows, -(-inputs // BITS)), torch.int64, x.device)
    counts = torch.empty(rows, dtype=torch.int32)
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
    blocks = -(-outputs // width)
    table = uninitialised((blocks, inputs, width), torch.float32, words.device)
    start = torch.zeros(blocks * width)
    if bias is not None:
        start[:outputs] = bias
    arrange, add = _kernel("arrange", width), _kernel("forward", width)
    how = inputs, outputs, weight.data_ptr(), table.data_ptr()
    over_blocks(lambda begin, end: arrange(begin // _LANES, end // _LANES, *how), blocks * _LANES, inputs)
    y = uninitialised((rows, outputs), torch.float32, words.device)

    def run(begin: int, end: int) -> None:
        places = np.empty(_AHEAD * inputs, np.uint16)
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


_ARGUMENTS = {
    "pack": [*[_INT] * 4, *[_ADDRESS] * 4],
    "arrange": [*[_INT] * 4, *[_ADDRESS] * 2],
    "forward": [*[_INT] * 4, *[_ADDRESS] * 5],
    "by_input": [*[_INT] * 5, *[_ADDRESS] * 4],
    "gradient": [*[_INT] * 8, *[_ADDRESS] * 7],
}


@functools.cache
def _kernel(name: str, width: int) -> Callable[..., None]:
    signature = ctypes.CFUNCTYPE(None, *_ARGUMENTS[name])
    return signature(getattr(load(source(name, width)), name).address)


def source(name: str, width: int) -> str:
    """The module of one kernel, which sums ``width`` outputs at once."""
    head = f'"""Spikes times weights: {name}, {width} outputs at once. Generated by spikeloom; edits are not used."""'
    body = _SOURCES[name].replace("WIDTH", str(width)).replace("AHEAD", str(_AHEAD))
    return f"{head}\n{_IMPORTS}\n\n{body}"


_IMPORTS = """import numba
from numba.types import CPointer, float32, int32, int64, uint16, void
from spikeloom.kernels.compiler import options
from spikeloom.lang.dialects.numba_rows import add_rows, lowest_bit, mark_row, transpose_tile
from spikeloom.lang.dialects.numba_streaming import row_buffer

place, real, word = CPointer(uint16), CPointer(float32), CPointer(int64)"""

_SOURCES = {
    "pack": """
@numba.cfunc(void(*[int64] * 4, real, word, CPointer(int32), word), **options(strict=True))
def pack(begin, end, inputs, stride, x, words, counts, other):
    per_row = (inputs + 63) // 64
    for row in range(begin, end):
        if other[0] != 0:
            return
        counts[row], strange = mark_row(x, row * stride, inputs, words, row * per_row)
        if strange:
            other[0] = 1
""",
    "arrange": """
@numba.cfunc(void(*[int64] * 4, real, real), **options(strict=True))
def arrange(begin, end, inputs, outputs, weight, table):
    for block in range(begin, end):
        for low in range(0, inputs, 16):
            high = min(low + 16, inputs)
            for j in range(0, WIDTH, 8):
                o, to = block * WIDTH + j, block * inputs * WIDTH + j
                if high == low + 16 and o + 8 <= outputs:
                    transpose_tile(weight, o * inputs + low, inputs, table, to + low * WIDTH, WIDTH)
                    transpose_tile(weight, o * inputs + low + 8, inputs, table, to + (low + 8) * WIDTH, WIDTH)
                else:
                    for k in range(8):
                        for i in range(low, high):
                            value = weight[(o + k) * inputs + i] if o + k < outputs else float32(0)
                            table[to + i * WIDTH + k] = value
""",
    "forward": """
@numba.cfunc(void(*[int64] * 4, word, real, real, real, place), **options(strict=True))
def forward(begin, end, inputs, outputs, words, table, start, y, places):
    per_row = (inputs + 63) // 64
    starts, partial = row_buffer(int64(0), AHEAD + 1), row_buffer(float32(0), WIDTH)
    for low in range(begin, end, AHEAD):
        high = min(low + AHEAD, end)
        at = int64(0)
        for row in range(low, high):
            starts[row - low] = at
            for w in range(per_row):
                bits = words[row * per_row + w]
                while bits != 0:
                    places[at] = 64 * w + lowest_bit(bits)
                    at += 1
                    bits &= bits - 1
        starts[high - low] = at
        for column in range(0, outputs, WIDTH):
            base = column * inputs
            for row in range(low, high):
                one, last = starts[row - low], starts[row - low + 1]
                if column + WIDTH <= outputs:
                    add_rows(WIDTH, y, row * outputs + column, start, column, table, base, places, one, last)
                else:
                    add_rows(WIDTH, partial, 0, start, column, table, base, places, one, last)
                    for j in range(outputs - column):
                        y[row * outputs + column + j] = partial[j]
""",
    "by_input": """
@numba.cfunc(void(*[int64] * 5, word, word, word, place), **options(strict=True))
def by_input(begin, end, rows, inputs, chunk, firsts, words, starts, places):
    per_row = (inputs + 63) // 64
    for c in range(begin, end):
        low, high = c * chunk, min((c + 1) * chunk, rows)
        first = c * (inputs + 1)
        for i in range(inputs + 1):
            starts[first + i] = 0
        for row in range(low, high):
            for w in range(per_row):
                bits = words[row * per_row + w]
                while bits != 0:
                    starts[first + 64 * w + lowest_bit(bits) + 1] += 1
                    bits &= bits - 1
        # starts[i + 1] is where the list of i begins while it is filled, and where it ends afterwards.
        at = firsts[c]
        for i in range(inputs):
            found = starts[first + i + 1]
            starts[first + i + 1] = at
            at += found
        starts[first] = firsts[c]
        for row in range(low, high):
            for w in range(per_row):
                bits = words[row * per_row + w]
                while bits != 0:
                    i = first + 64 * w + lowest_bit(bits) + 1
                    places[starts[i]] = row - low
                    starts[i] += 1
                    bits &= bits - 1
""",
    "gradient": """
@numba.cfunc(void(*[int64] * 8, real, word, place, real, real, real, real), **options(strict=True))
def gradient(begin, end, first, last, rows, inputs, outputs, chunk, grad, starts, places, found, total, table, sums):
    zero, part, whole = row_buffer(float32(0), WIDTH), row_buffer(float32(0), WIDTH), row_buffer(float32(0), WIDTH)
    for block in range(begin, end):
        column = block * WIDTH
        width = min(WIDTH, outputs - column)
        for j in range(WIDTH):
            whole[j] = 0
        for k in range((last - first) * WIDTH):
            sums[k] = 0
        for c in range((rows + chunk - 1) // chunk):
            low, high = c * chunk, min((c + 1) * chunk, rows)
            for piece in range(low, high, 32):
                for j in range(WIDTH):
                    part[j] = 0
                for row in range(piece, min(piece + 32, high)):
                    at, to = row * outputs + column, (row - low) * WIDTH
                    if width == WIDTH:
                        for j in range(WIDTH):
                            table[to + j] = grad[at + j]
                            part[j] += grad[at + j]
                    else:
                        for j in range(width):
                            table[to + j] = grad[at + j]
                            part[j] += grad[at + j]
                        for j in range(width, WIDTH):
                            table[to + j] = 0
                for j in range(WIDTH):
                    whole[j] += part[j]
            for i in range(first, last):
                at, own = c * (inputs + 1) + i, (i - first) * WIDTH
                add_rows(WIDTH, sums, own, sums, own, table, 0, places, starts[at], starts[at + 1])
        for low in range(first, last, 16):
            high, of = min(low + 16, last), (low - first) * WIDTH
            for j in range(0, width, 8):
                to = (column + j) * inputs + low
                if high == low + 16 and j + 8 <= width:
                    transpose_tile(sums, of + j, WIDTH, found, to, inputs)
                    transpose_tile(sums, of + 8 * WIDTH + j, WIDTH, found, to + 8, inputs)
                else:
                    for k in range(min(8, width - j)):
                        for i in range(high - low):
                            found[to + k * inputs + i] = sums[of + i * WIDTH + j + k]
        if first == 0:
            for j in range(width):
                total[column + j] = whole[j]
""",
}
