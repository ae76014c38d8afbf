"""A report of energies in words and columns of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .counts import LayerCounts, Measured

if TYPE_CHECKING:
    from .profiles import Cost
    from .report import EnergyReport, Price

_PREFIXES = ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ"))
COLUMNS = ("layer", "kind", "input", "dense", "AC", "MAC", "updates", "spikes/neuron/step")


def si(joules: float) -> str:
    """Joules with three digits and a prefix.

    >>> si(1.234e-7), si(0.0), si(2.5e-12)
    ('123 nJ', '0 J', '2.5 pJ')
    """
    if not joules:
        return "0 J"
    size, unit = next(((s, u) for s, u in _PREFIXES if abs(joules) >= s * 0.9995), (1e-12, "pJ"))
    value = joules / size
    return f"{value:,.0f} {unit}" if abs(value) >= 999.5 else f"{value:.3g} {unit}"


def verdict(report: EnergyReport, price: Price) -> str:
    """The break-even spike rate of one profile, or why there is none, in a sentence.

    Both absolute numbers stand beside it wherever it is printed.
    """
    if price.ann_total is None:
        return "No ANN was measured to compare with."
    if price.unpriced:
        nets = ((price.total.unpriced, "the spiking net"), (price.ann_total.unpriced, "the ANN"))
        lacking = " and ".join(f"{count:,.0f} operations of {who}" for count, who in nets if count)
        return f"No comparison: this hardware has no price for {lacking}."
    rate, ann, silent = report.spiking.spikes_per_neuron_step, price.ann_total.total, price.silent
    if price.break_even is not None:
        if price.break_even > 1:
            return "Cheaper than the ANN at any rate up to one spike per neuron and step."
        return f"Break-even at {price.break_even:.3g} spikes per neuron and step; measured {rate:.3g}."
    if silent >= ann:
        what = "neuron updates, input and memory alone"
        return f"No spike rate breaks even: {what} cost {si(silent)}, the whole ANN {si(ann)}."
    return "The cost does not depend on the spike rate."


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


def notes(report: EnergyReport) -> list[str]:
    """What a reader has to know beside the numbers."""
    found = []
    for name, run in (("spiking net", report.spiking), ("ANN", report.ann)):
        if run is None:
            continue
        if run.uncounted:
            found.append(f"Not counted in the {name}, for want of a rule: {', '.join(run.uncounted)}.")
        if run.folded:
            found.append(f"Batch norm folded into the weights before it ({name}): {', '.join(run.folded)}.")
        held = [x.name for x in run.layers if x.synapses and x.synapses.constant and not x.hidden]
        if held:
            what = f"The input of layer {', '.join(held)} is the same in every step, and its sums are paid for in each"
            found.append(f"{what}; hardware that makes them once and holds them needs what stands under 'input once'.")
    if report.ann is None:
        found.append("No ANN beside it: the numbers say nothing about what spikes save.")
    elif report.accuracies is None:
        found.append("The accuracies of the two nets were not given: a comparison assumes that they are equal.")
    else:
        a = report.accuracies
        found.append(f"Test accuracy: spiking net {100 * a.spiking:.2f} %, ANN {100 * a.ann:.2f} %.")
    found.append("Not included: leakage, routing of spikes between cores, reading the input in, clocks and control.")
    return found


def energy_text(report: EnergyReport) -> str:
    """Counts, joules per sample under each profile, break-even rates, notes."""
    runs = [("spiking net", report.spiking), *([("ANN", report.ann)] if report.ann else [])]
    parts = []
    for name, run in runs:
        facts = f"{run.samples:,} samples, {run.steps:g} step{'s' if run.steps != 1 else ''} each, {run.bits} bits"
        parts.append(f"{name}: operations per sample ({facts})\n{_aligned([COLUMNS, *rows(run)], left=3)}")
    body: list[tuple[str, ...]] = [("joules per sample", "", "compute", "neurons", "memory", "total", "input once")]
    for price in report.prices:
        body.append((price.title, "spiking", *_cells(price.total), "" if price.held is None else si(price.held)))
        if price.ann_total is not None:
            body.append(("", "ANN", *_cells(price.ann_total), ""))
    parts.append(_aligned(body, left=2))
    if report.ann is not None:
        parts.append("\n".join(f"{price.title}: {verdict(report, price)}" for price in report.prices))
    parts.append("\n".join(notes(report)))
    return "\n\n".join(parts)


def _cells(cost: Cost) -> tuple[str, ...]:
    return si(cost.compute), si(cost.neurons), si(cost.memory), total_text(cost)


def total_text(cost: Cost) -> str:
    """The total, and how much work is missing from it.

    >>> from spikeloom.energy.profiles import Cost
    >>> total_text(Cost(1e-9)), total_text(Cost(1e-9, unpriced=1200)), total_text(Cost(unpriced=7))
    ('1 nJ', '1 nJ + 1,200 operations', 'not priced')
    """
    if not cost.unpriced:
        return si(cost.total)
    return f"{si(cost.total)} + {cost.unpriced:,.0f} operations" if cost.total else "not priced"


def _aligned(table: Sequence[Sequence[str]], left: int) -> str:
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    lines = []
    for row in table:
        cells = [c.ljust(w) if k < left else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
