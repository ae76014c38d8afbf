"""Where spikes arrive in a population: at a state or port of its model, or at a synapse that a connection brings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import ModelError, ParameterError, did_you_mean
from ..lang.analysis import linear, symbols
from ..lang.canonical import canonical, is_const
from ..lang.expr import Expr, lift, symbol
from ..models.base import NeuronModel
from ..models.mechanism import Mechanism
from ..models.membrane import With
from ..models.synapses import NMDA, Conductance, Delta, ReleasingSynapse
from ..units import Unit


def with_synapses(model: NeuronModel, synapses: Mapping[str, Mechanism]) -> NeuronModel:
    """``model`` with the synapses that connections brought."""
    return With(model, **synapses) if synapses else model


def port_name(
    model: NeuronModel, synapses: Mapping[str, Mechanism], synapse: Mechanism | None, into: str | None
) -> str:
    """The name of the port that a connection means; a new one where it brings a synapse that is not there yet.

    Raises ModelError where there is no such port, or more than one to choose from.
    """
    if synapse is None or isinstance(synapse, Delta):
        if synapse is not None and into is not None and into != model.membrane:
            raise ModelError("into", got=into, expected=f"{model.membrane}, which a Delta synapse makes jump")
        return _existing(model, synapses, model.membrane if synapse is not None else into)
    if not isinstance(synapse, Mechanism) or synapse.receives is None:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError("synapse", got=repr(synapse), expected="one such as sl.Exponential(tau=5.0)")
    if into is not None:
        if into in synapses and synapses[into] != synapse:
            mend = "Give the other synapse another name, by into=."
            raise ModelError(f"{into} is another synapse", got=repr(synapse), expected=repr(synapses[into]), mend=mend)
        if into not in synapses and (into in model.targets or into in model.inputs):
            mend = "Leave one of them out."
            raise ModelError(f"{type(model).__name__} has {into} already", got=repr(synapse), mend=mend)
        return into
    same = [name for name, known in synapses.items() if known == synapse]
    return same[0] if same else _new_name(type(synapse).__name__.lower(), {*synapses, *model.targets, *model.inputs})


def _existing(model: NeuronModel, synapses: Mapping[str, Mechanism], into: str | None) -> str:
    synapses = {name: synapse for name, synapse in synapses.items() if synapse.receives is not None}
    ports = list(model.ports)  # not those that connections brought: what a call means does not hang on its place
    if into is None:
        if len(ports) > 1:
            mend = f"Say which: into={ports[0]!r}."
            raise ModelError(f"spikes could arrive at several ports of {type(model).__name__}", got=ports, mend=mend)
        return ports[0] if ports else model.membrane
    known = [*arrival_units(model), *synapses]
    part = getattr(getattr(model, "parts", None), "parts", {}).get(into)
    if part is not None and isinstance(part.mechanism, ReleasingSynapse):
        what = f"{into} of {type(model).__name__} remembers the spikes of one connection"
        mend = "Leave it out of the model, and give it to connect(..., synapse=...)."
        raise ModelError(what, got=type(part.mechanism).__name__, mend=mend)
    if into not in known:
        raise ModelError(f"{type(model).__name__} has nothing that spikes can reach called {into!r}",
                         mend=did_you_mean(into, known))  # fmt: skip
    return into


def _new_name(base: str, taken: set[str]) -> str:
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name


def mechanism_at(model: NeuronModel, port: str) -> Mechanism | None:
    """The synapse of ``model`` that receives at ``port``, however the model is wrapped; None for another target."""
    parts = getattr(getattr(model, "parts", None), "parts", {})
    if port in parts:
        return parts[port].mechanism
    inner = getattr(model, "inner", None)
    return mechanism_at(inner, port) if isinstance(inner, NeuronModel) else None


def check_sign(synapse: Mechanism | None, label: str, weights: np.ndarray) -> None:
    """Raises ParameterError where one of the ``weights`` of a conductance is negative: conductances are not."""
    lowest = float(weights.min(initial=0.0))
    if isinstance(synapse, (Conductance, NMDA)) and lowest < 0.0:
        mend = "An inhibitory synapse has a positive conductance and a low reversal potential e."
        raise ParameterError(f"{label}: weight of a conductance", got=lowest, expected=">= 0", mend=mend)


def arrival_units(model: NeuronModel) -> dict[str, Unit]:
    """What connections may name, with the unit of a weight: states and ports, and inputs, which hold it for a step."""
    return {**{name: held.unit for name, held in model.inputs.items()}, **model.targets}


def added_state(model: NeuronModel, port: str) -> str | None:
    """The state to which a weight is simply added, where nothing notices before the next step; else None.

    What arrives in a step is added after the step's integration and before the threshold is looked at. A state that
    neither threshold, reset nor refractoriness depends on may as well get it after the step: the same numbers, and
    no array in between.
    """
    if port not in model.targets:
        return None
    bound = model.symbolic()
    s, _ = model.symbols()
    amount = symbol("amount", model.targets[port])
    changed = bound.arrive(port, s, amount)
    if len(changed) != 1:
        return None
    ((name, value),) = changed.items()
    form = linear(lift(value), ["amount", name])
    if form is None or set(form[0]) != {"amount", name} or not is_const(form[1], 0.0):
        return None
    if not all(is_const(canonical([c])[0], 1.0) for c in form[0].values()):
        return None
    watched = [bound.threshold(s), bound.refractory(s), bound.scale(), *bound.reset(s).values(), *bound.peak().values()]
    used = set(symbols([lift(e) for e in watched if isinstance(e, Expr)]))
    return None if name in used or name in model.held or name in bound.reset(s) else name


__all__ = ["added_state", "check_sign", "mechanism_at", "port_name", "with_synapses"]
