"""Text of the tasks of plastic edges: one module for each rule, precision and way of delays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from ...lang.dialects.numba import function_imports, kernel_dialect
from ...lang.emit import identifier, statements
from ...lang.graph import Graph
from ...lang.idioms import fused
from .edges import WEIGHT, Steps


@dataclasses.dataclass(frozen=True)
class Form:
    """What decides on the text besides the rule. ``lag`` is "none", "uint8" or "uint16"; ``pre``, ``post`` and ``edge``
    name traces and states of the edge, ``moving`` says that the latter change between events."""

    precision: str
    lag: str
    pre: tuple[str, ...]
    post: tuple[str, ...]
    edge: tuple[str, ...]
    moving: bool

    @property
    def short(self) -> str:
        return {"float32": "f32", "float64": "f64"}[self.precision]

    def table(self, steps: Steps) -> list[tuple[str, str]]:
        """Entries of a task's table: names, with the kind of number that an address leads to ("" for a number)."""
        real = self.precision
        numbers = ("parts", "slots", "width", "delay", "rows", "row_size", "room", "sources", "back", "period", "dt")
        return [
            *((n, "") for n in numbers),
            ("listed", "int32"), ("counts", "int64"), ("bounds", "int64"), ("starts", "int64"), ("split", "int64"),
            ("targets", "int32"), ("weights", real), ("lags", "uint8" if self.lag == "none" else self.lag),
            ("ring", real), ("given", real), ("heads", "int32"), ("fired", "int32"), ("traced", "int32"),
            ("latest", "int32"), ("in_starts", "int64"), ("in_edges", "int32"), ("in_sources", "int32"),
            *((_all(n), real) for n in (*self.pre, *self.post, *self.edge)),
        ]  # fmt: skip


def _all(name: str) -> str:
    return f"all_{identifier(name)}"


def _event(text: str, form: Form) -> tuple[list[str], set[str], list[str]]:
    """Lines that compute the outputs of ``text`` as ``new_NAME``, the symbols they need, and the names they change."""
    graph = Graph.parse(text)
    outputs = dict(zip(graph.outputs, fused(list(graph.outputs.values())), strict=True))
    named = {f"new_{identifier(n.removeprefix('next.'))}": e for n, e in outputs.items()}
    return statements(named, kernel_dialect(form.short)), set(graph.inputs), [n.removeprefix("next.") for n in outputs]


def _edge_lines(text: str, form: Form) -> list[str]:
    """Edge ``e`` changes: its states are read, moved on, and written back."""
    body, needed, changed = _event(text, form)
    lines = ["s_w = weights[e]"] if f"s.{WEIGHT}" in needed else []
    lines += [f"s_{identifier(n)} = {_all(n)}[e]" for n in form.edge if f"s.{n}" in needed]
    if form.moving:
        lines += [f"elapsed_edge = {form.short}(float64(step - int64(latest[e])) * dt)", "latest[e] = int32(step)"]
    lines += body
    return [*lines, *(f"{'weights' if n == WEIGHT else _all(n)}[e] = new_{identifier(n)}" for n in changed)]


def _source_lines(form: Form, needed: Iterable[str], newest: str, now: str) -> list[str]:
    """Traces of ``source`` after its last spike up to the step ``newest``, as they are needed in step ``now``."""
    used = [n for n in form.pre if f"s.{n}" in needed]
    if not used and "elapsed.pre" not in needed:
        return []
    lines = ["place = (part * sources + source) * room", "at = place + int64(heads[part * sources + source])"]
    if form.lag != "none":
        lines += [
            "for _ in range(room - 1):",
            f"    if int64(fired[at]) <= {newest}:",
            "        break",
            "    at = at - 1 if at > place else place + room - 1",
        ]
    lines += [f"s_{identifier(n)} = {_all(n)}[at]" for n in used]
    return [*lines, f"elapsed_pre = {form.short}(float64(max({now} - int64(fired[at]), 0)) * dt)"]


def _target_lines(form: Form, needed: Iterable[str]) -> list[str]:
    used = [n for n in form.post if f"s.{n}" in needed]
    if not used and "elapsed.post" not in needed:
        return []
    lines = [f"s_{identifier(n)} = {_all(n)}[target]" for n in used]
    return [*lines, f"elapsed_post = {form.short}(float64(max(step - int64(traced[target]), 0)) * dt)"]


def _indented(lines: Iterable[str], by: int) -> list[str]:
    return [" " * by + line for line in lines]


