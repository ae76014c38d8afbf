"""The recurrence on a GPU: source text for Triton, and its launch.

Samples do not meet, so each program takes some of them through all steps, the neurons' states in registers. What comes
back is a sum of rows of a table, which stays in the second-level cache. Forward these are rows of the transposed
weights, one for each neuron of a sample that fired; their places are listed in memory, since every thread adds up all
of them for its own neurons. Backward these are all rows of the weights, each times a gradient; a row that was loaded
serves all samples of the program.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from ...lang.emit import identifier
from ..cache import load_for_triton
from ..program import CONSTANT, SPIKE
from ..scan.gpu import Kinds, Parts, checked_device, indented, step_lines
from ..scan.plan import ADJOINT, Plan

Arrays = Mapping[str, torch.Tensor]
How = tuple[str, bool, str]  # the model's name, whether strict, the stream that spikes come back into

# Neurons: from here on a program reads so many weights in a step that a product of all samples by torch is as fast.
MOST = 1024
_PRECISION = {torch.float32: "f32", torch.float64: "f64"}
_WARP, _LANES_OF_A_THREAD, _MOST_WARPS = 32, 4, 8
_TOGETHER = {"forward": 8, "backward": 8}  # rows whose loads are under way together
_PROGRAMS = 32  # backward: more of them read more weights in all, fewer leave more of the card idle
_MOST_SAMPLES = 4  # of a program: bounds registers


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
    kernel = _kernel(plan, names, shared, _PRECISION[table.dtype], kind, interpreted)
    block, warps = launch_shape(len(table))
    samples = 1 if kind[0] == "forward" else samples_of(batch)
    programs = -(-batch // samples)
    room = programs * samples * block
    scratch = [table.new_empty(room)]
    if kind[0] == "forward":
        scratch.insert(0, table.new_empty(room, dtype=torch.int32))
    flat = [t.detach().reshape(-1) for t in (*own.values(), *scratch, *arrays.values())]
    with torch.cuda.device(table.device) if table.is_cuda else contextlib.nullcontext():
        kernel[(programs,)](
            steps, batch, len(table), *flat, block=block, samples=samples, together=_TOGETHER[kind[0]],
            num_warps=warps, enable_fp_fusion=not kind[1][1],
        )  # fmt: skip


def launch_shape(size: int) -> tuple[int, int]:
    """Lanes of a program, a power of two, and its warps.

    >>> launch_shape(20), launch_shape(256), launch_shape(1000)
    ((32, 1), (256, 2), (1024, 8))
    """
    block = max(1 << (size - 1).bit_length(), _WARP)
    return block, min(max(block // (_WARP * _LANES_OF_A_THREAD), 1), _MOST_WARPS)


def samples_of(batch: int) -> int:
    """Samples that a program takes backward, a power of two.

    >>> samples_of(1), samples_of(100), samples_of(128)
    (1, 2, 4)
    """
    return min(1 << (max(batch // _PROGRAMS, 1).bit_length() - 1), _MOST_SAMPLES)


@functools.lru_cache(maxsize=1024)
def _kernel(
    plan: Plan, names: tuple[str, ...], shared: frozenset[str], precision: str, kind: tuple[str, How], interpreted: bool
) -> Any:
    source = kernel_source(plan, names, shared, precision, *kind)
    return getattr(load_for_triton(source, interpreted), kind[0])


def kernel_source(
    plan: Plan, names: tuple[str, ...], shared: frozenset[str], precision: str, direction: str, how: How
) -> str:
    """The module of one kernel, whose arrays are ``names``."""
    label, _, into = how
    forwards = direction == "forward"
    graph, shape = (plan.forward, "(block,)") if forwards else (plan.backward, "(samples, block)")
    parts = Parts(graph, Kinds(shared, plan.conditions), precision, constants_at="place", shape=shape)
    lines = _forward(parts, into, into in names) if forwards else _backward(parts, into)
    own = ["x", "first", "table", "places", "numbers"] if forwards else ["table", "numbers"]
    arguments = ", ".join([*own, *(f"{identifier(n)}_all" for n in names)])
    return "\n".join(
        [
            f'"""{label}: recurrence {direction}, {parts.dtype}. Generated by spikeloom; edits are not used."""',
            *("import triton", "import triton.language as tl", "", ""),
            *(*step_lines(graph, precision), "", ""),
            *((_FIRED if forwards else _ALL).strip().splitlines()),
            *("", ""),
            '@triton.jit(do_not_specialize=["steps"])',
            f"def {direction}(steps, batch, size, {arguments}, "
            "block: tl.constexpr, samples: tl.constexpr, together: tl.constexpr):",
            "    sample = tl.cast(tl.program_id(0), tl.int64) * samples",
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


def _backward(parts: Parts, into: str) -> _Lines:
    spike = identifier(ADJOINT + SPIKE)
    before = [
        "rank = tl.arange(0, samples)",
        "inside = (sample + rank < batch)[:, None] & (column < size)[None, :]",
        "place = tl.broadcast_to(column[None, :], (samples, block))",
        "lanes = (sample + rank)[:, None] * size + column[None, :]",
        "numbers += sample * block",
        f"passed = tl.full((samples, block), 0.0, tl.{parts.dtype})",
    ]
    every = [
        "at = tl.cast(steps - 1 - now, tl.int64) * width + lanes",
        *(f"{identifier(n)} = tl.load({identifier(n)}_all + at, mask=inside, other=0)" for n in parts.rows),
        f"{spike} = product({spike}, passed, rank, column, size, table, numbers, samples, block, together)",
        _stepped(parts),
        *parts.stored(),
        f"passed = tl.where(inside, {identifier(ADJOINT + into)}_new, 0.0)",
    ]
    return _Lines(before, every)


def _stepped(parts: Parts) -> str:
    arguments = ", ".join(parts.as_number(n, identifier(n)) for n in parts.graph.inputs)
    return f"{', '.join(f'{identifier(n)}_new' for n in parts.graph.outputs)} = step({arguments})"


# Triton's own cumsum, sum and zeros are functions that an interpreted process cannot compile any more.
_FIRED = '''
@triton.jit
def add(a, b):
    return a + b


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
_ALL = '''
@triton.jit
def product(
    total, values, rank, column, size, table, numbers,
    samples: tl.constexpr, block: tl.constexpr, together: tl.constexpr
):
    """``total`` and for each sample the sum of its values[k] times row k of the table, in the order of k.

    What is loaded lies in threads as rows do; a sum that starts from 0 would lie otherwise, and every row be moved.
    """
    tl.debug_barrier()  # all threads have read the numbers of the step before
    tl.store(numbers + column[None, :] * samples + rank[:, None], values)
    tl.debug_barrier()  # all threads have written theirs
    for first in range(0, size, together):
        for k in tl.static_range(together):
            row = first + k  # values are 0 past the last row
            number = tl.load(numbers + row * samples + rank)
            live = column < tl.where(row < size, size, 0)
            weights = tl.load(table + tl.cast(row, tl.int64) * size + column, mask=live, other=0.0)
            total += number[:, None] * weights[None, :]
    return total
'''
