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
    """The message in a box that tyro drew: its first paragraph, up to the rule.

    >>> _plain(" Value error \\n ------------ \\n --epochs: no number \\n ------------ \\n help ")
    '--epochs: no number'
    """
    lines: list[str] = []
    # Where the output has no box characters, the title is a line of its own above a first rule.
    titled = box.lstrip()[:1] not in ("╭", "+")
    for line in box.splitlines():
        text = line.strip("│| ")
        if text and not text.strip("─-"):
            if not titled:
                break
            titled, lines = False, []
        elif text and text[0] not in "╭╰+":
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
    mend = f"{near_options(name, known)} See `{prog} --help`."
    return ConfigError(f"`{prog}` has no such option", got=f"--{name}", mend=mend)


def near_options(name: str, known: list[str], prefix: str = "--") -> str:
    """A sentence naming the options like ``name``.

    >>> near_options("tau", ["neuron.tau", "readout.tau", "epochs"])
    'Did you mean --neuron.tau or --readout.tau?'
    """
    # `--tau` alone is the commonest slip: name the full options that end in it.
    leaf = name.rpartition(".")[2]
    same_leaf = sorted(f"{prefix}{option}" for option in known if option.rpartition(".")[2] == leaf)
    if same_leaf:
        return f"Did you mean {' or '.join(same_leaf)}?"
    return did_you_mean(f"{prefix}{name}", (f"{prefix}{option}" for option in known))
