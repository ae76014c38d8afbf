"""Which calls of a plain torch.nn.Linear may add up rows of weights instead: those that nobody could tell apart."""

from __future__ import annotations

import torch
from torch.nn.modules import module as torch_module

from ..kernels.backends import choose
from ..kernels.spike_linear.linear import crossover

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def plain_linear(module: torch.nn.Module, x: torch.Tensor) -> bool:
    """Whether ``module(x)`` is just ``x W^T + b`` in float32 on the CPU, with the CPU's kernels allowed and worth it.

    Not where the module is a subclass, as a parametrized one is; see :func:`untouched`.
    """
    if type(module) is not torch.nn.Linear or not (x.dim() >= 2 and x.numel() and x.shape[-1] == module.in_features):
        return False
    worth = crossover(x.numel() // x.shape[-1], x.shape[-1], module.out_features)
    return bool(worth) and untouched(module, x)


def untouched(module: torch.nn.Module, x: torch.Tensor) -> bool:
    """Whether only the numbers that come out of ``module(x)`` matter: float32 on the CPU, its kernels allowed.

    Not where the module has a hook or a ``forward`` of its own, where a tensor is of a class of its own or belongs to a
    torch.func transform, under autocast, and while torch compiles or traces, which would fix today's choice for ever.
    """
    if torch.compiler.is_compiling() or hooked(module):
        return False
    if torch.is_autocast_enabled("cpu") or torch.jit.is_tracing():  # type: ignore[reportPrivateImportUsage]
        return False
    tensors = [t for t in (x, getattr(module, "weight", None), getattr(module, "bias", None)) if t is not None]
    plain = all(type(t) in (torch.Tensor, torch.nn.Parameter) and _is_cpu_float32(t) for t in tensors)
    return plain and choose("cpu").name == "cpu"


def hooked(module: torch.nn.Module) -> bool:
    """Whether somebody listens to calls of ``module``, or put another ``forward`` into it."""
    listened = any(getattr(module, h) for h in _HOOKS) or any(getattr(torch_module, "_global" + h) for h in _HOOKS)
    return listened or "forward" in module.__dict__


def _is_cpu_float32(x: torch.Tensor) -> bool:
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(x)  # type: ignore[reportPrivateUsage]
    return x.device.type == "cpu" and x.dtype == torch.float32 and not wrapped
