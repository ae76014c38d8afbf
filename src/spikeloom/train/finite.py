"""NaN and infinity end a training, and the message says where they came from."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ..errors import NonFiniteError

MEND = "Lower the learning rate, or look for an input far outside [0, 1]."


def require_finite(value: float, what: str, where: str) -> None:
    """Raise :class:`NonFiniteError` unless ``value`` is a finite number."""
    if not math.isfinite(value):
        raise NonFiniteError(f"{what} is not finite in {where}", got=value, expected="a finite number", mend=MEND)


def require_finite_loss(loss: torch.Tensor) -> None:
    """Raise :class:`NonFiniteError` unless ``loss`` is a finite number."""
    if not bool(torch.isfinite(loss)):
        raise NonFiniteError("the loss is not finite", got=loss.item(), expected="a finite number", mend=MEND)


def require_finite_parameters(net: torch.nn.Module, where: str) -> None:
    """Raise :class:`NonFiniteError`, naming the first parameter, unless all are finite.

    A threshold hides NaN, because NaN >= threshold is false: a broken layer would just fall silent.
    """
    if math.isfinite(torch.nn.utils.get_total_norm(list(net.parameters())).item()):
        return
    broken = [name for name, p in net.named_parameters() if not bool(torch.isfinite(p).all())]
    require_finite(math.nan, f"parameter {broken[0]}" if broken else "the norm of the parameters", where)


def blamed(error: NonFiniteError, net: torch.nn.Module, x: torch.Tensor, where: str) -> NonFiniteError:
    """``error`` with what first went wrong on the way of ``x``, and ``where`` in the training."""
    culprit = first_broken_layer(net, x)
    what = f"{error.what}{f', first in {culprit}' if culprit else ''}, in {where}"
    return NonFiniteError(what, got=error.got, expected=error.expected, mend=error.mend)


@torch.no_grad()
def first_broken_layer(net: torch.nn.Module, x: torch.Tensor) -> str:
    """The first layer on the way of ``x`` whose output or state is not finite, as "layer 2 (Linear)"; "" for none."""
    found: list[str] = []

    def look(name: str, module: torch.nn.Module) -> Any:
        def hook(_: torch.nn.Module, inputs: Any, output: Any) -> None:
            leaves = pytree.tree_leaves(output)
            if not found and any(isinstance(t, torch.Tensor) and not torch.isfinite(t).all() for t in leaves):
                found.append(f"layer {name} ({type(module).__name__})")

        return module.register_forward_hook(hook)

    if not torch.isfinite(x).all():
        return "the input"
    # Containers end after their parts, so the innermost culprit is found first.
    hooks = [look(name, module) for name, module in net.named_modules() if name]
    try:
        net(x)
    except Exception:  # the diagnosis of a failure must not hide the failure
        return found[0] if found else ""
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""
