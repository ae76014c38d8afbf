"""Nanoseconds per element of the elementary functions: spikeloom's, scalar C through Numba, and NumPy's.

    python benchmarks/elementary.py [--rounds 60] [--size 4096]

The three take turns on the same array within the level-1 cache, and the medians over the rounds are printed. The
last column is one function's share of a cold compilation in CPU seconds: a kernel that calls it, less one that
does not (a function that an earlier one calls is counted there).
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import scipy.special

from spikeloom.lang.dialects import numba_math


@numba.njit(error_model="numpy")
def scalar_sigmoid(x):
    one = x * 0 + 1
    return one / (one + math.exp(-x))


FUNCTIONS: dict[str, tuple[Any, Callable[..., Any]]] = {  # scalar in Numba, and in NumPy
    "exp": (math.exp, np.exp),
    "expm1": (math.expm1, np.expm1),
    "log": (math.log, np.log),
    "log1p": (math.log1p, np.log1p),
    "tanh": (math.tanh, np.tanh),
    "sigmoid": (scalar_sigmoid, scipy.special.expit),
    "sin": (math.sin, np.sin),
    "cos": (math.cos, np.cos),
    "atan": (math.atan, np.arctan),
    "erf": (math.erf, scipy.special.erf),
    "pow": (math.pow, np.power),
}


def loop(function: Any, binary: bool) -> Any:
    """A kernel that applies ``function`` to each element, the second argument of a binary one being 1.7."""
    if binary:

        @numba.njit(nogil=True, error_model="numpy")
        def apply(x, power, out):
            for i in range(x.size):
                out[i] = function(x[i], power)

        return apply

    @numba.njit(nogil=True, error_model="numpy")
    def apply(x, power, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return apply


def compile_seconds(function: Any, binary: bool, dtype: Any) -> tuple[float, Any]:
    kernel, x = loop(function, binary), np.ones(3, dtype)
    begin = time.process_time()
    kernel(x, dtype(1.7), np.empty_like(x))
    return time.process_time() - begin, kernel


def measure(name: str, dtype: Any, rounds: int, size: int) -> tuple[list[float], float]:
    """Nanoseconds per element of ours, scalar C and NumPy, and the seconds that ours adds to a compilation."""
    scalar, vector = FUNCTIONS[name]
    binary = name == "pow"
    idle = compile_seconds(abs, False, dtype)[0]  # also warms Numba up
    idle = min(idle, compile_seconds(abs, False, dtype)[0])
    ours = getattr(numba_math, f"{name}_{'f32' if dtype is np.float32 else 'f64'}")
    seconds, fast = compile_seconds(ours, binary, dtype)
    slow = compile_seconds(scalar, binary, dtype)[1]
    x = np.random.default_rng(0).uniform(0.05, 3.0, size).astype(dtype)
    out, power = np.empty_like(x), dtype(1.7)
    arguments = (x, power) if binary else (x,)
    turns = (lambda: fast(x, power, out), lambda: slow(x, power, out), lambda: vector(*arguments, out=out))
    times: list[list[float]] = [[], [], []]
    repeat = 10
    for _ in range(rounds):
        for turn, kept in zip(turns, times, strict=True):
            begin = time.perf_counter()
            for _ in range(repeat):
                turn()
            kept.append((time.perf_counter() - begin) / (repeat * size) * 1e9)
    return [statistics.median(kept) for kept in times], seconds - idle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--size", type=int, default=4096)
    arguments = parser.parse_args()
    print(
        f"{'ns per element':16}{'ours':>8}{'scalar C':>10}{'NumPy':>8}{'C/ours':>9}{'NumPy/ours':>12}{'compile s':>11}"
    )
    for dtype in (np.float64, np.float32):  # pow_f32 compiles exp_f64 and log_f64, which are to be counted alone
        for name in FUNCTIONS:
            (ours, scalar, vector), seconds = measure(name, dtype, arguments.rounds, arguments.size)
            label = f"{name} {np.dtype(dtype).name}"
            ratios = f"{scalar / ours:9.1f}{vector / ours:12.1f}"
            print(f"{label:16}{ours:8.2f}{scalar:10.2f}{vector:8.2f}{ratios}{seconds:11.2f}", flush=True)


if __name__ == "__main__":
    main()
