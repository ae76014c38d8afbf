"""The vectorised elementary functions against float64 NumPy, mpmath and the C library's special values."""

from __future__ import annotations

import functools
import json
import math
import os
import pathlib
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numba
import numpy as np
import pytest
import scipy.special

from spikeloom.lang.dialects import numba_math
from spikeloom.lang.dialects.numba_intrinsics import bitcast, flush_denormals, restore_denormals

REFERENCES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {  # in NumPy and in mpmath
    "exp": (np.exp, mpmath.exp),
    "expm1": (np.expm1, mpmath.expm1),
    "log": (np.log, mpmath.log),
    "log1p": (np.log1p, mpmath.log1p),
    "tanh": (np.tanh, mpmath.tanh),
    "sigmoid": (lambda x: 1.0 / (1.0 + np.exp(-x)), lambda x: 1 / (1 + mpmath.exp(-x))),
    "sin": (np.sin, mpmath.sin),
    "cos": (np.cos, mpmath.cos),
    "atan": (np.arctan, mpmath.atan),
    "erf": (scipy.special.erf, mpmath.erf),
}
NAMES = list(REFERENCES)
COMMON = NAMES[:6]
SMALLEST = {"f32": 2.0**-126, "f64": 2.0**-1022}
DTYPES = {"f32": np.float32, "f64": np.float64}
QUARTER_TURNS = 2**20 * math.pi / 2  # sin and cos promise nothing beyond
ON_X86 = platform.machine() in ("x86_64", "AMD64")


