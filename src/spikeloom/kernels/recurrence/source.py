"""Source text of the two kernels of a recurrent layer: all steps of some samples, the weights included.

Samples do not meet, so each thread takes a block of them through all steps, a group at a time: the group's states and
the weights stay in the cache. Forward, a sample's row of recurrent input is the sum of the weights' rows of the
neurons that fired before. Backward, the gradients of a group are multiplied with the weights tile by tile.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from ...lang.dialects.numba import function_imports, kernel_dialect
from ...lang.emit import identifier, statements
from ...lang.graph import Graph
from ...lang.idioms import fused
from ..program import CONSTANT, NEXT, SPIKE, STATE
from ..scan.plan import ADJOINT

WORD = 64  # spikes in a word; rows of scratch are padded to whole words
GROUP = 64  # samples that go through all steps together
INNER = 256  # terms of a product at a time, so that a tile's weights stay in the first-level cache
LANES = {"f32": 64, "f64": 32}  # outputs that are gathered at once, in registers
TILE = {"f32": 16, "f64": 8}  # columns of a tile of the product
_TYPES = {"f32": "float32", "f64": "float64", "f8": "float64", "u1": "uint8"}


@dataclasses.dataclass(frozen=True)
class Arrays:
    """A kernel's arrays: one number, one a neuron, one a lane, or a row of lanes a step; ``bytes``: conditions."""

    names: tuple[str, ...]
    shared: frozenset[str]
    neurons: frozenset[str]
    lanes: frozenset[str]
    bytes: frozenset[str]

    def element(self, name: str) -> str:
        """The element of neuron k, lane m."""
        place = "k" if name in self.neurons else "m" if name in self.lanes else "at + m"
        return f"{identifier(name)}_all[{place}]"

    def kind(self, name: str, precision: str) -> str:
        """The short name of an element's type."""
        return "u1" if name in self.bytes else "f8" if name.startswith(ADJOINT + CONSTANT) else precision


def forward_source(graph: Graph, arrays: Arrays, precision: str, label: str, strict: bool, total: str) -> str:
    """The kernel ``forward``; ``total`` names the stream, whose array is written where it is among the arrays.

    Besides the arrays it takes the input ``x``, what else comes in at the first step, the laid-out weights, words and
    counts of spikes before the first step, where those of all steps are added,
    and scratch: numbers for GROUP padded rows, one padded row of zeros, and places for GROUP rows.
    """
    own = ["x", "first", "table", "words", "counts", "scratch", "fired", "places"]
    kinds = {"words": "int64", "counts": "int32", "places": "uint16"}
    body, imports = _computed(graph, precision)
    loads = [f"{identifier(total)} = x[at + m] + scratch[of + k]", *_loads(graph, arrays, {total})]
    stores = _stores(graph, arrays)
    stores += [f"{arrays.element(total)} = {identifier(total)}"] if total in arrays.names else []
    inner = [*loads, *body, *stores, f"fired[k] = {identifier(SPIKE)}_new"]
    text = _FORWARD.replace("LANES", str(LANES[precision]))
    return _module(text, inner, imports, arrays, (own, kinds), ("forward", precision, label, strict))


def backward_source(graph: Graph, arrays: Arrays, precision: str, label: str, strict: bool, total: str) -> str:
    """The kernel ``backward``; besides the arrays it takes the tiled weights, and scratch for GROUP padded rows.

    The gradient of ``total`` is that of the input, and times the weights that of the spikes of the step before.
    """
    body, imports = _computed(graph, precision)
    spike = ADJOINT + SPIKE
    loads = [f"{identifier(spike)} = {arrays.element(spike)} + scratch[of + k]", *_loads(graph, arrays, {spike})]
    inner = [*loads, *body, *_stores(graph, arrays)]
    text = _BACKWARD.replace("TILE", str(TILE[precision])).replace("GRADIENT", f"{identifier(ADJOINT + total)}_all")
    return _module(text, inner, imports, arrays, (["tiles", "scratch"], {}), ("backward", precision, label, strict))


def _computed(graph: Graph, precision: str) -> tuple[list[str], list[str]]:
    outputs = dict(zip(graph.outputs, fused(list(graph.outputs.values())), strict=True))
    lines = statements({identifier(n) + "_new": e for n, e in outputs.items()}, kernel_dialect(precision))
    return lines, function_imports(outputs.values(), precision)


def _loads(graph: Graph, arrays: Arrays, given: set[str]) -> list[str]:
    lines: list[str] = []
    for name in graph.inputs:
        source = NEXT + name[len(STATE) :] if name.startswith(STATE) else name
        if name.startswith(ADJOINT + NEXT):
            source = ADJOINT + STATE + name[len(ADJOINT + NEXT) :]
        if name not in arrays.shared and name not in given:
            test = " != 0" if name in arrays.bytes else ""
            lines.append(f"{identifier(name)} = {arrays.element(source)}{test}")
    return lines


