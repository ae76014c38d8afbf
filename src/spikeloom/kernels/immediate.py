"""Expressions as functions that are ready at once: Python for one point, NumPy for many. No compiler takes part."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..lang.canonical import canonical
from ..lang.dialects.dialect import Dialect
from ..lang.dialects.python import PYTHON_NAMES, numpy_dialect, numpy_names, python_dialect
from ..lang.emit import identifier, statements
from ..lang.expr import Expr

Function = Callable[..., tuple[Any, ...]]


@dataclasses.dataclass(frozen=True)
class Immediate:
    """``single`` takes sequences of numbers, ``many`` sequences of arrays; both return a tuple of the outputs.

    ``single`` raises ArithmeticError or ValueError where floating point has NaN or infinity; ``many`` gives these.
    """

    single: Function
    many: Function


def immediate(outputs: Sequence[Expr], arguments: Mapping[str, Sequence[str]], label: str) -> Immediate:
    """Functions of ``arguments``: each argument is a sequence of values for the symbols it lists.

    >>> from spikeloom.lang.expr import symbol
    >>> immediate([symbol("a") / symbol("b")], {"x": ["a"], "y": ["b"]}, "a quotient").single([6.0], [4.0])
    (1.5,)
    """
    shared = canonical(list(outputs))
    return Immediate(
        _compiled(shared, arguments, label, python_dialect, PYTHON_NAMES),
        _compiled(shared, arguments, label, numpy_dialect, numpy_names()),
    )


def _compiled(
    outputs: Sequence[Expr], arguments: Mapping[str, Sequence[str]], label: str, dialect: Dialect,
    known: Mapping[str, Any],
) -> Function:  # fmt: skip
    results = {f"result{k}": expr for k, expr in enumerate(outputs)}
    lines = [f"def function({', '.join(arguments)}):"]
    for argument, names in arguments.items():
        if names:
            lines.append(f"    {''.join(f'{identifier(n)}, ' for n in names)}= {argument}")
    lines += [f"    {line}" for line in statements(results, dialect)]
    lines.append(f"    return ({''.join(f'{name}, ' for name in results)})")
    namespace = dict(known)
    exec(compile("\n".join(lines), f"<{label}, {dialect.name}>", "exec"), namespace)
    return namespace["function"]


__all__ = ["Immediate", "immediate"]
