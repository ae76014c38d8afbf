"""Joules per sample of a spiking net and its ANN under one profile, and the spike rate where they meet."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ..errors import ParameterError
from .counts import LayerCounts, Measured
from .joules import si
from .profiles import Cost, Profile


@dataclasses.dataclass(frozen=True)
class LayerPrice:
    """Joules per sample of one layer."""

    name: str
    kind: str
    cost: Cost


@dataclasses.dataclass(frozen=True)
class Price:
    """One profile: joules per sample, layer by layer, of the spiking net and of the ANN (None: there is none).

    ``silent`` is what the spiking net would cost without any hidden spike; ``break_even`` the spikes per neuron and
    step at which it would cost as much as the ANN, None where there is no such rate (:attr:`verdict` says why),
    ``rate`` the measured one.
    ``held`` is the total on hardware that makes the sums of an input that never changes once, None where the input
    changes.
    """

    profile: str
    title: str
    source: str
    spiking: tuple[LayerPrice, ...]
    ann: tuple[LayerPrice, ...] | None
    silent: float
    break_even: float | None
    rate: float
    held: float | None = None

    @property
    def total(self) -> Cost:
        """Joules per sample of the spiking net."""
        return _total(self.spiking)

    @property
    def ann_total(self) -> Cost | None:
        """Joules per sample of the ANN."""
        return None if self.ann is None else _total(self.ann)

    @property
    def unpriced(self) -> float:
        """Operations per sample, of both nets, that this hardware cannot do."""
        return self.total.unpriced + (self.ann_total.unpriced if self.ann_total else 0.0)

    @property
    def verdict(self) -> str:
        """The break-even spike rate, or why there is none, in a sentence."""
        if self.ann_total is None:
            return "No ANN was measured to compare with."
        if self.unpriced:
            nets = ((self.total.unpriced, "the spiking net"), (self.ann_total.unpriced, "the ANN"))
            lacking = " and ".join(f"{count:,.0f} operations of {who}" for count, who in nets if count)
            return f"No comparison: this hardware has no price for {lacking}."
        if self.break_even is not None:
            if self.break_even > 1:
                return "Cheaper than the ANN at any rate up to one spike per neuron and step."
            return f"Break-even at {self.break_even:.3g} spikes per neuron and step; measured {self.rate:.3g}."
        if self.silent >= self.ann_total.total:
            whole = si(self.ann_total.total)
            return f"No spike rate breaks even: without any hidden spike it costs {si(self.silent)}, the ANN {whole}."
        if self.total.total > self.silent:
            return "No spike was measured from which to extrapolate."
        return "The cost does not depend on the spike rate."


@dataclasses.dataclass(frozen=True)
class Accuracies:
    """Test accuracies, between 0 and 1, of the two nets that are compared."""

    spiking: float
    ann: float

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value <= 1:
                raise ParameterError(f"accuracy of the {name} net", got=value, expected="0 to 1")


def priced(profile: Profile, spiking: Measured, ann: Measured | None) -> Price:
    """``spiking``, and ``ann`` beside it, under ``profile``."""
    own = _priced(profile, spiking)
    other = None if ann is None else _priced(profile, ann)
    silent, total = _at(profile, spiking, 0.0), _total(own)
    even = None
    if other is not None and not (total.unpriced or _total(other).unpriced):
        times = _break_even(profile, spiking, _total(other).total)
        even = None if times is None else spiking.spikes_per_neuron_step * times
    once = spiking.held()
    held = None if once.layers == spiking.layers or total.unpriced else _total(_priced(profile, once)).total
    return Price(
        profile.name, profile.title, profile.source, own, other, silent, even, spiking.spikes_per_neuron_step, held
    )


def _priced(profile: Profile, run: Measured) -> tuple[LayerPrice, ...]:
    return tuple(LayerPrice(x.name, x.kind, profile.cost(x, run) * (1 / run.samples)) for x in run.layers)


def _break_even(profile: Profile, run: Measured, goal: float) -> float | None:
    """How many times the hidden spikes would cost ``goal`` joules; None where no such number is found.

    The cost is a straight line between the factors at which the weights needed by a layer stop or go on to grow.
    """
    knees = sorted({0.0, 1.0, *(k for layer in run.layers if layer.hidden for k in _knees(layer, run))})
    points = [(k, _at(profile, run, k)) for k in (*knees, knees[-1] + 1)]
    if points[0][1] >= goal:
        return None
    for (start, low), (end, high) in pairwise(points):
        if high > low and (high >= goal or end > knees[-1]):
            return start + (end - start) * (goal - low) / (high - low)
    return None


def _knees(layer: LayerCounts, run: Measured) -> tuple[float, ...]:
    s = layer.synapses
    return (s.needed / s.effective, s.weights * run.samples / s.needed) if s and s.needed else ()


def _at(profile: Profile, run: Measured, times: float) -> float:
    """Joules per sample at ``times`` the hidden spikes."""
    layers = tuple(_scaled(layer, run, times) for layer in run.layers)
    return _total(_priced(profile, dataclasses.replace(run, layers=layers))).total


def _scaled(layer: LayerCounts, run: Measured, times: float) -> LayerCounts:
    """The layer at ``times`` the spikes: its synaptic operations, and the sums of an average pool, in proportion.

    The weights needed are the most that they can be: fewer spikes need the same ones until there are not as many
    operations left, more spikes need others, until all are.
    """
    if not layer.hidden:
        return layer
    s = layer.synapses
    if s is not None:
        more = min(times * s.needed, s.weights * run.samples)
        needed = more if times > 1 else min(times * s.effective, s.needed)
        scaled: dict[str, Any] = {"effective": times * s.effective, "active": times * s.active, "needed": needed}
        s = dataclasses.replace(s, **scaled)
    operations: dict[str, Any] = dict(layer.operations)
    if "AvgPool" in layer.kind:
        operations["add"] *= times
    return dataclasses.replace(layer, synapses=s, operations=operations)


def _total(layers: Sequence[LayerPrice]) -> Cost:
    return sum((layer.cost for layer in layers), Cost())


def _plain_cost(cost: Cost) -> dict[str, Any]:
    return cost.plain() | {"total": cost.total}


def _plain_layers(layers: Sequence[LayerPrice] | None) -> list[dict[str, Any]] | None:
    return None if layers is None else [{"name": x.name, "kind": x.kind, **_plain_cost(x.cost)} for x in layers]


def plain_price(price: Price) -> dict[str, Any]:
    """For JSON."""
    return {
        "name": price.profile,
        "title": price.title,
        "source": price.source,
        "spiking": _plain_cost(price.total),
        "ann": price.ann_total and _plain_cost(price.ann_total),
        "silent": price.silent,
        "break_even": price.break_even,
        "rate": price.rate,
        "held": price.held,
        "layers": _plain_layers(price.spiking),
        "ann_layers": _plain_layers(price.ann),
    }


def price_from_plain(plain: Mapping[str, Any]) -> Price:
    """What :func:`plain_price` gave."""

    def layers(rows: Sequence[Mapping[str, Any]]) -> tuple[LayerPrice, ...]:
        names = [field.name for field in dataclasses.fields(Cost)]
        return tuple(LayerPrice(r["name"], r["kind"], Cost(**{n: r[n] for n in names})) for r in rows)

    ann = plain["ann_layers"]
    return Price(
        plain["name"], plain["title"], plain["source"], layers(plain["layers"]), None if ann is None else layers(ann),
        plain["silent"], plain["break_even"], plain["rate"], plain["held"],
    )  # fmt: skip
