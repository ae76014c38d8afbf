"""Which states of a running network are in units that decay with them, and what they are in their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ..kernels.propagate.decays import Decay
from .build import BuiltPopulation
from .groups import Population
from .projection import Projection

PREFIX = "decaying/"  # of arrays


class Decaying:
    """States of ``populations`` that only decay: ``scaled`` says that they are in such units now.

    Only what runs on compiled kernels wants them so. Everything else takes them in their own units.
    """

    def __init__(self, populations: Mapping[str, BuiltPopulation]) -> None:
        self._populations, self.scaled = populations, False

    def of(self, owner: Population | Projection) -> dict[str, Decay]:
        """The states of ``owner`` that are in such units now; a projection has none."""
        return self._populations[owner.name].decays if self.scaled and isinstance(owner, Population) else {}

    def _all(self) -> Iterator[tuple[str, np.ndarray, Decay]]:
        """Every state that may be in such units: population/state, its array, its units."""
        for name, built in self._populations.items():
            for state, decay in built.decays.items():
                yield f"{name}/{state}", built.states[state], decay

    def keep(self, scaled: bool, step: int) -> None:
        """Have the states before ``step`` in such units, or in their own."""
        if scaled != self.scaled:
            for _, values, decay in self._all():
                values[:] = decay.scaled(values, step) if scaled else decay.plain(values, step)
            self.scaled = scaled

    def arrays(self, step: int) -> dict[str, np.ndarray]:
        """The states in their own units as copies, and as they are to the last bit."""
        found = dict[str, np.ndarray]()
        for name, values, decay in self._all() if self.scaled else []:
            found |= {f"population/{name}": decay.plain(values, step), PREFIX + name: values}
        return found

    def misfits(self, given: Mapping[str, np.ndarray]) -> list[str]:
        """Names of last bits among ``given`` that are not those of all states that may have some."""
        mine = {PREFIX + name: (values.shape, values.dtype) for name, values, _ in self._all()}
        found = {n: (values.shape, values.dtype) for n, values in given.items() if n.startswith(PREFIX)}
        return sorted(n for n in mine | found if mine.get(n) != found.get(n)) if found else []

    def restore(self, given: Mapping[str, np.ndarray]) -> None:
        """Take the last bits of :meth:`arrays`, where ``given`` has them."""
        for name, values, _ in self._all():
            if PREFIX + name in given:
                values[:], self.scaled = given[PREFIX + name], True


__all__ = ["PREFIX", "Decaying"]
