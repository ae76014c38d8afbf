"""Which of several results may be called better, and whether they may be compared at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .results import Result, Scores


def obstacles(results: Sequence[Result]) -> list[str]:
    """Why the accuracies of these runs say nothing about each other; empty when they do.

    >>> obstacles([])
    []
    """
    found = []
    data = _by(results, lambda r: r.data)
    if len(data) > 1:
        return ["They learned different data sets: " + _listed(data) + "."]
    tests = _by(results, lambda r: f"{r.test_samples:,} test images")
    if len(tests) > 1:
        found.append("They were tested on different numbers of images: " + _listed(tests) + ".")
    sizes = _by(results, lambda r: " / ".join(f"{r.split[p]:,} {p}" for p in ("train", "validation") if p in r.split))
    if len(sizes) > 1:
        found.append("Their training and validation sets differ in size: " + _listed(sizes) + ".")
    seeds = _by(results, lambda r: f"split seed {r.config.get('data.seed')}")
    if len(seeds) > 1:
        found.append("Their data were split with different seeds: " + _listed(seeds) + ".")
    return found


def told_apart(a: Scores, b: Scores, test_samples: int) -> bool:
    """Whether two accuracies differ by more than chance may do.

    The difference has to exceed the sum of the standard deviations over seeds, so that the intervals mean ± sd do not
    touch, and the standard error of the difference that the size of the test set leaves. A single seed shows no
    spread, so nothing is told apart from it.

    >>> few, many = Scores(0.98, 0.002, 3, *[None] * 4), Scores(0.97, 0.002, 3, *[None] * 4)
    >>> told_apart(few, many, 10_000), told_apart(few, many, 100)
    (True, False)
    """
    if min(a.seeds, b.seeds) < 2:
        return False
    difference = abs(a.accuracy - b.accuracy)
    chance = math.sqrt(sum(s.accuracy * (1.0 - s.accuracy) for s in (a, b)) / test_samples)
    return difference > a.accuracy_sd + b.accuracy_sd and difference > chance


def relation(a: Scores, b: Scores, test_samples: int, what: str) -> str:
    """``a`` beside ``b``, called ``what``, in words.

    >>> good, bad = Scores(0.98, 0.001, 3, *[None] * 4), Scores(0.96, 0.001, 3, *[None] * 4)
    >>> relation(bad, good, 10_000, "the highest"), relation(good, good, 10_000, "the highest")
    ('2.00 points below the highest', 'within the spread of seeds')
    """
    if min(a.seeds, b.seeds) < 2:
        return "one seed: spread unknown"
    if told_apart(a, b, test_samples):
        difference = 100 * (a.accuracy - b.accuracy)
        return f"{abs(difference):.2f} points {'above' if difference > 0 else 'below'} {what}"
    if abs(a.accuracy - b.accuracy) > a.accuracy_sd + b.accuracy_sd:
        return "too close for this test set"
    return "within the spread of seeds"


def relations(results: Sequence[Result]) -> list[str]:
    """What may be said of each run beside the others: "highest" only where one leads alone, nothing without a test
    that all share."""
    if obstacles(results):
        return [""] * len(results)
    several = [r for r in results if r.spiking.seeds > 1]
    if len(several) < 2:
        return ["one seed: spread unknown" if r.spiking.seeds < 2 else "" for r in results]
    test = results[0].test_samples
    best = max(several, key=lambda r: r.spiking.accuracy)
    rivals = [r for r in several if r is not best and not told_apart(r.spiking, best.spiking, test)]
    return [
        ("highest" if len(several) == len(results) else "highest of those with several seeds")
        if r is best and not rivals
        else relation(r.spiking, rivals[0].spiking if r is best else best.spiking, test, "the highest")
        for r in results
    ]


def verdict(results: Sequence[Result], names: Sequence[str]) -> str:
    """One sentence: which runs lead in accuracy, or why no order is given."""
    if obstacles(results):
        return "These runs are not comparable, so no order is given."
    single = [name for result, name in zip(results, names, strict=True) if result.spiking.seeds < 2]
    if single:
        verb = "has" if len(single) == 1 else "have"
        return f"No order is given: {_and(single)} {verb} one seed, which shows no spread. Train at least 2 (--seeds)."
    test = results[0].test_samples
    best = max(results, key=lambda r: r.spiking.accuracy)
    behind = [r is not best and told_apart(r.spiking, best.spiking, test) for r in results]
    lead = [name for name, far in zip(names, behind, strict=True) if not far]
    rest = [name for name, far in zip(names, behind, strict=True) if far]
    if not rest:
        worst = min(results, key=lambda r: r.spiking.accuracy)
        return f"No order is given: the differences in accuracy are {relation(worst.spiking, best.spiking, test, '')}."
    others = _and(rest) if len(rest) <= 3 else f"the other {len(rest)}"
    ahead = f"ahead of {others} by more than the spread of seeds"
    if len(lead) == 1:
        return f"{lead[0]} has the highest test accuracy, {ahead}."
    return f"{_and(lead)} have the highest test accuracies, {ahead}; among themselves they cannot be told apart."


def differences(results: Sequence[Result]) -> dict[str, list[Any]]:
    """The fields of the configurations in which the runs differ, with the value of each run; None where it lacks one.

    >>> differences([])
    {}
    """
    fields = dict.fromkeys(name for result in results for name in result.config)
    values = {name: [result.config.get(name) for result in results] for name in fields}
    return {name: row for name, row in values.items() if any(value != row[0] for value in row)}


def notes(results: Sequence[Result]) -> list[str]:
    """What a reader of the figures has to know."""
    found = []
    if any(result.machine != results[0].machine for result in results):
        found.append("The runs were made on different machines: their training times cannot be compared.")
    profiles = {result.profile for result in results if result.profile}
    if len(profiles) > 1:
        found.append(f"The energies were computed under different profiles: {', '.join(sorted(profiles))}.")
    return found


def short_names(results: Sequence[Result]) -> list[str]:
    """The names of the folders, or the paths where two folders have the same name."""
    names = [result.name for result in results]
    twice = {name for name in names if names.count(name) > 1}
    return [str(r.path) if name in twice else name for r, name in zip(results, names, strict=True)]


def _by(results: Sequence[Result], key: Any) -> Mapping[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for result, name in zip(results, short_names(results), strict=True):
        groups.setdefault(key(result), []).append(name)
    return groups


def _listed(groups: Mapping[str, list[str]]) -> str:
    return ", ".join(f"{value} ({_and(names)})" for value, names in groups.items())


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
