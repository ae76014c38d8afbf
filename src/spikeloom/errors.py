"""One family of errors. Each says what was got, what was expected and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable


class SpikeloomError(Exception):
    """Base of every error that spikeloom raises on purpose.

    The parts stay available as attributes, so that a program can react to them.

    >>> print(SpikeloomError("tau is out of range", got=-1.0, expected="> 0 ms", mend="Use a positive tau."))
    tau is out of range: got -1.0, expected > 0 ms. Use a positive tau.
    """

    def __init__(self, what: str, *, got: object = None, expected: object = None, mend: str = "") -> None:
        self.what, self.got, self.expected, self.mend = what, got, expected, mend
        facts = [f"{name} {value}" for name, value in (("got", got), ("expected", expected)) if value is not None]
        text = what + (": " + ", ".join(facts) if facts else "")
        end = "" if text.endswith(("?", ".")) else "."
        super().__init__(f"{text}{end} {mend}" if mend else text)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.got, self.expected, self.mend)


def _rebuild(cls: type[SpikeloomError], what: str, got: object, expected: object, mend: str) -> SpikeloomError:
    return cls(what, got=got, expected=expected, mend=mend)


class ParameterError(SpikeloomError, ValueError):
    """A parameter, option or argument has a value that cannot be used."""


class DimensionError(SpikeloomError, TypeError):
    """Physical dimensions do not agree, for instance a conductance where a time belongs."""


class ModelError(SpikeloomError, TypeError):
    """A neuron model is not written as the contract asks."""


class ShapeError(SpikeloomError, ValueError):
    """A tensor has the wrong layout; sequences are ``[T, B, ...]``."""


class StateError(SpikeloomError, ValueError):
    """A carried state does not fit: other batch size, dtype, device or states."""


class SpikeError(SpikeloomError, ValueError):
    """Values other than 0 and 1 where spikes are expected."""


class NonFiniteError(SpikeloomError, ArithmeticError):
    """NaN or infinity appeared in an input, a state or a loss."""


class BackendError(SpikeloomError, RuntimeError):
    """The backend that was asked for cannot run this."""


class ConfigError(SpikeloomError, ValueError):
    """An unknown or unusable field of a configuration, or an unknown name on the command line."""


class BenchError(SpikeloomError, RuntimeError):
    """A contender of a benchmark failed, or contenders do not compute the same; no figure is shown then."""


class FileError(SpikeloomError, OSError):
    """A file or folder cannot be read, written or trusted."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence naming the close matches of ``name``, or listing everything known.

    >>> did_you_mean("tua", ["tau", "v_threshold"])
    'Did you mean tau?'
    """
    options = sorted(known)
    near = near_names(str(name), options)  # whatever somebody gave instead of a name
    return f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(options) or 'none'}."


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """The names that ``name`` was probably meant to be: the same in another case, longer ones, or a slip or two away.

    >>> near_names("TAU", ["tau"]), near_names("adex_", ["adex", "alif"]), near_names("foo", ["if", "lif"])
    (['tau'], ['adex'], [])
    """
    options = sorted(known)
    cased = [option for option in options if option.lower() == name.lower()]
    longer = [option for option in options if option.startswith(name if len(name) > 2 else f"{name}_")]
    if cased or longer:
        return cased or longer
    slips = {option: _slips(name, option) for option in options}
    least = min(slips.values(), default=0)
    # All letters exchanged is another name, however short.
    near = [option for option in options if slips[option] == least < max(len(name), len(option))]
    return near if least <= 1 + len(name) // 6 else []


def _slips(a: str, b: str) -> int:
    """Letters to leave out, put in, exchange or swap with their neighbour, from ``a`` to ``b``, or to its beginning."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        before, last, row = row, before, [i]
        for j, other in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return min(row[-1], 1 + min(row)) if len(a) > 3 else row[-1]
