"""A net compiled for inference: what spikes cost, and nothing for what stays silent."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from ..errors import BackendError, ModelError, NonFiniteError
from ..kernels.backends import choose
from .containers import Sequential
from .inference_parts import Leaf, Part, parts_of
from .layer import Layer, checked_parts, checked_sequence
from .state import State


def compile_inference(net: Layer) -> Inference:
    """``net`` as a function ``y, state = fast(x, state=None)`` that is quick on sparse spikes, on the CPU.

    All linear layers and neurons run in one compiled call per sequence. A linear layer adds up the rows of weights of
    the inputs that spike, and a silent layer costs its neurons' decay and nothing else. Everything else (convolutions,
    pooling, ...) runs as it does in the net; ``print(fast)`` says which is which.

    The result is that of ``net.eval()`` as it is now: weights are copied, and later changes of the net have no effect.
    Layout, states and errors are the net's, so that states may go from one to the other. There are no gradients and
    nothing for :func:`spikeloom.record`.

    Sums run over the inputs in their order. So the result depends neither on how a sequence is cut into calls, nor on
    the batch it is in, nor on the number of threads. The net's own products may be summed in another order; then
    membranes differ by rounding, and a spike can differ where a membrane comes that close to its threshold.
    Real numbers as input of the first linear layer are multiplied as in the net.

    Raises ModelError where there is nothing to compile, BackendError for a net that is not on the CPU, and
    NonFiniteError for a weight that is not a number.

    >>> import spikeloom as sl
    >>> net = sl.nets.mlp([4, 3, 2], sl.LIF(), sl.LI())
    >>> fast = sl.nn.compile_inference(net)
    >>> print(fast)
    Inference(
      compiled: 0 Linear, 1 Neuron(LIF), 2 Linear, 3 Neuron(LI)
    )
    >>> state = None
    >>> for x_t in torch.eye(4):  # one step at a time
    ...     y, state = fast(x_t.reshape(1, 1, 4), state)
    >>> y.shape, list(state)
    (torch.Size([1, 1, 2]), ['1', '3'])
    """
    return Inference(net)


class Inference:
    """What :func:`compile_inference` returns: ``y, state = fast(x, state=None)`` with ``x`` [T, B, ...]."""

    def __init__(self, net: Layer) -> None:
        if not isinstance(net, Sequential):
            mend = "Use sl.nn.Sequential; what it does not know runs inside it as it is."
            raise ModelError("compile_inference", got=type(net).__name__, expected="an sl.nn.Sequential", mend=mend)
        _check(net)
        self._net = copy.deepcopy(net).eval().requires_grad_(False)
        self.parts: list[Part] = parts_of(list(_leaves(self._net, ())))
        if not any(part.compiled for part in self.parts):
            raise ModelError("compile_inference", got=repr(net), expected="sl.nn.Neuron layers in an sl.nn.Sequential")

    def __call__(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        checked_sequence(x, "Sequential")
        if x.requires_grad and torch.is_grad_enabled():
            mend = "Call the net itself, or pass x.detach()."
            raise BackendError("compiled inference has no gradients", got="an input that wants one", mend=mend)
        with torch.no_grad():
            return self._run(x, state)

    def _run(self, x: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        if choose("cpu").name != "cpu" or not x.numel():
            return self._net(x, state)
        states: dict[tuple[str, ...], Any] = {}
        _spread(self._net, state, (), states)
        for part in self.parts:
            x, new = part(x, states)
            states |= new
        return x, _gathered(self._net, states, ())

    def __repr__(self) -> str:
        lines = [f"  {part}" for part in self.parts]
        return "\n".join(["Inference(", *lines, ")"])


def _check(net: Layer) -> None:
    for name, value in [*net.named_parameters(), *net.named_buffers()]:
        if value.device.type != "cpu":
            mend = "Move the net: net.cpu()."
            raise BackendError(f"compile_inference: {name}", got=f"on {value.device}", expected="on the CPU", mend=mend)
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise NonFiniteError(f"compile_inference: {name} is not finite")


def _leaves(net: Sequential, path: tuple[str, ...]) -> list[Leaf]:
    """The layers and modules inside, in order, each with its place."""
    found: list[Leaf] = []
    for name, module in net._modules.items():
        here = (*path, name)
        assert module is not None
        found += _leaves(module, here) if type(module) is Sequential else [Leaf(here, module)]
    return found


def _spread(net: Sequential, state: Any, path: tuple[str, ...], found: dict[tuple[str, ...], Any]) -> None:
    """Enter the state of each layer under its place; StateError where the state is another net's."""
    layers = {n: m for n, m in net._modules.items() if isinstance(m, Layer)}
    checked_parts(state, list(layers), "Sequential")
    for name, layer in layers.items():
        inner = None if state is None else state[name]
        if type(layer) is Sequential:
            _spread(layer, inner, (*path, name), found)
        else:
            found[*path, name] = inner


def _gathered(net: Sequential, states: Mapping[tuple[str, ...], Any], path: tuple[str, ...]) -> State:
    """The state of ``net`` from those of its layers."""
    new: dict[str, Any] = {}
    for name, layer in net._modules.items():
        here = (*path, name)
        if type(layer) is Sequential:
            new[name] = _gathered(layer, states, here)
        elif isinstance(layer, Layer):
            new[name] = states[here]
    return State(new)


__all__ = ["Inference", "compile_inference"]
