"""A spiking net and its ANN under each profile, both in joules per sample, and the spike rate where they meet."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

from ..errors import ParameterError, did_you_mean
from .counts import LayerCounts, Measured
from .profiles import PROFILES, Cost, Profile
from .text import energy_text


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
    step at which it would cost as much as the ANN, None where there is no such rate (:func:`verdict` says why).
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


@dataclasses.dataclass(frozen=True)
class Accuracies:
    """Test accuracies, between 0 and 1, of the two nets that are compared."""

    spiking: float
    ann: float

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value <= 1:
                raise ParameterError(f"accuracy of the {name} net", got=value, expected="0 to 1")


@dataclasses.dataclass(frozen=True)
class EnergyReport:
    """Counts and prices. ``str(report)`` is a table; ``plain()`` goes into a JSON file and ``from_plain`` reads it."""

    spiking: Measured
    ann: Measured | None
    prices: tuple[Price, ...]
    accuracies: Accuracies | None = None

    def price(self, profile: str) -> Price:
        """The price under the profile of that name; :class:`ParameterError` for one that is not there."""
        found = {price.profile: price for price in self.prices}
        if profile not in found:
            raise ParameterError(f"no profile {profile!r} in this report", mend=did_you_mean(profile, found))
        return found[profile]

    def ratio(self, profile: str) -> float:
        """Joules of the spiking net over joules of the ANN, which means something only beside both accuracies.

        Raises :class:`ParameterError` without an ANN, without the accuracies, and where either has unpriced
        operations.
        """
        price = self.price(profile)
        if price.ann_total is None or self.accuracies is None:
            missing = "ANN" if price.ann_total is None else "accuracies of both nets"
            mend = "Give ann= and accuracies= to energy.compare: a ratio of nets that differ in accuracy says nothing."
            raise ParameterError("a ratio of energies", got=f"no {missing}", expected=missing, mend=mend)
        if price.unpriced or not price.ann_total.total:
            raise ParameterError(f"a ratio under {profile}", got=f"{price.unpriced:g} operations without a price")
        return price.total.total / price.ann_total.total

    def __str__(self) -> str:
        return energy_text(self)

    def plain(self) -> dict[str, Any]:
        """As numbers, texts, lists and dictionaries; joules are per sample."""
        return {
            "spiking": self.spiking.plain(),
            "ann": None if self.ann is None else self.ann.plain(),
            "accuracies": None if self.accuracies is None else dataclasses.asdict(self.accuracies),
            "profiles": [_plain_price(price) for price in self.prices],
            "per_sample": {"spiking": _per_sample(self.spiking), "ann": self.ann and _per_sample(self.ann)},
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """What :meth:`plain` gave."""
        accuracies = plain["accuracies"]
        return cls(
            Measured.from_plain(plain["spiking"]),
            None if plain["ann"] is None else Measured.from_plain(plain["ann"]),
            tuple(_price_from_plain(p) for p in plain["profiles"]),
            None if accuracies is None else Accuracies(**accuracies),
        )


def compare(
    spiking: Measured,
    ann: Measured | None = None,
    profiles: Sequence[Profile] = PROFILES,
    *,
    accuracies: Accuracies | None = None,
) -> EnergyReport:
    """Price ``spiking``, and ``ann`` beside it, under each of the ``profiles``.

    Raises :class:`ParameterError` where the two are counted at different bit widths.

    >>> import torch, spikeloom as sl
    >>> from spikeloom import energy
    >>> snn = sl.nn.Sequential(torch.nn.Linear(8, 4), sl.nn.Neuron(sl.LIF()), torch.nn.Linear(4, 2))
    >>> ann = sl.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> x = torch.rand(1, 16, 8)
    >>> report = compare(energy.measure(snn, [x.expand(5, 16, 8)]), energy.measure(ann, [x]))
    >>> price = report.price("45nm-arithmetic")
    >>> price.total.total > 0 and price.ann_total.total > 0
    True
    """
    if ann is not None and ann.bits != spiking.bits:
        mend = "Measure both with the same bits=, so that both are priced alike."
        raise ParameterError("bits of the two nets", got=f"{spiking.bits} and {ann.bits}", expected="one", mend=mend)
    return EnergyReport(spiking, ann, tuple(_price(p, spiking, ann) for p in profiles), accuracies)


def _price(profile: Profile, spiking: Measured, ann: Measured | None) -> Price:
    own = _priced(profile, spiking)
    other = None if ann is None else _priced(profile, ann)
    quiet = dataclasses.replace(spiking, layers=tuple(_silenced(layer) for layer in spiking.layers))
    silent, total = _total(_priced(profile, quiet)).total, _total(own)
    rate = None
    if other is not None:
        goal, slope = _total(other), total.total - silent
        # The cost is silent + k * slope at k times the measured spikes: where that is the ANN's cost.
        if slope > 0 and goal.total > silent and not (total.unpriced or goal.unpriced):
            rate = spiking.spikes_per_neuron_step * (goal.total - silent) / slope
    once = spiking.held()
    held = None if once.layers == spiking.layers or total.unpriced else _total(_priced(profile, once)).total
    return Price(profile.name, profile.title, profile.source, own, other, silent, rate, held)


def _priced(profile: Profile, run: Measured) -> tuple[LayerPrice, ...]:
    return tuple(LayerPrice(x.name, x.kind, profile.cost(x, run) * (1 / run.samples)) for x in run.layers)


def _silenced(layer: LayerCounts) -> LayerCounts:
    """The layer if no hidden neuron had fired: its synaptic operations, and the sums of an average pool, vanish."""
    if not layer.hidden:
        return layer
    synapses = layer.synapses and dataclasses.replace(layer.synapses, effective=0, active=0)
    operations = dict(layer.operations)
    if "AvgPool" in layer.kind:
        operations["add"] = 0
    return dataclasses.replace(layer, synapses=synapses, operations=operations)


def _total(layers: Sequence[LayerPrice]) -> Cost:
    return sum((layer.cost for layer in layers), Cost())


def _per_sample(run: Measured) -> dict[str, float]:
    names = ("acs", "macs", "dense", "updates", "spikes")
    return {name: getattr(run, name) / run.samples for name in names} | {
        "steps": run.steps,
        "spikes_per_neuron_step": run.spikes_per_neuron_step,
    }


def _plain_cost(cost: Cost) -> dict[str, Any]:
    return cost.plain() | {"total": cost.total}


def _plain_layers(layers: Sequence[LayerPrice] | None) -> list[dict[str, Any]] | None:
    return None if layers is None else [{"name": x.name, "kind": x.kind, **_plain_cost(x.cost)} for x in layers]


def _plain_price(price: Price) -> dict[str, Any]:
    return {
        "name": price.profile,
        "title": price.title,
        "source": price.source,
        "spiking": _plain_cost(price.total),
        "ann": price.ann_total and _plain_cost(price.ann_total),
        "silent": price.silent,
        "break_even": price.break_even,
        "held": price.held,
        "layers": _plain_layers(price.spiking),
        "ann_layers": _plain_layers(price.ann),
    }


def _price_from_plain(plain: Mapping[str, Any]) -> Price:
    def layers(rows: Sequence[Mapping[str, Any]]) -> tuple[LayerPrice, ...]:
        names = [field.name for field in dataclasses.fields(Cost)]
        return tuple(LayerPrice(r["name"], r["kind"], Cost(**{n: r[n] for n in names})) for r in rows)

    ann = plain["ann_layers"]
    return Price(
        plain["name"], plain["title"], plain["source"], layers(plain["layers"]), None if ann is None else layers(ann),
        plain["silent"], plain["break_even"], plain["held"],
    )  # fmt: skip
