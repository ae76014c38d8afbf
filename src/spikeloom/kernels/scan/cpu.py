"""The scan on the CPU: source text for Numba, and its launch."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

import torch

from ...lang.dialects.numba import function_imports, kernel_dialect
from ...lang.emit import identifier, statements
from ...lang.graph import Graph
from ...lang.idioms import fused
from ..cache import load
from ..program import CONSTANT, NEXT, SPIKE, STATE, STREAM
from ..threads import Compiled
from .plan import ADJOINT, Plan
from .streaming import Streams, streamed

Arrays = Mapping[str, torch.Tensor]
_PRECISION = {torch.float32: "f32", torch.float64: "f64"}
_CACHE = 2**17  # bytes of a core's own cache for what is used again in every step
_ALIGN = 64  # lanes
_FEW_STEPS = 8


def forward(plan: Plan, steps: int, arrays: Arrays, label: str, strict: bool) -> None:
    """Run forward in place: ``arrays`` holds streams ``x.*`` and outputs ``[T, M]``, constants, and states ``next.*``
    ``[M]`` filled with the initial values. A stream may be a single row ``[M]``, which holds in every step."""
    _launch(plan, steps, arrays, ("forward", label, strict))


def backward(plan: Plan, steps: int, arrays: Arrays, label: str, strict: bool) -> None:
    """Run backward in place: ``g.s.*`` ``[M]`` holds the adjoints of the final states and ends as those of the
    initial ones; ``g.x.*`` ``[T, M]`` are written; ``g.c*`` ``[M]`` float64 are summed over time."""
    _launch(plan, steps, arrays, ("backward", label, strict))


def _launch(plan: Plan, steps: int, arrays: Arrays, kind: tuple[str, str, bool]) -> None:
    names = tuple(arrays)
    first = arrays[next(n for n in names if n.startswith((NEXT, ADJOINT + STATE)))]
    shared = frozenset(n for n in names if n.startswith(CONSTANT) and arrays[n].numel() == 1)
    held = frozenset(n for n in names if n.startswith(STREAM) and arrays[n].dim() == 1)
    outputs = (plan.forward if kind[0] == "forward" else plan.backward).outputs
    how = (*kind, streamed(list(outputs), arrays))
    kernel = _kernel(plan, names, (shared, held), _PRECISION[first.dtype], how)
    width = first.numel()
    if not (width and steps):
        return
    pointers = [_pointer(n, arrays[n]) for n in names]
    lanes = _lanes_in_cache(a for n, a in arrays.items() if a.dim() == 1 and n not in shared)
    lanes = width if steps < _FEW_STEPS else lanes
    kernel.run(pointers, width, steps, lanes)


def _lanes_in_cache(arrays: Iterable[torch.Tensor]) -> int:
    """How many neurons take all steps before the next ones do: their states and the like stay in the cache."""
    return max(_CACHE // sum(a.element_size() for a in arrays) // _ALIGN, 1) * _ALIGN


def _pointer(name: str, array: torch.Tensor) -> int:
    assert array.is_contiguous(), f"{name} is not contiguous"  # the operator made it so
    return array.data_ptr()


@functools.lru_cache(maxsize=1024)
def _kernel(
    plan: Plan, names: tuple[str, ...], single: tuple[frozenset[str], frozenset[str]], precision: str,
    kind: tuple[str, str, bool, tuple[str, ...]],
) -> Compiled:  # fmt: skip
    graph = plan.forward if kind[0] == "forward" else plan.backward
    module = load(kernel_source(graph, names, single, plan.conditions, precision, *kind))
    return Compiled(getattr(module, kind[0]).address, len(names))


def kernel_source(
    graph: Graph, names: tuple[str, ...], single: tuple[frozenset[str], frozenset[str]], conditions: frozenset[str],
    precision: str, direction: str, label: str, strict: bool, past_cache: Sequence[str] = (),
) -> str:  # fmt: skip
    """The module of one kernel: a loop over time around a loop over neurons that LLVM vectorises.

    ``single`` names the constants that are one number, and the streams that are one row; ``conditions`` the rows of
    bytes; ``past_cache`` the rows that are streamed to memory.
    """
    streams = Streams(past_cache, precision) if past_cache else None
    roles = _Roles(names, *single)
    graph = Graph(graph.inputs, dict(zip(graph.outputs, fused(list(graph.outputs.values())), strict=True)))
    outputs = {identifier(n) + "_new": e for n, e in graph.outputs.items()}
    body = statements(outputs, kernel_dialect(precision))
    inner = [*_loads(graph, roles, conditions), *body, *_stores(graph, roles, conditions, streams)]
    loop = streams.loop(inner) if streams else ["for m in range(begin, end):", *(f"    {line}" for line in inner)]
    lines = [*_head(graph, roles, conditions, (precision, direction, label), strict, streams)]
    lines += [f"    {identifier(n)} = {identifier(n)}_all[0]" for n in roles.shared]
    lines += [f"    {line}" for line in (streams.before() if streams else [])]
    lines += ["    denormals = flush_denormals()", "    for step in range(steps):"]
    lines += [f"        at = {'step' if direction == 'forward' else '(steps - 1 - step)'} * width"]
    lines += [f"        {line}" for line in loop]
    lines += ["    finish_streams()"] if streams else []
    lines += ["    restore_denormals(denormals)", ""]
    return "\n".join(lines)


class _Roles:
    """Which arrays are one number, one value a neuron, and one row a step."""

    def __init__(self, names: Sequence[str], shared: frozenset[str], held: frozenset[str]) -> None:
        lane_prefixes = (NEXT, ADJOINT + STATE, ADJOINT + CONSTANT, CONSTANT)
        self.names = list(names)
        self.shared = [n for n in names if n in shared]
        self.lanes = [n for n in names if n not in shared and (n.startswith(lane_prefixes) or n in held)]

    def element(self, name: str) -> str:
        """This neuron's element of an array, in this step where the array has steps."""
        return f"{identifier(name)}_all[{'m' if name in self.lanes else 'at + m'}]"


def _head(
    graph: Graph, roles: _Roles, conditions: frozenset[str], kind: tuple[str, str, str], strict: bool,
    streams: Streams | None,
) -> list[str]:  # fmt: skip
    precision, direction, label = kind
    types = {
        n: "u1" if n in conditions else "f8" if n.startswith(ADJOINT + CONSTANT) else precision for n in roles.names
    }
    names = {"f32": "float32", "f64": "float64", "f8": "float64", "u1": "uint8"}
    pointers = [f"    CPointer({names[types[n]]}),  # {n}" for n in roles.names]
    arguments = ", ".join(f"{identifier(n)}_all" for n in roles.names)
    return [
        f'"""{label}: scan {direction}, {names[precision]}. Generated by spikeloom; edits are not used."""',
        "import math",
        "import numba",
        "from numba.types import CPointer, float32, float64, int64, uint8, void",
        "from spikeloom.kernels.compiler import options",
        "from spikeloom.lang.dialects.numba_intrinsics import flush_denormals, restore_denormals",
        *(streams.imports() if streams else []),
        *function_imports(graph.outputs.values(), precision),
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


def _stores(graph: Graph, roles: _Roles, conditions: frozenset[str], streams: Streams | None) -> list[str]:
    lines: list[str] = []
    for name in graph.outputs:
        how = "+=" if name.startswith(ADJOINT + CONSTANT) else "="
        test = " != 0" if name == SPIKE and name in conditions else ""
        place = streams.element(name) if streams and name in streams.names else roles.element(name)
        lines.append(f"{place} {how} {identifier(name)}_new{test}")
    return lines