@functools.cache
def kernel(name: str, precision: str) -> Any:
    """A loop over an array, as generated kernels have it."""
    function = getattr(numba_math, f"{name}_{precision}")

    @numba.njit(nogil=True, error_model="numpy")
    def apply(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return apply


def values(name: str, x: Any, precision: str = "f32") -> np.ndarray:
    x = np.asarray(x, DTYPES[precision])
    out = np.full_like(x, 123.0)
    kernel(name, precision)(x, out)
    return out


def bit_patterns(stride: int, size: int = 1 << 20) -> Iterator[np.ndarray]:
    """Every ``stride``-th float32 of all, in arrays of ``size``."""
    for start in range(0, 1 << 32, stride * size):
        patterns = np.arange(start, min(start + stride * size, 1 << 32), stride, dtype=np.int64)
        yield patterns.astype(np.uint32).view(np.float32)


@numba.njit(error_model="numpy")
def worst_ulp(got: np.ndarray, expected: np.ndarray, may_flush: bool) -> float:
    """The largest error in units of the last place; infinite where only one of both is NaN or infinite."""
    worst = 0.0
    for i in range(got.size):
        value, exact = np.float64(got[i]), expected[i]
        rounded = np.float64(np.float32(exact))
        if value == rounded or (np.isnan(value) and np.isnan(rounded)):
            continue
        if may_flush and value == 0.0 and abs(exact) < 2.0**-126:
            continue
        if not (np.isfinite(value) and np.isfinite(rounded)):
            return np.inf
        worst = max(worst, abs(value - exact) / math.ldexp(1.0, max(math.frexp(exact)[1] - 24, -149)))
    return worst


def worst_ulp_f32(name: str, stride: int) -> float:
    """The largest error against float64. With a stride of 1 it looks at every argument there is, in a few minutes."""
    worst = 0.0
    for x in bit_patterns(stride):
        if name in ("sin", "cos"):
            x = x[np.abs(x) < QUARTER_TURNS]
        with np.errstate(all="ignore"):
            expected = REFERENCES[name][0](x.astype(np.float64))
        worst = max(worst, worst_ulp(values(name, x), expected, name == "sigmoid"))
    return worst


def interesting_f64(name: str, count: int) -> np.ndarray:
    """Random arguments over every scale, and densely where the result changes form."""
    rng = np.random.default_rng(7)
    sign = rng.choice([-1.0, 1.0], count)
    scales = sign * np.exp2(rng.uniform(-1074.0, 1024.0, count))
    near = rng.uniform(-4.0, 4.0, count)
    if name in ("exp", "expm1", "sigmoid"):
        return np.concatenate([scales, near, rng.uniform(-760.0, 720.0, count)])
    if name == "log":
        return np.concatenate([np.abs(scales), np.abs(near), 1.0 + sign * np.exp2(rng.uniform(-52.0, -1.0, count))])
    if name == "log1p":
        return np.concatenate([np.abs(scales), rng.uniform(-1.0, 4.0, count), -np.exp2(rng.uniform(-60.0, 0.0, count))])
    if name in ("sin", "cos"):
        multiples = np.round(rng.uniform(-(2**20), 2**20, count)) * (math.pi / 2)
        return np.concatenate([scales[np.abs(scales) < QUARTER_TURNS], near, multiples])
    return np.concatenate([scales, near, rng.uniform(-22.0, 22.0, count)])


def worst_ulp_f64(name: str, count: int) -> float:
    x = interesting_f64(name, count)
    worst = 0.0
    with mpmath.workdps(40):
        for argument, got in zip(x.tolist(), values(name, x, "f64").tolist(), strict=True):
            exact = REFERENCES[name][1](mpmath.mpf(argument))
            if got == float(exact) or (name == "sigmoid" and got == 0.0 and abs(exact) < SMALLEST["f64"]):
                continue
            assert math.isfinite(got), (name, argument)
            unit = mpmath.ldexp(1, max(int(mpmath.frexp(exact)[1]) - 53, -1074))
            worst = max(worst, float(abs(got - exact) / unit))
    return worst


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_accurate_to_2_ulp_over_all_exponents(name):
    assert worst_ulp_f32(name, stride=257 if name in COMMON else 1021) <= 2.0


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_accurate_to_2_ulp(name):
    assert worst_ulp_f64(name, count=1500) <= 2.0


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("exp", {-math.inf: 0.0, math.inf: math.inf, 0.0: 1.0, -1e30: 0.0, 1e30: math.inf}),
        ("expm1", {-math.inf: -1.0, math.inf: math.inf, 0.0: 0.0, -1e30: -1.0, 1e30: math.inf, 1e-30: 1e-30}),
        ("log", {-0.0: -math.inf, 1.0: 0.0, math.inf: math.inf, -1.0: math.nan, -math.inf: math.nan}),
        ("log1p", {-1.0: -math.inf, 0.0: 0.0, math.inf: math.inf, -1.5: math.nan, -math.inf: math.nan, 1e-30: 1e-30}),
        ("tanh", {-math.inf: -1.0, math.inf: 1.0, 0.0: 0.0, 1e30: 1.0, -1e30: -1.0, 1e-30: 1e-30}),
        ("sigmoid", {-math.inf: 0.0, math.inf: 1.0, 0.0: 0.5, 1e30: 1.0, -1e30: 0.0, 100.0: 1.0, 1e-30: 0.5}),
        ("sin", {math.inf: math.nan, -math.inf: math.nan, 0.0: 0.0, 1e30: math.nan, 1e-30: 1e-30}),
        ("cos", {math.inf: math.nan, -math.inf: math.nan, 0.0: 1.0, 1e30: math.nan, 1e-30: 1.0}),
        ("atan", {math.inf: math.pi / 2, -math.inf: -math.pi / 2, 0.0: 0.0, 1e-30: 1e-30}),
        ("erf", {math.inf: 1.0, -math.inf: -1.0, 0.0: 0.0, 1e30: 1.0}),
    ],
)
def test_special_values(name, cases, precision):
    arguments = np.array([*cases, math.nan], DTYPES[precision])
    expected = np.array([*cases.values(), math.nan], DTYPES[precision])
    np.testing.assert_array_equal(values(name, arguments, precision), expected)


def test_sigmoid_is_stable_over_100_and_beyond():
    x = np.linspace(0.0, 120.0, 50_001)
    for precision in DTYPES:
        above, below = values("sigmoid", x, precision), values("sigmoid", -x, precision)
        assert above.max() == 1.0
        assert below.min() >= 0.0
        np.testing.assert_allclose(above + below, 1.0, rtol=2 * np.finfo(above.dtype).eps)


def test_tiny_arguments_come_back_as_they_are():
    tiny = {"f32": np.array([1e-38, -1e-38, 1e-45, -0.0], np.float32), "f64": np.array([1e-308, -1e-308, 5e-324, -0.0])}
    for precision, x in tiny.items():
        for name in ("expm1", "log1p", "tanh", "atan", "sin"):
            np.testing.assert_array_equal(values(name, x, precision), x)


