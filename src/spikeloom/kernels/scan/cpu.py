"""The scan on the CPU: source text for Numba, and its launch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import torch

from ...lang.dialects.numba import numba_dialect
from ...lang.emit import identifier, statements
from ...lang.expr import LEAVES, topological
from ...lang.graph import Graph
from ..cache import load
from ..program import CONSTANT, NEXT, STATE
from ..threads import over_blocks
from .plan import ADJOINT, Plan

Arrays = Mapping[str, torch.Tensor]
_PRECISION = {torch.float32: "f32", torch.float64: "f64"}
_ELEMENTARY = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sin", "cos", "atan", "erf", "pow")


def forward(plan: Plan, steps: int, arrays: Arrays, label: str, strict: bool) -> None:
    """Run forward in place: ``arrays`` holds streams ``x.*`` and outputs ``[T, M]``, constants, and states ``next.*``
    ``[M]`` filled with the initial values."""
    _launch(plan, steps, arrays, ("forward", label, strict))


def backward(plan: Plan, steps: int, arrays: Arrays, label: str, strict: bool) -> None:
    """Run backward in place: ``g.s.*`` ``[M]`` holds the adjoints of the final states and ends as those of the
    initial ones; ``g.x.*`` ``[T, M]`` are written; ``g.c*`` ``[M]`` float64 are summed over time."""
    _launch(plan, steps, arrays, ("backward", label, strict))


def _launch(plan: Plan, steps: int, arrays: Arrays, kind: tuple[str, str, bool]) -> None:
    names = tuple(arrays)
    first = arrays[next(n for n in names if n.startswith((NEXT, ADJOINT + STATE)))]
    shared = frozenset(n for n in names if n.startswith(CONSTANT) and arrays[n].numel() == 1)
    kernel = _kernel(plan, names, shared, _PRECISION[first.dtype], kind)
    flat = [arrays[n].detach().reshape(-1).numpy() for n in names]
    width = first.numel()
    if width and steps:
        over_blocks(lambda begin, end: kernel(begin, end, steps, width, *flat), width, steps)


@functools.lru_cache(maxsize=1024)
def _kernel(
    plan: Plan, names: tuple[str, ...], shared: frozenset[str], precision: str, kind: tuple[str, str, bool]
) -> Callable[..., None]:
    graph = plan.forward if kind[0] == "forward" else plan.backward
    return getattr(load(kernel_source(graph, names, shared, plan.conditions, precision, *kind)), kind[0])


def kernel_source(
    graph: Graph, names: tuple[str, ...], shared: frozenset[str], conditions: frozenset[str], precision: str,
    direction: str, label: str, strict: bool,
) -> str:  # fmt: skip
    """The module of one kernel: a loop over time around a loop over neurons that LLVM vectorises."""
    roles = _Roles(names, shared)
    outputs = {identifier(n) + "_new": e for n, e in graph.outputs.items()}
    body = statements(outputs, numba_dialect(precision))
    lines = [*_head(graph, roles, conditions, (precision, direction, label), strict)]
    lines += [f"    {identifier(n)} = {identifier(n)}_all[0]" for n in roles.shared]
    lines += [f"    {identifier(n)}_row = {identifier(n)}_all[begin:end]" for n in roles.lanes]
    lines += ["    denormals = flush_denormals()", "    for step in range(steps):"]
    lines += [f"        at = {'step' if direction == 'forward' else '(steps - 1 - step)'} * width + begin"]
    lines += [f"        {identifier(n)}_row = {identifier(n)}_all[at:at + size]" for n in roles.rows]
    lines += ["        for m in range(size):"]
    lines += [f"            {line}" for line in _loads(graph, roles, conditions)]
    lines += [f"            {line}" for line in body]
    lines += [f"            {line}" for line in _stores(graph)]
    lines += ["    restore_denormals(denormals)", ""]
    return "\n".join(lines)


class _Roles:
    """Which arrays are one number, one value a neuron, and one row a step."""

    def __init__(self, names: Sequence[str], shared: frozenset[str]) -> None:
        lane_prefixes = (NEXT, ADJOINT + STATE, ADJOINT + CONSTANT, CONSTANT)
        self.names = list(names)
        self.shared = [n for n in names if n in shared]
        self.lanes = [n for n in names if n not in shared and n.startswith(lane_prefixes)]
        self.rows = [n for n in names if n not in shared and not n.startswith(lane_prefixes)]


def _head(
    graph: Graph, roles: _Roles, conditions: frozenset[str], kind: tuple[str, str, str], strict: bool
) -> list[str]:
    precision, direction, label = kind
    used = sorted({e.op for e in topological(graph.outputs.values()) if e.op not in LEAVES} & set(_ELEMENTARY))
    types = {
        n: "u1" if n in conditions else "f8" if n.startswith(ADJOINT + CONSTANT) else precision for n in roles.names
    }
    names = {"f32": "float32", "f64": "float64", "f8": "float64", "u1": "uint8"}
    signature = ", ".join(f"numba.{names[types[n]]}[::1]" for n in roles.names)
    imports = [f"from spikeloom.lang.dialects.numba_math import {f}_{precision}" for f in used]
    arguments = ", ".join(f"{identifier(n)}_all" for n in roles.names)
    return [
        f'"""{label}: scan {direction}, {names[precision]}. Generated by spikeloom; edits are not used."""',
        "import math",
        "import numba",
        f"from numba import {names[precision]} as {precision}",
        "from spikeloom.kernels.compiler import options",
        "from spikeloom.lang.dialects.numba_intrinsics import flush_denormals, restore_denormals",
        *imports,
        "",
        "_long = numba.int64",
        f"@numba.njit([numba.void(_long, _long, _long, _long, {signature})], **options(strict={strict}))",
        f"def {direction}(begin, end, steps, width, {arguments}):",
        "    size = end - begin",
    ]


def _loads(graph: Graph, roles: _Roles, conditions: frozenset[str]) -> list[str]:
    lines = []
    for name in graph.inputs:
        source = NEXT + name[len(STATE) :] if name.startswith(STATE) else name
        if name.startswith(ADJOINT + NEXT):
            source = ADJOINT + STATE + name[len(ADJOINT + NEXT) :]
        if name in roles.shared:
            continue
        test = " != 0" if name in conditions else ""
        lines.append(f"{identifier(name)} = {identifier(source)}_row[m]{test}")
    return lines


def _stores(graph: Graph) -> list[str]:
    sums = [n for n in graph.outputs if n.startswith(ADJOINT + CONSTANT)]
    return [f"{identifier(n)}_row[m] {'+=' if n in sums else '='} {identifier(n)}_new" for n in graph.outputs]
