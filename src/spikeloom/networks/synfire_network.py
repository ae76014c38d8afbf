"""Packets of spikes on their way through a chain of groups."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from ..kernels.random import key_of
from ..models import LIF, Alpha, Refractory, With
from ..models.declare import param, state
from ..models.mechanism import Mechanism
from ..sim.distributions import normal, uniform
from ..sim.given import from_pairs
from ..sim.network import Network
from ..sim.result import Result
from ..solvers import EulerMaruyama
from ..units import membrane_current as current
from ..units import ms
from .facts import Fact
from .synfire import SynfireConfig

_TAU, _REST, _THRESHOLD, _TAU_SYNAPSE = 10.0, -70.0, -55.0, 0.325  # ms, mV, mV, ms
_WEIGHT, _DRIVE, _NOISE = 4.86, 25.27, 39.24  # mV, mV/ms, mV/sqrt(ms); r is 1 GOhm, so that pA are mV
_SPONTANEOUS = 2.4  # Hz
_SOURCE = "Brian2, 30 trials"
# σ: a of which half survive, a up to which none do, a from which all do; a was sent in steps of 5
SURVIVAL = {
    0.0: (47, 40, 55), 1.0: (52, 40, 65), 2.0: (61, 45, 70),
    3.0: (70, 50, 80), 4.0: (79, 60, 100), 5.0: (95, 70, 110),
}  # fmt: skip
# Where 30 trials are too few for a half point: Brian2 again, by benchmarks/brian_synfire.py; 88.2 +- 0.6.
_MEASURED = {5.0: (88.2, "Brian2, 200 trials")}
_PUBLISHED_TRIALS = 30
_NONE, _ALL = (0.0, 0.0, 10.0), (100.0, 90.0, 100.0)  # published shares in % of 30 trials, and what these allow
_FEW = 12  # packets, each with a figure of its own
_HALF = Fraction(1, 2)


class Background(Mechanism):
    """Many weak synapses outside the chain: white noise with a mean, through an alpha function.

    ``di/dt = (rise - i)/tau``, ``drise = (drive - rise/tau) dt + sigma dW``.
    """

    tau = param(_TAU_SYNAPSE, ms, low=0.0)
    drive = param(_DRIVE, current / ms)
    sigma = param(_NOISE, current / ms**_HALF, low=0.0, inclusive=True)
    i = state(0.0, current)
    rise = state(0.0, current)

    def derivative(self, s: Any, v: Any, x: Any) -> dict[str, Any]:
        return {"i": (s.rise - s.i) / self.tau, "rise": self.drive - s.rise / self.tau}

    def inward(self, s: Any, v: Any, x: Any) -> Any:
        return s.i

    def initial(self, v: Any) -> dict[str, Any]:
        return {"i": self.drive * self.tau, "rise": self.drive * self.tau}

    def noise(self, s: Any) -> dict[str, Any]:
        return {"rise": self.sigma}


def build(config: SynfireConfig) -> Network:
    """Chains side by side, by the scheme of the published figures (Euler and Maruyama): noise that is faster than a few
    steps is part of the model."""
    net = Network(config.dt, config.seed, config.precision)
    leak = LIF(tau=_TAU, v_rest=_REST, v_threshold=_THRESHOLD, v_reset=_REST, r=1.0, reset_mechanism="value")
    cell = With(Refractory(leak, t_ref=1.0), background=Background())
    size = config.trials * config.groups * config.members
    chain = net.population(cell, size, "chain", solver=EulerMaruyama())
    chain.set(v=uniform(_REST, _THRESHOLD))
    # Alpha() peaks at its weight; here a spike adds its weight to the state behind the current.
    how: dict[str, Any] = {"weight": _WEIGHT / math.e, "delay": config.dt, "synapse": Alpha(tau=_TAU_SYNAPSE)}
    members = np.arange(size).reshape(config.trials, config.groups, config.members)
    net.connect(chain, chain, _all(members[:, :-1], members[:, 1:]), name="chain", **how)
    times, trials, numbers = packets(config)
    each = round(max(config.spikes)) or 1  # sources of a chain: spike k of every packet comes from the k-th
    source = net.spikes(times, trials * each + numbers, config.trials * each, "packets")
    first = np.repeat(members[:, 0], each, axis=0)
    rule = from_pairs(np.repeat(np.arange(source.size), config.members), first.reshape(-1))
    net.connect(source, chain, rule, name="into the chain", **how)
    return net


def packets(config: SynfireConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times of all spikes of all packets in ms, the chain each goes to, and its number in its packet."""
    times, trials, numbers = [np.empty(0)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for number, (spikes, spread) in enumerate(config.packets):
        count = round(spikes) * config.trials
        key = key_of(config.seed, f"packet {number}")
        drawn = normal(0.0, 1.0).draw(key, count) if count else np.empty(0)
        centre = config.discard + number * config.spacing
        times.append(np.clip(centre + spread * drawn, config.dt, config.length))
        trials.append(np.repeat(np.arange(config.trials), round(spikes)))
        numbers.append(np.tile(np.arange(round(spikes)), config.trials))
    return np.concatenate(times), np.concatenate(trials), np.concatenate(numbers)


def _all(before: np.ndarray, after: np.ndarray) -> Any:
    """All of each group before with all of the group after it; [..., members]."""
    shape = (*before.shape, after.shape[-1])
    pre = np.broadcast_to(before[..., :, None], shape)
    return from_pairs(pre.reshape(-1), np.broadcast_to(after[..., None, :], shape).reshape(-1))


def passages(config: SynfireConfig, result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Spikes a and standard deviation σ (ms) of each packet in each group, [packets, trials, groups].

    A packet is what a group fires within 3 ms of the median of its spikes at the time it should come by; spikes that
    would have come without it are taken off the number.
    """
    trains = result.spikes["chain"]
    shape = (len(config.packets), config.trials, config.groups)
    sizes, spreads = np.full(shape, np.nan), np.full(shape, np.nan)
    for number in range(shape[0]):
        begin = config.discard + number * config.spacing - 3.0 * max(config.spread)
        end = min(begin + config.spacing, result.end)
        if begin < 0.0 or end - begin < 0.99 * min(config.spacing, config.needed):
            continue
        kept = slice(*np.searchsorted(trains.times, (begin, end)))
        owners, times = trains.neurons[kept] // config.members, trains.times[kept]
        order = np.argsort(owners, kind="stable")
        pieces = np.split(times[order], np.cumsum(np.bincount(owners, minlength=shape[1] * shape[2]))[:-1])
        found = np.array([_volley(piece, config.members) for piece in pieces]).reshape(*shape[1:], 2)
        sizes[number], spreads[number] = found[..., 0], found[..., 1]
    return sizes, spreads


_REACH = 3.0  # ms on either side of a packet's middle


def _volley(times: np.ndarray, members: int) -> tuple[float, float]:
    """Number and standard deviation of the densest spikes of a group."""
    if not len(times):
        return 0.0, np.nan
    inside = np.searchsorted(times, times + 2.0 * _REACH, side="right") - np.arange(len(times))
    first = int(inside.argmax())
    packet = times[first : first + int(inside[first])]
    packet = packet[np.abs(packet - np.median(packet)) <= _REACH]
    expected = 2e-3 * _REACH * _SPONTANEOUS * members
    return max(len(packet) - expected, 0.0), float(packet.std())


def survival(config: SynfireConfig, sizes: np.ndarray) -> np.ndarray:
    """Share of trials in which a packet came to the last group: at least half of it fired together, [σ, a].

    ``sizes`` are the first of the :func:`passages`; NaN for packets that the run ended before.
    """
    alive = np.where(np.isnan(sizes[:, :, -1]), np.nan, sizes[:, :, -1] >= 0.5 * config.members)
    return alive.mean(axis=1).reshape(len(config.spread), len(config.spikes))


def facts(config: SynfireConfig, result: Result) -> dict[str, Fact]:
    """Which share of the packets came through, where half do, what became of them, and the rate without any."""
    sizes, spreads = passages(config, result)
    last, jitter = sizes[:, :, -1], spreads[:, :, -1]
    alive = last >= 0.5 * config.members
    found: dict[str, Fact] = {}
    for spread, row in zip(config.spread, survival(config, sizes), strict=True):
        found |= _shares(config, spread, row)
        if (half := half_point(config.spikes, row)) is not None:
            known = spread in SURVIVAL and comparable(config)
            what = f"a of which half survive, σ = {spread:g} ms"
            expected, source = _MEASURED.get(spread, (SURVIVAL[spread][0], _SOURCE)) if known else (0.0, "")
            near = Fact.near(round(half, 1), "spikes", expected, 5.0, source) if known else None
            found[what] = near or Fact(round(half, 1), "spikes")
    if alive.any():
        size = round(float(last[alive].mean()), 1)
        usual = (config.groups, config.members) == (10, 100)
        found["a of survivors in the last group"] = Fact.near(size, "", 100.0, 5.0, _SOURCE) if usual else Fact(size)
        found["σ of survivors in the last group"] = Fact(round(float(jitter[alive].mean()), 2), "ms")
    return {**found, "rate of the first group without packets": _quiet(config, result)}


def details(config: SynfireConfig, result: Result) -> dict[str, object]:
    """The survival map as JSON values: a share for each σ (rows) and each a."""
    shares = survival(config, passages(config, result)[0])
    known = [[None if np.isnan(share) else round(share, 4) for share in row] for row in shares.tolist()]
    return {"survival": {"a": config.spikes, "sigma_ms": config.spread, "trials": config.trials, "share": known}}


def comparable(config: SynfireConfig) -> bool:
    """Whether the chain and the number of trials are the published ones."""
    return (config.groups, config.members) == (10, 100) and config.trials >= _PUBLISHED_TRIALS


def _shares(config: SynfireConfig, spread: float, row: np.ndarray) -> dict[str, Fact]:
    """Which share survived: of each packet where these are few, else of all that are to die, or to survive."""
    at = f"σ = {spread:g} ms"
    known = SURVIVAL[spread] if spread in SURVIVAL and comparable(config) else None
    found: dict[str, Fact] = {}
    if len(config.packets) <= _FEW:
        for spikes, share in zip(config.spikes, row.tolist(), strict=True):
            published = None if known is None else _known(spikes, spread)
            found[f"survival of a = {spikes:g}, {at}"] = _percent(share, published)
    elif known is not None:
        _, none, every = known
        sent = np.array(config.spikes)
        if (sent <= none).any():
            found[f"survival up to a = {none}, {at}"] = _percent(float(row[sent <= none].max()), _NONE)
        if (sent >= every).any():
            found[f"survival from a = {every}, {at}"] = _percent(float(row[sent >= every].min()), _ALL)
    return found


def _percent(share: float, published: tuple[float, float, float] | None) -> Fact:
    """Whole percents, which is as much as some tens of trials tell."""
    value = round(100.0 * share, 0)
    return Fact(value, "%") if published is None else Fact(value, "%", *published, _SOURCE)


def half_point(spikes: tuple[float, ...], shares: np.ndarray) -> float | None:
    """The number of spikes a at which half of the packets survive, by lines between those sent; None outside."""
    order = np.argsort(spikes)
    a, share = np.array(spikes)[order], shares[order]
    above = np.flatnonzero((share[:-1] < 0.5) & (share[1:] >= 0.5))
    if not len(above):
        return None
    k = int(above[0])
    return float(a[k] + (0.5 - share[k]) / (share[k + 1] - share[k]) * (a[k + 1] - a[k]))


def _quiet(config: SynfireConfig, result: Result) -> Fact:
    """Nothing but noise reaches the first group before the packets; later groups hear the one before."""
    quiet = result.spikes["chain"].window(0.3 * config.discard, 0.8 * config.discard)
    first = quiet.neurons // config.members % config.groups == 0
    time = config.trials * config.members * quiet.duration * 1e-3
    chance = round(max(0.2, 4.0 * math.sqrt(_SPONTANEOUS / time)), 2)
    return Fact.near(round(float(first.sum() / time), 2), "Hz", _SPONTANEOUS, chance, "Brian2, neurons without a chain")


def _known(spikes: float, spread: float) -> tuple[float, float, float] | None:
    """The published share in % with what 30 trials allow; None between the points that were measured."""
    _, none, every = SURVIVAL[spread]
    if spikes <= none:
        return _NONE
    if spikes >= every:
        return _ALL
    return None
