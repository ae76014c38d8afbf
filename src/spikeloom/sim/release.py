"""Short-term plasticity of single connections: what a spike releases, and what is left for the next one.

A synapse such as :class:`~spikeloom.models.synapses.TsodyksMarkram` says how its states move between spikes and what
a spike does to them. Between spikes these equations are linear, so their solution over any time is known, and a
connection's states are looked at only when a spike arrives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..errors import ModelError, ParameterError, did_you_mean
from ..lang.expr import lift, symbol
from ..lang.graph import Graph
from ..models.base import Values
from ..models.declare import Param
from ..models.mechanism import Mechanism
from ..models.synapses import ReleasingSynapse
from ..units import ms, mV
from .between import after


@dataclasses.dataclass(frozen=True)
class Release:
    """The step of a connection at a spike as text: inputs ``s.NAME``, ``p.NAME``, ``elapsed`` (ms), outputs
    ``fraction`` and ``next.NAME``. ``initial`` values, and ``parameters`` as they are ``declared``, by name; whose they
    are says ``synapse``."""

    text: str
    initial: Mapping[str, float]
    parameters: Mapping[str, Any]
    declared: Mapping[str, Param]
    synapse: str


def split(synapse: Mechanism | None) -> tuple[Mechanism | None, ReleasingSynapse | None]:
    """What a spike starts in the target, and what decides how much of it is released (None: all of it)."""
    if not isinstance(synapse, ReleasingSynapse):
        inner = getattr(synapse, "inner", None)
        if isinstance(inner, ReleasingSynapse):
            outer, own = type(synapse).__name__, type(inner).__name__
            mend = f"Write it the other way round: {own}({outer}(...), ...)."
            raise ModelError(f"{outer} around {own} cannot be connected", got=repr(synapse), mend=mend)
        return synapse, None
    return synapse.inner, synapse


def release_of(synapse: ReleasingSynapse, vary: Mapping[str, Any]) -> Release:
    """Trace ``synapse``, whose parameters ``vary`` between connections as said.

    Raises ModelError where its states do not move linearly and each for itself, ParameterError for a parameter that it
    has not.
    """
    own = [name for name in synapse.states if name not in synapse.inner.states]
    params = {n: p for n, p in synapse.params.items() if n not in synapse.inner.params}
    if not isinstance(vary, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ParameterError("vary", got=repr(vary), expected='a dictionary such as {"u_release": 0.3}')
    for name in vary:
        if name not in params:
            what = f"vary: {type(synapse).__name__} has no parameter {name!r}"
            raise ParameterError(what, mend=did_you_mean(name, params))
    bound = synapse.bind({n: symbol(f"p.{n}", p.unit) for n, p in params.items()})
    now = {n: symbol(f"s.{n}", s.unit) for n, s in synapse.states.items()}
    slopes = bound.derivative(Values(**now), symbol("v", mV), Values())
    elapsed, moved = symbol("elapsed", ms), dict(now)
    for name in own:
        label = f"{type(synapse).__name__}: d{name}/dt"
        moved[name] = after(label, now[name], slopes[name], elapsed, [f"s.{n}" for n in synapse.states if n != name])
    fraction, changed = bound.released(Values(**moved))
    outputs = {"fraction": lift(fraction), **{f"next.{n}": lift(changed.get(n, moved[n])) for n in own}}
    inputs = [*(f"s.{n}" for n in own), *(f"p.{n}" for n in params), "elapsed"]
    initial = {n: float(synapse.states[n].default) for n in own}
    values = {n: vary.get(n, getattr(synapse, n)) for n in params}
    return Release(Graph.make(outputs, inputs).text(), initial, values, params, repr(synapse))


__all__ = ["Release", "release_of", "split"]
