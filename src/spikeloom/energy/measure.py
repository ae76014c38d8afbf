"""Run a net over real sequences and count, layer by layer, what it has to do."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from ..errors import ModelError, ShapeError
from ..nets.sew_resnet import SewBlock
from ..nn import (
    BatchNorm,
    BatchNormThroughTime,
    Dropout,
    Layer,
    Neuron,
    Recurrent,
    Residual,
    TemporalBatchNorm,
)
from ..nn.layer import over_time
from .connections import CONNECTIONS, MAXIMA, POOLS, fan_out, sample_axes, windows
from .counts import LayerCounts, Measured, Neurons, Synapses, together

# Elementwise operations of one activation.
ACTIVATIONS: Mapping[type[nn.Module], Mapping[str, int]] = {
    nn.ReLU: {"maximum": 1},
    nn.ReLU6: {"maximum": 1, "minimum": 1},
    nn.LeakyReLU: {"ge": 1, "mul": 1, "select": 1},
    nn.Sigmoid: {"sigmoid": 1},
    nn.Tanh: {"tanh": 1},
}
_SILENT = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, Dropout)
_STEPWISE = (TemporalBatchNorm, BatchNormThroughTime)  # another scale in each step: no weight takes it in
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, BatchNorm, *_STEPWISE)


@torch.no_grad()
def measure(net: nn.Module, sequences: Iterable[torch.Tensor], *, dt: float = 1.0, bits: int = 32) -> Measured:
    """Counts of ``net`` over ``sequences`` of shape [T, B, ...], batch after batch, exactly added up.

    ``net`` runs in evaluation mode, each sequence from a fresh state. ``dt`` is the length of a step in ms, ``bits``
    (8, 16 or 32) the width at which weights and activations are to be priced; the run itself is as it is. A plain
    torch net is called on every step. An ANN is a net without spikes over sequences of one step.

    What counts is what passes through modules: linear maps, convolutions, pooling, batch norm, activations,
    neurons, recurrent weights and residual sums; functional calls inside a module of the user's own are not seen,
    and modules without a rule are named in ``uncounted``.

    Raises :class:`ShapeError` where there is no sample at all, :class:`ParameterError` for other ``bits``.

    >>> import spikeloom as sl
    >>> net = sl.nn.Sequential(nn.Linear(3, 2, bias=False), sl.nn.Neuron(sl.LIF()))
    >>> spikes = torch.tensor([[[1.0, 0.0, 1.0]], [[0.0, 0.0, 0.0]]])       # 2 spikes in 2 steps of 1 sample
    >>> counts = measure(net, [spikes])
    >>> counts.acs, counts.macs, counts.dense, counts.updates
    (4, 0, 12, 4)
    """
    total: Measured | None = None
    for x in sequences:
        if x.dim() < 2 or not x.shape[0] or not x.shape[1]:
            raise ShapeError("a sequence to measure", got=tuple(x.shape), expected="[T, B, ...] with T and B >= 1")
        batch = _batch(net, x, dt, bits)
        total = batch if total is None else total + batch
    if total is None:
        raise ShapeError("sequences to measure", got="none", expected="at least one [T, B, ...]")
    return total


def _batch(net: nn.Module, x: torch.Tensor, dt: float, bits: int) -> Measured:
    tally = _Tally(net, x.shape[0], x.shape[1])
    with _evaluating(net), tally.watching():
        net(x) if isinstance(net, Layer) else over_time(net, x)
    return Measured(
        tuple(tally.layers.values()), x.shape[1], x.shape[0] * x.shape[1], bits, dt,
        tuple(tally.folded), tuple(tally.uncounted),
    )  # fmt: skip


@contextlib.contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


class _Sums(NamedTuple):
    """What the latest connection gave, or the largest of it; the connection's name and its additions of a bias.

    ``channels`` have weights of their own; None where they lie along an axis that no norm takes for channels.
    """

    values: torch.Tensor
    connection: str
    biases: int
    channels: int | None

    def are(self, x: torch.Tensor) -> bool:
        return self.values.data_ptr() == x.data_ptr() and self.values.numel() == x.numel()


class _Tally:
    """Hooks on the modules of a net, and what they counted in one call of it."""

    def __init__(self, net: nn.Module, steps: int, samples: int) -> None:
        self.net, self.steps, self.samples = net, steps, samples
        self.layers: dict[str, LayerCounts] = {}
        self.folded: dict[str, None] = {}
        self.uncounted: dict[str, None] = {}
        self.spiked = False  # whether a spiking layer has run
        self.sums: _Sums | None = None  # what a norm could be folded into

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Within the block, calls of the net's modules are counted."""
        handles: list[Any] = []
        inside: set[int] = set()  # parts of a neuron layer
        for name, module in self.net.named_modules():
            if id(module) in inside:
                continue
            if isinstance(module, Neuron):
                inside |= {id(part) for part in module.modules()}
            rule = self._rule(module)
            if rule is not None:
                handles.append(module.register_forward_hook(_named(rule, name)))
            elif _does_something(module):
                self.uncounted[f"{name} ({type(module).__name__})"] = None
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _rule(self, module: nn.Module) -> Callable[..., None] | None:
        rules: tuple[tuple[Any, Callable[..., None]], ...] = (
            (CONNECTIONS, self._connection),
            (POOLS, self._pool),
            (_NORMS, self._norm),
            (tuple(ACTIVATIONS), self._activation),
            (Neuron, self._neuron),
            (Recurrent, self._recurrent),
            ((Residual, SewBlock), self._sum),
        )
        return next((rule for kinds, rule in rules if isinstance(module, kinds)), None)

    def _add(self, counts: LayerCounts) -> None:
        known = self.layers.get(counts.name)
        self.layers[counts.name] = counts if known is None else together(known, counts)

    def _connection(self, name: str, module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        shape = x.shape[x.dim() - sample_axes(module) :]
        weight: Any = module.weight
        bias: Any = module.bias
        synapses = self._synapses(
            weight, x, shape, lambda present: fan_out(module, shape, present=present),
            shared=not isinstance(module, nn.Linear),
        )  # fmt: skip
        own = (0, 0) if bias is None else (y.numel(), bias.numel())
        counts = synapses(y.numel(), *own, self._constant(x))
        self._add(LayerCounts(name, type(module).__name__, self.spiked, synapses=counts))
        self.sums = _Sums(y, name, counts.biases, _channels(module, y))

    def _synapses(
        self, weight: torch.Tensor, x: torch.Tensor, shape: torch.Size, fan: Callable[[bool], torch.Tensor],
        *, shared: bool,
    ) -> Callable[[int, int, int, bool], Synapses]:  # fmt: skip
        active = x != 0
        per_element = active.reshape(-1, *shape).sum(0)
        weights = int((weight != 0).sum())
        every = fan(False)
        present = (every if weights == weight.numel() else fan(True)).to(x.device)
        calls = x.numel() // every.numel()
        effective = int((per_element * present).sum())
        counts = (x.numel(), int(active.sum()), bool((~active | (x == 1)).all()), calls * int(every.sum()), effective)
        needed = self._needed(active, present, weights if shared else None)
        needed = min(weights * self.samples, effective) if needed is None else needed
        return lambda outputs, biases, values, constant: Synapses(
            *counts, weights, needed, outputs, biases, values, constant
        )

    def _needed(self, active: torch.Tensor, present: torch.Tensor, shared: int | None) -> int | None:
        """Weights that meet an ``active`` input, sample by sample; None where it cannot be told which sample is which.

        Exact where each weight belongs to one input element (``shared`` None). Of a convolution no more than its
        ``shared`` weights are needed, and no more than its operations.
        """
        before = active.shape[: active.dim() - present.dim()]
        if before[:1] == (self.steps * self.samples,) or before[:2] == (self.steps, self.samples):
            steps = self.steps
        elif before[:1] == (self.samples,):  # one step
            steps = 1
        else:
            return None
        of_sample = active.reshape(steps, self.samples, -1, *present.shape)
        if shared is None:
            return int((of_sample.any(0).any(1) * present).sum())
        return int((of_sample.sum((0, 2)) * present).flatten(1).sum(1).clamp(max=shared).sum())

    def _constant(self, x: torch.Tensor) -> bool:
        """Whether a call over all steps got the same in each."""
        if self.steps < 2 or x.shape[0] != self.steps * self.samples:
            return False
        steps = x.unflatten(0, (self.steps, self.samples))
        return bool((steps == steps[:1]).all())

    def _pool(self, name: str, module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        axes = sample_axes(module)
        hits = windows(module, x.shape[x.dim() - axes :], y.shape[y.dim() - axes :]).to(x.device)
        if isinstance(module, MAXIMA):
            everything = int(hits.sum()) * (x.numel() // hits.numel())
            operations = {"maximum": everything - y.numel()}
        else:  # zeros add nothing; a window of one element is passed on
            operations = {"add": int(((x != 0) * hits).sum()), "mul": y.numel()}
        kind, constant = type(module).__name__, self._constant(x)
        self._add(LayerCounts(name, kind, self.spiked, operations=operations, constant=constant))
        if isinstance(module, MAXIMA) and self.sums and self.sums.are(x):
            self.sums = self.sums._replace(values=y)

    def _norm(self, name: str, module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        stepwise = isinstance(module, _STEPWISE)
        mean: Any = module.running_mean
        channels = None if mean is None or stepwise else mean.numel()
        if self.sums and channels is not None and channels == self.sums.channels and self.sums.are(x):
            self.folded[name] = None
            self._fold(self.sums, y, channels)
            return
        operations = {"add": y.numel(), "mul": y.numel()}
        kind, constant = type(module).__name__, not stepwise and self._constant(x)
        self._add(LayerCounts(name, kind, self.spiked, operations=operations, constant=constant))

    def _fold(self, sums: _Sums, y: torch.Tensor, channels: int) -> None:
        """The shift of a norm and the connection's bias are one bias, added to what the norm gives.

        Also behind a maximum: of ``scale max(z + b) + shift`` the size of the scale goes into the weights, and its
        sign decides whether ``max(|scale| z)`` is added to the one bias or taken from it.
        """
        layer = self.layers[sums.connection]
        known: Any = layer.synapses
        biases = known.biases - sums.biases + y.numel()
        synapses = dataclasses.replace(known, biases=biases, bias_values=channels)
        self.layers[sums.connection] = dataclasses.replace(layer, synapses=synapses)
        self.sums = _Sums(y, sums.connection, y.numel(), channels)

    def _activation(self, name: str, module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        self.sums = None  # it may have written over them
        each = next(ops for kind, ops in ACTIVATIONS.items() if isinstance(module, kind))
        operations = {op: n * y.numel() for op, n in each.items()}
        neurons = Neurons(y.numel() // (self.steps * self.samples), y.numel(), 0, None)
        self._add(LayerCounts(name, type(module).__name__, self.spiked, neurons=neurons, operations=operations))

    def _neuron(self, name: str, module: Neuron, x: torch.Tensor, y: torch.Tensor) -> None:
        program = module._program()  # type: ignore[reportPrivateUsage]
        operations = {op: n * y.numel() for op, n in program.operation_counts()["step"].items() if op != "detach"}
        spikes = int(y.sum(dtype=torch.float64)) if program.fires else None
        count = y.numel() // (y.shape[0] * y.shape[1])
        neurons = Neurons(count, y.numel(), len(program.states), spikes)
        kind = type(module.model).__name__
        self._add(LayerCounts(name, kind, self.spiked, neurons=neurons, operations=operations))
        self.spiked = self.spiked or program.fires

    def _recurrent(self, name: str, module: Recurrent, x: torch.Tensor, y: torch.Tensor) -> None:
        """The recurrent weights: what came out in a step goes in at the next; into the first goes the state, zeros."""
        weight = module.weight.detach()
        before = torch.cat([torch.zeros_like(y[:1]), y[:-1]])
        ones = {True: (weight != 0).sum(0), False: torch.full((module.size,), module.size, device=weight.device)}
        synapses = self._synapses(weight, before, before.shape[2:], ones.__getitem__, shared=False)
        self._add(LayerCounts(f"{name}.weight", "Recurrent", True, synapses=synapses(y.numel(), 0, 0, False)))

    def _sum(self, name: str, module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        self._add(LayerCounts(name, type(module).__name__, self.spiked, operations={"add": y.numel()}))


def _channels(module: nn.Module, y: torch.Tensor) -> int | None:
    """How many channels of the sums ``y`` have weights of their own: a scale of a place or a row is in none."""
    if isinstance(module, nn.Linear):
        return module.out_features if y.dim() == 2 else None
    return int(module.out_channels)  # type: ignore[reportArgumentType]


def _named(rule: Callable[..., None], name: str) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        y = result[0] if isinstance(result, tuple) else result
        if not isinstance(args[0], torch.Tensor) or not isinstance(y, torch.Tensor):
            raise ModelError(f"layer {name}", got=type(args[0]).__name__, expected="a tensor as first argument")
        rule(name, module, args[0], y)

    return hook


def _does_something(module: nn.Module) -> bool:
    """Whether leaving ``module`` out could hide work: it has parameters of its own, or nothing inside."""
    own = any(p is not None for p in module._parameters.values())
    return not isinstance(module, _SILENT) and (own or not any(True for _ in module.children()))
