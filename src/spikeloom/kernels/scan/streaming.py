"""Which rows a CPU kernel writes past the caches, and the lines of source that do it.

Ordinary stores read each cache line before they overwrite it. For rows much larger than the caches that reading is a
third of all traffic; for smaller ones the cache is where the next reader wants to find them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ...lang.dialects.numba_streaming import VECTOR
from ...lang.emit import identifier

_LARGE = 2**23  # bytes of an array from which on streaming it pays, whoever reads it next (measured)
_BUFFER = 2**14  # bytes of stack, half of a small first-level cache
_LANES, _ALIGN = 512, 64


def streamed(names: Sequence[str], arrays: Mapping[str, torch.Tensor]) -> tuple[str, ...]:
    """The names of the written ``[T, M]`` arrays that are large, and whose rows are whole vectors."""
    return tuple(n for n in names if n in arrays and _suits(arrays[n]))


def _suits(array: torch.Tensor) -> bool:
    if array.dim() < 2 or not array.is_floating_point() or array.nbytes < _LARGE:
        return False
    return array.data_ptr() % VECTOR == 0 and array.stride(0) * array.element_size() % VECTOR == 0


class Streams:
    """The buffer of the rows ``names`` within a kernel: written neuron by neuron, then streamed vector by vector."""

    def __init__(self, names: Sequence[str], precision: str) -> None:
        size = 4 if precision == "f32" else 8
        most = _BUFFER // (size * max(len(names), 1)) // _ALIGN * _ALIGN
        self.names, self.precision = list(names), precision
        self.lanes, self.vector = max(min(_LANES, most), _ALIGN), VECTOR // size

    def element(self, name: str) -> str:
        """This neuron's place in the buffer."""
        first = self.names.index(name) * self.lanes
        return f"buffer[m - low + {first}]" if first else "buffer[m - low]"

    def imports(self) -> list[str]:
        return ["from spikeloom.lang.dialects.numba_streaming import finish_streams, row_buffer, stream"]

    def before(self) -> list[str]:
        count = len(self.names) * self.lanes
        return [f"buffer = row_buffer({self.precision}(0.0), {count})  # {self.lanes} each of {', '.join(self.names)}"]

    def loop(self, body: Sequence[str]) -> list[str]:
        """The loop over neurons around ``body``, in pieces that fit the buffer."""
        lines = [f"for low in range(begin, end, {self.lanes}):", f"    high = min(low + {self.lanes}, end)"]
        lines += ["    for m in range(low, high):", *(f"        {line}" for line in body)]
        for place, name in enumerate(self.names):
            first = f" + {place * self.lanes}" if place else ""
            lines += [f"    for m in range(low, high, {self.vector}):"]
            lines += [f"        stream({identifier(name)}_all, at + m, buffer, m - low{first})"]
        return lines
