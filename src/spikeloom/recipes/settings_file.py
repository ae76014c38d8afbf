"""``config.json``: what a run was asked for, written before it starts; torch-free."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigError, FileError
from ..storage.files import file_error
from ..train.run_folder import RunFolder, plain_config

NAME = "config.json"
Config = TypeVar("Config")

# Where things lie and how fast they go may change while a run goes on; what comes out may not.
_FREE = frozenset({"out", "name", "threads", "data.root", "keep.every", "keep.log_every", "keep.tensorboard"})


def write_settings(folder: RunFolder, recipe: str, config: Any) -> None:
    """Write ``config.json``."""
    folder.write_json(NAME, {"recipe": recipe, "config": plain_config(config)})


def forget_settings(folder: RunFolder) -> None:
    """Remove ``config.json`` from a run that failed before it wrote anything else, so that its name is free again."""
    if [path.name for path in folder.path.iterdir()] == [NAME]:
        (folder.path / NAME).unlink()


def read_settings(path: Path) -> tuple[str, dict[str, Any]]:
    """Name of the recipe and its configuration as JSON values.

    Raises :class:`FileError` when ``path`` is not the folder of a run, or its ``config.json`` is damaged.
    """
    file = path / NAME
    if not file.exists():
        raise FileError(f"{path} is not the folder of a run: there is no {NAME}")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        name, config = found["recipe"], found["config"]
    except OSError as error:
        raise file_error("read", file, error) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileError(f"{file} is damaged: {error}") from error
    if not isinstance(name, str) or not isinstance(config, dict):
        raise FileError(f"{file} is damaged: it holds no configuration")
    return name, config


def config_from(default: Config, plain: Mapping[str, Any], what: str) -> Config:
    """``default`` with every field as in ``plain``, the inverse of ``plain_config``.

    Raises :class:`ConfigError` for unknown fields and values of another kind.

    >>> from spikeloom.recipes.common import LIFConfig
    >>> config_from(LIFConfig(), {"tau": 5.0}, "a run")
    LIFConfig(tau=5.0, learn_tau=False)
    """
    fields = {field.name: getattr(default, field.name) for field in dataclasses.fields(default)}  # type: ignore[arg-type]
    unknown = [name for name in plain if name not in fields]
    if unknown:
        raise ConfigError(f"{what} has a setting that this version does not know", got=", ".join(unknown))
    changes = {name: _as(fields[name], value, f"{what}: {name}") for name, value in plain.items()}
    return dataclasses.replace(default, **changes)  # type: ignore[type-var]


def changed_fields(then: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two configurations as JSON values, but for what may, each as "epochs was 3 and is now 4".

    >>> changed_fields({"epochs": 3, "threads": 1}, {"epochs": 4, "threads": 2})
    ['epochs was 3 and is now 4']
    """
    found: list[str] = []
    for name in [*now, *(n for n in then if n not in now)]:
        a, b, path = then.get(name), now.get(name), prefix + name
        if isinstance(a, dict) and isinstance(b, dict):
            found += changed_fields(a, b, f"{path}.")
        elif a != b and path not in _FREE:
            found.append(f"{path.replace('_', '-')} was {a} and is now {b}")
    return found


def _as(default: Any, value: Any, what: str) -> Any:
    if dataclasses.is_dataclass(default) and isinstance(value, dict):
        return config_from(default, value, what)
    if isinstance(default, Path) and isinstance(value, str):
        return Path(value)
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    fits = type(value) is type(default) or (isinstance(default, float) and type(value) is int)
    if not fits:
        raise ConfigError(f"{what} cannot be used", got=repr(value), expected=type(default).__name__)
    return value
