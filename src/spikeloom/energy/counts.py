"""What a network did on a data set, as whole numbers; no joule yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from ..errors import ParameterError

WIDTHS = (8, 16, 32)
STATE_BITS = 32  # accumulators and membranes, whatever the width of weights and activations


@dataclasses.dataclass(frozen=True)
class Synapses:
    """Connections of one layer over the whole run.

    ``inputs`` elements arrived, of which ``active`` were not zero; ``spikes`` says whether every one of them, in the
    whole run, was exactly 0 or 1. ``dense`` operations join all inputs and all weights, ``effective`` those whose
    input and weight are not zero. ``weights`` are the non-zero weights, ``needed`` those that some active input of a
    sample meets, in any of its steps, summed over the samples. ``outputs`` are the sums made, ``biases`` the additions
    of a bias, of which there are ``bias_values`` different ones: its own, or what a folded batch norm leaves.

    ``constant`` says whether every sequence was longer than one step and the same in all of its steps, so that a chip
    could make these sums once and hold them; they are counted in every step all the same, unless ``held``.
    """

    inputs: int
    active: int
    spikes: bool
    dense: int
    effective: int
    weights: int
    needed: int
    outputs: int
    biases: int
    bias_values: int
    constant: bool = False
    held: bool = False

    @property
    def acs(self) -> int:
        """Accumulates: effective operations of a layer whose input comes as spikes."""
        return self.effective if self.spikes else 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates: effective operations of a layer with any input other than 0 and 1."""
        return 0 if self.spikes else self.effective

    @property
    def skippable(self) -> int:
        """Operations that hardware with zero-skipping leaves out."""
        return self.dense - self.effective


@dataclasses.dataclass(frozen=True)
class Neurons:
    """Neurons of one layer: how many there are, their updates (neurons x steps x samples), states each, spikes.

    ``spikes`` is None where a model never fires; the activation of an ANN is a neuron without state.
    """

    count: int
    updates: int
    states: int
    spikes: int | None


@dataclasses.dataclass(frozen=True)
class LayerCounts:
    """One layer: ``synapses``, ``neurons`` or neither (pooling, norms, sums), and its elementwise ``operations``.

    ``hidden`` says whether a spiking layer came before it, so that its work follows the spike rate; ``constant``
    whether these operations are the same in all steps, as a pooling's are after sums that do not change.
    """

    name: str
    kind: str
    hidden: bool
    synapses: Synapses | None = None
    neurons: Neurons | None = None
    operations: Mapping[str, int] = dataclasses.field(default_factory=dict)
    constant: bool = False