def _stores(graph: Graph, arrays: Arrays) -> list[str]:
    how = {name: "+=" if name.startswith(ADJOINT + CONSTANT) else "=" for name in graph.outputs}
    return [f"{arrays.element(name)} {how[name]} {identifier(name)}_new" for name in graph.outputs]


def _module(
    text: str, inner: list[str], imports: list[str], arrays: Arrays, own: tuple[list[str], Mapping[str, str]],
    kind: tuple[str, str, str, bool],
) -> str:  # fmt: skip
    direction, precision, label, strict = kind
    real = _TYPES[precision]
    pointers = [f"    CPointer({own[1].get(n, real)}),  # {n}" for n in own[0]]
    pointers += [f"    CPointer({_TYPES[arrays.kind(n, precision)]}),  # {n}" for n in arrays.names]
    arguments = ", ".join([*own[0], *(f"{identifier(n)}_all" for n in arrays.names)])
    indent = " " * (text.index("INNER_LOOP") - text.rindex("\n", 0, text.index("INNER_LOOP")) - 1)
    body = text.replace("INNER_LOOP", f"\n{indent}".join(inner)).replace("GROUP", str(GROUP))
    shared = [f"    {identifier(n)} = {identifier(n)}_all[0]" for n in arrays.names if n in arrays.shared]
    lines = [
        f'"""{label}: recurrence {direction}, {real}. Generated by spikeloom; edits are not used."""',
        "import math",
        "import numba",
        "from numba.types import CPointer, float32, float64, int32, int64, uint8, uint16, void",
        "from spikeloom.kernels.compiler import options",
        "from spikeloom.lang.dialects.numba_intrinsics import flush_denormals, restore_denormals",
        "from spikeloom.lang.dialects.numba_rows import count_bits, lowest_bit",
        "from spikeloom.lang.dialects.numba_tiles import gather_rows, multiply_tile, pack_ones",
        *imports,
        f"{precision} = real = {real}",
        "",
        "SIGNATURE = void(",
        "    int64, int64, int64, int64, int64,  # begin, end, steps, batch, size",
        *pointers,
        ")",
        "",
        f"@numba.cfunc(SIGNATURE, **options(strict={strict}))",
        f"def {direction}(begin, end, steps, batch, size, {arguments}):",
        *shared,
    ]
    return "\n".join(lines) + body


_FORWARD = """
    width, per_row = batch * size, (size + 63) // 64
    padded = 64 * per_row
    denormals = flush_denormals()
    for low in range(begin, end, GROUP):
        high = min(low + GROUP, end)
        for step in range(steps):
            at, before, after = step * width, step * batch, (step + 1) * batch
            for row in range(low, high):
                last = (row - low) * size
                for w in range(per_row):
                    word = words[(before + row) * per_row + w]
                    while word != 0:
                        places[last] = 64 * w + lowest_bit(word)
                        last += 1
                        word &= word - 1
            for column in range(0, size, LANES):
                for row in range(low, high):
                    of, one = (row - low) * padded + column, (row - low) * size
                    gather_rows(LANES, scratch, of, table, column * size, places, one, one + counts[before + row])
            if step == 0:
                for row in range(low, high):
                    for k in range(size):
                        scratch[(row - low) * padded + k] += first[row * size + k]
            for row in range(low, high):
                of, own = (row - low) * padded, row * size
                for k in range(size):
                    m = own + k
                    INNER_LOOP
                found = int64(0)
                for w in range(per_row):
                    word = pack_ones(64, fired, 64 * w)
                    words[(after + row) * per_row + w] = word
                    found += count_bits(word)
                counts[after + row] = found
    restore_denormals(denormals)
"""

_BACKWARD = """
    width = batch * size
    padded = (size + 63) // 64 * 64
    denormals = flush_denormals()
    for low in range(begin, end, GROUP):
        high = min(low + GROUP, end)
        for k in range((high - low) * padded):
            scratch[k] = real(0)
        for back in range(steps):
            at = (steps - 1 - back) * width
            for row in range(low, high):
                of, own = (row - low) * padded, row * size
                for k in range(size):
                    m = own + k
                    INNER_LOOP
            if back == steps - 1:
                continue
            for k in range((high - low) * padded):
                scratch[k] = real(0)
            for first in range(0, size, 256):
                inner = min(size - first, 256)
                for column in range(0, size, TILE):
                    base = column * size + first * TILE
                    row = low
                    while row + 6 <= high:
                        of, own = (row - low) * padded + column, at + row * size + first
                        multiply_tile(6, TILE, scratch, of, padded, GRADIENT, own, size, tiles, base, inner)
                        row += 6
                    while row + 2 <= high:
                        of, own = (row - low) * padded + column, at + row * size + first
                        multiply_tile(2, TILE, scratch, of, padded, GRADIENT, own, size, tiles, base, inner)
                        row += 2
                    if row < high:
                        of, own = (row - low) * padded + column, at + row * size + first
                        multiply_tile(1, TILE, scratch, of, padded, GRADIENT, own, size, tiles, base, inner)
    restore_denormals(denormals)
"""
