"""Copies of one column of neurons with short-term plasticity, each with an input train of its own."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..kernels.random import key_of
from ..models import LIF, Exponential, Refractory, TsodyksMarkram
from ..sim.distributions import gamma, normal, uniform
from ..sim.given import from_pairs
from ..sim.network import Network
from ..sim.result import Result
from .facts import Fact
from .liquid import LiquidConfig

_SOURCE = "Maass et al. 2002, figure 2"
_NANO = 1000.0  # pA
_DECAY = {"exc": 3.0, "inh": 6.0}  # ms, by source
_SMEARED = 5.0  # ms: width of the Gaussian that compares input trains
_NEAR, _TRIES = 0.01, 500  # how near to its distance a pair of trains is; how many are drawn for one, at most


@dataclass(frozen=True)
class Kind:
    """Connections from ``pre`` to ``post``: the factor of the probability, the mean weight in nA, release U, recovery D
    and facilitation F in ms, delay in ms."""

    pre: str
    post: str
    factor: float
    weight: float
    use: float
    recovery: float
    facilitation: float
    delay: float


KINDS = (
    Kind("exc", "exc", 0.3, 30.0, 0.5, 1100.0, 50.0, 1.5),
    Kind("exc", "inh", 0.2, 60.0, 0.05, 125.0, 1200.0, 0.8),
    Kind("inh", "exc", 0.4, -19.0, 0.25, 700.0, 20.0, 0.8),
    Kind("inh", "inh", 0.1, -19.0, 0.32, 144.0, 60.0, 0.8),
)
INPUTS = {"exc": 18.0, "inh": 9.0}  # nA
REFRACTORY = {"exc": 3.0, "inh": 2.0}  # ms


def build(config: LiquidConfig) -> Network:
    """All copies have the same connections, and voltages of their own at the beginning; the input reaches all neurons
    of its column."""
    net = Network(config.dt, config.seed, config.precision)
    places, copies = columns(config), config.copies
    leak = LIF(tau=30.0, v_rest=0.0, v_threshold=15.0, v_reset=13.5, r=1.0 / _NANO, reset_mechanism="value")
    made = {}
    for name, positions in places.items():
        cell = Refractory(leak, t_ref=REFRACTORY[name])
        made[name] = net.population(cell, copies * len(positions), name, positions=np.tile(positions, (copies, 1)))
        made[name].set(v=uniform(13.5, 15.0))
        net.inject(made[name], 13.5 * _NANO)
    for kind in KINDS:
        pre, post = _wired(config, kind, places)
        if not len(pre):
            continue
        rule, vary = _edges(config, kind, (pre, post), (len(places[kind.pre]), len(places[kind.post])))
        synapse = TsodyksMarkram(
            Exponential(tau=_DECAY[kind.pre]), u_release=kind.use, tau_recovery=kind.recovery,
            tau_facilitation=kind.facilitation,
        )  # fmt: skip
        net.connect(made[kind.pre], made[kind.post], rule, delay=kind.delay, synapse=synapse, vary=vary)
    times, owners = stimuli(config)
    source = net.spikes(times, owners, copies, "input")
    for name, positions in places.items():
        rule = from_pairs(np.repeat(np.arange(copies), len(positions)), np.arange(copies * len(positions)))
        net.connect(source, made[name], rule, weight=INPUTS[name] * _NANO, synapse=Exponential(tau=_DECAY[name]))
    return net


def columns(config: LiquidConfig) -> dict[str, np.ndarray]:
    """Positions of the excitatory and inhibitory neurons of a column; every fifth, at random, is inhibitory."""
    grid = np.array(list(itertools.product(*map(range, config.shape))), np.float64)
    order = np.argsort(uniform(0.0, 1.0).draw(key_of(config.seed, "kinds"), len(grid)))
    count = len(grid) // 5
    return {"exc": grid[np.sort(order[count:])], "inh": grid[np.sort(order[:count])]}


def _wired(config: LiquidConfig, kind: Kind, places: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sources and targets within a column; no neuron is connected with itself."""
    a, b = places[kind.pre], places[kind.post]
    square = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
    chance = np.where(square > 0.0, kind.factor * np.exp(-square / config.reach**2), 0.0)
    drawn = uniform(0.0, 1.0).draw(key_of(config.seed, f"pairs {kind.pre} {kind.post}"), chance.size)
    pre, post = np.nonzero(drawn.reshape(chance.shape) < chance)
    return pre, post


def _edges(
    config: LiquidConfig, kind: Kind, pairs: tuple[np.ndarray, np.ndarray], sizes: tuple[int, int]
) -> tuple[Any, dict[str, np.ndarray]]:
    """The rule that connects all copies, and the parameters of each edge: equal in all copies.

    Weights are of a gamma distribution as wide as its mean, the others are normal with half the mean as deviation,
    drawn again where they are not positive.
    """
    count, copies = len(pairs[0]), np.repeat(np.arange(config.copies), len(pairs[0]))
    pre, post = (np.tile(p, config.copies) + copies * size for p, size in zip(pairs, sizes, strict=True))

    def drawn(what: str, given: Any) -> np.ndarray:
        return np.tile(given.draw(key_of(config.seed, f"{what} {kind.pre} {kind.post}"), count), config.copies)

    def half(mean: float, high: float = np.inf) -> Any:
        return normal(mean, 0.5 * mean, low=1e-3 * mean, high=high)

    weights = np.sign(kind.weight) * drawn("weight", gamma(abs(kind.weight), abs(kind.weight))) * _NANO
    vary = {
        "u_release": drawn("U", half(kind.use, 1.0)),
        "tau_recovery": drawn("D", half(kind.recovery)),
        "tau_facilitation": drawn("F", half(kind.facilitation)),
    }
    return from_pairs(pre, post, weights=weights), vary


