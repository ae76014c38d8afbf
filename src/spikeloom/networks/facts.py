"""A figure that a network gave, beside the published one."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """``value`` in ``unit``; what was ``published`` by ``source``, and what that allows, from ``low`` to ``high``.

    >>> rate = Fact.near(5.31, "Hz", 5.26, 0.52, "NEST 3.10")
    >>> rate.within, Fact(5.31, "Hz").within
    (True, None)
    """

    value: float
    unit: str = ""
    published: float | None = None
    low: float | None = None
    high: float | None = None
    source: str = ""

    @classmethod
    def near(cls, value: float, unit: str, published: float, tolerance: float, source: str) -> Fact:
        """A figure that should be ``published`` ± ``tolerance``; without a verdict where that allows 0 as well."""
        if 0.0 < published <= tolerance:
            return cls(value, unit, published, source=source)
        return cls(value, unit, published, published - tolerance, published + tolerance, source)

    @property
    def within(self) -> bool | None:
        """Whether the value is in the range; None where there is no range, or no value (NaN)."""
        if self.low is None or self.high is None or not math.isfinite(self.value):
            return None
        return self.low <= self.value <= self.high

    def plain(self) -> dict[str, object]:
        """As JSON values."""
        value = self.value if abs(self.value) < float("inf") else None
        if self.published is None:
            return {"value": value, "unit": self.unit}
        return {
            "value": value, "unit": self.unit, "published": self.published, "low": self.low, "high": self.high,
            "within": self.within, "source": self.source,
        }  # fmt: skip


__all__ = ["Fact"]
