"""Products of spikes and weights as torch operators: packed bits stand for the input, forward and backward."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch

from ..backends import note_kernel
from ..operators import no_second_derivative, operator
from . import reference

Pair = tuple[torch.Tensor, torch.Tensor]


def _pack(x: torch.Tensor) -> Pair:
    return _implementation(x).pack(x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous())


def _fake_pack(x: torch.Tensor) -> Pair:
    words = x.new_empty((x.shape[0], -(-x.shape[1] // reference.BITS)), dtype=torch.int64)
    return words, x.new_empty(x.shape[0], dtype=torch.int32)


def _linear(
    x: torch.Tensor, words: torch.Tensor, counts: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
    needed: torch.Tensor | None,
) -> torch.Tensor:  # fmt: skip
    chosen = _implementation(weight)
    _note(chosen, "forward")
    return chosen.forward(words, weight.contiguous(), bias)


def _fake_linear(
    x: torch.Tensor, words: torch.Tensor, counts: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
    needed: torch.Tensor | None,
) -> torch.Tensor:  # fmt: skip
    return weight.new_empty((words.shape[0], weight.shape[0]))


def _weight_gradient(words: torch.Tensor, counts: torch.Tensor, grad: torch.Tensor, inputs: int) -> Pair:
    chosen = _implementation(grad)
    _note(chosen, "backward")
    return chosen.weight_gradient(words, counts, grad.contiguous(), inputs)


def _fake_weight_gradient(words: torch.Tensor, counts: torch.Tensor, grad: torch.Tensor, inputs: int) -> Pair:
    return grad.new_empty((grad.shape[1], inputs)), grad.new_empty(grad.shape[1])


def _input_gradient(needed: torch.Tensor, grad: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    chosen = _implementation(grad)
    _note(chosen, "backward-needed")
    return chosen.input_gradient(needed, grad.contiguous(), weight.contiguous())


def _fake_input_gradient(needed: torch.Tensor, grad: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return grad.new_empty((grad.shape[0], weight.shape[1]))


def _implementation(like: torch.Tensor) -> ModuleType:
    if like.device.type != "cpu" or like.dtype not in (torch.float32, torch.uint8):
        return reference
    from . import cpu

    return cpu


def _note(chosen: ModuleType, direction: str) -> None:
    note_kernel(f"spike_linear/{'reference' if chosen is reference else 'cpu'}/Linear/{direction}")


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    _, words, counts, weight, _, needed = inputs
    ctx.save_for_backward(words, counts, weight, needed)  # the bits, 32 times smaller than the input itself


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    words, counts, weight, needed = ctx.saved_tensors
    to_x, _, _, to_weight, to_bias, _ = ctx.needs_input_grad
    by_weight = by_bias = None
    if to_weight:
        by_weight, by_bias = weight_gradient_op(words, counts, grad, weight.shape[1])
    elif to_bias:
        by_bias = grad.sum(0)
    by_x = None
    if to_x:
        # A surrogate wants to know what a spike would have done where there was none: a dense product, but where the
        # surrogate's slope is known to be 0.
        by_x = grad @ weight if needed is None else input_gradient_op(needed, grad, weight)
    return by_x, None, None, by_weight, by_bias if to_bias else None, None


pack_op = operator("pack_spikes(Tensor x) -> (Tensor, Tensor)", _pack, _fake_pack)
linear_op = operator(
    "spike_linear(Tensor x, Tensor words, Tensor counts, Tensor weight, Tensor? bias, Tensor? needed) -> Tensor",
    _linear, _fake_linear, _backward, _keep,
)  # fmt: skip
weight_gradient_op = operator(
    "spike_linear_weight_gradient(Tensor words, Tensor counts, Tensor grad, int inputs) -> (Tensor, Tensor)",
    _weight_gradient, _fake_weight_gradient, no_second_derivative("the product of spikes and weights"),
)  # fmt: skip
input_gradient_op = operator(
    "spike_linear_input_gradient(Tensor needed, Tensor grad, Tensor weight) -> Tensor",
    _input_gradient, _fake_input_gradient, no_second_derivative("the needed part of a product"),
)  # fmt: skip
