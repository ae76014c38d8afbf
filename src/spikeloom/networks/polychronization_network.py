"""Izhikevich's network with delays and plasticity, by the scheme of his program."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from ..kernels.random import key_of
from ..models import Izhikevich, With
from ..plasticity import AccumulatedSTDP
from ..sim.distributions import uniform
from ..sim.given import from_pairs
from ..sim.groups import Population
from ..sim.network import Network
from ..sim.projection import Delay
from ..sim.result import Result
from ..sim.spike_trains import SpikeTrains
from ..sim.statistics import peak_frequency, spectrum
from ..solvers import SequentialEuler
from .facts import Fact
from .izhikevich_2003_network import Thalamus
from .measures import BOTH, after_transient
from .polychronization import PolychronizationConfig
from .polychronous_groups import Contacts, polychronous_groups

STRONGEST = 10.0  # mV/ms, of excitatory weights
_A, _D = {"exc": 0.02, "inh": 0.1}, {"exc": 8.0, "inh": 2.0}  # regular and fast spiking
_FIRST = {"exc": 6.0, "inh": -5.0}  # weights in the beginning
_KICK = 20.0  # mV/ms, into one neuron in each ms
_PART = 10_000.0  # ms in the beginning and in the end whose rhythms are looked at
_HOUR = 3_600_000.0
_PAPER = "Izhikevich 2006"


def rule() -> AccumulatedSTDP:
    """The rule of the author's program: traces shrink to 0.95 in each ms, and depression begins one step later."""
    tau = -1.0 / math.log(0.95)
    return AccumulatedSTDP(tau_plus=tau, tau_minus=tau, a_minus=0.12 / 0.95, w_max=STRONGEST)


def build(config: PolychronizationConfig) -> Network:
    """Regular-spiking and fast-spiking cells, each with different targets; those of inhibitory ones are all excitatory.

    Spikes that arrive are part of the current of the next step, as in the author's program. All weights are recorded
    twenty times.
    """
    net = Network(config.dt, config.seed, config.precision)
    cells = {name: Izhikevich(a=_A[name], d=_D[name]) for name in BOTH}
    sizes = {"exc": config.excitatory, "inh": config.inhibitory}
    made: dict[str, Population] = {}
    for name, cell in cells.items():
        solver = SequentialEuler(substeps=2)
        made[name] = net.population(With(cell, thalamus=Thalamus()), sizes[name], name, solver=solver)
        net.inject(made[name], _thalamus(config, name), into="amount_thalamus")
    plasticity = rule() if config.plastic else None
    sources, targets, delays = contacts(config)
    for post, chosen in (("exc", targets < config.excitatory), ("inh", targets >= config.excitatory)):
        to = targets[chosen] - (0 if post == "exc" else config.excitatory)
        delay = Delay(axonal=delays[chosen].astype(np.float64))
        how = {"weight": _FIRST["exc"], "delay": delay, "into": "i", "plasticity": plasticity}
        projection = net.connect(made["exc"], made[post], from_pairs(sources[chosen], to), **how)
        if config.plastic:
            net.record(projection, "w", every=_between(config))
    sources, targets = inhibitory_contacts(config)
    net.connect(made["inh"], made["exc"], from_pairs(sources, targets), weight=_FIRST["inh"], delay=1.0, into="i")
    return net


