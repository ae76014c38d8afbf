"""Numba's rules of types with a memory: for every ``a * b`` it searches all of NumPy's loops, a third of its time.

>>> from numba.core.registry import cpu_target
>>> remembering(cpu_target.typing_context) is remembering(cpu_target.typing_context)
True
"""

# pyright: basic
# Numba's compiler has no types.

from __future__ import annotations

import copy
import functools
from typing import Any

from numba.core import types
from numba.core.typing.context import BaseContext, Context

__all__ = ["remembering"]

_SCALARS = (types.Number, types.Boolean)


class _Remembering(Context):
    """The rules of the context that this one is a copy of; what they gave for scalars is kept."""

    _known: dict[tuple[Any, Any], Any]

    def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
        """The signature of Numba's function type ``func`` for arguments of these types, None without one."""
        if kws or type(func) is not types.Function or not all(isinstance(kind, _SCALARS) for kind in args):
            return super().resolve_function_type(func, args, kws)
        found = self._known.get((func, args))
        if found is None:
            found = self._known[func, args] = super().resolve_function_type(func, args, kws)
        return found

    @classmethod
    def of(cls, context: BaseContext) -> BaseContext:
        """A copy whose tables are those of ``context``, so that what Numba adds to them later is seen."""
        found: Any = copy.copy(context)
        found.__class__ = cls
        found._known = {}
        return found


@functools.lru_cache(maxsize=4)
def remembering(context: BaseContext) -> BaseContext:
    """``context`` with a memory, the same at each call. All other code goes on with the one without."""
    return _Remembering.of(context)