def module(steps: Steps, form: Form, name: str) -> str:
    """The module with one task: ``name`` is "deliver", "look_back" or "periodic"."""
    body = {"deliver": _deliver, "look_back": _look_back, "periodic": _periodic}[name](steps, form)
    texts = {"deliver": (steps.pre, steps.pre_traces), "look_back": (steps.post, steps.post_traces)}
    used = [e for t in texts.get(name, (steps.periodic,)) for e in fused(list(Graph.parse(t).outputs.values()))]
    parameters = [f"    p_{identifier(n)} = given[{k}]" for k, n in enumerate(steps.parameters)]
    lines = [
        f'"""Plastic edges, {name}: {form.precision}, lag {form.lag}. Generated by spikeloom; edits are not used."""',
        "import math",
        "import numba",
        "from numba.types import CPointer, float32, float64, int32, int64, uint8, uint16, void",
        "from spikeloom.kernels.compiler import options",
        "from spikeloom.lang.dialects.numba_intrinsics import bitcast",
        "from spikeloom.lang.dialects.numba_threads import pointer, prefetch",
        *function_imports(used, form.short),
        f"{form.short} = {form.precision}",
        *(_SEARCH if name == "deliver" and form.lag != "none" else []),
        "",
        "@numba.cfunc(void(int64, int64, int64, int64, CPointer(int64)), **options(strict=STRICT))",
        "def task(begin, end, step, part, table):",
        *_indented(_unpacked(form.table(steps)), 4),
        *parameters,
        *_indented(body, 4),
        "",
    ]
    return "\n".join(lines)


def _unpacked(table: Sequence[tuple[str, str]]) -> list[str]:
    lines: list[str] = []
    for k, (name, kind) in enumerate(table):
        value = f"table[{k}]"
        lines.append(
            f"{name} = {f'pointer({value}, {kind})' if kind else f'bitcast({value})' if name == 'dt' else value}"
        )
    return lines


_SEARCH = [
    "",
    "@numba.njit(error_model='numpy')",
    "def first_at(lags, targets, low, high, lag, target):  # where edges of this lag to this target and beyond begin",
    "    while low < high:",
    "        middle = (low + high) // 2",
    "        found = int64(lags[middle])",
    "        if found < lag or (found == lag and int64(targets[middle]) < target):",
    "            low = middle + 1",
    "        else:",
    "            high = middle",
    "    return low",
]


def _deliver(steps: Steps, form: Form) -> list[str]:
    """Spikes of the longest delay first, of one delay in the order of their sources."""
    _, edge_needs, _ = _event(steps.pre, form)
    trace_lines, trace_needs, traces = _event(steps.pre_traces, form)
    if form.lag == "none":
        stretch = ["first, last = split[source * parts + part], split[source * parts + part + 1]"]
    else:
        stretch = [
            "first = first_at(lags, targets, starts[source], starts[source + 1], lag, begin)",
            "last = first_at(lags, targets, first, starts[source + 1], lag, end)",
        ]
    edge = ["target = int64(targets[e])", *_target_lines(form, edge_needs), *_edge_lines(steps.pre, form)]
    needs = edge_needs | trace_needs
    spike = [
        "source = int64(listed[k])",
        *stretch,
        *_source_lines(form, needs, "sent - 1", "sent"),
        "for e in range(first, last):",
        *_indented([*edge, "ring[now + target] += weights[e]"], 4),
    ]
    if traces:
        spike += [
            "if lag == 0:",
            *_indented(trace_lines, 4),
            "    place = part * sources + source",
            "    newest = (int64(heads[place]) + 1) % room",
            "    heads[place] = int32(newest)",
            "    at = place * room + newest",
            "    fired[at] = int32(sent)",
            *(f"    {_all(n)}[at] = new_{identifier(n)}" for n in traces),
        ]
    return [
        "now = (step % rows) * row_size",
        "for lag in range(room - 1, -1, -1):",
        "    sent = step - delay - lag",
        "    slot = sent % slots",
        "    for other in range(parts):",
        "        place = slot * width + bounds[other]",
        "        for k in range(place, place + counts[8 * (slot * parts + other)]):",
        *_indented(spike, 12),
    ]


def _look_back(steps: Steps, form: Form) -> list[str]:
    _, edge_needs, _ = _event(steps.post, form)
    trace_lines, trace_needs, traces = _event(steps.post_traces, form)
    lagging = " - int64(lags[e])" if form.lag != "none" else ""
    edge = [
        "e = int64(in_edges[c])",
        "source = int64(in_sources[c])",
        f"sent = step - delay{lagging}",
        *_source_lines(form, edge_needs, "sent", "sent"),
        *_edge_lines(steps.post, form),
    ]
    return [
        "slot = (step - back) % slots",
        "mine = slot * width + begin",
        "for k in range(mine, mine + counts[8 * (slot * parts + part)]):",
        "    target = int64(listed[k])",
        *_indented(_target_lines(form, edge_needs | trace_needs), 4),
        "    for c in range(in_starts[target], in_starts[target + 1]):",
        *_indented(edge, 8),
        *_indented(trace_lines, 4),
        *(f"    {_all(n)}[target] = new_{identifier(n)}" for n in traces),
        *(["    traced[target] = int32(step)"] if traces else []),
    ]


def _periodic(steps: Steps, form: Form) -> list[str]:
    return [
        "if (step + 1) % period == 0:",
        "    for c in range(in_starts[begin], in_starts[end]):",
        "        e = int64(in_edges[c])",
        *_indented(_edge_lines(steps.periodic, form), 8),
    ]


__all__ = ["Form", "module"]