@dataclasses.dataclass(frozen=True)
class Measured:
    """Counts of a net over ``samples`` samples and ``sample_steps`` (samples x steps), at ``bits`` per weight.

    ``folded`` names the batch norms that melt into the weights before them; ``uncounted`` the modules for which there
    is no rule, so that nothing is left out in silence. ``dt`` is the step in ms.
    """

    layers: tuple[LayerCounts, ...]
    samples: int
    sample_steps: int
    bits: int = 32
    dt: float = 1.0
    folded: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.bits not in WIDTHS:
            raise ParameterError("bits of a weight", got=self.bits, expected=f"one of {WIDTHS}")
        if not self.dt > 0:
            raise ParameterError("dt is out of range", got=self.dt, expected="> 0 ms")

    @property
    def steps(self) -> float:
        """Mean number of steps of a sample."""
        return self.sample_steps / self.samples

    @property
    def synapses(self) -> list[Synapses]:
        """Of the layers that have any."""
        return [layer.synapses for layer in self.layers if layer.synapses is not None]

    @property
    def acs(self) -> int:
        """Effective accumulates of the whole run (NeuroBench: Effective ACs, there per execution)."""
        return sum(s.acs for s in self.synapses)

    @property
    def macs(self) -> int:
        """Effective multiply-accumulates of the whole run (NeuroBench: Effective MACs)."""
        return sum(s.macs for s in self.synapses)

    @property
    def dense(self) -> int:
        """Synaptic operations without skipping zeros (NeuroBench: Dense)."""
        return sum(s.dense for s in self.synapses)

    @property
    def updates(self) -> int:
        """Neuron updates of the whole run."""
        return sum(layer.neurons.updates for layer in self.layers if layer.neurons)

    @property
    def spikes(self) -> int:
        """Spikes of the whole run."""
        return sum(layer.neurons.spikes or 0 for layer in self.layers if layer.neurons)

    @property
    def spikes_per_sample(self) -> float:
        """Spikes of all neurons in answer to one sample."""
        return self.spikes / self.samples

    @property
    def spikes_per_neuron_step(self) -> float:
        """Mean over the neurons that can fire; 0 where none can."""
        firing = sum(n.updates for n in (layer.neurons for layer in self.layers) if n and n.spikes is not None)
        return self.spikes / firing if firing else 0.0

    def held(self) -> Measured:
        """The counts on hardware that makes the sums of a constant input once per sample and holds them.

        Pooling and norms that come before anything changes are done once as well. Exact where all sequences have the
        same number of steps.
        """
        return dataclasses.replace(self, layers=tuple(_held(layer, self.steps) for layer in self.layers))

    def __add__(self, other: Measured) -> Measured:
        """Both runs of the same net together."""
        own, others = [_identity(m) for m in (self, other)]
        if own != others:
            raise ParameterError("counts of two nets cannot be added", got=others, expected=own)
        layers = tuple(together(a, b) for a, b in zip(self.layers, other.layers, strict=True))
        samples, steps = self.samples + other.samples, self.sample_steps + other.sample_steps
        return dataclasses.replace(self, layers=layers, samples=samples, sample_steps=steps)

    def plain(self) -> dict[str, Any]:
        """As numbers, texts, lists and dictionaries, for JSON."""
        return dataclasses.asdict(self) | {"folded": list(self.folded), "uncounted": list(self.uncounted)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """What :meth:`plain` gave."""
        layers = tuple(
            LayerCounts(
                layer["name"],
                layer["kind"],
                layer["hidden"],
                None if layer["synapses"] is None else Synapses(**_complete(layer["synapses"])),
                None if layer["neurons"] is None else Neurons(**layer["neurons"]),
                dict(layer["operations"]),
                layer.get("constant", False),
            )
            for layer in plain["layers"]
        )
        texts = {name: tuple(plain[name]) for name in ("folded", "uncounted")}
        return cls(**{**plain, **texts, "layers": layers})


_MADE_ONCE = ("inputs", "active", "dense", "effective", "outputs", "biases")
_SUMMED = (*_MADE_ONCE, "needed")


def _complete(plain: Mapping[str, Any]) -> dict[str, Any]:
    """``plain``; what files of earlier versions lack is at most this."""
    return {"needed": plain["effective"], "bias_values": plain["biases"], **plain}


def _held(layer: LayerCounts, steps: float) -> LayerCounts:
    s = layer.synapses
    if layer.hidden or not (layer.constant or (s and s.constant)):
        return layer
    if s is None:
        operations = {op: round(n / steps) for op, n in layer.operations.items()}
        return dataclasses.replace(layer, operations=operations, constant=False)
    once = {name: round(getattr(s, name) / steps) for name in _MADE_ONCE}
    once["needed"] = min(s.needed, once["effective"])
    return dataclasses.replace(layer, synapses=dataclasses.replace(s, **once, constant=False, held=True))


def _identity(m: Measured) -> object:
    layers = [(layer.name, layer.kind, layer.neurons and layer.neurons.count) for layer in m.layers]
    return m.bits, m.dt, m.folded, m.uncounted, layers


def together(a: LayerCounts, b: LayerCounts) -> LayerCounts:
    """Two calls of one layer as one."""
    synapses, neurons = a.synapses, a.neurons
    if a.synapses and b.synapses:
        added = {name: getattr(a.synapses, name) + getattr(b.synapses, name) for name in _SUMMED}
        flags = {name: getattr(a.synapses, name) and getattr(b.synapses, name) for name in ("spikes", "constant")}
        synapses = dataclasses.replace(a.synapses, **added, **flags)
    if a.neurons and b.neurons:
        spikes = None if a.neurons.spikes is None else a.neurons.spikes + (b.neurons.spikes or 0)
        neurons = dataclasses.replace(a.neurons, updates=a.neurons.updates + b.neurons.updates, spikes=spikes)
    operations = {op: a.operations.get(op, 0) + b.operations.get(op, 0) for op in {**a.operations, **b.operations}}
    return LayerCounts(
        a.name, a.kind, a.hidden or b.hidden, synapses, neurons, operations, a.constant and b.constant
    )  # fmt: skip
