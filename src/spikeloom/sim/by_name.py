"""Dictionaries whose missing names say which there are."""

from __future__ import annotations

from typing import Any, TypeVar

from ..errors import ParameterError, did_you_mean

T = TypeVar("T")


class ByName(dict[str, T]):
    """A dictionary by name; asking for a name that there is not raises ParameterError.

    ``empty`` says why where there is none at all.

    >>> ByName("group", {"exc": 1, "inh": 2})["ecx"]
    Traceback (most recent call last):
    ...
    spikeloom.errors.ParameterError: there is no group 'ecx'. Did you mean exc?
    """

    def __init__(self, kind: str, items: dict[str, T], empty: str = "") -> None:
        super().__init__(items)
        self._kind, self._empty = kind, empty

    def __missing__(self, name: Any) -> T:
        mend = did_you_mean(name, self) if self or not self._empty else self._empty
        raise ParameterError(f"there is no {self._kind} {name!r}", mend=mend)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._kind, dict(self), self._empty)


__all__ = ["ByName"]
