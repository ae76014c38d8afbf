"""Tables of a network's page: its figures beside the published ones, its populations, its connections."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ParameterError
from ..models.declared import Around, Declared
from ..networks.facts import Fact
from ..sim.groups import Rate
from ..sim.inputs import Drive, Injection, NoiseCurrent
from ..sim.network import Network
from ..sim.ports import arrival_units
from ..sim.projection import Projection
from ..sim.spike_trains import SpikeTrains
from ..sim.statistics import cv, mean_correlation
from .labels import pretty_unit
from .page import Html, escape, shown
from .palette import CYCLE, GREEN, VERMILLION, cycle, for_text

_LOOKED_AT = 20_000_000  # synapses whose own weights and delays are summarised
_CHUNK = 1 << 20
_BIN, _SAMPLE = 5.0, 200  # ms; neurons whose pairs are correlated
STYLE = f"""
.wide {{ overflow-x: auto; }}
.wide thead th {{ font-size: 13px; vertical-align: bottom; }}
.wide th, .wide td {{ padding-right: 18px; overflow-wrap: normal; }}
.wide td.number, .wide th.number {{ text-align: right; padding-right: 18px; }}
.wide td {{ white-space: nowrap; }}
.wide td.words {{ white-space: normal; overflow-wrap: anywhere; min-width: 8em; }}
.wide tr > :last-child {{ padding-right: 0; }}
.met {{ color: {for_text(GREEN)}; }}
.missed {{ color: {for_text(VERMILLION)}; font-weight: 600; }}
.chip {{ display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 7px; }}
.legend {{ display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 14px; font-size: 14px; }}
"""

Row = Sequence[Html]
_VERDICTS: dict[bool | None, Html] = {
    True: "<span class=met>✓ within</span>",
    False: "<span class=missed>✗ outside</span>",
    None: "not judged",
}


def facts_table(facts: Mapping[str, Fact]) -> Html:
    """What was measured, what was published, and whether it lies where that allows."""
    rows = [
        (escape(name), _with_unit(f.value, f.unit) if abs(f.value) < float("inf") else "none", *_published(f))
        for name, f in facts.items()
    ]  # fmt: skip
    if all(f.published is None for f in facts.values()):
        return _table(("figure", "here"), [row[:2] for row in rows], numbers=(1,))
    heads = ("figure", "here", "published", "allowed", "", "source")
    return _table(heads, rows, numbers=(1, 2, 3), words=(5,))


def _published(fact: Fact) -> tuple[Html, Html, Html, Html]:
    if fact.published is None:
        return "", "", "", ""
    allowed = ""
    if fact.low is not None and fact.high is not None:
        allowed = f"{_number(fact.low)} to {_number(fact.high)}" if fact.low < fact.high else _number(fact.low)
    return _with_unit(fact.published, fact.unit), allowed, _VERDICTS[fact.within], escape(fact.source)


def populations_table(spikes: Mapping[str, SpikeTrains]) -> Html:
    """How each population fired in the stretch that statistics are of."""
    heads = ("population", "neurons", "spikes", "rate (Hz)", "silent", "mean CV, unbiased", "correlation")
    rows = [
        (
            _chip(index) + escape(name), f"{t.size:,}", f"{len(t):,}", _number(t.rate()),
            f"{100 * float(np.mean(t.counts() == 0)):.3g} %", _fixed(_mean(cv(t)), 3), _fixed(_correlation(t), 4),
        )
        for index, (name, t) in enumerate(spikes.items())
    ]  # fmt: skip
    return _table(heads, rows, numbers=range(1, 7))


def legend(names: Sequence[str]) -> Html:
    """The colours of the populations."""
    chips = (f"<span>{_chip(k)}{escape(name)}</span>" for k, name in enumerate(names))
    return f"<div class=legend>{''.join(chips)}</div>"


def _chip(index: int) -> Html:
    """The colour of a population; broken where another one has it too, as its lines are."""
    colour = cycle(index)
    broken = f"repeating-linear-gradient(90deg,{colour} 0 4px,transparent 4px 6px)"
    return f'<span class=chip style="background:{colour if index < len(CYCLE) else broken}"></span>'


@dataclasses.dataclass(frozen=True)
class Wiring:
    """A projection as a line of text. ``each`` is the mean number of synapses that a target has.

    A gap junction within a population belongs to both of its sides.
    """

    name: str
    rule: str
    synapses: int
    each: float
    weight: str
    delay: str
    synapse: str


def wiring(net: Network) -> list[Wiring]:
    """The projections of a network, in the order in which they were made, and then its gap junctions."""
    contacts = [
        Wiring(
            p.name, rule_text(p.rule), p.size, p.size * (1 + (p.pre is p.post)) / p.post.size,
            _summary(p.weights, 1.0, pretty_unit(p.unit)), "–", "gap junction",
        )
        for p in net.gap_junctions.values()
    ]  # fmt: skip
    return [
        Wiring(
            p.name, rule_text(p.rule), p.size, p.size / p.post.size, _summary(p.weights, 1.0, _unit(p)),
            _summary(p.steps, net.dt, "ms"), _synapse(p),
        )
        for p in net.projections.values()
    ] + contacts  # fmt: skip


def wiring_table(rows: Sequence[Wiring]) -> Html:
    """The projections as a table."""
    heads = ("projection", "rule", "synapses", "per target", "weight", "delay", "synapse")
    cells = [
        (escape(w.name), escape(w.rule), f"{w.synapses:,}", _number(w.each), escape(w.weight), escape(w.delay),
         escape(w.synapse))
        for w in rows
    ]  # fmt: skip
    return _table(heads, cells, numbers=(2, 3), words=(1, 4, 5, 6))


def inputs_table(net: Network) -> Html:
    """What is driven and injected into the populations, as a table."""
    rows = [(escape(given.population.name), *map(escape, _input(given, net.dt))) for given in net.inputs]
    return _table(("population", "input", "into", "weight"), rows, numbers=(), words=(1, 2, 3)) if rows else ""


def _input(given: Drive | Injection | NoiseCurrent, dt: float) -> tuple[str, str, str]:
    """What it is, the input or port that it goes into, its weight."""
    unit = pretty_unit(given.unit)
    if isinstance(given, Drive):
        weight = _summary(given.weights, 1.0, unit)
        return f"Poisson spikes to each neuron, {_course(given.rate, 'Hz')}", _spaced(given.port), weight
    if isinstance(given, NoiseCurrent):
        what = f"noise of its own to each neuron, sd {_summary(given.sd, 1.0, unit)}"
        return f"{what}, held for {_number(given.steps * dt)} ms", _spaced(given.into), "–"
    return _current(given, unit), _spaced(given.into), "–"


def _current(given: Injection, unit: str) -> str:
    """A current; where it is one and the same into some of the neurons, into how many."""
    into = np.flatnonzero(given.numbers)
    some = given.numbers.ravel()[into]
    if given.function is None and 0 < some.size < given.numbers.size and (some == some[0]).all():
        return f"{_summary(some, 1.0, unit)} into {some.size:,} of {given.numbers.size:,} neurons"
    return _course(given, unit)


def _course(given: Rate | Injection, unit: str) -> str:
    return "a function of time" if given.function is not None else _summary(given.numbers, 1.0, unit)


def rule_text(rule: object) -> str:
    """A connection rule in words: its name, then what it was given.

    >>> from spikeloom.sim.rules import fixed_in_degree, fixed_probability
    >>> rule_text(fixed_in_degree(80, autapses=False))
    'fixed in degree: count 80, no autapses'
    >>> rule_text(fixed_probability(0.02))
    'fixed probability: p 0.02'
    """
    fields: dict[str, Any] = {}
    if dataclasses.is_dataclass(rule) and not isinstance(rule, type):
        fields = {f.name: getattr(rule, f.name) for f in dataclasses.fields(rule)}
    name = str(fields.pop("label", "")) or re.sub(r"(?<!^)(?=[A-Z])", " ", type(rule).__name__.lstrip("_")).lower()
    said = []
    for key, value in fields.items():
        if isinstance(value, bool):
            said += [] if value else [f"no {key}"]
        elif isinstance(value, (int, float)) and abs(value) < float("inf"):
            said.append(f"{key} {value:g}" if isinstance(value, float) else f"{key} {value:,}")
        elif isinstance(value, str):
            said.append(value)
    return _spaced(name) + (f": {', '.join(said)}" if said else "")


def _unit(projection: Projection) -> str:
    """The unit of the weights; nothing where the port says none."""
    unit = arrival_units(projection.post.model).get(projection.port)
    return "" if unit is None else pretty_unit(unit)


def _synapse(projection: Projection) -> str:
    mechanism = projection.synapse
    text = f"into {projection.port}" if mechanism is None else synapse_text(mechanism)
    return text if projection.release is None else f"{text}, with short-term plasticity"


def synapse_text(mechanism: Declared) -> str:
    """A synapse with all its parameters, also those that are as usual; after a colon the one that it is made of.

    >>> from spikeloom.models import Conductance, Exponential
    >>> synapse_text(Conductance(Exponential(tau=10.0), e=-80.0))
    'Conductance e −80 mV: Exponential tau 10 ms'
    """
    own = type(mechanism)
    said = [_parameter(name, getattr(mechanism, name), pretty_unit(p.unit)) for name, p in own.params.items()]
    said += [f"{_spaced(name)} {getattr(mechanism, name)}" for name in own.options]
    text = f"{own.__name__} {', '.join(said)}".strip()
    return f"{text}: {synapse_text(mechanism.inner)}" if isinstance(mechanism, Around) else text


def _parameter(name: str, value: object, unit: str) -> str:
    number = np.asarray(value)
    text = f"{shown(float(number.item()) + 0.0, digits=6)} {unit}" if number.size == 1 else "each its own"
    return f"{_spaced(name)} {text}".strip()


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _summary(values: np.ndarray, scale: float, unit: str) -> str:
    """One number, or mean ± standard deviation and the range of many."""
    if not values.size:
        return "none"
    if values.size > _LOOKED_AT:
        return "each its own"
    low, high = float(values.min()) * scale, float(values.max()) * scale
    if low == high:
        return f"{_number(low)} {unit}".strip()
    sums = np.zeros(2)
    middle = 0.5 * (low + high)
    for first in range(0, values.size, _CHUNK):
        part = values[first : first + _CHUNK] * scale - middle
        sums += part.sum(), (part**2).sum()
    mean, square = sums / values.size
    spread = float(np.sqrt(max(0.0, square - mean**2)))
    return f"{_number(mean + middle)} ± {_number(spread)} {unit}".rstrip() + f" ({_number(low)} to {_number(high)})"


def _correlation(trains: SpikeTrains) -> float:
    firing = int(np.count_nonzero(trains.counts()))
    if firing < 2 or trains.duration < 2 * _BIN:
        return float("nan")
    try:
        return mean_correlation(trains, _BIN, sample=_SAMPLE)
    except ParameterError:  # a record too long for a table of counts
        return float("nan")


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def _number(value: float) -> str:
    return "–" if not abs(value) < float("inf") else shown(float(value) + 0.0, digits=4)  # + 0.0: no -0


def _fixed(value: float, places: int) -> str:
    return "–" if not abs(value) < float("inf") else f"{round(value, places) + 0.0:.{places}f}".replace("-", "−")


def _with_unit(value: float, unit: str) -> Html:
    return escape(f"{_number(value)} {pretty_unit(unit)}".strip())


def _table(heads: Sequence[str], rows: Sequence[Row], numbers: Sequence[int], words: Sequence[int] = ()) -> Html:
    kinds = dict.fromkeys(numbers, " class=number") | dict.fromkeys(words, " class=words")
    head = "".join(f"<th{kinds.get(k, '')}>{escape(h)}</th>" for k, h in enumerate(heads))
    body = "".join(
        f"<tr>{''.join(f'<td{kinds.get(k, str())}>{cell}</td>' for k, cell in enumerate(row))}</tr>" for row in rows
    )
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


__all__ = [
    "STYLE", "Wiring", "facts_table", "inputs_table", "legend", "populations_table", "rule_text", "synapse_text",
    "wiring", "wiring_table",
]  # fmt: skip
