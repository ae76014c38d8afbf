"""Philox 4x32-10 (Salmon et al. 2011): random numbers that are a function of a key and a counter, without a state."""

# pyright: basic

from __future__ import annotations

import math

import numba
import numpy as np

_MULTIPLIER_A, _MULTIPLIER_B = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_A, _WEYL_B = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF_WORD = np.uint64(32)
_TO_53_BITS = np.uint64(11)


@numba.njit(inline="never", error_model="numpy")
def philox(c0, c1, c2, c3, k0, k1):
    """Four random words from a counter of four words and a key of two."""
    for _ in range(10):
        a = np.uint64(c0) * _MULTIPLIER_A
        b = np.uint64(c2) * _MULTIPLIER_B
        c0 = np.uint32(b >> _HALF_WORD) ^ c1 ^ k0
        c2 = np.uint32(a >> _HALF_WORD) ^ c3 ^ k1
        c1 = np.uint32(b & _LOW)
        c3 = np.uint32(a & _LOW)
        k0 = np.uint32(k0 + _WEYL_A)
        k1 = np.uint32(k1 + _WEYL_B)
    return c0, c1, c2, c3


@numba.njit(error_model="numpy")
def philox_rows(a, b, c, d, k0, k1):
    """:func:`philox` of sixteen counters at once, in place; each argument points to sixteen words."""
    for _ in range(10):
        for row in range(16):
            one = np.uint64(a[row]) * _MULTIPLIER_A
            two = np.uint64(c[row]) * _MULTIPLIER_B
            b0, d0 = b[row], d[row]
            a[row] = np.uint32(two >> _HALF_WORD) ^ b0 ^ k0
            b[row] = np.uint32(two & _LOW)
            c[row] = np.uint32(one >> _HALF_WORD) ^ d0 ^ k1
            d[row] = np.uint32(one & _LOW)
        k0 = np.uint32(k0 + _WEYL_A)
        k1 = np.uint32(k1 + _WEYL_B)


@numba.njit(error_model="numpy")
def uniform_pair(key, step, pair):
    """Two numbers in (0, 1] with 53 random bits each, for two neighbouring neurons in one step."""
    w0, w1, w2, w3 = philox(
        np.uint32(pair & 0xFFFFFFFF), np.uint32(pair >> 32), np.uint32(step & 0xFFFFFFFF), np.uint32(step >> 32),
        np.uint32(key & 0xFFFFFFFF), np.uint32((key >> 32) & 0xFFFFFFFF),
    )  # fmt: skip
    first = ((np.uint64(w0) << _HALF_WORD) | np.uint64(w1)) >> _TO_53_BITS
    second = ((np.uint64(w2) << _HALF_WORD) | np.uint64(w3)) >> _TO_53_BITS
    return (float(first) + 1.0) * 2.0**-53, (float(second) + 1.0) * 2.0**-53


@numba.njit(error_model="numpy")
def exponential_pair(key, step, pair):
    """Two exponential numbers of mean 1."""
    first, second = uniform_pair(key, step, pair)
    return -math.log(first), -math.log(second)


@numba.njit(error_model="numpy")
def normal_pair(key, step, pair):
    """Two standard normal numbers (Box and Muller 1958)."""
    first, second = uniform_pair(key, step, pair)
    radius, angle = math.sqrt(-2.0 * math.log(first)), 2.0 * math.pi * second
    return radius * math.cos(angle), radius * math.sin(angle)
