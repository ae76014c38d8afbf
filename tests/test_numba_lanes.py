"""Functions of neighbours are those of one number, to the last bit, for every function and any number of lanes."""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
import pytest
from numba import float32, float64, int64
from numba.types import CPointer, void

from spikeloom.kernels.compiler import options
from spikeloom.lang.dialects import numba_lanes, numba_math
from spikeloom.lang.dialects.numba_lanes import bits, on_lanes

REALS = {"f32": (np.float32, float32), "f64": (np.float64, float64)}
ONE_NUMBER = sorted({n.rpartition("_")[0] for n in numba_math.__all__} - {"pow"})


def on_array(precision: str, lanes: int, body: Any, *arrays: Any) -> np.ndarray:
    """``body`` of neighbours of ``arrays``, in steps of ``lanes``; compiled as kernels are, with contraction."""
    dtype, kind = REALS[precision]
    step, row = on_lanes(lanes, body), CPointer(kind)
    if len(arrays) == 1:

        @numba.cfunc(void(int64, row, row), **{**options(strict=False), "cache": False})
        def run(n, x, out):
            for m in range(0, n, lanes):
                step(m, x, out)

    else:

        @numba.cfunc(void(int64, row, row, row), **{**options(strict=False), "cache": False})
        def run(n, x, y, out):
            for m in range(0, n, lanes):
                step(m, x, y, out)

    out = np.empty_like(arrays[0], dtype)
    pointers = [a.ctypes.data_as(t) for a, t in zip((*arrays, out), run.ctypes.argtypes[1:], strict=True)]
    run.ctypes(len(out), *pointers)
    return out


def applied(function: Any) -> Any:
    def body(m, x_all, out_all):
        out_all[m] = function(x_all[m])

    return body


def numbers(precision: str) -> np.ndarray:
    """Of all sizes and signs, with what is special among them; 4,096 of them."""
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 2.0, 1e-30, -1e-30, 1e-310]
    rng = np.random.default_rng(1)
    wide = rng.standard_normal(2048) * 10.0 ** rng.uniform(-12, 6, 2048)
    near = rng.uniform(-8.0, 8.0, 4096 - 2048 - len(special))
    return np.concatenate([special, wide, near]).astype(REALS[precision][0])


@functools.cache
def scalar(name: str, precision: str) -> Any:
    function = getattr(numba_math, f"{name}_{precision}")

    @numba.njit(error_model="numpy")
    def apply(x):
        out = np.empty_like(x)
        for i in range(x.size):
            out[i] = function(x[i])
        return out

    return apply


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    there = ~np.isnan(found)
    np.testing.assert_array_equal(found[there].view(f"u{found.itemsize}"), expected[there].view(f"u{found.itemsize}"))


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("lanes", [1, 8])
def test_functions(precision: str, lanes: int):
    x = numbers(precision)
    for name in ONE_NUMBER:
        body = applied(getattr(numba_math, f"{name}_{precision}").plain)
        assert_same_bits(on_array(precision, lanes, body, x), scalar(name, precision)(x))


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("lanes", [1, 8])
def test_power(precision: str, lanes: int):
    x, y = numbers(precision), np.roll(numbers(precision), 1000)
    function = numba_lanes.power if precision == "f64" else numba_math.pow_f32.plain

    def body(m, x_all, y_all, out_all):
        out_all[m] = function(x_all[m], y_all[m])

    own = getattr(numba_math, f"pow_{precision}")

    @numba.njit(error_model="numpy")
    def one_by_one(x, y):
        out = np.empty_like(x)
        for i in range(x.size):
            out[i] = own(x[i], y[i])
        return out

    assert_same_bits(on_array(precision, lanes, body, x, y), one_by_one(x, y))


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_sqrt_ceil_and_absolute_are_those_of_numpy(precision: str):
    x = numbers(precision)
    for name, expected in (("sqrt", np.sqrt), ("ceil", np.ceil), ("absolute", np.abs)):
        body = applied(getattr(numba_lanes, name))
        with np.errstate(invalid="ignore"):
            assert_same_bits(on_array(precision, 8, body, x), expected(x))


def test_arithmetic_is_rounded_operation_by_operation():
    """Whatever the kernel's options allow: a product and a sum are fused where ``fma`` says so, and nowhere else."""
    x, y = numbers("f32"), np.roll(numbers("f32"), 1000)

    def body(m, x_all, y_all, out_all):
        out_all[m] = x_all[m] * y_all[m] - np.float32(3.0) + y_all[m]

    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        assert_same_bits(on_array("f32", 8, body, x, y), x * y - np.float32(3.0) + y)


@pytest.mark.parametrize("lanes", [1, 2, 8, 16])
def test_bits_are_in_order(lanes: int):
    def body(m, x_all):
        return bits(x_all[m] > np.float32(0.0))

    step = on_lanes(lanes, body)

    @numba.cfunc(int64(CPointer(float32)), error_model="numpy")
    def run(x):
        return step(0, x)

    x = np.random.default_rng(2).standard_normal(16).astype(np.float32)
    word = run.ctypes(x.ctypes.data_as(run.ctypes.argtypes[0]))
    assert word == sum(1 << k for k in range(lanes) if x[k] > 0.0)
