"""The scan on a GPU: source text for Triton, and its launch.

Triton is imported when the first kernel runs, so that everything else works on machines that do not have it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...errors import BackendError
from ...lang.dialects.triton import triton_dialect, triton_functions
from ...lang.emit import identifier, statements
from ...lang.expr import LEAVES, topological
from ...lang.graph import Graph
from ..cache import load_for_triton
from ..program import CONSTANT, NEXT, STATE
from .plan import ADJOINT, Plan

Arrays = Mapping[str, torch.Tensor]
_PRECISION = {torch.float32: "f32", torch.float64: "f64"}
_DTYPE = {"f32": "float32", "f64": "float64"}
NARROW = (torch.bfloat16, torch.float16)  # what streams, spikes and their gradients may be beside float32 states

_WARP = 32
_FEW_LANES = 16_384  # up to here, programs of one warp reach more multiprocessors than larger ones
_OPERATIONS_AT_ONCE = 256  # of all steps whose rows are loaded together: bounds registers and compile time
_MOST_AHEAD = 8


@dataclasses.dataclass(frozen=True)
class Kinds:
    """Of a kernel's arrays: which are one number, which are conditions (bytes), which are of a NARROW type."""

    shared: frozenset[str]
    conditions: frozenset[str]
    narrow: frozenset[str] = frozenset()


def forward(plan: Plan, steps: int, arrays: Arrays, label: str, strict: bool) -> None:
    """Run forward in place: ``arrays`` holds streams ``x.*`` and outputs ``[T, M]``, constants, and states ``next.*``
    ``[M]`` filled with the initial values. Raises BackendError where Triton cannot run on the data.

    Beside float32 states, streams and spikes (and their gradients in :func:`backward`) may be of a NARROW type."""
    _launch(plan, steps, arrays, ("forward", label, strict))


def backward(plan: Plan, steps: int, arrays: Arrays, label: str, strict: bool) -> None:
    """Run backward in place: ``g.s.*`` ``[M]`` holds the adjoints of the final states and ends as those of the
    initial ones; ``g.x.*`` ``[T, M]`` are written; ``g.c*`` ``[M]`` float64 are summed over time."""
    _launch(plan, steps, arrays, ("backward", label, strict))


