"""Convolutions of sparse input as torch operators: what is not zero stands for the input, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch

from ..backends import note_kernel
from ..operators import no_second_derivative, operator
from . import reference
from .shape import ConvShape

Pair = tuple[torch.Tensor, torch.Tensor]


def _shape(images: Sequence[int], weight: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> ConvShape:
    (batch, channels, height, width), (outputs, _, high, wide) = images, weight
    sides = (stride[0], stride[1]), (padding[0], padding[1])
    return ConvShape(batch, channels, outputs, (height, width), (high, wide), *sides)


def _conv(
    x: torch.Tensor, words: torch.Tensor, starts: torch.Tensor, values: torch.Tensor,
    weight: torch.Tensor, bias: torch.Tensor | None, stride: Sequence[int], padding: Sequence[int],
    needed: torch.Tensor | None,
) -> torch.Tensor:  # fmt: skip
    chosen = _implementation(weight)
    _note(chosen, "forward")
    shape = _shape(x.shape, weight.shape, stride, padding)
    return chosen.forward((words, starts, values), weight.contiguous(), bias, shape)


def _fake_conv(
    x: torch.Tensor, words: torch.Tensor, starts: torch.Tensor, values: torch.Tensor,
    weight: torch.Tensor, bias: torch.Tensor | None, stride: Sequence[int], padding: Sequence[int],
    needed: torch.Tensor | None,
) -> torch.Tensor:  # fmt: skip
    shape = _shape(x.shape, weight.shape, stride, padding)
    return weight.new_empty((shape.batch, shape.outputs, *shape.found))


def _weight_gradient(
    words: torch.Tensor, starts: torch.Tensor, values: torch.Tensor, grad: torch.Tensor,
    images: Sequence[int], weight: Sequence[int], stride: Sequence[int], padding: Sequence[int],
) -> Pair:  # fmt: skip
    chosen = _implementation(grad)
    _note(chosen, "backward")
    shape = _shape(images, weight, stride, padding)
    return chosen.weight_gradient((words, starts, values), grad.contiguous(), shape)


def _fake_weight_gradient(
    words: torch.Tensor, starts: torch.Tensor, values: torch.Tensor, grad: torch.Tensor,
    images: Sequence[int], weight: Sequence[int], stride: Sequence[int], padding: Sequence[int],
) -> Pair:  # fmt: skip
    return grad.new_empty(tuple(weight)), grad.new_empty(weight[0])


def _input_gradient(
    needed: torch.Tensor, grad: torch.Tensor, weight: torch.Tensor,
    images: Sequence[int], stride: Sequence[int], padding: Sequence[int],
) -> torch.Tensor:  # fmt: skip
    chosen = _implementation(grad)
    _note(chosen, "backward-needed")
    shape = _shape(images, weight.shape, stride, padding)
    return chosen.input_gradient(needed, grad.contiguous(), weight.contiguous(), shape)


def _fake_input_gradient(
    needed: torch.Tensor, grad: torch.Tensor, weight: torch.Tensor,
    images: Sequence[int], stride: Sequence[int], padding: Sequence[int],
) -> torch.Tensor:  # fmt: skip
    return grad.new_empty(tuple(images))


def _implementation(like: torch.Tensor) -> ModuleType:
    if like.device.type != "cpu" or like.dtype != torch.float32:
        return reference
    from . import cpu

    return cpu


def _note(chosen: ModuleType, direction: str) -> None:
    note_kernel(f"spike_conv/{'reference' if chosen is reference else 'cpu'}/Conv2d/{direction}")


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    x, words, starts, values, weight, _, stride, padding, needed = inputs
    ctx.save_for_backward(words, starts, values, weight, needed)  # instead of the input, which is mostly zeros
    ctx.how = tuple(x.shape), tuple(weight.shape), tuple(stride), tuple(padding)


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    words, starts, values, weight, needed = ctx.saved_tensors
    to_x, to_weight, to_bias = ctx.needs_input_grad[0], *ctx.needs_input_grad[4:6]
    by_x = by_weight = by_bias = None
    if to_weight:
        by_weight, by_bias = weight_gradient_op(words, starts, values, grad, *ctx.how)
    elif to_bias:
        by_bias = grad.sum((0, 2, 3))
    if to_x:
        # A surrogate wants to know what a spike would have done where there was none: this stays dense, but where the
        # surrogate's slope is known to be 0.
        images, kernels, *sides = ctx.how
        if needed is None:
            by_x = reference.whole_input_gradient(grad, weight, _shape(images, kernels, *sides))
        else:
            by_x = input_gradient_op(needed, grad, weight, images, *sides)
    return by_x, None, None, None, by_weight, by_bias if to_bias else None, None, None, None


_LISTED, _HOW = "Tensor words, Tensor starts, Tensor values", "int[] stride, int[] padding"
conv_op = operator(
    f"spike_conv(Tensor x, {_LISTED}, Tensor weight, Tensor? bias, {_HOW}, Tensor? needed) -> Tensor",
    _conv, _fake_conv, _backward, _keep,
)  # fmt: skip
weight_gradient_op = operator(
    f"spike_conv_weight_gradient({_LISTED}, Tensor grad, int[] images, int[] weight, {_HOW}) -> (Tensor, Tensor)",
    _weight_gradient, _fake_weight_gradient, no_second_derivative("the convolution of sparse input"),
)  # fmt: skip
input_gradient_op = operator(
    f"spike_conv_input_gradient(Tensor needed, Tensor grad, Tensor weight, int[] images, {_HOW}) -> Tensor",
    _input_gradient, _fake_input_gradient, no_second_derivative("the convolution of sparse input"),
)  # fmt: skip
