"""Text for Triton that draws the random numbers of :mod:`spikeloom.kernels.philox`: the same words, bit by bit."""

from __future__ import annotations

from collections.abc import Collection

_TEXTS = {
    "words": """
@triton.jit
def words(key, now, pair):
    # Philox 4x32-10: four words of the counter (pair, now).
    zero = tl.cast(pair * 0, tl.uint32)
    c0, c1 = tl.cast(pair, tl.uint32), tl.cast(pair >> 32, tl.uint32)
    c2, c3 = zero + tl.cast(now, tl.uint32), zero + tl.cast(now >> 32, tl.uint32)
    k0, k1 = zero + tl.cast(key, tl.uint32), zero + tl.cast(key >> 32, tl.uint32)
    a, b = zero + tl.full((), 0xD2511F53, tl.uint32), zero + tl.full((), 0xCD9E8D57, tl.uint32)
    for _ in tl.static_range(10):
        high_a, low_a = tl.umulhi(c0, a), tl.mul(c0, a, sanitize_overflow=False)
        high_b, low_b = tl.umulhi(c2, b), tl.mul(c2, b, sanitize_overflow=False)
        c0, c1, c2, c3 = high_b ^ c1 ^ k0, low_b, high_a ^ c3 ^ k1, low_a
        k0 = tl.add(k0, 0x9E3779B9, sanitize_overflow=False)
        k1 = tl.add(k1, 0xBB67AE85, sanitize_overflow=False)
    return c0, c1, c2, c3
""",
    "unit": """
@triton.jit
def unit(high, low):
    # A number in (0, 1] of 53 random bits.
    bits = ((tl.cast(high, tl.uint64) << 32) | tl.cast(low, tl.uint64)) >> 11
    return (tl.cast(tl.cast(bits, tl.int64), tl.float64) + 1.0) * 1.1102230246251565e-16
""",
    "uniform": """
@triton.jit
def uniform(key, now, lanes, piece):
    # Neighbours share a counter; the pieces of one neuron's number have counters far away.
    a, b, c, d = words(key, now, lanes // 2 + (piece << 40))
    odd = lanes % 2 == 1
    return unit(tl.where(odd, c, a), tl.where(odd, d, b))
""",
    "exponential": """
@triton.jit
def exponential(key, now, lanes):
    return -tl.log(uniform(key, now, lanes, now * 0))
""",
    "normal": """
@triton.jit
def normal(key, now, lanes):
    # Box and Muller 1958.
    a, b, c, d = words(key, now, lanes // 2)
    radius, angle = tl.sqrt(-2.0 * tl.log(unit(a, b))), 6.283185307179586 * unit(c, d)
    return radius * tl.where(lanes % 2 == 1, tl.sin(angle), tl.cos(angle))
""",
    "tabulated": """
@triton.jit
def tabulated(key, now, lanes, table, bits: tl.constexpr):
    # How many of 2**bits - 1 ascending numbers are at most the neuron's word.
    a, b, c, d = words(key, now, lanes // 4)
    place = lanes % 4
    word = tl.cast(tl.where(place == 0, a, tl.where(place == 1, b, tl.where(place == 2, c, d))), tl.int64)
    count = tl.cast(lanes * 0, tl.int64)
    for k in tl.static_range(bits):
        half = 1 << (bits - 1 - k)
        count += tl.where(tl.load(table + count + (half - 1)) <= word, half, 0)
    return count
""",
    "summed": """
@triton.jit
def summed(key, now, lanes, mean, pieces, most):
    # A Poisson number by summing probabilities, large means in pieces of at most 500.
    count = tl.cast(lanes * 0, tl.int64)
    for k in range(0, pieces):
        piece = tl.minimum(mean, 500.0)
        left = uniform(key, now, lanes, tl.cast(k, tl.int64))
        p = tl.exp(-piece)
        total = p
        for n in range(1, most):
            count += tl.cast(left > total, tl.int64)
            p *= piece / tl.cast(n, tl.float64)
            total += p
        mean -= piece
    return count
""",
}  # fmt: skip
_CALLS = {
    "uniform": ("words", "unit"), "exponential": ("words", "unit", "uniform"), "normal": ("words", "unit"),
    "tabulated": ("words",), "summed": ("words", "unit", "uniform"),
}  # fmt: skip


def random_functions(names: Collection[str]) -> list[str]:
    """Lines that define the functions ``names`` and those that they call."""
    needed = {*names, *(other for name in names for other in _CALLS[name])}
    return [line for name, text in _TEXTS.items() if name in needed for line in [*text.strip().splitlines(), "", ""]]


__all__ = ["random_functions"]
