"""Surrogate gradients: the derivative that stands in for that of the spike.

Each has peak 1 (times ``height``) and its own ``width``, in units of the model's threshold scale; so swapping
the shape does not silently change the learning rate. With ``u = (v - v_threshold) / scale``::

    d spike / du = height * shape(u / width)

A compact one, exactly 0 from some distance on (:attr:`Surrogate.support`), saves work where nothing is to be learned.

``detach_reset`` (default True) cuts the gradient through the reset; it belongs to the way a net is trained and
not to the neuron.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from abc import ABC, abstractmethod
from typing import Any

from .errors import ParameterError
from .lang import math as m

# (1 + |x|)^-2 integrates to 2, a Gaussian exp(-x²/2) to sqrt(2 pi), and so on: `primitive` is the smooth step
# whose derivative is `shape`, which finite-difference tests put in the place of the spike.

# Widths at which a tail that merely falls off is not yet rounded to 0, as a Gaussian's is at 39.
_FAR = 16.0


@dataclasses.dataclass(frozen=True)
class Surrogate(ABC):
    """Base of all surrogates: ``width`` > 0, ``height`` > 0, ``detach_reset``."""

    width: float = 1.0
    height: float = 1.0
    detach_reset: bool = True

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ParameterError(f"{type(self).__name__}: {name}", got=value, expected="a finite number > 0")

    @abstractmethod
    def shape(self, x: Any) -> Any:
        """The normalised derivative: 1 at 0 and falling off to both sides."""

    @abstractmethod
    def primitive(self, x: Any) -> Any:
        """An integral of :meth:`shape`, 1/2 at 0: the smooth step that this surrogate differentiates."""

    def derivative(self, u: Any) -> Any:
        """d spike / du at the normalised distance ``u`` to the threshold."""
        return self.shape(u * (1.0 / self.width)) * self.height

    @functools.cached_property
    def support(self) -> float:
        """The distance to the threshold from which on the derivative is exactly 0 on both sides; ``inf`` where it only
        gets small.

        Read off :meth:`shape`, which falls off to both sides. Only below it does a spike have a gradient, so that a
        linear layer after such neurons forms only that part of its input gradient (docs/decisions/0012).

        >>> Triangle(width=0.5).support, Gaussian().support
        (0.5, inf)
        """
        low, high = 0.0, _FAR
        if self.shape(high) != 0.0 or self.shape(-high) != 0.0:
            return math.inf
        while (middle := 0.5 * (low + high)) not in (low, high):
            inside = self.shape(middle) != 0.0 or self.shape(-middle) != 0.0
            low, high = (middle, high) if inside else (low, middle)
        return high * self.width

    def smooth(self, u: Any) -> Any:
        """A smooth step whose derivative is :meth:`derivative`."""
        return 0.5 + (self.primitive(u * (1.0 / self.width)) - 0.5) * (self.width * self.height)


@dataclasses.dataclass(frozen=True)
class ATan(Surrogate):
    """``1 / (1 + (pi x / 2)²)``: Fang et al. 2021, eq. 11, scaled to peak 1; their alpha is 1 / width.

    >>> ATan().derivative(0.0), ATan(width=0.5).derivative(0.0)
    (1.0, 1.0)
    """

    def shape(self, x: Any) -> Any:
        y = x * (math.pi / 2)
        return 1.0 / (1.0 + y * y)

    def primitive(self, x: Any) -> Any:
        return 0.5 + m.atan(x * (math.pi / 2)) * (2.0 / math.pi)


@dataclasses.dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """``1 / (1 + |x|)²`` (Zenke and Ganguli 2018, SuperSpike, eq. 9; their beta is 1 / width).

    >>> FastSigmoid().derivative(1.0)
    0.25
    """

    def shape(self, x: Any) -> Any:
        y = 1.0 + abs(x)
        return 1.0 / (y * y)

    def primitive(self, x: Any) -> Any:
        return 0.5 + x / (1.0 + abs(x))


@dataclasses.dataclass(frozen=True)
class Sigmoid(Surrogate):
    """``4 s (1 - s)`` with ``s = sigmoid(x)``: the logistic function's derivative, scaled to peak 1; finite for any x.

    >>> Sigmoid().derivative(0.0)
    1.0
    """

    def shape(self, x: Any) -> Any:
        # sigmoid(-|x|) keeps its digits in the tails, where 1 - sigmoid(x) would lose them.
        s = m.sigmoid(-abs(x))
        return 4.0 * s * (1.0 - s)

    def primitive(self, x: Any) -> Any:
        return 0.5 + 4.0 * (m.sigmoid(x) - 0.5)


@dataclasses.dataclass(frozen=True)
class Triangle(Surrogate):
    """``max(0, 1 - |x|)`` (Bellec et al. 2018, eq. 4): zero outside one width on both sides.

    Where few neurons are that near to the threshold, the next linear layer's gradients take less time on the CPU
    (:attr:`~Surrogate.support`): often with ``width=0.5``, which may cost a little accuracy, seldom with 1.

    >>> Triangle(width=0.5).derivative(0.25), Triangle().derivative(-3.0)
    (0.5, 0.0)
    """

    def shape(self, x: Any) -> Any:
        return m.maximum(1.0 - abs(x), 0.0)

    def primitive(self, x: Any) -> Any:
        y = m.minimum(m.maximum(x, -1.0), 1.0)
        return 0.5 + y - 0.5 * (y * abs(y))


@dataclasses.dataclass(frozen=True)
class Gaussian(Surrogate):
    """``exp(-x² / 2)`` (Yin et al. 2021, eq. 8, its single bell), so that ``width`` is the standard deviation.

    >>> Gaussian().derivative(0.0)
    1.0
    """

    def shape(self, x: Any) -> Any:
        return m.exp(x * x * -0.5)

    def primitive(self, x: Any) -> Any:
        return 0.5 + m.erf(x * math.sqrt(0.5)) * math.sqrt(math.pi / 2)


SURROGATES: tuple[type[Surrogate], ...] = (ATan, FastSigmoid, Sigmoid, Triangle, Gaussian)
