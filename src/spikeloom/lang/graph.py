"""A step as data: named inputs, named outputs, and a text form that says all of it.

The text is what travels with the torch operator and what kernels are generated from; equal steps have equal
text, so that it also names the compiled kernel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from ..errors import ModelError
from .analysis import symbols
from .canonical import canonical
from .expr import LEAVES, OPERATIONS, Expr, lift, symbol, topological


@dataclasses.dataclass(frozen=True)
class Graph:
    """Expressions by name, over symbols by name."""

    inputs: tuple[str, ...]
    outputs: Mapping[str, Expr]

    @staticmethod
    def make(outputs: Mapping[str, Expr], inputs: Sequence[str] | None = None) -> Graph:
        """A graph in canonical form; ``inputs`` defaults to the symbols that occur."""
        shared = canonical(list(outputs.values()))
        named = dict(zip(outputs, shared, strict=True))
        return Graph(tuple(symbols(shared) if inputs is None else inputs), named)

    def text(self) -> str:
        """One operation a line, in the order of computation.

        >>> v = symbol("v")
        >>> print(Graph.make({"next": v * 0.5 + 1.0}).text())
        in v
        %0 = mul v 0.5
        %1 = add %0 1.0
        next = %1
        """
        lines = [" ".join(["in", *self.inputs])]
        names: dict[int, str] = {}
        for expr in topological(self.outputs.values()):
            if expr.op in LEAVES:
                names[id(expr)] = repr(expr.data) if expr.op == "const" else str(expr.data)
                continue
            name = f"%{len(lines) - 1}"
            index = "" if expr.data is None else "[{},{}]".format(*expr.data)  # type: ignore[misc]
            lines.append(f"{name} = {expr.op}{index} {' '.join(names[id(a)] for a in expr.args)}")
            names[id(expr)] = name
        return "\n".join([*lines, *(f"{name} = {names[id(expr)]}" for name, expr in self.outputs.items())])

    @staticmethod
    def parse(text: str) -> Graph:
        """The graph that :meth:`text` wrote; raises ModelError for anything else."""
        head, *lines = text.split("\n")
        word, *inputs = head.split(" ")
        if word != "in":
            raise ModelError("not the text of a step", got=head[:60], expected="a first line 'in NAME ...'")
        known = {name: symbol(name) for name in inputs}
        outputs: dict[str, Expr] = {}
        for line in lines:
            name, _, right = line.partition(" = ")
            op, *args = right.split(" ")
            if not name.startswith("%"):
                outputs[name] = _argument(op, known)
            else:
                op, _, index = op.partition("[")
                if op not in OPERATIONS:
                    raise ModelError("the text of a step names an unknown operation", got=op)
                data = tuple(int(i) for i in index.rstrip("]").split(",")) if index else None
                known[name] = Expr(op, tuple(_argument(a, known) for a in args), data)  # type: ignore[arg-type]
        return Graph(tuple(inputs), outputs)


def _argument(word: str, known: dict[str, Expr]) -> Expr:
    if word not in known:
        try:
            known[word] = lift(float(word))
        except ValueError:
            raise ModelError("the text of a step uses an unknown name", got=word) from None
    return known[word]