def test_exp_underflows_gradually_and_overflows_at_the_edge():
    assert values("exp", [-103.0])[0] == np.float32(math.exp(-103.0)) > 0.0
    assert values("exp", [-745.0], "f64")[0] == 5e-324
    edge = np.float32(88.722839)  # is 88.7228394, and the logarithm of the largest float32 is 88.7228391
    np.testing.assert_array_equal(np.isinf(values("exp", [np.nextafter(edge, np.float32(0.0)), edge])), [False, True])


def test_sine_and_cosine_far_out_err_as_a_rounded_argument_would():
    x = np.random.default_rng(1).uniform(2.0**21, 2.0**40, 2000)
    for name, function in (("sin", mpmath.sin), ("cos", mpmath.cos)):
        with mpmath.workdps(40):
            exact = np.array([float(function(mpmath.mpf(a))) for a in x])
        assert (np.abs(values(name, x, "f64") - exact) <= np.spacing(x)).all()


def power(x: np.ndarray, y: np.ndarray, precision: str = "f32") -> np.ndarray:
    function = {"f32": numba_math.pow_f32, "f64": numba_math.pow_f64}[precision]

    @numba.njit(error_model="numpy")
    def apply(x, y, out):
        for i in range(x.size):
            out[i] = function(x[i], y[i])

    x, y = x.astype(DTYPES[precision]), y.astype(DTYPES[precision])
    out = np.empty_like(x)
    apply(x, y, out)
    return out


