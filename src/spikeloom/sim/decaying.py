"""Which states of a running network are in units that decay with them, and what they are in their own."""

from __future__ import annotations

from collections.abc import Mapping

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

    def keep(self, scaled: bool, step: int) -> None:
        """Have the states before ``step`` in such units, or in their own."""
        if scaled == self.scaled:
            return
        for built in self._populations.values():
            for state, decay in built.decays.items():
                values = built.states[state]
                values[:] = decay.scaled(values, step) if scaled else decay.plain(values, step)
        self.scaled = scaled

    def arrays(self, step: int) -> dict[str, np.ndarray]:
        """The states in their own units as copies, and as they are to the last bit."""
        found = dict[str, np.ndarray]()
        for name, built in self._populations.items():
            for state, decay in self.of(built.population).items():
                values = built.states[state]
                found[f"population/{name}/{state}"] = decay.plain(values, step)
                found[f"{PREFIX}{name}/{state}"] = values
        return found

    def misfits(self, given: Mapping[str, np.ndarray]) -> list[str]:
        """Names of last bits among ``given`` that are not those of all states that may have some."""
        mine = {f"{PREFIX}{name}/{state}": built.states[state]
                for name, built in self._populations.items() for state in built.decays}  # fmt: skip
        found = {name: values for name, values in given.items() if name.startswith(PREFIX)}
        wrong = sorted(set(mine) ^ set(found)) if found else []
        same = {
            n: (values.shape, values.dtype) == (mine[n].shape, mine[n].dtype)
            for n, values in found.items()
            if n in mine
        }
        return wrong + [name for name, fits in same.items() if not fits]

    def restore(self, given: Mapping[str, np.ndarray]) -> None:
        """Take the last bits of :meth:`arrays`, where ``given`` has them."""
        for name, built in self._populations.items():
            for state in built.decays:
                if (values := given.get(f"{PREFIX}{name}/{state}")) is not None:
                    built.states[state][:], self.scaled = values, True


__all__ = ["PREFIX", "Decaying"]
