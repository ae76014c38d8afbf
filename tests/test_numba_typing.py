"""Types of operations, remembered: the same as Numba's own, in kernels only."""

from __future__ import annotations

import itertools
import operator

import pytest
from numba.core import types
from numba.core.errors import TypingError
from numba.core.registry import cpu_target

from spikeloom.lang.dialects.numba_typing import remembering

PLAIN = cpu_target.typing_context
KINDS = [types.float32, types.float64, types.int32, types.int64, types.uint64, types.boolean, types.literal(3)]


@pytest.mark.parametrize("operation", [operator.add, operator.truediv, operator.lt, operator.and_, operator.ne])
def test_binary_operations_are_those_of_numba(operation) -> None:
    cpu_target.target_context.refresh()
    function = PLAIN.resolve_value_type(operation)
    for pair in itertools.product(KINDS, repeat=2):
        try:
            expected = PLAIN.resolve_function_type(function, pair, {})
        except TypingError:
            with pytest.raises(TypingError):
                remembering(PLAIN).resolve_function_type(function, pair, {})
            continue
        for _ in range(2):
            assert remembering(PLAIN).resolve_function_type(function, pair, {}) == expected


def test_what_is_asked_again_is_not_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_target.target_context.refresh()
    function, found = PLAIN.resolve_value_type(operator.mul), []
    remembering(PLAIN).resolve_function_type(function, (types.float64, types.float64), {})
    search = types.Function.get_call_type
    monkeypatch.setattr(types.Function, "get_call_type", lambda *a: found.append(a) or search(*a))
    for _ in range(3):
        remembering(PLAIN).resolve_function_type(function, (types.float64, types.float64), {})
    assert found == []
    PLAIN.resolve_function_type(function, (types.float64, types.float64), {})
    assert len(found) == 1


def test_what_is_declared_later_is_known() -> None:
    context = remembering(PLAIN)
    assert type(context) is not type(PLAIN)
    assert context._functions is PLAIN._functions
    assert context._globals is PLAIN._globals
    assert context.callstack is PLAIN.callstack
