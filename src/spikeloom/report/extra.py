"""A part of one page that another page takes in, with its charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .page import Html, Section

if TYPE_CHECKING:
    from bokeh.models import Model


@dataclass(frozen=True)
class Extra:
    """``section(places)`` makes the section from the places of its ``charts()``, by their names; ``style`` is CSS."""

    charts: Callable[[], Mapping[str, Model]]
    section: Callable[[Mapping[str, Html]], Section]
    style: str = ""
