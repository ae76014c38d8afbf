"""Integrate-and-fire cells wired as the neurons of C. elegans: chemical synapses and gap junctions."""

from __future__ import annotations

import numpy as np

from ..data.connectome import Connections, Connectome, load_c_elegans
from ..errors import ConfigError, did_you_mean
from ..models import LIF, Conductance, DoubleExponential, GapJunction, Refractory
from ..sim.given import from_pairs
from ..sim.network import Network
from ..sim.result import Result
from ..solvers import ExponentialEuler
from .c_elegans import CElegansConfig
from .facts import Fact
from .measures import after_transient

# McIntire et al., Nature 364, 1993: the neurons that make GABA. All others are taken to be excitatory, which is known
# to be wrong for some synapses of glutamate and acetylcholine.
GABA = frozenset(
    [f"DD{k:02}" for k in range(1, 7)] + [f"VD{k:02}" for k in range(1, 14)]
    + ["RMED", "RMEL", "RMER", "RMEV", "AVL", "DVB", "RIS"]
)  # fmt: skip
_SOURCE = "the file's own counts (Cook et al. 2019)"


def build(config: CElegansConfig) -> Network:
    """Cells of 3 pF and 0.1 nS rest at -50 mV, fire at -30 mV and are refractory for 5 ms; synapses rise in 3 ms and
    decay in 10 ms."""
    found = wiring(config)
    net = Network(config.dt, config.seed, config.precision)
    cell = Refractory(
        LIF(tau=30.0, v_rest=-50.0, v_threshold=-30.0, v_reset=-50.0, r=10.0, reset_mechanism="value"), t_ref=5.0
    )
    # Cells with hundreds of contacts get conductances that RK4 cannot follow at 0.1 ms.
    cells = net.population(cell, len(found.cells), "cells", solver=ExponentialEuler())
    inhibits = np.isin(np.array(found.cells), sorted(GABA))[found.chemical.pre]
    kinds = (("excitatory", ~inhibits, config.excitatory, 0.0), ("inhibitory", inhibits, config.inhibitory, -80.0))
    for name, chosen, conductance, reversal in kinds:
        edges = Connections(found.chemical.pre[chosen], found.chemical.post[chosen], found.chemical.contacts[chosen])
        if len(edges):
            synapse = Conductance(DoubleExponential(tau_rise=3.0, tau_decay=10.0), e=reversal)
            rule = from_pairs(edges.pre, edges.post, weights=conductance * edges.contacts)
            net.connect(cells, cells, rule, delay=config.delay, synapse=synapse, name=name)
    junctions = found.junctions()
    if len(junctions):
        rule = from_pairs(junctions.pre, junctions.post, weights=config.gap * junctions.contacts)
        net.connect(cells, cells, rule, synapse=GapJunction(), name="gap junctions")
    net.inject(cells, np.where(np.isin(np.array(found.cells), config.stimulated), config.current, 0.0))
    return net


def wiring(config: CElegansConfig) -> Connectome:
    """The connections between the cells that are asked for."""
    whole = load_c_elegans(config.data.root)
    found = whole if config.data.cells == "all" else whole.neurons()
    for name in config.stimulated:
        if name not in found.cells:
            raise ConfigError(f"stimulated: there is no cell {name!r}", mend=did_you_mean(name, found.cells))
    return found


def facts(config: CElegansConfig, result: Result) -> dict[str, Fact]:
    """What was read and how much of it is active; no rate was ever published for these assumptions."""
    found, late = wiring(config), after_transient(config, result, "cells")
    known = {"cells": 448, "chemical connections": 4681, "electrical entries": 2698}
    counts = {
        "cells": len(found.cells),
        "chemical connections": len(found.chemical),
        "electrical entries": len(found.electrical),
    }
    whole = config.data.cells == "all"
    return {
        **{n: Fact.near(c, "", known[n], 0.0, _SOURCE) if whole else Fact(c) for n, c in counts.items()},
        "gap junctions": Fact(len(found.junctions())),
        "cells that fired": Fact(int((late.counts() > 0).sum())),
        "mean rate": Fact(late.rate(), "Hz"),
    }
