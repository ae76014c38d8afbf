"""States of a connection between its spikes: linear equations, so that their solution over any time is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ModelError
from ..lang import math as m
from ..lang.analysis import linear
from ..lang.canonical import is_const
from ..lang.expr import Expr, lift


def after(label: str, now: Expr, slope: Any, elapsed: Expr, others: Sequence[str]) -> Any:
    """``now``, a symbol that moves with ``slope``, after the time ``elapsed``; ``others`` are symbols that move too.

    Raises ModelError where the slope is not linear in ``now``, or depends on another of them.
    """
    own = str(now.data)
    form = linear(lift(slope), [own, *others])
    if form is None or set(form[0]) - {own}:
        raise ModelError(label, got=str(slope), expected=f"an equation linear in {own.removeprefix('s.')} alone")
    rate, rest = form[0].get(own, lift(0.0)), form[1]
    if is_const(rate, 0.0):
        return now if is_const(rest, 0.0) else now + rest * elapsed
    if is_const(rest, 0.0):
        return now * m.exp(rate * elapsed)
    # x(t) = x + (x + rest/rate) (exp(rate t) - 1)
    return now + (now + rest / rate) * m.expm1(rate * elapsed)


__all__ = ["after"]
