"""Configurations of named networks refuse, in Python as well, what is no choice and what is no number."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Literal

import pytest

from spikeloom.errors import ConfigError
from spikeloom.networks import NETWORKS, BrunelConfig, CubaConfig, LiquidConfig, MicrocircuitConfig, SynfireConfig
from spikeloom.networks.c_elegans import CElegansConfig, WiringConfig
from spikeloom.recipes.common import require

CONFIGS = [type(network.configure()) for network in NETWORKS] + [WiringConfig]


def choices(kind: Any) -> list[str]:
    """The words of a Literal, also within a union."""
    parts = typing.get_args(kind)
    return list(parts) if typing.get_origin(kind) is Literal else [c for part in parts for c in choices(part)]


FIELDS = [(c, n, k) for c in CONFIGS for n, k in typing.get_type_hints(c).items() if choices(k)]


@pytest.mark.parametrize(("config", "name", "kind"), FIELDS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_choice_is_one_of_those_there_are(config: type[Any], name: str, kind: Any) -> None:
    for word in choices(kind):
        changes = {name: word, "dt": 0.05} if config.__name__ == "CobaHHConfig" else {name: word}
        assert getattr(config(**changes), name) == word
    for wrong in ("zz", 5, choices(kind)):
        with pytest.raises(ConfigError) as raised:
            config(**{name: wrong})
        assert raised.value.what == name
        assert raised.value.got == repr(wrong)
        assert all(f'"{word}"' in str(raised.value.expected) for word in choices(kind))


def test_fields_with_choices_are_found() -> None:
    found = {(config.__name__, name) for config, name, _ in FIELDS}
    assert {("CubaConfig", "rule"), ("CubaConfig", "weights"), ("BrunelConfig", "state"), ("WiringConfig", "cells"),
            ("MicrocircuitConfig", "background"), ("RingConfig", "precision")} <= found  # fmt: skip


def test_the_error_says_what_was_meant() -> None:
    with pytest.raises(ConfigError) as raised:
        CubaConfig(rule="bernouli")  # type: ignore[arg-type]
    said = 'rule: got \'bernouli\', expected "fixed-in-degree" or "bernoulli". Did you mean bernoulli?'
    assert str(raised.value) == said
    with pytest.raises(ConfigError, match='expected "A" or "B" or "C" or "D"'):
        BrunelConfig(state="E")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Did you mean neurons"):
        CElegansConfig(data=WiringConfig(cells="neuron"))  # type: ignore[arg-type]


def test_a_choice_may_be_none_where_the_type_says_so() -> None:
    assert MicrocircuitConfig(background=None).background is None
    with pytest.raises(ConfigError, match='background: got \'noise\', expected "dc" or "poisson" or None'):
        MicrocircuitConfig(background="noise")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="precision: got None"):
        CubaConfig(precision=None)  # type: ignore[arg-type]


def test_a_subclass_of_a_configuration_is_checked_as_well() -> None:
    with pytest.raises(ConfigError, match='mode: got \'slow\', expected "fast" or "exact"'):
        Own(mode="slow")  # type: ignore[arg-type]
    assert Own(mode="exact").mode == "exact"


@dataclasses.dataclass(frozen=True)
class Own(CubaConfig):
    """Another network of somebody else."""

    mode: Literal["fast", "exact"] = "fast"


@pytest.mark.parametrize("name", ["neurons", "in_degree", "delay", "seed", "duration", "discard", "dt", "threads"])
@pytest.mark.parametrize("wrong", ["a", None, [1.0]])
def test_what_is_no_number_is_refused(name: str, wrong: object) -> None:
    with pytest.raises(ConfigError) as raised:
        CubaConfig(**{name: wrong})  # type: ignore[arg-type]
    assert raised.value.what == f"{name} is no number"
    assert raised.value.got == repr(wrong)


@pytest.mark.parametrize(
    ("config", "name"),
    [(BrunelConfig, "g"), (MicrocircuitConfig, "in_degree_scale"), (LiquidConfig, "rate"), (SynfireConfig, "discard")],
)
def test_what_is_no_number_is_refused_where_it_is_computed_with(config: type[Any], name: str) -> None:
    with pytest.raises(ConfigError, match="is no number: got 'x', expected"):
        config(**{name: "x"})


def test_numbers_of_numpy_are_numbers() -> None:
    import numpy as np

    require("epochs", np.int64(3), low=1)
    require("tau", np.float32(3.0), above=0.0)
    with pytest.raises(ConfigError, match="tau is out of range: got nan"):
        require("tau", np.float64("nan"), above=0.0)
