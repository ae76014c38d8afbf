"""What a search may vary: fields of a configuration and their values; torch-free."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from ..errors import ConfigError, SpikeloomError

Config = TypeVar("Config")
_FORMS = "LOW:HIGH, LOW:HIGH:STEP, log:LOW:HIGH or A,B,C"
_DIGITS = 4  # significant digits of what is tried: the best settings stay readable, and are exactly what was trained

# To choose one of these by its validation score would be to choose luck.
_MEASURES = ("out", "name", "seed", "seeds", "threads", "baseline", "choose")
_MEASURED_WITH = ("data.", "keep.")


@dataclass(frozen=True)
class Span:
    """Numbers from ``low`` to ``high``, in multiples of ``step`` from ``low`` if it is given."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def rounded(self, value: float) -> float:
        """``value`` as it is tried.

        >>> Span(0.001, 0.1).rounded(0.0123456), Span(1, 9, whole=True).rounded(3)
        (0.01235, 3)
        """
        if self.whole:
            return int(value)
        return min(self.high, max(self.low, float(f"{value:.{_DIGITS}g}")))

    def __str__(self) -> str:
        step = f":{self.step:g}" if self.step else ""
        return f"{'log:' * self.log}{self.low:g}:{self.high:g}{step}"


@dataclass(frozen=True)
class Choice:
    """One of ``values``."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return ",".join(map(str, self.values))


Space = Mapping[str, Span | Choice]


def parse_space(texts: Sequence[str], config: Any, near: Any) -> dict[str, Span | Choice]:
    """The space that texts such as ``"neuron.tau=2:50"`` describe, by dotted name with underscores.

    ``near(name)`` returns a sentence about names like an unknown one. Every bound and every choice is tried in
    ``config``, so that a value outside a field's range is refused before anything is trained. Raises
    :class:`ConfigError`.

    >>> from spikeloom.recipes import digits
    >>> space = parse_space(["neuron.tau=2:50", "neuron.width=64,128"], digits(), str)
    >>> {name: str(values) for name, values in space.items()}
    {'neuron.tau': '2:50', 'neuron.width': '64,128'}
    """
    space: dict[str, Span | Choice] = {}
    for text in texts:
        written, equals, values = text.partition("=")
        name = written.lstrip("-").replace("-", "_")
        if not equals or not values:
            raise ConfigError("a --vary has the form NAME=VALUES", got=repr(text), expected=f"NAME={_FORMS}")
        kind = _kind(config, name)
        if kind is None:
            raise ConfigError("there is no such field to vary", got=written, mend=near(written))
        if _measures(name):
            mend = "Give it as an option: it stays the same in all trials."
            raise ConfigError(f"{name} is part of how trials are measured and cannot be varied", mend=mend)
        if name in space:
            raise ConfigError(f"{name} is varied twice", got=text, mend="Give all its values in one --vary.")
        space[name] = _dimension(name, kind, values)
        for value in _corners(space[name]):
            _try(config, name, value, text)
    if not space:
        mend = "For instance --vary optimiser.learning_rate=log:1e-4:1e-1 neuron.tau=2:50"
        raise ConfigError("a search needs something to vary", expected="--vary NAME=VALUES ...", mend=mend)
    return space


def can_vary(config: Any, name: str) -> bool:
    """Whether ``name`` is a number or a choice, and no part of how trials are measured.

    >>> from spikeloom.recipes import digits
    >>> can_vary(digits(), "neuron.tau"), can_vary(digits(), "seed"), can_vary(digits(), "out")
    (True, False, False)
    """
    kind = _kind(config, name)
    return not _measures(name) and (kind in (int, float, bool) or typing.get_origin(kind) is Literal)


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """``config`` with the fields of these dotted names replaced, all at once.

    >>> from spikeloom.recipes import digits
    >>> with_values(digits(), {"neuron.tau": 5.0, "epochs": 2}).neuron.tau
    5.0
    """
    own = {name: value for name, value in values.items() if "." not in name}
    inner: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        head, dot, rest = name.partition(".")
        if dot:
            inner.setdefault(head, {})[rest] = value
    parts = {name: with_values(getattr(config, name), part) for name, part in inner.items()}
    return dataclasses.replace(config, **own, **parts)  # type: ignore[type-var]


def _measures(name: str) -> bool:
    return name in _MEASURES or name.startswith(_MEASURED_WITH)


def _kind(config: Any, name: str) -> Any:
    """The type of a field, or None where there is no such field or it holds further fields."""
    *path, leaf = name.split(".")
    for part in path:
        config = getattr(config, part, None) if part in _fields(config) else None
    if leaf not in _fields(config) or dataclasses.is_dataclass(getattr(config, leaf)):
        return None
    return typing.get_type_hints(type(config))[leaf]


def _fields(config: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(config)] if dataclasses.is_dataclass(config) else []


def _dimension(name: str, kind: Any, text: str) -> Span | Choice:
    if kind in (int, float) and ":" in text:
        return _span(name, kind, text)
    words = text.split(",")
    if typing.get_origin(kind) is Literal:
        values = tuple(_known(name, word, typing.get_args(kind)) for word in words)
    elif kind is bool:
        values = tuple(_known(name, word.lower(), ("true", "false")) == "true" for word in words)
    elif kind in (int, float):
        values = tuple(_number(name, kind, word) for word in words)
    else:
        mend = "Give it as an option: it stays the same in all trials."
        raise ConfigError(f"{name} cannot be varied: it is no number and no choice", got=text, mend=mend)
    if len(set(values)) < len(values):
        raise ConfigError(f"{name} has a value twice", got=text)
    if len(values) < 2:
        raise ConfigError(f"{name} has one value only", got=text, expected=_FORMS, mend="Or give it as an option.")
    return Choice(values)


def _span(name: str, kind: type[int] | type[float], text: str) -> Span:
    log = text.startswith("log:")
    numbers = [_number(name, kind, word) for word in text.removeprefix("log:").split(":")]
    if len(numbers) not in (2, 2 if log else 3):
        raise ConfigError(f"the values of {name}", got=text, expected=_FORMS)
    low, high = numbers[:2]
    step = numbers[2] if len(numbers) == 3 else None
    if not low < high:
        raise ConfigError(f"the values of {name} are in the wrong order", got=text, expected="LOW below HIGH")
    if log and low <= 0:
        raise ConfigError(f"a logarithmic range of {name} starts above 0", got=text)
    if step is not None:
        if not 0 < step <= high - low:
            raise ConfigError(f"the step of {name}", got=step, expected=f"above 0 and at most {high - low:g}")
        high = low + math.floor((high - low) / step + 1e-9) * step  # the last that is reached
    return Span(low, high, log, step, kind is int)


def _number(name: str, kind: type[int] | type[float], word: str) -> float:
    try:
        value = kind(word)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ConfigError(f"the values of {name}", got=repr(word), expected=what) from None
    if not math.isfinite(value):
        raise ConfigError(f"the values of {name}", got=word, expected="finite numbers")
    return value


def _known(name: str, word: str, words: Sequence[str]) -> str:
    if word not in words:
        raise ConfigError(f"the values of {name}", got=repr(word), expected=f"some of {', '.join(map(str, words))}")
    return word


def _corners(dimension: Span | Choice) -> tuple[Any, ...]:
    return dimension.values if isinstance(dimension, Choice) else (dimension.low, dimension.high)


def _try(config: Any, name: str, value: Any, text: str) -> None:
    try:
        with_values(config, {name: value})
    except SpikeloomError as error:
        raise ConfigError(f"--vary {text}: {error}") from None
