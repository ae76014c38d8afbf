"""Joules as people read them."""

from __future__ import annotations

from .profiles import Cost

_PREFIXES = ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ"))


def si(joules: float) -> str:
    """Joules with three digits and a prefix.

    >>> si(1.234e-7), si(0.0), si(2.5e-12)
    ('123 nJ', '0 J', '2.5 pJ')
    """
    if not joules:
        return "0 J"
    size, unit = next(((s, u) for s, u in _PREFIXES if abs(joules) >= s * 0.9995), (1e-12, "pJ"))
    value = joules / size
    return f"{value:,.0f} {unit}" if abs(value) >= 999.5 else f"{value:.3g} {unit}"


def total_text(cost: Cost) -> str:
    """The total, and how much work is missing from it.

    >>> total_text(Cost(1e-9)), total_text(Cost(1e-9, unpriced=1200)), total_text(Cost(unpriced=7))
    ('1 nJ', '1 nJ + 1,200 operations', 'not priced')
    """
    if not cost.unpriced:
        return si(cost.total)
    return f"{si(cost.total)} + {cost.unpriced:,.0f} operations" if cost.total else "not priced"
