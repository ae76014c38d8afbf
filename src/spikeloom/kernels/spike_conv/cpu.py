"""Convolutions of sparse input on the CPU: where the input is not zero, rows of the weights are scaled and added up."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import numpy as np
import torch

from ...lang.dialects.numba_rows import AT_ONCE
from ..cache import load
from ..memory import uninitialised
from ..threads import over_blocks
from ..widths import WIDEST, power_of_two, width_of
from .shape import ConvShape
from .sources import source

_LANES = 64  # what over_blocks divides by
_GROUPS = 16  # of images, whose weight gradients are summed apart: whatever the threads, the same sums
_NARROWEST = 16  # outputs of which products are formed at once
_MOST_SUMS = 2**24  # bytes of all groups' weight gradients
_ADDRESS, _INT = ctypes.c_void_p, ctypes.c_int64

Sparse = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def mark(planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Of contiguous float32 ``[R, P]``: words int64 ``[R, ceil(P / 64)]`` (bit k of word w: element ``64 w + k`` is not
    zero), the number of such elements of each row int32 ``[R]``, and whether all of them are 1."""
    rows, size = planes.shape
    words = uninitialised((rows, -(-size // 64)), torch.int64, planes.device)
    counts, other = torch.empty(rows, dtype=torch.int32), torch.zeros(1, dtype=torch.int64)
    kernel = _kernel("mark", 8)
    addresses = [t.data_ptr() for t in (planes, words, counts, other)]
    over_blocks(lambda begin, end: kernel(begin, end, size, *addresses), rows, size)
    return words, counts, not int(other)


def values(planes: torch.Tensor, words: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """The elements of ``planes`` that are not zero, row after row; row r's begin at ``starts[r]``."""
    rows, size = planes.shape
    found = torch.empty(int(starts[-1]), dtype=planes.dtype)
    kernel = _kernel("values", 8)
    addresses = [t.data_ptr() for t in (planes, words, starts, found)]
    over_blocks(lambda begin, end: kernel(begin, end, size, *addresses), rows, size)
    return found


def forward(sparse: Sparse, weight: torch.Tensor, bias: torch.Tensor | None, shape: ConvShape) -> torch.Tensor:
    """The convolution ``[N, O, H', W']`` of sparse input (words, starts, values; no values: all are 1)."""
    words, starts, given = sparse
    width = power_of_two(min(shape.outputs, WIDEST))
    table = _by_channel(weight, width).transpose(1, 2).contiguous()  # for a tap, all channels side by side
    start = torch.zeros(len(table) * width)
    if bias is not None:
        start[: shape.outputs] = bias
    y = uninitialised((shape.batch, shape.outputs, *shape.found), torch.float32, weight.device)
    sizes, kernel = _sizes(shape, graded=len(given) > 0), _kernel("forward", width)
    most, places = _most(starts, shape), shape.places
    addresses = [t.data_ptr() for t in (words, starts, given, table, start, y)]

    def run(begin: int, end: int) -> None:
        scratch = [np.empty(places + 1, np.int32), np.empty(most, np.int32), np.empty(most, np.float32)]
        kernel(begin // _LANES, end // _LANES, sizes.ctypes.data, *addresses, *(a.ctypes.data for a in scratch))

    over_blocks(run, shape.batch * _LANES, max(shape.products // shape.batch // _LANES, 1))
    return y


def weight_gradient(sparse: Sparse, grad: torch.Tensor, shape: ConvShape) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of weights ``[O, C, KH, KW]`` and bias ``[O]``; ``grad`` is contiguous ``[N, O, H', W']``."""
    words, starts, given = sparse
    lanes = _Lanes(shape)
    width = width_of(shape.outputs, lanes.rows)
    blocks, taps = -(-shape.outputs // width), shape.kernel[0] * shape.kernel[1]
    size = blocks * taps * shape.channels * width
    groups = min(_GROUPS, shape.batch, max(_MOST_SUMS // (4 * size), 2))
    sums, totals = torch.empty((groups, blocks, taps, shape.channels, width)), torch.empty((groups, blocks, width))
    sizes, kernel = _sizes(shape, graded=len(given) > 0, groups=groups, lanes=lanes), _kernel("gradient", width)
    most, lists = _most(starts, shape), shape.channels * lanes.phases + 1
    addresses = [t.data_ptr() for t in (words, starts, given, grad)]
    addresses += [a.ctypes.data for a in (lanes.place, lanes.phase, lanes.taps)] + [sums.data_ptr(), totals.data_ptr()]

    def run(begin: int, end: int) -> None:
        scratch = [np.empty(lists, np.int32), np.empty(most, np.int32), np.empty(most, np.float32)]
        scratch.append(np.zeros(lanes.rows * width, np.float32))
        kernel(begin // _LANES, end // _LANES, sizes.ctypes.data, *addresses, *(a.ctypes.data for a in scratch))

    over_blocks(run, groups * _LANES, max(shape.products // groups // _LANES, 1))
    by_weight = sums.sum(0).permute(0, 3, 2, 1).reshape(-1, shape.channels, *shape.kernel)[: shape.outputs]
    return by_weight.contiguous(), totals.sum(0).reshape(-1)[: shape.outputs].clone()


def input_gradient(needed: torch.Tensor, grad: torch.Tensor, weight: torch.Tensor, shape: ConvShape) -> torch.Tensor:
    """The gradient ``[N, C, H, W]`` of the input where ``needed`` (words, as :func:`mark` packs them) has a bit, and 0
    elsewhere; ``grad`` is contiguous ``[N, O, H', W']``.

    Each number is a sum over blocks of outputs, and in each over the kernel's taps, whatever else is needed.
    """
    lanes = _Lanes(shape)
    width = max(width_of(shape.outputs, lanes.rows), _NARROWEST)
    order = np.argsort(lanes.taps[:, 0], kind="stable")
    firsts = np.searchsorted(lanes.taps[order, 0], np.arange(lanes.phases + 1))
    table = _by_channel(weight, width)[:, :, torch.from_numpy(order)].contiguous()
    arrays = lanes.place, lanes.phase, np.ascontiguousarray(lanes.taps[order, 1]), firsts
    found = uninitialised((shape.batch, shape.channels, *shape.size), torch.float32, grad.device)
    sizes, kernel = _sizes(shape, graded=False, lanes=lanes), _kernel("input_gradient", width)
    lists = shape.channels * lanes.phases
    most = shape.channels * shape.places + (AT_ONCE - 1) * lists
    addresses = [t.data_ptr() for t in (needed, grad, table)] + [a.ctypes.data for a in arrays] + [found.data_ptr()]

    def run(begin: int, end: int) -> None:
        scratch = [np.empty(lists + 1, np.int32), np.empty(most, np.uint16), np.empty(most, np.int32)]
        scratch += [np.empty(most, np.float32), np.zeros(lanes.rows * width, np.float32)]
        kernel(begin // _LANES, end // _LANES, sizes.ctypes.data, *addresses, *(a.ctypes.data for a in scratch))

    over_blocks(run, shape.batch * _LANES, max(shape.products // shape.batch // _LANES, 1))
    return found


class _Lanes:
    """Where the kernels of gradients find the gradients of outputs that meet an element of the input.

    Gradients lie in rows ``[Y, X]`` with a margin of zeros. An element at (y, x) has a phase, (y mod s, x mod s), and a
    place, the row of (y // s, x // s). Each of the kernel's taps meets the elements of one phase only, with the
    gradient ``place + offset``.
    """

    def __init__(self, shape: ConvShape) -> None:
        (height, width), (high, wide) = shape.size, shape.found
        down, over = _Axis(height, high, 0, shape), _Axis(width, wide, 1, shape)
        self.pitch, self.phases = over.extent, shape.stride[0] * shape.stride[1]
        self.rows, self.corner = down.extent * self.pitch, down.margin * self.pitch + over.margin
        place = down.place[:, None] * self.pitch + over.place
        self.place = np.ascontiguousarray(place.ravel().astype(np.int32))
        phase = down.phase[:, None] * shape.stride[1] + over.phase
        self.phase = np.ascontiguousarray(phase.ravel().astype(np.int32))
        of = down.tap_phase[:, None] * shape.stride[1] + over.tap_phase
        by = down.tap_offset[:, None] * self.pitch + over.tap_offset
        self.taps = np.ascontiguousarray(np.stack([of.ravel(), by.ravel()], 1).astype(np.int64))


class _Axis:
    """The same along one axis: output ``a = i // s + (i mod s + p - tap) / s`` meets input ``i``."""

    def __init__(self, size: int, found: int, axis: int, shape: ConvShape) -> None:
        kernel, stride, padding = shape.kernel[axis], shape.stride[axis], shape.padding[axis]
        taps = np.arange(kernel)
        self.tap_phase = (taps - padding) % stride
        shift = (self.tap_phase + padding - taps) // stride
        self.margin = max(int(-shift.min()), 0)
        self.tap_offset = shift + self.margin
        self.place, self.phase = np.arange(size) // stride, np.arange(size) % stride
        self.extent = max(self.margin + found, int(self.place.max()) + int(self.tap_offset.max()) + 1)


def _sizes(shape: ConvShape, *, graded: bool, groups: int = 1, lanes: _Lanes | None = None) -> np.ndarray:
    sides = (*shape.size, *shape.kernel, *shape.stride, *shape.padding, *shape.found)
    rest = (lanes.pitch, lanes.phases, lanes.corner) if lanes else (0, 1, 0)
    return np.array([shape.channels, shape.outputs, *sides, graded, shape.batch, groups, *rest], np.int64)


def _most(starts: torch.Tensor, shape: ConvShape) -> int:
    """The most elements of an image that are not zero."""
    by_image = starts.numpy()[:: shape.channels]
    return int(np.diff(by_image).max()) + 1


def _by_channel(weight: torch.Tensor, width: int) -> torch.Tensor:
    """The weights as ``[O / width, C, KH * KW, width]``, with zeros after the last output; not contiguous."""
    outputs, channels, *_ = weight.shape
    blocks = -(-outputs // width)
    padded = torch.nn.functional.pad(weight, (0, 0, 0, 0, 0, 0, 0, blocks * width - outputs))
    return padded.reshape(blocks, width, channels, -1).permute(0, 2, 3, 1)


_ARGUMENTS = {
    "mark": [*[_INT] * 3, *[_ADDRESS] * 4],
    "values": [*[_INT] * 3, *[_ADDRESS] * 4],
    "forward": [*[_INT] * 2, *[_ADDRESS] * 10],
    "gradient": [*[_INT] * 2, *[_ADDRESS] * 14],
    "input_gradient": [*[_INT] * 2, *[_ADDRESS] * 14],
}


@functools.cache
def _kernel(name: str, width: int) -> Callable[..., None]:
    signature = ctypes.CFUNCTYPE(None, *_ARGUMENTS[name])
    return signature(getattr(load(source(name, width)), name).address)
