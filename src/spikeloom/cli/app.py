"""Finds the command, runs it, and turns every expected failure into one message and an exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from .. import __version__
from ..errors import ConfigError, NonFiniteError, SpikeloomError, did_you_mean
from ..train.stop import StoppedError
from .interrupts import Interrupts

DONE, REFUSED, DIVERGED, PIPE_CLOSED = 0, 2, 3, 141
SIGNAL = 128


@dataclass(frozen=True)
class Command:
    """A word after ``spikeloom``; its module is imported only when the word is used."""

    name: str
    summary: str
    module: str


COMMANDS = (
    Command("list", "recipes, networks, neuron models and data sets", "spikeloom.cli.listing"),
    Command("train", "train a network from a recipe, for instance `spikeloom train digits`", "spikeloom.cli.train"),
    Command("evaluate", "what a finished run does on its test set, and how it stands noise", "spikeloom.cli.evaluate"),
    Command("report", "make the report of a finished run again", "spikeloom.cli.report"),
    Command("simulate", "simulate a spiking network, for instance `spikeloom simulate cuba`", "spikeloom.cli.simulate"),
    Command("search", "look for settings of a recipe, with optuna", "spikeloom.cli.search"),
    Command("compare", "finished runs side by side: `spikeloom compare runs/a runs/b`", "spikeloom.cli.compare"),
    Command(
        "neuron",
        "simulate one neuron, or draw them all: `spikeloom neuron lif`, `spikeloom neuron gallery`",
        "spikeloom.cli.neuron",
    ),
    Command("bench", "speed beside peers and floors, for instance `spikeloom bench simulate`", "spikeloom.cli.bench"),
)

_EXIT_CODES = """exit codes:
  0    done
  2    the request cannot be carried out: unknown name, unusable value, file or folder
  3    the computation diverged (NaN or infinity)
  130  interrupted with Ctrl-C; a training has saved a checkpoint and goes on with --resume
  143  the same by SIGTERM
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default ``sys.argv[1:]``) and return the exit code.

    >>> main(["list", "everything"])
    2
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Before torch is loaded: its threads otherwise spin while they wait, and on a busy machine two threads are then
    # many times slower than one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with Interrupts() as interrupts, warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            _dispatch(arguments)
            sys.stdout.flush()
        except StoppedError as error:
            print(f"spikeloom: {error}", file=sys.stderr)
            return SIGNAL + (interrupts.number or error.number)
        except SpikeloomError as error:
            print(f"spikeloom: {error}", file=sys.stderr)
            return DIVERGED if isinstance(error, NonFiniteError) else REFUSED
        except BrokenPipeError:
            # The reader (`head`, `less`) has gone. Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
        except BaseException as error:
            if not (interrupts.seen or isinstance(error, KeyboardInterrupt)):
                raise
            print("\nspikeloom: interrupted; nothing half-written was left behind.", file=sys.stderr)
            code = SIGNAL + (interrupts.number or signal.SIGINT)
            if argv is None:
                # An import that was cut short can make Python's own way out fail, or end by the signal.
                sys.stderr.flush()
                os._exit(code)
            return code
    return DONE


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    print(f"spikeloom: {message}", file=sys.stderr)


def _dispatch(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    if arguments[0] == "--version":
        print(f"spikeloom {__version__}")
        return
    by_name = {command.name: command for command in COMMANDS}
    if arguments[0] not in by_name:
        mend = f"{did_you_mean(arguments[0], by_name)} See `spikeloom --help`."
        raise ConfigError("there is no such command", got=repr(arguments[0]), mend=mend)
    importlib.import_module(by_name[arguments[0]].module).run(arguments[1:])


def usage() -> str:
    """The text of ``spikeloom --help``."""
    width = max(len(command.name) for command in COMMANDS)
    lines = [f"  {command.name:<{width}}  {command.summary}" for command in COMMANDS]
    return "\n".join(
        [
            "usage: spikeloom COMMAND [...]",
            "",
            "Spiking neural networks in which a neuron is written once, as its equations.",
            "",
            "commands:",
            *lines,
            "",
            "  `spikeloom COMMAND --help` tells more; `spikeloom --version` prints the version.",
            "",
            _EXIT_CODES.rstrip(),
        ]
    )
