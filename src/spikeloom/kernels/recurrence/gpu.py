"""The recurrence on a GPU: source text for Triton, and its launch.

Samples do not meet, so each program takes some of them through all steps, the neurons' states in registers. What comes
back is a sum of rows of a table, which stays in the second-level cache. Forward these are rows of the transposed
weights, one for each neuron of a sample that fired; their places are listed in memory, since every thread adds up all
of them for its own neurons. Backward these are all rows of the weights, each times a gradient: tiles of many rows are
loaded at once and serve all samples of the program, each thread adds up what it loaded, and threads add theirs up last.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from ...lang.emit import identifier
from ..cache import load_for_triton
from ..program import CONSTANT, SPIKE
from ..scan.gpu import Kinds, Parts, as_given, checked_device, indented, on, step_lines
from ..scan.plan import ADJOINT, Plan

Arrays = Mapping[str, torch.Tensor]
How = tuple[str, bool, str]  # the model's name, whether strict, the stream that spikes come back into

# Neurons: from here on a program reads so many weights in a step that a product of all samples by torch is as fast.
MOST = 1024
_PRECISION = {torch.float32: "f32", torch.float64: "f64"}
_WARP, _LANES_OF_A_THREAD, _MOST_WARPS = 32, 4, 8
_TOGETHER = 8  # forward: rows whose loads are under way together
_TILE = 65536  # backward: bytes of weights whose loads are under way together
_PROGRAMS = 64  # backward: more of them read more weights in all, fewer leave more of the card idle
_MOST_SAMPLES = 2  # of a program: bounds registers


def forward(plan: Plan, arrays: Arrays, x: torch.Tensor, first: torch.Tensor, weight: torch.Tensor, how: How) -> None:
    """All steps in place: ``arrays`` holds constants, outputs ``[T, M]`` and states ``next.*`` ``[M]`` filled with the
    initial values; ``x`` is ``[T, B, N]``, ``first`` ``[B, N]`` are the spikes before the first step, ``weight`` is
    ``[N, N]``. Raises BackendError where Triton cannot run on the data."""
    own = {"x": x, "first": first, "table": weight.detach().T.contiguous()}
    _launch(plan, arrays, own, (x.shape[0], x.shape[1]), ("forward", how))


def backward(plan: Plan, arrays: Arrays, weight: torch.Tensor, steps: int, batch: int, how: How) -> None:
    """All steps in reverse, in place: the arrays are those of :func:`spikeloom.kernels.scan.gpu.backward`."""
    _launch(plan, arrays, {"table": weight.detach().contiguous()}, (steps, batch), ("backward", how))


def _launch(plan: Plan, arrays: Arrays, own: Arrays, shape: tuple[int, int], kind: tuple[str, How]) -> None:
    table, (steps, batch) = own["table"], shape
    interpreted = checked_device(table.device)
    constants = [n for n in arrays if n.startswith(CONSTANT)]
    shared = frozenset(n for n in constants if arrays[n].numel() == 1)
    names = tuple(arrays)
    samples = 1 if kind[0] == "forward" else samples_of(batch)
    kernel = _kernel(plan, names, shared, _PRECISION[table.dtype], (*kind, samples), interpreted)
    block, together, warps = launch_shape(len(table), kind[0], table.element_size())
    programs = -(-batch // samples)
    room = programs * samples * block
    scratch = [table.new_empty(room)]
    if kind[0] == "forward":
        scratch.insert(0, table.new_empty(room, dtype=torch.int32))
    given = as_given([*own.values(), *scratch, *arrays.values()], interpreted)
    how = {"num_warps": warps, "enable_fp_fusion": not kind[1][1]}
    with on(table.device):
        kernel[(programs,)](steps, batch, len(table), *given, block=block, together=together, **how)


def launch_shape(size: int, direction: str, bytes_of_weight: int = 4) -> tuple[int, int, int]:
    """Lanes of a program, a power of two; the rows of a table that it takes at once; its warps.

    >>> launch_shape(20, "forward"), launch_shape(256, "forward"), launch_shape(1000, "forward")
    ((32, 8, 1), (256, 8, 2), (1024, 8, 8))
    >>> launch_shape(20, "backward"), launch_shape(256, "backward"), launch_shape(1000, "backward")
    ((32, 32, 1), (256, 64, 8), (1024, 16, 8))
    """
    block = max(1 << (size - 1).bit_length(), _WARP)
    together = _TOGETHER if direction == "forward" else min(_TILE // bytes_of_weight // block, block)
    lanes = block if direction == "forward" else block * together // 8
    return block, together, min(max(lanes // (_WARP * _LANES_OF_A_THREAD), 1), _MOST_WARPS)


def samples_of(batch: int) -> int:
    """Samples that a program takes backward, a power of two.

    >>> samples_of(1), samples_of(100), samples_of(128)
    (1, 1, 2)
    """
    return min(1 << (max(batch // _PROGRAMS, 1).bit_length() - 1), _MOST_SAMPLES)


@functools.lru_cache(maxsize=1024)
def _kernel(
    plan: Plan, names: tuple[str, ...], shared: frozenset[str], precision: str, kind: tuple[str, How, int],
    interpreted: bool,
) -> Any:  # fmt: skip
    source = kernel_source(plan, names, shared, precision, *kind)
    return getattr(load_for_triton(source, interpreted), kind[0])


def kernel_source(
    plan: Plan, names: tuple[str, ...], shared: frozenset[str], precision: str, direction: str, how: How, samples: int
) -> str:
    """The module of one kernel, whose arrays are ``names``; ``samples`` is 1 for "forward"."""
    label, _, into = how
    forwards = direction == "forward"
    graph, shape = (plan.forward, "(block,)") if forwards else (plan.backward, f"({samples}, block)")
    parts = Parts(graph, Kinds(shared, plan.conditions), precision, constants_at="place", shape=shape)
    lines = _forward(parts, into, into in names) if forwards else _backward(parts, into, samples)
    own = ["x", "first", "table", "places", "numbers"] if forwards else ["table", "numbers"]
    arguments = ", ".join([*own, *(f"{identifier(n)}_all" for n in names)])
    return "\n".join(
        [
            f'"""{label}: recurrence {direction}, {parts.dtype}. Generated by spikeloom; edits are not used."""',
            *("import triton", "import triton.language as tl", "", ""),
            *(*step_lines(graph, precision), "", ""),
            *_ADD,
            *(_FIRED.strip().splitlines() if forwards else _all(samples)),
            *("", ""),
            '@triton.jit(do_not_specialize=["steps"])',
            f"def {direction}(steps, batch, size, {arguments}, block: tl.constexpr, together: tl.constexpr):",
            f"    sample = tl.cast(tl.program_id(0), tl.int64) * {samples}",
            "    column = tl.arange(0, block)",
            "    width = tl.cast(batch, tl.int64) * size",
            *indented(1, lines.before),
            "    live = inside",
            *indented(1, parts.before()),
            "    for now in range(0, steps):",
            *indented(2, [*lines.every, *parts.passed_on()]),
            *indented(1, parts.after()),
            "",
        ]
    )


class _Lines(NamedTuple):
    before: list[str]
    every: list[str]


def _forward(parts: Parts, into: str, kept: bool) -> _Lines:
    total = identifier(into)
    before = [
        "place, inside = column, column < size",
        "lanes = sample * size + column",
        "places += sample * block",
        "numbers += sample * block",
        "passed = tl.load(first + lanes, mask=inside, other=0.0)",
    ]
    every = [
        "at = tl.cast(now, tl.int64) * width + lanes",
        f"{total} = tl.load(x + at, mask=inside, other=0.0)",  # under way while the spikes' rows are added up
        f"{total} += product(passed, column, size, table, places, numbers, block, together)",
        _stepped(parts),
        *parts.stored(),
        *([f"tl.store({total}_all + at, {total}, mask=inside)"] if kept else []),
        f"passed = tl.where(inside, {identifier(SPIKE)}_new, 0.0)",
    ]
    return _Lines(before, every)


def _backward(parts: Parts, into: str, samples: int) -> _Lines:
    spike = identifier(ADJOINT + SPIKE)
    before = [
        f"rank = tl.arange(0, {samples})",
        "inside = (sample + rank < batch)[:, None] & (column < size)[None, :]",
        f"place = tl.broadcast_to(column[None, :], ({samples}, block))",
        "lanes = (sample + rank)[:, None] * size + column[None, :]",
        "numbers += sample * block",
        f"passed = tl.full(({samples}, block), 0.0, tl.{parts.dtype})",
    ]
    every = [
        "at = tl.cast(steps - 1 - now, tl.int64) * width + lanes",
        *(f"{identifier(n)} = tl.load({identifier(n)}_all + at, mask=inside, other=0)" for n in parts.rows),
        f"{spike} += product(passed, rank, column, size, table, numbers, block, together)",
        _stepped(parts),
        *parts.stored(),
        f"passed = tl.where(inside, {identifier(ADJOINT + into)}_new, 0.0)",
    ]
    return _Lines(before, every)


def _stepped(parts: Parts) -> str:
    arguments = ", ".join(parts.as_number(n, identifier(n)) for n in parts.graph.inputs)
    return f"{', '.join(f'{identifier(n)}_new' for n in parts.graph.outputs)} = step({arguments})"


# Triton's own cumsum, sum and zeros are functions that an interpreted process cannot compile any more.
_ADD = ["@triton.jit", "def add(a, b):", "    return a + b", "", ""]
_FIRED = '''
@triton.jit
def product(values, column, size, table, places, numbers, block: tl.constexpr, together: tl.constexpr):
    """The sum of values[k] times row k of the table, in the order of k, over the values that are not 0."""
    chosen = values != 0.0
    ones = tl.cast(chosen, tl.int32)
    last = tl.associative_scan(ones, 0, add)
    count = tl.reduce(ones, 0, add)
    tl.debug_barrier()  # all threads have read the list of the step before
    tl.store(places + last - 1, column, mask=chosen)
    tl.store(numbers + last - 1, values, mask=chosen)
    tl.debug_barrier()  # all threads have written their part of this one
    total = tl.full((block,), 0.0, values.dtype)
    for first in range(0, count, together):
        for k in tl.static_range(together):
            row = tl.cast(tl.load(places + first + k, mask=first + k < count, other=0), tl.int64)
            number = tl.load(numbers + first + k, mask=first + k < count, other=0.0)
            live = column < tl.where(first + k < count, size, 0)
            total += number * tl.load(table + row * size + column, mask=live, other=0.0)
    return total
'''


def _all(samples: int) -> list[str]:
    """Lines of ``product`` where all numbers count: for each sample the sum of its values[k] times row k of the table.

    A thread adds up what it loads itself. So sums start with a tile: started from 0 they would lie in other threads
    than tiles do, and every tile be moved.
    """
    each = range(samples)
    number = "tl.load(numbers + ({0}) * {1} + {2})[:, None]"
    first, later = ([number.format(row, samples, k) for k in each] for row in ("rank_of_row", "row"))
    sums = [f"tl.reduce(total{k}, 0, add)[None, :]" for k in each]
    chosen = sums[-1]
    for k in reversed(each[:-1]):
        chosen = f"tl.where(rank[:, None] == {k}, {sums[k]}, {chosen})"
    return [
        "@triton.jit",
        "def product(values, rank, column, size, table, numbers, block: tl.constexpr, together: tl.constexpr):",
        *indented(
            1,
            [
                "tl.debug_barrier()  # all threads have read the numbers of the step before",
                f"tl.store(numbers + column[None, :] * {samples} + rank[:, None], values)",
                "tl.debug_barrier()  # all threads have written theirs",
                "rank_of_row = tl.arange(0, together)",
                "there = (rank_of_row < size)[:, None] & (column < size)[None, :]",
                "places = tl.cast(rank_of_row, tl.int64)[:, None] * size + column[None, :]",
                "tile = tl.load(table + places, mask=there, other=0.0)",
                *(f"total{k} = {first[k]} * tile" for k in each),
                "for start in range(together, size, together):",
                "    row = start + rank_of_row",
                "    there = (row < size)[:, None] & (column < size)[None, :]",
                "    tile = tl.load(table + (places + tl.cast(start, tl.int64) * size), mask=there, other=0.0)",
                *(f"    total{k} += {later[k]} * tile" for k in each),
                f"return {chosen}",
            ],
        ),
    ]
