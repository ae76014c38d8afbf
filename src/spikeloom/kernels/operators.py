"""Our torch operators: how kernels are made known to torch, its tracing and its differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..errors import BackendError

# Not torch.library.custom_op, whose first call imports torch's compiler (some seconds that most users never need).
LIBRARY = torch.library.Library("spikeloom", "DEF")


def operator(
    schema: str, run: Callable[..., Any], fake: Callable[..., Any], backward: Callable[..., Any] | None = None,
    keep: Callable[..., None] | None = None,
) -> Any:  # fmt: skip
    """The operator of ``schema``: ``run`` on tensors, ``fake`` on their shapes, ``backward`` on what ``keep`` kept."""
    name = schema.partition("(")[0]
    LIBRARY.define(schema)
    LIBRARY.impl(name, run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"spikeloom::{name}", fake, lib=LIBRARY)
    if backward is not None:
        torch.library.register_autograd(f"spikeloom::{name}", backward, setup_context=keep, lib=LIBRARY)
    return getattr(torch.ops.spikeloom, name).default


def no_second_derivative(what: str) -> Callable[..., Any]:
    """The ``backward`` of a gradient that has none."""

    def refuse(ctx: Any, *_: Any) -> Any:
        mend = 'Run it within sl.backend("reference"), which can be differentiated any number of times.'
        raise BackendError(f"{what} has first derivatives only", got="a derivative of its gradient", mend=mend)

    return refuse


__all__ = ["LIBRARY", "no_second_derivative", "operator"]
