r"""Learning while the sequence goes on, in memory that does not depend on its length (e-prop, OSTL).

Backpropagation keeps all steps until the end. Here every synapse carries a trace of what its past inputs still mean
for the neuron, and the gradient of a step's loss is known within the step. With the states :math:`h` of a neuron, its
input current :math:`I_j = \sum_i W_{ji} x_i` and its output :math:`z`, the trace and the gradient are

.. math::
    \epsilon^t_{ji} = \frac{\partial h^t_j}{\partial h^{t-1}_j} \epsilon^{t-1}_{ji}
                      + \frac{\partial h^t_j}{\partial I_j} x^t_i,
    \qquad
    \frac{dE}{dW_{ji}} = \sum_t L^t_j \Big( \frac{\partial z^t_j}{\partial h^{t-1}_j} \epsilon^{t-1}_{ji}
                         + \frac{\partial z^t_j}{\partial I_j} x^t_i \Big),

where :math:`L^t_j` is the derivative of the loss of step t by :math:`z^t_j` through the layers above within step t.
All Jacobians are those of the neuron's own step, surrogate and reset as in backpropagation: any model works.

What is kept and what is dropped:

* kept: everything within a layer over time (leak, adaptation, refractoriness, own reset, learned parameters) and
  everything between layers within a step;
* dropped: the ways on which a spike reaches a *later* loss through the states of *other* layers, and through recurrent
  weights.

So the gradient is that of backpropagation for a single layer without recurrence and for the last layer of any stack; it
is OSTL's for a stack, and e-prop's (with symmetric feedback) for recurrent layers.

Sources: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of spiking neurons", Nature
Communications 11:3625; Bohnstingl et al. 2022, "Online spatio-temporal learning in deep neural networks",
arXiv:2007.12723.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from ..errors import ModelError, ShapeError, StateError
from ..nn.containers import Sequential
from ..nn.neuron import Neuron
from ..nn.recurrent import Recurrent
from ..nn.state import State
from .exchange import exchanged

Tensors = tuple[torch.Tensor, ...]


@dataclasses.dataclass(frozen=True)
class LayerTraces:
    """What one layer carries on: the ``state`` of its neurons, their last ``output`` ``[B, N]``, and the traces.

    ``traces`` has one entry for the weights, with K = incoming + recurrent + 1 for the bias, and one with K = 1 for
    each learned parameter of the neuron; each holds ``[B, N, K]`` for every moving state of the model.
    """

    state: State
    output: torch.Tensor
    traces: tuple[Tensors, ...]


Traces = tuple[LayerTraces, ...]


class OnlineStep(NamedTuple):
    """The output ``[B, C]`` of a step and its loss, both without a graph, and what to pass to the next step."""

    y: torch.Tensor
    loss: torch.Tensor
    traces: Traces


class Online:
    """Steps through a sequence and adds, in each step, the gradient of that step's loss to ``p.grad``.

    ``net`` is a :class:`~spikeloom.nn.Sequential` of pairs: ``torch.nn.Linear``, then :class:`~spikeloom.nn.Neuron`
    or :class:`~spikeloom.nn.Recurrent`. ``loss(y, target)`` takes the output ``[B, C]`` of one step and gives a
    scalar; after T steps the gradient is that of the losses' sum. Traces take ``B N K`` numbers for each layer of N
    neurons with K inputs and each of the model's moving states. The optimiser may step whenever it likes; old traces
    then stem from slightly other weights.

    Raises :class:`ModelError` for any other net.

    >>> import spikeloom as sl
    >>> hidden, output = sl.nn.Neuron(sl.LIF()), sl.nn.Neuron(sl.LI())
    >>> net = sl.nn.Sequential(torch.nn.Linear(4, 8), hidden, torch.nn.Linear(8, 2), output)
    >>> learner, traces = Online(net, torch.nn.functional.mse_loss), None
    >>> for x in torch.rand(50, 3, 4):
    ...     y, loss, traces = learner.step(x, torch.zeros(3, 2), traces)
    >>> y.shape, net[0].weight.grad.shape
    (torch.Size([3, 2]), torch.Size([8, 4]))
    """

    def __init__(self, net: Sequential, loss: Callable[[torch.Tensor, Any], torch.Tensor]) -> None:
        self._layers = _pairs(net)
        self._loss = loss

    def step(self, x: torch.Tensor, target: Any, traces: Traces | None = None) -> OnlineStep:
        """One step with input ``x`` ``[B, K]``, from ``traces`` (None: from the beginning).

        Raises :class:`ShapeError` for another layout, :class:`StateError` for traces of another net or batch.
        """
        if x.dim() != 2:
            mend = "A step has no time axis: for x of shape [T, B, K], call step(x[t], ...) for each t."
            raise ShapeError("Online: the input of a step", got=list(x.shape), expected="[B, K]", mend=mend)
        before = _checked(traces, self._layers, len(x))
        done: list[_Advanced] = []
        for layer, carried in zip(self._layers, before, strict=True):
            done.append(layer.advance(x, carried))
            x = done[-1].output
        y = x.detach().requires_grad_()
        with torch.enable_grad():
            loss = self._loss(y, target)
            (signal,) = torch.autograd.grad(loss, y)
        for layer, carried, now in reversed(list(zip(self._layers, before, done, strict=True))):
            layer.add_gradients(signal, now, carried)
            signal = (signal * now.by_current[-1]) @ layer.linear.weight.detach()
        after = [layer.carried_on(now, carried) for layer, carried, now in zip(self._layers, before, done, strict=True)]
        return OnlineStep(y.detach(), loss.detach(), tuple(after))


@dataclasses.dataclass(frozen=True)
class _Advanced:
    """One layer after a step, with derivatives ``[B, N]`` of each moving state and, last, of the output.

    They are derivatives by the current, by each moving state before (none at the beginning) and by each learned
    parameter of the neuron, as if every neuron of every sample had its own.
    """

    output: torch.Tensor
    state: State
    inputs: torch.Tensor
    by_current: Tensors
    by_states: tuple[Tensors, ...]
    by_parameters: tuple[Tensors, ...]

    def direct(self, row: int) -> Tensors:
        """What this step alone adds to the traces of state ``row`` (or to the output, for the last one)."""
        weights = self.by_current[row][..., None] * self.inputs[:, None]
        return weights, *(found[row][..., None] for found in self.by_parameters)


class _Pair:
    """A linear map and the neurons behind it."""

    def __init__(self, linear: torch.nn.Linear, layer: Neuron | Recurrent) -> None:
        self.linear, self._recurrent = linear, isinstance(layer, Recurrent)
        self.neuron = layer.neuron if isinstance(layer, Recurrent) else layer
        self._moving = [name for name, s in self.neuron.model.states.items() if not (s.timer or s.integral)]
        self._weights = [linear.weight]
        if isinstance(layer, Recurrent):
            self._weights.append(layer.weight)
        if linear.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
            self._weights.append(linear.bias)

    @torch.no_grad()
    def advance(self, x: torch.Tensor, before: LayerTraces | None) -> _Advanced:
        """One step, and its derivatives by all that came in."""
        current, inputs = self.linear(x), [x]
        if self._recurrent:
            spikes = torch.zeros_like(current) if before is None else before.output
            current = current + torch.nn.functional.linear(spikes, self._weights[1])
            inputs.append(spikes)
        if len(self._weights) > len(inputs):
            inputs.append(x.new_ones(len(x), 1))
        # The batch becomes one more axis of features, so that a parameter may have a value for each neuron and sample.
        current = current.requires_grad_()
        own = {id(p): p.expand_as(current).clone().requires_grad_() for p in self.neuron.raw.values()}
        state = None if before is None else before.state.map(lambda t: t.detach().requires_grad_())
        with torch.enable_grad(), exchanged(self.neuron, own):
            y, after = self.neuron(current[None, None], state)
            states = [] if state is None else [state[name] for name in self._moving]
            found = _derivatives([*(after[name] for name in self._moving), y], [current, *states, *own.values()])
        split = 1 + len(states)
        return _Advanced(
            y.detach()[0, 0], after.detach(), torch.cat(inputs, 1), found[0], found[1:split], found[split:]
        )

    @torch.no_grad()
    def add_gradients(self, signal: torch.Tensor, now: _Advanced, before: LayerTraces | None) -> None:
        """Add to every gradient, for the derivative ``signal`` of the loss by the output."""
        found = [torch.einsum("bn,bnk->nk", signal, part) for part in now.direct(-1)]
        for index, rows in enumerate(now.by_states):
            assert before is not None  # or there were no states
            for place, traces in enumerate(before.traces):
                found[place] += torch.einsum("bn,bnk->nk", signal * rows[-1], traces[index])
        columns = [w.shape[1] if w.dim() == 2 else 1 for w in self._weights]
        parts = [*found[0].split(columns, 1), *found[1:]]
        for parameter, part in zip([*self._weights, *self.neuron.raw.values()], parts, strict=True):
            if parameter.requires_grad:
                grad = (part.sum() if parameter.numel() == 1 else part).reshape(parameter.shape)
                parameter.grad = grad.clone() if parameter.grad is None else parameter.grad + grad

    @torch.no_grad()
    def carried_on(self, now: _Advanced, before: LayerTraces | None) -> LayerTraces:
        """Traces after the step, which decay as the states do."""
        rows: list[Tensors] = []
        for row in range(len(self._moving)):
            parts = list(now.direct(row))
            for index, found in enumerate(now.by_states):
                assert before is not None
                for place, traces in enumerate(before.traces):
                    parts[place] = torch.addcmul(parts[place], found[row][..., None], traces[index])
            rows.append(tuple(parts))
        return LayerTraces(now.state, now.output, tuple(zip(*rows, strict=True)))


def _derivatives(rows: Sequence[torch.Tensor], leaves: Sequence[torch.Tensor]) -> tuple[Tensors, ...]:
    """Derivatives ``[B, N]`` of each row by each leaf, leaf by leaf: neurons do not know of each other in a step."""
    shape = leaves[0].shape
    table: list[list[torch.Tensor]] = [[] for _ in leaves]
    for row in rows:
        found: Sequence[torch.Tensor | None] = [None] * len(leaves)
        if row.requires_grad:
            found = torch.autograd.grad(row.sum(), leaves, retain_graph=True, allow_unused=True)
        for column, leaf, grad in zip(table, leaves, found, strict=True):
            column.append((torch.zeros_like(leaf) if grad is None else grad).reshape(shape))
    return tuple(tuple(column) for column in table)


def _pairs(net: Sequential) -> list[_Pair]:
    expected = "pairs of torch.nn.Linear and then sl.nn.Neuron or sl.nn.Recurrent"
    if not isinstance(net, Sequential) or len(net) == 0:
        raise ModelError("Online: the net", got=type(net).__name__, expected=f"an sl.nn.Sequential of {expected}")
    modules = [net[index] for index in range(len(net))]
    for index, module in enumerate(modules):
        kinds = (Neuron, Recurrent) if index % 2 else (torch.nn.Linear,)
        if not isinstance(module, kinds) or (index == len(modules) - 1 and index % 2 == 0):
            raise ModelError(f"Online: part {index} of the net", got=type(module).__name__, expected=expected)
    if len({id(p) for p in net.parameters()}) != sum(1 for _ in net.named_parameters(remove_duplicate=False)):
        raise ModelError("Online: a part is used at two places", expected="every weight once")
    return [_Pair(a, b) for a, b in zip(modules[::2], modules[1::2], strict=True)]  # type: ignore[arg-type]


def _checked(traces: Traces | None, layers: Sequence[_Pair], batch: int) -> Sequence[LayerTraces | None]:
    if traces is None:
        return [None] * len(layers)
    shapes = [tuple(carried.output.shape) for carried in traces]
    expected = [(batch, layer.linear.out_features) for layer in layers]
    if shapes != expected:
        mend = "Pass on the traces of the step before, or None to start a new sequence."
        raise StateError("Online: traces of another net or batch", got=shapes, expected=expected, mend=mend)
    return traces
