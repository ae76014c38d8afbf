"""The skeleton that reports share: escaping, tables, one self-contained page, written atomically.

The page carries a content security policy that forbids every request and every script but the ones written
here (by their SHA-256). So a report works offline, and a name that looks like markup stays a name.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import FileError
from .style import CSS

Html = str
_MEND = "Give a file name in a folder that exists and can be written."
_CARD_LETTERS = 24  # a longer value is a text, and goes into a table


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page: title and note are plain text, the body is markup that is already safe."""

    title: str
    body: Html
    note: str = ""
    anchor: str = ""


@dataclasses.dataclass(frozen=True)
class Page:
    """Everything on a page: texts are plain, ``scripts`` are the JavaScript of its charts, ``style`` is added CSS."""

    kind: str
    title: str
    headline: str
    facts: Mapping[str, object]
    sections: Sequence[Section]
    scripts: Sequence[str] = ()
    style: str = ""


def escape(value: object) -> Html:
    """Any value as text that is safe inside an element or a quoted attribute.

    >>> escape("<script>")
    '&lt;script&gt;'
    """
    return html.escape(str(value), quote=True)


def shown(value: object, name: str = "", digits: int = 12) -> str:
    """A value as a person reads it; a number called accuracy between 0 and 1 becomes a percentage.

    >>> shown(0.98125, "test accuracy"), shown(12345), shown(-0.000123456, digits=4), shown(True)
    ('98.1 %', '12,345', '−0.0001235', 'yes')
    """
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:
        value = value.item()  # type: ignore[attr-defined]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if "accuracy" in name.lower() and 0 <= value <= 1:
            return f"{100 * value:.1f} %"
        whole = value.is_integer() and 1e4 <= abs(value) < 1e12
        return (f"{value:,.0f}" if whole else f"{value:.{digits}g}").replace("-", "−")
    if isinstance(value, int):
        return (str(value) if "seed" in name.lower() else f"{value:,}").replace("-", "−")
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(shown(v) for v in value) or "none"
    return "none" if value is None else str(value)


def is_brief(value: object) -> bool:
    """Whether a fact is small enough for the row of figures at the top."""
    many = isinstance(value, (Mapping, list, tuple, set, frozenset))
    return not many and len(shown(value, digits=4)) <= _CARD_LETTERS


def cards(facts: Mapping[str, object]) -> Html:
    """The row of figures at the top: each brief fact with its name below."""
    brief = [(name, value) for name, value in facts.items() if is_brief(value)]
    items = (f"<div><dt>{escape(_words(n))}</dt><dd>{escape(shown(v, n, digits=4))}</dd></div>" for n, v in brief)
    return f'<dl class="cards">{"".join(items)}</dl>' if brief else ""


def table(values: Mapping[str, object]) -> Html:
    """A two-column table; a mapping or a list of mappings as value becomes a table within."""
    rows = (f"<tr><th>{escape(name)}</th><td>{_cell(value, str(name))}</td></tr>" for name, value in values.items())
    return f"<table>{''.join(rows)}</table>" if values else "<p>none</p>"


def details(title: str, body: Html) -> Html:
    """A part that is folded away until it is asked for."""
    return f"<details><summary>{escape(title)}</summary><div>{body}</div></details>"


def run_details(summary: Mapping[str, object], config: Mapping[str, object] | None = None) -> Html:
    """The facts too long for the top of the page, each folded away, and the configuration."""
    long = {name: value for name, value in summary.items() if not is_brief(value)}
    parts = [details("configuration", table(config))] if config is not None else []
    for name, value in long.items():
        body = table(value) if isinstance(value, Mapping) else f"<p>{_cell(value, name)}</p>"
        parts.append(details(_words(name), body))
    return "".join(parts)


def render(page: Page) -> str:
    """The whole document as text."""
    sections = "".join(_section(s) for s in page.sections)
    # A browser hashes a script after turning carriage returns into line feeds.
    scripts = [s.replace("\r\n", "\n").replace("\r", "\n") for s in page.scripts]
    tags = "".join(f"<script>{s}</script>" for s in scripts)
    need = "<noscript><p class=note>The charts on this page need JavaScript.</p></noscript>" if scripts else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(page.title)}</title><style>{CSS}{page.style}</style></head>\n'
        "<body><main>"
        f"<header><p class=kind><b>spikeloom</b> {escape(page.kind)}</p><h1>{escape(page.title)}</h1>"
        f"<p class=headline>{escape(page.headline)}</p>{cards(page.facts)}</header>{need}\n{sections}\n"
        "<footer>Everything on this page is inside this one file; it loads nothing.</footer>"
        f"</main>\n{tags}</body></html>\n"
    )


def require_folder(path: str | os.PathLike[str]) -> None:
    """Raise :class:`FileError` at once, before charts are drawn, where a page cannot be written to ``path``."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise FileError("cannot write the report", got=f"{path}, but {folder} is not a folder", mend=_MEND)


def write_page(path: str | os.PathLike[str], text: str) -> None:
    """Write a document so that a reader sees the old file or the whole new one, never a part.

    Raises:
        FileError: the folder is missing or cannot be written.
    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        with open(draft, "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except OSError as error:
        raise FileError("cannot write the report", got=f"{target} ({error.strerror})", mend=_MEND) from error
    finally:
        _remove(draft)


def _section(section: Section) -> Html:
    note = f"<p class=note>{escape(section.note)}</p>" if section.note else ""
    anchor = f' id="{escape(section.anchor)}"' if section.anchor else ""
    return f"<section{anchor}><h2>{escape(section.title)}</h2>{note}{section.body}</section>"


def _remove(draft: Path) -> None:
    try:
        draft.unlink(missing_ok=True)
    except OSError:  # the folder itself cannot be reached; the first error says so
        return


def _policy(scripts: Sequence[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{d}'" for d in digests)
    # BokehJS compiles the callbacks of its charts, which counts as eval.
    return (
        f"default-src 'none'; script-src 'unsafe-eval' {allowed or chr(39) + 'none' + chr(39)}; "
        "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    )


def _words(name: str) -> str:
    return str(name).replace("_", " ")


def _cell(value: object, name: str) -> Html:
    if isinstance(value, Mapping):
        return table(value)
    if isinstance(value, (list, tuple)) and any(isinstance(v, Mapping) for v in value):
        return table({str(k): v for k, v in enumerate(value)})
    if isinstance(value, (list, tuple)) and len(value) > 3:
        return "<br>".join(escape(shown(v)) for v in value)
    return escape(shown(value, name))
