"""Products of spikes and weights as torch operators: packed bits stand for the input, forward and backward."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch

from ...errors import BackendError
from ..backends import note_kernel
from . import reference

Pair = tuple[torch.Tensor, torch.Tensor]


def _pack(x: torch.Tensor) -> Pair:
    return _implementation(x).pack(x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous())


def _fake_pack(x: torch.Tensor) -> Pair:
    words = x.new_empty((x.shape[0], -(-x.shape[1] // reference.BITS)), dtype=torch.int64)
    return words, x.new_empty(x.shape[0], dtype=torch.int32)


def _linear(
    x: torch.Tensor, words: torch.Tensor, counts: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    chosen = _implementation(weight)
    _note(chosen, "forward")
    return chosen.forward(words, weight.contiguous(), bias)


def _fake_linear(
    x: torch.Tensor, words: torch.Tensor, counts: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    return weight.new_empty((words.shape[0], weight.shape[0]))


def _weight_gradient(words: torch.Tensor, counts: torch.Tensor, grad: torch.Tensor, inputs: int) -> Pair:
    chosen = _implementation(grad)
    _note(chosen, "backward")
    return chosen.weight_gradient(words, counts, grad.contiguous(), inputs)


def _fake_weight_gradient(words: torch.Tensor, counts: torch.Tensor, grad: torch.Tensor, inputs: int) -> Pair:
    return grad.new_empty((grad.shape[1], inputs)), grad.new_empty(grad.shape[1])


def _implementation(like: torch.Tensor) -> ModuleType:
    if like.device.type != "cpu" or like.dtype != torch.float32:
        return reference
    from . import cpu

    return cpu


def _note(chosen: ModuleType, direction: str) -> None:
    note_kernel(f"spike_linear/{'reference' if chosen is reference else 'cpu'}/Linear/{direction}")


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    _, words, counts, weight, _ = inputs
    ctx.save_for_backward(words, counts, weight)  # the bits, 32 times smaller than the input itself


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    words, counts, weight = ctx.saved_tensors
    to_x, _, _, to_weight, to_bias = ctx.needs_input_grad
    by_weight = by_bias = None
    if to_weight:
        by_weight, by_bias = weight_gradient_op(words, counts, grad, weight.shape[1])
    elif to_bias:
        by_bias = grad.sum(0)
    # A surrogate wants to know what a spike would have done where there was none: this product stays dense.
    return grad @ weight if to_x else None, None, None, by_weight, by_bias if to_bias else None


def _second_backward(ctx: Any, *_: Any) -> Any:
    raise BackendError(
        "the product of spikes and weights has first derivatives only",
        got="a derivative of its gradient",
        mend='Run the net within sl.backend("reference"), which can be differentiated any number of times.',
    )


# Not torch.library.custom_op, whose first call imports torch's compiler.
_library = torch.library.Library("spikeloom", "FRAGMENT")
_library.define("pack_spikes(Tensor x) -> (Tensor, Tensor)")
_library.define("spike_linear(Tensor x, Tensor words, Tensor counts, Tensor weight, Tensor? bias) -> Tensor")
_library.define(
    "spike_linear_weight_gradient(Tensor words, Tensor counts, Tensor grad, int inputs) -> (Tensor, Tensor)"
)
_library.impl("pack_spikes", _pack, "CompositeExplicitAutograd")
_library.impl("spike_linear", _linear, "CompositeExplicitAutograd")
_library.impl("spike_linear_weight_gradient", _weight_gradient, "CompositeExplicitAutograd")
torch.library.register_fake("spikeloom::pack_spikes", _fake_pack, lib=_library)
torch.library.register_fake("spikeloom::spike_linear", _fake_linear, lib=_library)
torch.library.register_fake("spikeloom::spike_linear_weight_gradient", _fake_weight_gradient, lib=_library)
torch.library.register_autograd("spikeloom::spike_linear", _backward, setup_context=_keep, lib=_library)
torch.library.register_autograd("spikeloom::spike_linear_weight_gradient", _second_backward, lib=_library)
pack_op = torch.ops.spikeloom.pack_spikes.default
linear_op = torch.ops.spikeloom.spike_linear.default
weight_gradient_op = torch.ops.spikeloom.spike_linear_weight_gradient.default