def test_power():
    rng = np.random.default_rng(3)
    x, y = np.exp(rng.uniform(-20.0, 20.0, 500_000)).astype(np.float32), rng.uniform(-9, 9, 500_000).astype(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        exact = x.astype(np.float64) ** y.astype(np.float64)
        rounded = exact.astype(np.float32)
    got = power(x, y)
    usual = (exact > SMALLEST["f32"]) & np.isfinite(rounded)
    assert (np.abs(got[usual] - exact[usual]) <= 0.51 * np.spacing(rounded[usual]).astype(np.float64)).all()
    np.testing.assert_array_equal(got[exact > 1e39], np.inf)

    special = [-math.inf, -3.0, -2.0, -1.5, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 1e30, math.inf, math.nan]
    a, b = (grid.ravel() for grid in np.meshgrid(special, special))
    with np.errstate(all="ignore"):
        expected = np.power(a, b)
        np.testing.assert_allclose(power(a, b), expected.astype(np.float32), rtol=2e-7)
    np.testing.assert_allclose(power(a, b, "f64"), expected, rtol=4e-16)


LIBRARY_CALL = re.compile(r"(?<![\w.])(exp|expm1|log|log1p|tanh|sin|cos|atan|erf|fma)f?(?![\w.])")


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("name", NAMES)
def test_a_loop_vectorises_and_calls_no_library(name, precision):
    values(name, [1.0], precision)
    text = "\n".join(kernel(name, precision).inspect_asm().values())
    assert not LIBRARY_CALL.search(text)
    if ON_X86:
        suffix = {"f32": "ps", "f64": "pd"}[precision]  # scalar code has ss and sd
        assert len(re.findall(rf"(?:fn?m(?:add|sub)\d*|mul){suffix}\s.*%[xyz]mm", text)) >= 4


def test_a_library_call_would_be_noticed():
    @numba.njit
    def apply(x, out):
        for i in range(x.size):
            out[i] = math.exp(x[i])

    apply.compile((numba.float32[::1], numba.float32[::1]))
    assert LIBRARY_CALL.search("\n".join(apply.inspect_asm().values()))


@pytest.mark.parametrize("name", ["exp", "sin"])
def test_values_depend_on_neither_options_nor_place(name):
    x = np.linspace(-30.0, 30.0, 1003).astype(np.float32)
    function, strict = getattr(numba_math, f"{name}_f32"), values(name, x)
    for fastmath in ({"contract"}, True):

        @numba.njit(fastmath=fastmath)
        def apply(x, out):
            for i in range(x.size):
                out[i] = function(x[i])

        out = np.empty_like(x)
        apply(x, out)
        np.testing.assert_array_equal(out, strict)
    for offset in (1, 2, 3, 5, 1002):  # other elements fall into the remainder of the loop
        np.testing.assert_array_equal(values(name, x[offset:]), strict[offset:])


def test_each_precision_keeps_to_itself():
    for function, dtype in (
        (numba_math.exp_f32, np.float32),
        (numba_math.sin_f32, np.float32),
        (numba_math.tanh_f64, float),
    ):
        other = {np.float32: float, float: np.float32}[dtype]
        apply = numba.njit(lambda x, function=function: function(x))
        kind = numba.typeof(dtype(1.0))
        apply(dtype(1.0))
        assert apply.nopython_signatures[0].return_type == kind
        for wrong in (other(1.0), 1):
            with pytest.raises(numba.TypingError, match=f"expected {kind}"):
                apply(wrong)


def test_bitcast_keeps_the_bits():
    @numba.njit
    def there_and_back(x):
        return bitcast(x), bitcast(bitcast(x))

    for number in (np.float32(-1.5), np.float64(math.pi)):
        bits, back = there_and_back(number)
        assert (bits, back) == (number.view({4: np.int32, 8: np.int64}[number.itemsize]), number)


@numba.njit
def denormal_mode() -> int:
    old = flush_denormals()
    restore_denormals(old)
    return old & 0xFFC0  # the lowest bits are not modes but what happened so far


@numba.njit(nogil=True)
def halve(x, out):
    for i in range(x.size):
        out[i] = x[i] * np.float32(0.5)


@numba.njit(nogil=True)
def halve_flushed(x, out):
    old = flush_denormals()
    halve(x, out)
    restore_denormals(old)


@pytest.mark.skipif(not ON_X86, reason="denormals are switched on x86-64 only")
def test_denormals_are_flushed_within_and_kept_after():
    x = np.full(19, 1.2e-38, np.float32)  # half of it is denormal
    kept, flushed, again = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    before = denormal_mode()
    halve(x, kept)
    halve_flushed(x, flushed)
    halve(x, again)
    assert (kept > 0.0).all()
    assert (flushed == 0.0).all()
    assert (again > 0.0).all()
    assert denormal_mode() == before
    assert before & 0x8040 == 0
    halve_flushed(kept, flushed)  # denormal inputs count as 0, too
    assert (flushed == 0.0).all()


enter = numba.njit(lambda: flush_denormals())
leave = numba.njit(lambda old: restore_denormals(old))


@pytest.mark.skipif(not ON_X86, reason="denormals are switched on x86-64 only")
@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh", "sigmoid"])
def test_flushing_changes_denormals_only(name):
    for x in bit_patterns(stride=8191):
        x = x[~(np.abs(x) < SMALLEST["f32"])]
        kept, flushed = values(name, x), np.empty_like(x)
        old = enter()
        kernel(name, "f32")(x, flushed)
        leave(np.uint32(old))
        np.testing.assert_array_equal(flushed, np.where(np.abs(kept) < SMALLEST["f32"], np.float32(0.0), kept))


MODULE = """
import numba
from spikeloom.lang.dialects.numba_intrinsics import flush_denormals, restore_denormals
from spikeloom.lang.dialects.numba_math import exp_f32, log_f32, tanh_f32

@numba.njit(cache=True, nogil=True, error_model="numpy")
def step(x, out):
    old = flush_denormals()
    for i in range(x.size):
        out[i] = tanh_f32(log_f32(exp_f32(x[i])) * numba.float32(1e-38))
    restore_denormals(old)
"""
USE = """
import sys, numpy
sys.path.insert(0, sys.argv[1])
import generated
x = numpy.full(37, -0.5, numpy.float32)
out = numpy.ones_like(x)
generated.step(x, out)
again = x * numpy.float32(1e-38)
print(int(sum(generated.step.stats.cache_hits.values())), bool((out == 0).all()), bool((again < 0).all()))
"""


def run_python(*arguments: str, **environment: str) -> str:
    source = pathlib.Path(numba_math.__file__).parents[3]
    paths = os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, **environment}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_kernels_of_generated_modules_are_cached(tmp_path):
    (tmp_path / "generated.py").write_text(MODULE)
    flushed = str(ON_X86)
    answers = [run_python("-c", USE, str(tmp_path), NUMBA_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2)]
    assert answers == [f"0 {flushed} True\n", f"1 {flushed} True\n"]


@pytest.mark.skipif(not ON_X86, reason="elsewhere every processor has fused multiply-add")
def test_accuracy_without_fused_multiply_add():
    worst = json.loads(run_python(__file__, NUMBA_CPU_NAME="generic"))
    assert max(worst.values()) <= 2.0, worst


if __name__ == "__main__":
    report = {f"{name}_f32": worst_ulp_f32(name, stride=8191) for name in COMMON}
    print(json.dumps(report | {f"{name}_f64": worst_ulp_f64(name, count=500) for name in ("expm1", "log1p")}))
