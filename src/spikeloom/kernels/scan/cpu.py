"""The scan on the CPU: source text for Numba, and its launch."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping, Sequence

import torch

from ...lang.dialects.numba import kernel_dialect
from ...lang.emit import identifier, statements
from ...lang.expr import LEAVES, topological
from ...lang.graph import Graph
from ...lang.idioms import FUSED, fused
from ..cache import load
from ..program import CONSTANT, NEXT, STATE
from ..threads import over_blocks
from .plan import ADJOINT, Plan

Arrays = Mapping[str, torch.Tensor]
_PRECISION = {torch.float32: "f32", torch.float64: "f64"}
_ELEMENTARY = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sin", "cos", "atan", "erf", "pow", *FUSED)


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
    width = first.numel()
    if width and steps:
        pointers = [_pointer(n, arrays[n]) for n in names]
        over_blocks(lambda begin, end: kernel(begin, end, steps, width, *pointers), width, steps)


def _pointer(name: str, array: torch.Tensor) -> int:
    assert array.is_contiguous(), f"{name} is not contiguous"  # the operator made it so
    return array.data_ptr()


@functools.lru_cache(maxsize=1024)
def _kernel(
    plan: Plan, names: tuple[str, ...], shared: frozenset[str], precision: str, kind: tuple[str, str, bool]
) -> Callable[..., None]:
    graph = plan.forward if kind[0] == "forward" else plan.backward
    module = load(kernel_source(graph, names, shared, plan.conditions, precision, *kind))
    # A C function called through ctypes: it takes plain addresses and runs without Python's lock.
    signature = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4, *[ctypes.c_void_p] * len(names))
    return signature(getattr(module, kind[0]).address)


def kernel_source(
    graph: Graph, names: tuple[str, ...], shared: frozenset[str], conditions: frozenset[str], precision: str,
    direction: str, label: str, strict: bool,
) -> str:  # fmt: skip
    """The module of one kernel: a loop over time around a loop over neurons that LLVM vectorises."""
    roles = _Roles(names, shared)
    graph = Graph(graph.inputs, dict(zip(graph.outputs, fused(list(graph.outputs.values())), strict=True)))
    outputs = {identifier(n) + "_new": e for n, e in graph.outputs.items()}
    body = statements(outputs, kernel_dialect(precision))
    lines = [*_head(graph, roles, conditions, (precision, direction, label), strict)]
    lines += [f"    {identifier(n)} = {identifier(n)}_all[0]" for n in roles.shared]
    lines += ["    denormals = flush_denormals()", "    for step in range(steps):"]
    lines += [f"        at = {'step' if direction == 'forward' else '(steps - 1 - step)'} * width"]
    lines += ["        for m in range(begin, end):"]
    lines += [f"            {line}" for line in _loads(graph, roles, conditions)]
    lines += [f"            {line}" for line in body]
    lines += [f"            {line}" for line in _stores(graph, roles)]
    lines += ["    restore_denormals(denormals)", ""]
    return "\n".join(lines)


class _Roles:
    """Which arrays are one number, one value a neuron, and one row a step."""

    def __init__(self, names: Sequence[str], shared: frozenset[str]) -> None:
        lane_prefixes = (NEXT, ADJOINT + STATE, ADJOINT + CONSTANT, CONSTANT)
        self.names = list(names)
        self.shared = [n for n in names if n in shared]
        self.lanes = [n for n in names if n not in shared and n.startswith(lane_prefixes)]

    def element(self, name: str) -> str:
        """This neuron's element of an array, in this step where the array has steps."""
        return f"{identifier(name)}_all[{'m' if name in self.lanes else 'at + m'}]"


def _head(
    graph: Graph, roles: _Roles, conditions: frozenset[str], kind: tuple[str, str, str], strict: bool
) -> list[str]:
    precision, direction, label = kind
    used = sorted({e.op for e in topological(graph.outputs.values()) if e.op not in LEAVES} & set(_ELEMENTARY))
    types = {
        n: "u1" if n in conditions else "f8" if n.startswith(ADJOINT + CONSTANT) else precision for n in roles.names
    }
    names = {"f32": "float32", "f64": "float64", "f8": "float64", "u1": "uint8"}
    pointers = [f"    CPointer({names[types[n]]}),  # {n}" for n in roles.names]
    imports = [f"from spikeloom.lang.dialects.numba_math import {f}_{precision}" for f in used]
    arguments = ", ".join(f"{identifier(n)}_all" for n in roles.names)
    return [
        f'"""{label}: scan {direction}, {names[precision]}. Generated by spikeloom; edits are not used."""',
        "import math",
        "import numba",
        "from numba.types import CPointer, float32, float64, int64, uint8, void",
        "from spikeloom.kernels.compiler import options",
        "from spikeloom.lang.dialects.numba_intrinsics import flush_denormals, restore_denormals",
        *imports,
        f"{precision} = {names[precision]}",
        "",
        "SIGNATURE = void(",
        "    int64, int64, int64, int64,  # begin, end, steps, width",
        *pointers,
        ")",
        "",
        f"@numba.cfunc(SIGNATURE, **options(strict={strict}))",
        f"def {direction}(begin, end, steps, width, {arguments}):",
    ]


def _loads(graph: Graph, roles: _Roles, conditions: frozenset[str]) -> list[str]:
    lines: list[str] = []
    for name in graph.inputs:
        source = NEXT + name[len(STATE) :] if name.startswith(STATE) else name
        if name.startswith(ADJOINT + NEXT):
            source = ADJOINT + STATE + name[len(ADJOINT + NEXT) :]
        if name in roles.shared:
            continue
        test = " != 0" if name in conditions else ""
        lines.append(f"{identifier(name)} = {roles.element(source)}{test}")
    return lines


def _stores(graph: Graph, roles: _Roles) -> list[str]:
    sums = [n for n in graph.outputs if n.startswith(ADJOINT + CONSTANT)]
    return [f"{roles.element(n)} {'+=' if n in sums else '='} {identifier(n)}_new" for n in graph.outputs]