def _launch(plan: Plan, steps: int, arrays: Arrays, kind: tuple[str, str, bool]) -> None:
    names, carried = _touched(plan, kind[0], tuple(arrays))
    first = arrays[carried]
    interpreted = checked_device(first.device)
    shared = frozenset(n for n in names if n.startswith(CONSTANT) and arrays[n].numel() == 1)
    kinds = Kinds(shared, plan.conditions, frozenset(n for n in names if arrays[n].dtype in NARROW))
    kernel = _kernel(plan, names, kinds, _PRECISION[first.dtype], kind[:2], interpreted)
    width = first.numel()
    if not (width and steps):
        return
    block, ahead = _launch_shape(plan, kind[0], steps, width)
    options = {"num_warps": block // _WARP, "enable_fp_fusion": not kind[2]}
    with on(first.device):
        kernel[(-(-width // block),)](
            steps, width, *as_given([arrays[n] for n in names], interpreted), block=block, ahead=ahead, **options
        )


def on(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Where kernels are launched; nothing where that is so already, which is cheaper."""
    elsewhere = device.type == "cuda" and device.index != torch.cuda.current_device()
    return torch.cuda.device(device) if elsewhere else contextlib.nullcontext()


def as_given(arrays: Sequence[torch.Tensor], interpreted: bool) -> Sequence[torch.Tensor]:
    """Contiguous arrays as a kernel takes them: only the interpreter minds shapes and gradients."""
    return [t.detach().reshape(-1) for t in arrays] if interpreted else arrays


@functools.lru_cache(maxsize=1024)
def _touched(plan: Plan, direction: str, given: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The arrays that a kernel reads or writes, and one that has a number for each lane."""
    graph = _graph(plan, direction)
    touched = {*map(_array, graph.inputs), *graph.outputs}
    names = tuple(n for n in given if n in touched)
    return names, next(n for n in names if n.startswith((NEXT, ADJOINT + STATE)))


def launch_shape(graph: Graph, steps: int, width: int) -> tuple[int, int]:
    """Lanes of a program, one for each thread, and the number of steps whose rows are loaded together.

    A step waits for memory much longer than it computes, and a small layer has too few lanes to hide that behind
    one another; so the loads of several steps are under way at once, fewer where a step has much to compute.
    """
    size = sum(1 for e in topological(graph.outputs.values()) if e.op not in LEAVES)
    ahead = max(1, min(_MOST_AHEAD, _OPERATIONS_AT_ONCE // max(1, size)))
    return _WARP if width <= _FEW_LANES else 4 * _WARP, ahead if steps >= ahead else 1


@functools.lru_cache(maxsize=1024)
def _launch_shape(plan: Plan, direction: str, steps: int, width: int) -> tuple[int, int]:
    return launch_shape(_graph(plan, direction), steps, width)


def checked_device(device: torch.device) -> bool:
    """Whether Triton's interpreter runs the kernels; raises BackendError where nothing can."""
    try:
        from triton import knobs
    except ImportError:
        raise BackendError(
            "the gpu backend needs Triton",
            got="a Python without it",
            mend="Install it with: pip install 'spikeloom[gpu]', or choose sl.backend(\"reference\").",
        ) from None
    interpreted = bool(knobs.runtime.interpret)
    if interpreted or device.type == "cuda":
        return interpreted
    card = torch.cuda.is_available()
    raise BackendError(
        "the gpu backend needs data on a CUDA device",
        got=f"data on {device}" + ("" if card else " and no CUDA device that torch can use"),
        mend="Move the network and its input with .to('cuda')."
        if card
        else "Use sl.backend('cpu'), or set TRITON_INTERPRET=1 before Python starts to try kernels out, slowly.",
    )


@functools.lru_cache(maxsize=1024)
def _kernel(
    plan: Plan, names: tuple[str, ...], kinds: Kinds, precision: str, kind: tuple[str, str], interpreted: bool
) -> Any:
    source = kernel_source(_graph(plan, kind[0]), names, kinds, precision, *kind)
    return getattr(load_for_triton(source, interpreted), kind[0])


def _graph(plan: Plan, direction: str) -> Graph:
    return plan.forward if direction == "forward" else plan.backward


def _array(name: str) -> str:
    """The array of an input of a step: states and their adjoints are carried in the place of the output."""
    if name.startswith(STATE):
        return NEXT + name[len(STATE) :]
    if name.startswith(ADJOINT + NEXT):
        return ADJOINT + STATE + name[len(ADJOINT + NEXT) :]
    return name


def _carrier(name: str) -> str:
    """The input of a step that an output becomes in the next one; a sum over time keeps its name."""
    if name.startswith(NEXT):
        return STATE + name[len(NEXT) :]
    if name.startswith(ADJOINT + STATE):
        return ADJOINT + NEXT + name[len(ADJOINT + STATE) :]
    return name


def kernel_source(
    graph: Graph, names: tuple[str, ...], kinds: Kinds, precision: str, direction: str, label: str
) -> str:
    """The module of one kernel: each program takes a block of neurons through all steps, states in registers."""
    parts = Parts(graph, kinds, precision)
    arguments = ", ".join(f"{identifier(n)}_all" for n in names)
    now = "first + k" if direction == "forward" else "steps - 1 - (first + k)"
    place = [
        f"at = tl.cast({now}, tl.int64) * width + lanes",
        "live = lanes < tl.where(first + k < steps, width, 0)",
    ]
    return "\n".join(
        [
            f'"""{label}: scan {direction}, {parts.dtype}. Generated by spikeloom; edits are not used."""',
            *("import triton", "import triton.language as tl", "", ""),
            *step_lines(graph, precision),
            *("", ""),
            '@triton.jit(do_not_specialize=["steps"])',
            f"def {direction}(steps, width, {arguments}, block: tl.constexpr, ahead: tl.constexpr):",
            "    lanes = tl.cast(tl.program_id(0), tl.int64) * block + tl.arange(0, block)",
            "    inside = lanes < width",
            *indented(1, parts.before()),
            "    for first in range(0, steps, ahead):",
            "        # The loads of `ahead` steps are under way together, so that they wait for memory once.",
            *(f"        {identifier(n)}_rows = ()" for n in parts.rows),
            "        for k in tl.static_range(ahead):",
            *indented(3, [*place, *parts.asked()]),
            "        for k in tl.static_range(ahead):",
            *indented(3, [*place, parts.stepped(), *parts.stored(), *parts.passed_on()]),
            *indented(1, parts.after()),
            "",
        ]
    )


def step_lines(graph: Graph, precision: str) -> list[str]:
    """Lines of ``step``, a function of the inputs of ``graph`` that returns its outputs, and of what it calls."""
    dialect, dtype = triton_dialect(precision), _DTYPE[precision]
    literals = {n: e for n, e in graph.outputs.items() if e.op == "const"}
    rest = {_new(n): e for n, e in graph.outputs.items() if n not in literals}
    values = {n: dialect.literal(float(e.data)) for n, e in literals.items()}  # type: ignore[arg-type]
    return [
        *triton_functions({e.op for e in topological(graph.outputs.values())}, precision),
        "@triton.jit",
        f"def step({', '.join(map(identifier, graph.inputs))}):",
        # On its own, a literal would be a float32.
        *(f"    {_new(n)} = tl.full((), {value}, tl.{dtype})" for n, value in values.items()),
        *indented(1, statements(rest, dialect)),
        f"    return {', '.join(map(_new, graph.outputs))}",
    ]


def _new(name: str) -> str:
    return identifier(name) + "_new"


def indented(depth: int, lines: Sequence[str]) -> list[str]:
    return ["    " * depth + line for line in lines]


class Parts:
    """The parts of a kernel: what is loaded, computed, stored and passed on to the next step.

    Constants that are not one number lie at ``constants_at``, a variable of the kernel as ``lanes`` and ``live`` are;
    all of these have the ``shape``.
    """

    def __init__(
        self, graph: Graph, kinds: Kinds, precision: str, constants_at: str = "lanes", shape: str = "(block,)"
    ) -> None:
        self.graph, self.kinds, self.constants_at, self.shape = graph, kinds, constants_at, shape
        self.dtype = _DTYPE[precision]
        constants = [n for n in graph.inputs if n.startswith(CONSTANT)]
        self.numbers = [n for n in constants if n in kinds.shared]
        self.lanes = [n for n in constants if n not in kinds.shared]
        self.carried = [n for n in graph.outputs if n.startswith((NEXT, ADJOINT + STATE, ADJOINT + CONSTANT))]
        self.rows = [n for n in graph.inputs if _array(n) == n and n not in constants]
        self.written = [n for n in graph.outputs if n not in self.carried]

    def before(self) -> list[str]:
        """Loads ahead of the loop over time."""
        # Blocks of one value each, as the interpreter cannot combine conditions on numbers and on blocks.
        lines = [f"{identifier(n)} = tl.broadcast_to(tl.load({identifier(n)}_all), {self.shape})" for n in self.numbers]
        places = [*((n, n, self.constants_at) for n in self.lanes), *((n, _carrier(n), "lanes") for n in self.carried)]
        for name, variable, at in places:
            lines.append(f"{identifier(variable)} = tl.load({identifier(name)}_all + {at}, mask=inside, other=0.0)")
        return lines

    def asked(self) -> list[str]:
        """Loads of a step's rows."""
        return [f"{identifier(n)}_rows += (tl.load({identifier(n)}_all + at, mask=live, other=0),)" for n in self.rows]

    def stepped(self) -> str:
        """The call of the step."""
        given = {n: self.as_number(n, f"{identifier(n)}_rows[k]") for n in self.rows}
        arguments = ", ".join(given.get(n, identifier(n)) for n in self.graph.inputs)
        return f"{', '.join(map(_new, self.graph.outputs))} = step({arguments})"

    def as_number(self, name: str, loaded: str) -> str:
        """What was loaded, as the step takes it."""
        if name in self.kinds.narrow:
            return f"tl.cast({loaded}, tl.{self.dtype})"
        return f"{loaded} != 0" if name in self.kinds.conditions else loaded

    def stored(self) -> list[str]:
        """Stores of a step's rows."""
        lines: list[str] = []
        for name in self.written:
            value = f"tl.cast({_new(name)}, tl.uint8)" if name in self.kinds.conditions else _new(name)
            lines.append(f"tl.store({identifier(name)}_all + at, {value}, mask=live)")
        return lines

    def passed_on(self) -> list[str]:
        """States for the next step, and sums over time; steps past the end leave them alone."""
        lines: list[str] = []
        for name in self.carried:
            variable = identifier(_carrier(name))
            sums = f"{variable} + " if name.startswith(ADJOINT + CONSTANT) else ""
            lines.append(f"{variable} = tl.where(live, {sums}{_new(name)}, {variable})")
        return lines

    def after(self) -> list[str]:
        """Stores behind the loop over time."""
        return [f"tl.store({identifier(n)}_all + lanes, {identifier(_carrier(n))}, mask=inside)" for n in self.carried]
