"""A report of energies in words and columns of text."""

from __future__ import annotations

from collections.abc import Sequence

from .counts import LayerCounts, Measured
from .joules import si, total_text
from .prices import Accuracies, Price
from .profiles import Cost

COLUMNS = ("layer", "kind", "input", "dense", "AC", "MAC", "updates", "spikes/neuron/step")


def rows(run: Measured) -> list[tuple[str, ...]]:
    """One row per layer: operations per sample under :data:`COLUMNS`, and their sums."""
    table = [_row(layer, run) for layer in run.layers]
    rate = (
        f"{run.spikes_per_neuron_step:.4g}"
        if any(x.neurons and x.neurons.spikes is not None for x in run.layers)
        else ""
    )
    totals = (run.dense, run.acs, run.macs, run.updates)
    return [*table, ("total", "", "", *(_count(n, run) for n in totals), rate)]


def _row(layer: LayerCounts, run: Measured) -> tuple[str, ...]:
    s, n = layer.synapses, layer.neurons
    source = "" if s is None else "spikes" if s.spikes else "values"
    synaptic = ("", "", "") if s is None else tuple(_count(k, run) for k in (s.dense, s.acs, s.macs))
    updates = "" if n is None else _count(n.updates, run)
    rate = "" if n is None or n.spikes is None else f"{n.spikes / n.updates:.4g}"
    return (layer.name, layer.kind, source, *synaptic, updates, rate)


def _count(total: int, run: Measured) -> str:
    mean = total / run.samples
    return f"{mean:,.0f}" if mean >= 100 or float(mean).is_integer() else f"{mean:.3g}"


def notes(spiking: Measured, ann: Measured | None, accuracies: Accuracies | None) -> list[str]:
    """What a reader has to know beside the numbers."""
    found = []
    for name, run in (("spiking net", spiking), ("ANN", ann)):
        if run is None:
            continue
        if run.uncounted:
            found.append(f"Not counted in the {name}, for want of a rule: {', '.join(run.uncounted)}.")
        if run.folded:
            found.append(f"Batch norm folded into the weights and biases before it ({name}): {', '.join(run.folded)}.")
        held = [x.name for x in run.layers if x.synapses and x.synapses.constant and not x.hidden]
        if held:
            what = f"The input of layer {', '.join(held)} is the same in every step, and its sums are paid for in each"
            found.append(f"{what}; hardware that makes them once and holds them needs what stands under 'input once'.")
    if ann is None:
        found.append("No ANN beside it: the numbers say nothing about what spikes save.")
    elif accuracies is None:
        found.append("The accuracies of the two nets were not given: a comparison assumes that they are equal.")
    else:
        found.append(f"Test accuracy: spiking net {100 * accuracies.spiking:.2f} %, ANN {100 * accuracies.ann:.2f} %.")
    found.append("Not included: leakage, routing of spikes between cores, reading the input in, clocks and control.")
    return found


def energy_text(spiking: Measured, ann: Measured | None, prices: Sequence[Price], accuracies: Accuracies | None) -> str:
    """Counts, joules per sample under each profile, break-even rates, notes."""
    runs = [("spiking net", spiking), *([("ANN", ann)] if ann else [])]
    parts = []
    for name, run in runs:
        facts = f"{run.samples:,} samples, {run.steps:g} step{'s' if run.steps != 1 else ''} each, {run.bits} bits"
        parts.append(f"{name}: operations per sample ({facts})\n{_aligned([COLUMNS, *rows(run)], left=3)}")
    body: list[tuple[str, ...]] = [("joules per sample", "", "compute", "neurons", "memory", "total", "input once")]
    for price in prices:
        body.append((price.title, "spiking", *_cells(price.total), "" if price.held is None else si(price.held)))
        if price.ann_total is not None:
            body.append(("", "ANN", *_cells(price.ann_total), ""))
    parts.append(_aligned(body, left=2))
    if ann is not None:
        parts.append("\n".join(f"{price.title}: {price.verdict}" for price in prices))
    parts.append("\n".join(notes(spiking, ann, accuracies)))
    return "\n\n".join(parts)


def _cells(cost: Cost) -> tuple[str, ...]:
    return si(cost.compute), si(cost.neurons), si(cost.memory), total_text(cost)


def _aligned(table: Sequence[Sequence[str]], left: int) -> str:
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    lines = []
    for row in table:
        cells = [c.ljust(w) if k < left else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
