"""Functions emitted from values equal the plain functions, and kernels contain what they call and nothing beside it."""

from __future__ import annotations

import ctypes
from typing import Any

import numba
import numpy as np
import pytest
from numba import float32, float64, int64, uint64
from numba.types import CPointer, UniTuple, void

from spikeloom.kernels.compiler import options
from spikeloom.lang.dialects import numba_intrinsics
from spikeloom.lang.dialects.numba_math import exp_f64
from spikeloom.lang.dialects.numba_pipeline import KernelCompiler
from spikeloom.lang.dialects.numba_values import emitted, on_values

select = on_values(numba_intrinsics.select)
ONE = np.float32(1.0)


@emitted(UniTuple(float32, 5)(float32, float32))
def real(x: Any, y: Any) -> Any:
    return ONE - x, x / y + ONE, ONE / y * x, -x - y, (x + 2.0) * y


@emitted(float64(float64, float64))
def chosen(x: Any, y: Any) -> Any:
    return select((x < y) | (x == 4.0) & ~(y > 3.0), 0.5, y)


@emitted(UniTuple(uint64, 3)(uint64, uint64))
def whole(a: Any, b: Any) -> Any:
    seven = np.uint64(7)
    return (a * b + seven) ^ a, (a - b) >> seven, (a & seven) | b


def test_operators_are_those_of_numpy():
    x, y = np.float32(1.1), np.float32(-0.3)
    compiled = numba.njit(lambda x, y: real(x, y))(x, y)
    assert compiled == real.plain(x, y)
    a, b = np.uint64(123_456_789), np.uint64(9_876_543_210)
    with np.errstate(over="ignore"):
        assert numba.njit(lambda a, b: whole(a, b))(a, b) == whole.plain(a, b)


def test_choices():
    compiled = numba.njit(lambda x, y: chosen(x, y))
    pairs = [(1.0, 2.0), (2.0, 1.0), (4.0, 3.0), (4.0, 3.5), (4.0, np.nan), (np.nan, 1.0)]
    expected = [0.5 if x < y or (x == 4.0 and not y > 3.0) else y for x, y in pairs]
    np.testing.assert_array_equal([compiled(x, y) for x, y in pairs], expected)


def test_types_do_not_mix():
    @emitted(float64(float64, float32))
    def mixed(x: Any, y: Any) -> Any:
        return x + y

    with pytest.raises(numba.TypingError, match="expected float64 throughout, got float32"):
        numba.njit(lambda x, y: mixed(x, y))(1.0, ONE)
    with pytest.raises(numba.TypingError, match="expected float32, float32, got float64, float32"):
        numba.njit(lambda x, y: real(x, y))(1.0, ONE)


@numba.njit(error_model="numpy", pipeline_class=KernelCompiler)
def inner(x, n):
    return exp_f64(x) * n


@numba.njit(error_model="numpy", pipeline_class=KernelCompiler)
def outer(values, n):
    for k in range(n):
        values[k] = inner(values[k], n)


@numba.cfunc(void(CPointer(float64), int64), **{**options(strict=True), "cache": False})
def kernel(values, n):
    outer(values, n)


def test_a_kernel_contains_its_parts():
    values = np.array([0.0, 1.0, -2.0])
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(kernel.address)
    expected = 3.0 * np.exp(values)
    run(values.ctypes.data, 3)
    np.testing.assert_allclose(values, expected, rtol=1e-15)
    text = kernel.inspect_llvm()
    assert "emitted." not in text  # inlined, and not kept
    assert "cpython" not in text  # Python calls none of it
    assert "kernels only" in inner(1.0, 3)  # its machine code is in the kernel only