def input_distance(one: np.ndarray, two: np.ndarray, duration: float) -> float:
    """Square of the L2 distance of two trains (ms), each spike made a Gaussian exp(-(t/5 ms)²), over the duration.

    The figures in the paper go without the root, as Brian2's example found. The integral of two such Gaussians that are
    s apart is ``τ sqrt(π/2) exp(-s²/(2 τ²))``.
    """

    def product(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a[:, None] - b[None]) ** 2) / (2.0 * _SMEARED**2)).sum())

    whole = product(one, one) + product(two, two) - 2.0 * product(one, two)
    return _SMEARED * np.sqrt(np.pi / 2.0) * max(whole, 0.0) / duration


def stimuli(config: LiquidConfig) -> tuple[np.ndarray, np.ndarray]:
    """Times in ms and columns of all input spikes; columns 2 k and 2 k + 1 are pair k, and ``config.pairs`` pairs in
    turn have each of the distances. Raises ConfigError for a distance that hardly ever comes about."""
    generator = np.random.Generator(np.random.Philox(key_of(config.seed, "input trains")))
    wanted: dict[float, list[tuple[np.ndarray, np.ndarray]]] = {d: [] for d in config.distances}
    for _ in range(_TRIES * (config.pairs + 2)):
        open_ones = [d for d, found in wanted.items() if len(found) < config.pairs]
        if not open_ones:
            break
        one, two = _train(config, generator), _train(config, generator)
        apart = input_distance(one, two, config.duration)
        for distance in open_ones:
            if distance == 0.0:
                wanted[distance].append((one, one))
            elif abs(apart - distance) < _NEAR:
                wanted[distance].append((one, two))
                break
    missing = [d for d, found in wanted.items() if len(found) < config.pairs]
    if missing:
        mend = (
            "Long trains are all about equally far apart: take a shorter --duration, --distances nearer to what "
            "independent trains have, fewer --pairs, or another --rate."
        )
        raise ConfigError(f"no {config.pairs} pairs of input trains have this distance", got=missing[0], mend=mend)
    trains = [train for distance in config.distances for pair in wanted[distance] for train in pair]
    return np.concatenate(trains), np.repeat(np.arange(len(trains)), [len(train) for train in trains])


def _train(config: LiquidConfig, generator: np.random.Generator) -> np.ndarray:
    """A Poisson train with its spikes in different steps."""
    count = generator.poisson(config.rate * 1e-3 * config.duration)
    steps = np.unique(np.ceil(generator.uniform(0.0, config.duration, count) / config.dt))
    return np.maximum(steps, 1.0) * config.dt


def states(config: LiquidConfig, result: Result, times: np.ndarray) -> np.ndarray:
    """The state of each column at ``times`` (ms), [times, copies, neurons]: spikes, each followed by exp(-t/τ)."""
    parts = []
    for name in ("exc", "inh"):
        trains = result.spikes[name]
        found = np.zeros((len(times), trains.size))
        ends = np.searchsorted(trains.times, times + 1e-9, side="right")
        for k, (begin, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            if k:
                found[k] = found[k - 1] * np.exp((times[k - 1] - times[k]) / config.tau_state)
            new = np.exp((trains.times[begin:end] - times[k]) / config.tau_state)
            found[k] += np.bincount(trains.neurons[begin:end], new, trains.size)
        parts.append(found.reshape(len(times), config.copies, -1))
    return np.concatenate(parts, axis=-1)


def separation(config: LiquidConfig, result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Times in ms, and the mean square distance of the states of the pairs of each input distance, [distances, times].

    Averaged over neurons and pairs (the paper's figure goes without the root).
    """
    times = np.arange(5.0, result.end + 1e-9, 5.0)
    found = states(config, result, times)
    square = ((found[:, 0::2] - found[:, 1::2]) ** 2).mean(axis=-1)
    return times, square.reshape(len(times), len(config.distances), config.pairs).mean(axis=-1).T


def facts(config: LiquidConfig, result: Result) -> dict[str, Fact]:
    """How far states are apart, for each distance of the input, and whether they are in the same order."""
    times, apart = separation(config, result)
    means = apart[:, times > 0.2 * result.end].mean(axis=1)
    pairs = zip(config.distances, means.tolist(), strict=True)
    found = {f"state distance at input distance {d:g}": Fact(mean) for d, mean in pairs}
    order = np.argsort(config.distances)
    ordered = bool((np.diff(means[order]) > 0).all())
    found["state distance in the order of the input"] = Fact(float(ordered), "", 1.0, 1.0, 1.0, _SOURCE)
    for name in ("exc", "inh"):
        found[f"rate of {name}"] = Fact(result.spikes[name].rate(), "Hz")
    return found
