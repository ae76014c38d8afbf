"""Philox 4x32-10 (Salmon et al. 2011): random numbers that are a function of a key and a counter, without a state.

A counter is (pair, step), a key 64 bits. Words of 32 bits are held in 64, whose products a processor forms for several
counters at once: the loops over pairs below become loops over vectors, which makes them several times faster. Their
numbers do not depend on where a loop begins, since every operation rounds by itself. How many a caller wants must not
be a literal: a loop of known length is laid out step by step before it could become one over vectors.
"""

# pyright: basic

from __future__ import annotations

import math

import numba
import numpy as np
from numba import float64, types, uint32, uint64

from ..lang.dialects import numba_intrinsics
from ..lang.dialects.numba_math import cos_f64, log_f64, sin_f64
from ..lang.dialects.numba_pipeline import KernelCompiler
from ..lang.dialects.numba_values import emitted, on_values

_MULTIPLIER_A, _MULTIPLIER_B = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_A, _WEYL_B = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF_WORD = np.uint64(32)
_TO_21_BITS = np.uint64(11)
_TWO_TO_52 = np.uint64(0x4330000000000000)  # as a float64
_TURN = 2.0 * math.pi

_part = numba.njit(error_model="numpy", pipeline_class=KernelCompiler)  # for kernels
bitcast = on_values(numba_intrinsics.bitcast)


@emitted(types.UniTuple(uint64, 4)(uint64, uint64, uint64))
def block(key, step, pair):
    """Four random words of a counter, as uint64 that hold 32 bits; all arguments are taken as 64 bits."""
    c0, c1 = pair & _LOW, pair >> _HALF_WORD
    c2, c3 = step & _LOW, step >> _HALF_WORD
    k0, k1 = key & _LOW, key >> _HALF_WORD
    for _ in range(10):
        a = c0 * _MULTIPLIER_A
        b = c2 * _MULTIPLIER_B
        c0 = (b >> _HALF_WORD) ^ c1 ^ k0
        c2 = (a >> _HALF_WORD) ^ c3 ^ k1
        c1 = b & _LOW
        c3 = a & _LOW
        k0 = (k0 + _WEYL_A) & _LOW
        k1 = (k1 + _WEYL_B) & _LOW
    return c0, c1, c2, c3


@emitted(types.UniTuple(float64, 2)(uint64, uint64, uint64))
def uniform_pair(key, step, pair):
    """Two numbers in (0, 1] with 53 random bits each, for two neighbouring neurons in one step."""
    a, b, c, d = block.plain(key, step, pair)
    return _unit(a, b), _unit(c, d)


def _unit(high, low):
    """The number in (0, 1] of 53 bits; each operation is exact."""
    # Processors do not convert vectors of 64-bit integers: n | bits of 2**52 are those of the float 2**52 + n.
    upper = bitcast(high | _TWO_TO_52) - 2.0**52
    lower = bitcast((low >> _TO_21_BITS) | _TWO_TO_52) - (2.0**52 - 1.0)
    return upper * 2.0**-32 + lower * 2.0**-53


@_part
def words(key, step, first, count, to):
    """The words of ``count`` counters from ``first`` on, into ``to[:4 * count]`` (uint32)."""
    for i in range(count):
        a, b, c, d = block(key, step, first + i)
        to[4 * i], to[4 * i + 1], to[4 * i + 2], to[4 * i + 3] = uint32(a), uint32(b), uint32(c), uint32(d)


@_part
def uniforms(key, step, first, pairs, to):
    """Those of the pairs from ``first`` on, into ``to[:2 * pairs]``."""
    for i in range(pairs):
        to[2 * i], to[2 * i + 1] = uniform_pair(key, step, first + i)


@_part
def exponentials(key, step, first, pairs, to):
    """Exponential numbers of mean 1."""
    uniforms(key, step, first, pairs, to)
    for i in range(2 * pairs):
        to[i] = -log_f64(to[i])


@_part
def normals(key, step, first, pairs, to):
    """Standard normal numbers (Box and Muller 1958)."""
    uniforms(key, step, first, pairs, to)
    for i in range(pairs):
        radius, angle = math.sqrt(-2.0 * log_f64(to[2 * i])), _TURN * to[2 * i + 1]
        to[2 * i], to[2 * i + 1] = radius * cos_f64(angle), radius * sin_f64(angle)
