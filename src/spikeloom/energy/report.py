"""A spiking net and its ANN under each profile, both in joules per sample, and the spike rate where they meet."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

from ..errors import ParameterError, did_you_mean
from .counts import Measured
from .prices import Accuracies, Price, plain_price, price_from_plain, priced
from .profiles import PROFILES, Profile
from .text import energy_text


@dataclasses.dataclass(frozen=True)
class EnergyReport:
    """Counts and prices. ``str(report)`` is a table; ``plain()`` goes into a JSON file and ``from_plain`` reads it."""

    spiking: Measured
    ann: Measured | None
    prices: tuple[Price, ...]
    accuracies: Accuracies | None = None

    def price(self, profile: str) -> Price:
        """The price under the profile of that name; :class:`ParameterError` for one that is not there."""
        found = {price.profile: price for price in self.prices}
        if profile not in found:
            raise ParameterError(f"no profile {profile!r} in this report", mend=did_you_mean(profile, found))
        return found[profile]

    def ratio(self, profile: str) -> float:
        """Joules of the spiking net over joules of the ANN, which means something only beside both accuracies.

        Raises :class:`ParameterError` without an ANN, without the accuracies, and where either has unpriced
        operations.
        """
        price = self.price(profile)
        if price.ann_total is None or self.accuracies is None:
            missing = "ANN" if price.ann_total is None else "accuracies of both nets"
            mend = "Give ann= and accuracies= to energy.compare: a ratio of nets that differ in accuracy says nothing."
            raise ParameterError("a ratio of energies", got=f"no {missing}", expected=missing, mend=mend)
        if price.unpriced or not price.ann_total.total:
            raise ParameterError(f"a ratio under {profile}", got=f"{price.unpriced:g} operations without a price")
        return price.total.total / price.ann_total.total

    def __str__(self) -> str:
        return energy_text(self.spiking, self.ann, self.prices, self.accuracies)

    def plain(self) -> dict[str, Any]:
        """As numbers, texts, lists and dictionaries; joules are per sample."""
        return {
            "spiking": self.spiking.plain(),
            "ann": None if self.ann is None else self.ann.plain(),
            "accuracies": None if self.accuracies is None else dataclasses.asdict(self.accuracies),
            "profiles": [plain_price(price) for price in self.prices],
            "per_sample": {"spiking": _per_sample(self.spiking), "ann": self.ann and _per_sample(self.ann)},
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """What :meth:`plain` gave."""
        accuracies = plain["accuracies"]
        return cls(
            Measured.from_plain(plain["spiking"]),
            None if plain["ann"] is None else Measured.from_plain(plain["ann"]),
            tuple(price_from_plain(p) for p in plain["profiles"]),
            None if accuracies is None else Accuracies(**accuracies),
        )


def compare(
    spiking: Measured,
    ann: Measured | None = None,
    profiles: Sequence[Profile] = PROFILES,
    *,
    accuracies: Accuracies | None = None,
) -> EnergyReport:
    """Price ``spiking``, and ``ann`` beside it, under each of the ``profiles``.

    Raises :class:`ParameterError` where the two are counted at different bit widths.

    >>> import torch, spikeloom as sl
    >>> from spikeloom import energy
    >>> snn = sl.nn.Sequential(torch.nn.Linear(8, 4), sl.nn.Neuron(sl.LIF()), torch.nn.Linear(4, 2))
    >>> ann = sl.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> x = torch.rand(1, 16, 8)
    >>> report = compare(energy.measure(snn, [x.expand(5, 16, 8)]), energy.measure(ann, [x]))
    >>> price = report.price("45nm-arithmetic")
    >>> price.total.total > 0 and price.ann_total.total > 0
    True
    """
    if ann is not None and ann.bits != spiking.bits:
        mend = "Measure both with the same bits=, so that both are priced alike."
        raise ParameterError("bits of the two nets", got=f"{spiking.bits} and {ann.bits}", expected="one", mend=mend)
    return EnergyReport(spiking, ann, tuple(priced(p, spiking, ann) for p in profiles), accuracies)


def _per_sample(run: Measured) -> dict[str, float]:
    names = ("acs", "macs", "dense", "updates", "spikes")
    return {name: getattr(run, name) / run.samples for name in names} | {
        "steps": run.steps,
        "spikes_per_neuron_step": run.spikes_per_neuron_step,
    }
