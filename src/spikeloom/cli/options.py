"""A nested frozen dataclass as command line options, through tyro."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import tyro

from ..errors import ConfigError, did_you_mean

Config = TypeVar("Config")


def parse(default: Config, arguments: Sequence[str], *, prog: str, description: str) -> Config:
    """``default`` with the fields that ``arguments`` override, for instance ``["--neuron.tau", "10"]``.

    ``--help`` prints every field with its default and exits. Raises :class:`ConfigError` for unknown options,
    naming the near ones, and for values that do not fit their field.
    """
    kind, complaint = type(default), io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            config, unknown = tyro.cli(
                kind,
                default=default,
                args=list(arguments),
                prog=prog,
                description=description,
                return_unknown_args=True,
            )
    except SystemExit as error:
        if not error.code:
            raise  # --help
        text = _plain(complaint.getvalue()).removeprefix(f"Error parsing {kind.__name__}: ")
        raise ConfigError(text.removeprefix("Error parsing "), mend=f"See `{prog} --help`.") from None
    if unknown:
        raise _unknown_option(unknown[0], option_names(default), prog)
    return config


def _plain(box: str) -> str:
    """The message in a box that tyro drew: its first paragraph, up to the rule."""
    lines = []
    for line in box.splitlines():
        text = line.strip("│| ")
        if text and not text.strip("─-"):
            break
        if text and text[0] not in "╭╰+":
            lines.append(text)
    return " ".join(lines).rstrip(".") or box.strip()


def option_names(config: Any, prefix: str = "") -> list[str]:
    """The dotted names of all fields.

    >>> from spikeloom.recipes.common import SplitConfig
    >>> option_names(SplitConfig())
    ['train', 'validation', 'seed']
    """
    return list(_walk(config, prefix))


def _walk(config: Any, prefix: str) -> Iterator[str]:
    for field in dataclasses.fields(config):
        name = prefix + field.name.replace("_", "-")
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _walk(value, f"{name}.")
        else:
            yield name


def _unknown_option(argument: str, known: list[str], prog: str) -> ConfigError:
    if not argument.startswith("-"):
        return ConfigError(f"`{prog}` takes no such argument", got=repr(argument), mend=f"See `{prog} --help`.")
    name = argument.lstrip("-").partition("=")[0].replace("_", "-")
    leaf = name.rpartition(".")[2]
    # `--tau` alone is the commonest slip: name the full options that end in it.
    same_leaf = [f"--{option}" for option in known if option.rpartition(".")[2] == leaf]
    near = (
        f"Did you mean {' or '.join(same_leaf)}?" if same_leaf else did_you_mean(f"--{name}", (f"--{o}" for o in known))
    )
    return ConfigError(f"`{prog}` has no such option", got=f"--{name}", mend=f"{near} See `{prog} --help`.")
