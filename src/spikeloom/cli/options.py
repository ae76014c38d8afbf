"""A nested frozen dataclass as command line options, through tyro."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import re
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import tyro

from ..errors import ConfigError, near_names

Config = TypeVar("Config")

_WORDS = {
    int: "a whole number", float: "a number", str: "a text", Path: "a path", bool: "True or False",
    tuple[int, ...]: "whole numbers", tuple[float, ...]: "numbers", type(None): "None",
}  # fmt: skip


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
        wanted = _wanted(text, default, arguments, prog)
        if wanted is not None:
            raise wanted from None
        said = as_typed(text.removeprefix("Error parsing "), option_names(default))
        raise ConfigError(said, mend=f"See `{prog} --help`.") from None
    if unknown:
        raise _unknown_option(unknown[0], option_names(default), prog)
    return config


def as_typed(text: str, known: Iterable[str]) -> str:
    """The message of a configuration about one of its fields, which it begins with, about the option of that name.

    >>> as_typed("in_degree is out of range", ["in-degree"]), as_typed("neuron: tau: got -1", ["neuron.tau"])
    ('--in-degree is out of range', '--neuron.tau: got -1')
    >>> as_typed("there is no time for the packets", ["duration"])
    'there is no time for the packets'
    """
    for pattern in (r"([\w.-]+): (\w+)", r"(\w+)"):
        found = re.match(pattern, text)
        option = ".".join(found.groups()).replace("_", "-") if found else ""
        if found and option in known:
            return f"--{option}{text[found.end() :]}"
    return text


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
    mend = f"{near_options(name, known)} See `{prog} --help`.".strip()
    return ConfigError(f"`{prog}` has no such option", got=f"--{name}", mend=mend)


def near_options(name: str, known: list[str], prefix: str = "--") -> str:
    """A sentence naming the options like ``name``, or else those of its group; empty where there is none.

    >>> near_options("tau", ["neuron.tau", "readout.tau", "epochs"])
    'Did you mean --neuron.tau or --readout.tau?'
    >>> near_options("neuron.size", ["neuron.tau", "neuron.width", "epochs"])
    'There are --neuron.tau and --neuron.width.'
    """
    # `--tau` alone is the commonest slip: name the full options that end in it.
    group, _, leaf = name.rpartition(".")
    near = [option for option in known if option.rpartition(".")[2] == leaf]
    near = near or [option for option in near_names(name, known) if "." in option or not group]
    if near:
        return f"Did you mean {_listed(near, prefix, 'or')}?"
    groups = near_names(group, {option.rpartition(".")[0] for option in known}) if group else []
    inside = [option for option in known if option.rpartition(".")[0] in groups]
    return f"There are {_listed(inside, prefix, 'and')}." if inside else ""


def _listed(names: Iterable[str], prefix: str, last: str) -> str:
    *most, end = sorted(f"{prefix}{name}" for name in names)
    return f"{', '.join(most)} {last} {end}" if most else end


def _wanted(text: str, default: Any, arguments: Sequence[str], prog: str) -> ConfigError | None:
    """The error for the value of an option that ``text``, tyro's message, names; None where it is of another kind."""
    kinds = {f"--{name}": kind for name, kind in _kinds(default)}
    named = [name for name in kinds if re.search(rf"{re.escape(name)}(?![\w.-])", text)]
    if len(named) != 1 or (expected := _described(kinds[named[0]])) is None:
        return None
    given = ""
    for index, word in enumerate(arguments):
        name, _, value = word.partition("=")
        if name.replace("_", "-") == named[0]:  # given twice, the last one counts
            after = itertools.takewhile(lambda word: not word.startswith("--"), arguments[index + 1 :])
            given = value or " ".join(after)
    got = repr(given) if given else "no value"
    return ConfigError(named[0], got=got, expected=expected, mend=f"See `{prog} --help`.")


def _kinds(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), prefix + field.name.replace("_", "-")
        yield from _kinds(value, f"{name}.") if dataclasses.is_dataclass(value) else [(name, hints[field.name])]


def _described(kind: Any) -> str | None:
    """What an option of this type takes; None for types that no recipe has.

    >>> _described(int), _described(tuple[int, ...]), _described(float | None)
    ('a whole number', 'whole numbers', 'a number or None')
    """
    if typing.get_origin(kind) is Literal:
        return _listed(map(str, typing.get_args(kind)), "", "or")
    if isinstance(kind, types.UnionType):
        parts = [_described(part) for part in typing.get_args(kind)]
        return None if None in parts else " or ".join(str(part) for part in parts)
    return _WORDS.get(kind)
