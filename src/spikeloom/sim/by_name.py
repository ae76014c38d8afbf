"""Dictionaries whose missing names say which there are."""

from __future__ import annotations

from typing import Any, TypeVar

from ..errors import ParameterError, did_you_mean

T = TypeVar("T")


class ByName(dict[str, T]):
    """A dictionary by name; asking for a name that there is not raises ParameterError.

    >>> ByName("group", {"exc": 1, "inh": 2})["ecx"]
    Traceback (most recent call last):
    ...
    spikeloom.errors.ParameterError: there is no group 'ecx'. Did you mean exc?
    """

    def __init__(self, kind: str, items: dict[str, T]) -> None:
        super().__init__(items)
        self._kind = kind

    def __missing__(self, name: Any) -> T:
        raise ParameterError(f"there is no {self._kind} {name!r}", mend=did_you_mean(name, self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._kind, dict(self))


__all__ = ["ByName"]
