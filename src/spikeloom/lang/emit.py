"""Turn expressions into lines of a target language."""

from __future__ import annotations

import collections
import re
from collections.abc import Mapping, Sequence

from .dialects.dialect import Dialect
from .expr import Expr, topological

_WIDEST = 88  # characters an expression may have before it gets a line and a name of its own


def identifier(name: str) -> str:
    """A name that every target language accepts.

    >>> identifier("s.v")
    's_v'
    """
    return re.sub(r"\W", "_", name)


def statements(outputs: Mapping[str, Expr], dialect: Dialect) -> list[str]:
    """``name = expression`` lines that compute ``outputs``; a value used once is written where it is used.

    >>> from spikeloom.lang.dialects.numba import numba_dialect
    >>> from spikeloom.lang.expr import symbol
    >>> statements({"v_next": symbol("v") * symbol("decay")}, numba_dialect("f32"))
    ['v_next = v * decay']
    """
    order = topological(outputs.values())
    uses = collections.Counter(id(a) for e in order for a in e.args)
    uses.update(id(e) for e in outputs.values())
    # Templates of these write their arguments twice, so the arguments get names.
    twice = {id(a) for e in order if e.op in ("minimum", "maximum", "ceil") for a in e.args}
    text: dict[int, str] = {}
    lines: list[str] = []
    for expr in order:
        spelled = _spell(expr, [text[id(a)] for a in expr.args], dialect)
        named = expr.args and (uses[id(expr)] > 1 or id(expr) in twice or len(spelled) > _WIDEST)
        if named:
            name = f"t{len(lines)}"
            lines.append(f"{name} = {_bare(spelled)}")
            spelled = name
        text[id(expr)] = spelled
    return [*lines, *(f"{name} = {_bare(text[id(e)])}" for name, e in outputs.items())]


def _spell(expr: Expr, args: Sequence[str], dialect: Dialect) -> str:
    if expr.op == "const":
        return dialect.literal(float(expr.data))  # type: ignore[arg-type]
    if expr.op == "symbol":
        return identifier(str(expr.data))
    return dialect.spell(expr.op, list(args))


def _bare(text: str) -> str:
    """Without the outermost brackets, where they enclose everything."""
    if not text.startswith("("):
        return text
    depth = 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return text[1:-1] if index == len(text) - 1 else text
    return text