def contacts(config: PolychronizationConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sources, targets (inhibitory ones come last) and delays in ms of excitatory contacts, by source and target."""
    targets = _distinct(config, "exc", config.excitatory, config.excitatory + config.inhibitory)
    delays = np.tile(1 + np.arange(config.contacts) * config.longest // config.contacts, (config.excitatory, 1))
    order = np.argsort(targets, axis=1)
    targets, delays = (np.take_along_axis(a, order, axis=1).ravel() for a in (targets, delays))
    return np.repeat(np.arange(config.excitatory), config.contacts), targets, delays


def inhibitory_contacts(config: PolychronizationConfig) -> tuple[np.ndarray, np.ndarray]:
    """Sources and targets."""
    targets = np.sort(_distinct(config, "inh", config.inhibitory, config.excitatory), axis=1)
    return np.repeat(np.arange(config.inhibitory), config.contacts), targets.ravel()


def _distinct(config: PolychronizationConfig, name: str, size: int, among: int) -> np.ndarray:
    """For each neuron different targets in random order, none of them itself."""
    drawn = uniform(0.0, 1.0).draw(key_of(config.seed, f"targets of {name}"), size * among).reshape(size, among)
    if name == "exc":
        np.fill_diagonal(drawn, 2.0)
    return np.argsort(drawn, axis=1, kind="stable")[:, : config.contacts]


def _thalamus(config: PolychronizationConfig, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """A current into one neuron in each ms, as many as there are thousands."""
    total, size = config.excitatory + config.inhibitory, config.excitatory if name == "exc" else config.inhibitory
    first, kicks = 0 if name == "exc" else config.excitatory, max(1, total // 1000)
    key = key_of(config.seed, "thalamus")

    def current(times: np.ndarray) -> np.ndarray:
        begin = round(float(times[0]))
        drawn = uniform(0.0, float(total)).draw(key, len(times) * kicks, begin * kicks)
        chosen = np.minimum(drawn.astype(np.int64), total - 1) - first
        rows, mine = np.repeat(np.arange(len(times)), kicks), (chosen >= 0) & (chosen < size)
        found = np.zeros((len(times), size))
        found[rows[mine], chosen[mine]] = _KICK
        return found

    return current


def _between(config: PolychronizationConfig) -> int:
    """Steps between two records of the weights, whole seconds."""
    return 1000 * max(1, int(config.duration / 20_000.0))


def facts(config: PolychronizationConfig, result: Result) -> dict[str, Fact]:
    """Rates, rhythms in the beginning and in the end, what became of the weights, and polychronous groups."""
    found = {f"rate of {name}": Fact(after_transient(config, result, name).rate(), "Hz") for name in BOTH}
    usual = (config.excitatory, config.inhibitory, config.contacts, config.longest, config.plastic)
    published = usual == (800, 200, 100, 20, True)
    exc = result.spikes["exc"]
    if result.end - result.begin >= _PART:
        early, late = exc.window(result.begin, result.begin + _PART), exc.window(result.end - _PART, result.end)
        slow, fast = _peak(early, 1.0, 10.0), _peak(late, 20.0, 100.0)
        grown = published and result.end >= _HOUR
        found["rhythm of the first 10 s"] = _from_to(slow, 2.0, 4.0) if published else Fact(slow, "Hz")
        found["rhythm of the last 10 s"] = _from_to(fast, 30.0, 70.0) if grown else Fact(fast, "Hz")
        for when, trains in (("first", early), ("last", late)):
            found[f"rate of exc, {when} 10 s"] = Fact(trains.rate(), "Hz")
            found[f"share of 30 to 70 Hz, {when} 10 s"] = Fact(_share(trains))
    weights = last_weights(result)
    if weights is not None:
        found["weights below a tenth of the strongest"] = Fact(float((weights < 0.1 * STRONGEST).mean()))
        found["weights above nine tenths"] = Fact(float((weights > 0.9 * STRONGEST).mean()))
        if config.groups:
            found |= _groups(contacts_of(config, weights), published and result.end >= 5.0 * _HOUR)
    return found


def last_weights(result: Result) -> np.ndarray | None:
    """Excitatory weights as they were recorded last, first those to excitatory neurons; None where there are none."""
    records = [result.states[n]["w"].values for n in ("exc to exc", "exc to inh") if n in result.states]
    return np.concatenate([r[-1] for r in records]) if records and all(len(r) for r in records) else None


def contacts_of(config: PolychronizationConfig, weights: np.ndarray) -> Contacts:
    """All contacts, as the search for polychronous groups takes them, with the excitatory ``weights`` of
    :func:`last_weights`."""
    sources, targets, delays = contacts(config)
    to_exc = targets < config.excitatory
    excitatory = np.empty(len(sources))
    excitatory[to_exc], excitatory[~to_exc] = np.split(weights, [int(to_exc.sum())])
    from_inh, to = inhibitory_contacts(config)
    sizes = config.excitatory, config.inhibitory
    return Contacts(
        np.concatenate([sources, from_inh + config.excitatory]), np.concatenate([targets, to]),
        np.concatenate([delays, np.ones(len(to), np.int64)]),
        np.concatenate([excitatory, np.full(len(to), _FIRST["inh"])]), config.excitatory,
        np.repeat([_A[name] for name in BOTH], sizes), np.repeat([_D[name] for name in BOTH], sizes),
    )  # fmt: skip


def _groups(of: Contacts, published: bool) -> dict[str, Fact]:
    """Polychronous groups of the network, and of one with its weights dealt out anew among contacts of a kind."""
    weights, excites = of.weights.copy(), of.sources < of.excitatory
    for kind in (excites & (of.targets < of.excitatory), excites & (of.targets >= of.excitatory)):
        weights[kind] = np.random.default_rng(0).permutation(weights[kind])
    dealt = dataclasses.replace(of, weights=weights)
    known = {"polychronous groups": (of, 1973.0), "polychronous groups, weights dealt out anew": (dealt, 211.0)}
    source = "the author's page, one network after 18,000 s"
    return {
        name: Fact(float(len(polychronous_groups(network))), published=figure if published else None, source=source)
        for name, (network, figure) in known.items()
    }


def _from_to(value: float, low: float, high: float) -> Fact:
    return Fact(value, "Hz", (low + high) / 2.0, low, high, _PAPER)


def _peak(trains: SpikeTrains, low: float, high: float) -> float:
    return peak_frequency(trains, 1.0, 2000.0, low=low, high=high) if len(trains) else float("nan")


def _share(trains: SpikeTrains) -> float:
    """How much of the power up to 200 Hz is between 30 and 70 Hz."""
    if not len(trains):
        return float("nan")
    frequencies, power = spectrum(trains, 1.0, 2000.0)
    return float(power[(frequencies >= 30) & (frequencies <= 70)].sum() / power[frequencies <= 200].sum())


__all__ = ["STRONGEST", "build", "contacts", "contacts_of", "facts", "inhibitory_contacts", "last_weights", "rule"]
