"""The wiring diagram of C. elegans, from the file of the project c302."""

from __future__ import annotations

import csv
import dataclasses
import re
from pathlib import Path

import numpy as np

from ..errors import FileError

_FILE = "herm_full_edgelist.csv"
_HEADER = ["Source", "Target", "Weight", "Type"]
_NEURON = re.compile(r"[A-Z][A-Z0-9]*")  # muscles and organs have small letters
_LARGEST = 100_000_000  # bytes
_SOURCE = "github.com/openworm/c302, folder c302/data"


@dataclasses.dataclass(frozen=True, eq=False)
class Connections:
    """Edges ``pre[k]`` to ``post[k]`` (indices of cells) with ``contacts[k]`` contacts."""

    pre: np.ndarray
    post: np.ndarray
    contacts: np.ndarray

    def __len__(self) -> int:
        return len(self.pre)


@dataclasses.dataclass(frozen=True, eq=False)
class Connectome:
    """Names of ``cells``, and the ``chemical`` and ``electrical`` connections between them.

    Electrical ones are listed as they are in the file: most of them once from either side.
    """

    cells: tuple[str, ...]
    chemical: Connections
    electrical: Connections

    def neurons(self) -> Connectome:
        """Without muscles and other end organs."""
        return self.among([name for name in self.cells if _NEURON.fullmatch(name)])

    def among(self, names: list[str]) -> Connectome:
        """The connections between the cells ``names``."""
        place = np.full(len(self.cells), -1)
        known = {name: k for k, name in enumerate(self.cells)}
        place[[known[name] for name in names]] = np.arange(len(names))
        return Connectome(tuple(names), _among(self.chemical, place), _among(self.electrical, place))

    def junctions(self) -> Connections:
        """Electrical connections, each pair once with the larger of its two numbers of contacts, none of a cell with
        itself."""
        found: dict[tuple[int, int], float] = {}
        edges = self.electrical
        for a, b, contacts in zip(edges.pre.tolist(), edges.post.tolist(), edges.contacts.tolist(), strict=True):
            if a != b:
                pair = min(a, b), max(a, b)
                found[pair] = max(contacts, found.get(pair, 0.0))
        pairs = np.array(list(found), np.int64).reshape(-1, 2)
        return Connections(pairs[:, 0], pairs[:, 1], np.array(list(found.values()), np.float64))


def load_c_elegans(root: str | Path) -> Connectome:
    """Read ``herm_full_edgelist.csv`` in the folder ``root``: the adult hermaphrodite of Cook et al. 2019.

    Cells come in the order of their names. Raises :class:`FileError` where there is no such file, or a line of it
    cannot be understood.
    """
    path = Path(root) / _FILE
    try:
        if path.stat().st_size > _LARGEST:
            raise FileError(f"{path} is no list of connections", got=f"{path.stat().st_size} bytes")
        with path.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.reader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, FileError):
            raise
        got = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        mend = f"Get this one file from {_SOURCE}, and name the folder that you put it in with --data.root."
        raise FileError(f"cannot read {path}", got=got, expected=f"{_FILE}, Cook et al. 2019", mend=mend) from error
    if not rows or rows[0] != _HEADER:
        raise FileError(f"{path}: first line", got=",".join(rows[0]) if rows else "nothing", expected=",".join(_HEADER))
    edges = [_edge(path, number, row) for number, row in enumerate(rows[1:], start=2)]
    cells = tuple(sorted({name for pre, post, _, _ in edges for name in (pre, post)}))
    known = {name: k for k, name in enumerate(cells)}
    kinds = {
        kind: [(known[a], known[b], n) for a, b, n, k in edges if k == kind] for kind in ("chemical", "electrical")
    }
    return Connectome(cells, _connections(kinds["chemical"]), _connections(kinds["electrical"]))


def _edge(path: Path, number: int, row: list[str]) -> tuple[str, str, float, str]:
    where = f"{path}, line {number}"
    if len(row) != len(_HEADER):
        raise FileError(where, got=f"{len(row)} fields", expected=",".join(_HEADER))
    pre, post, text, kind = (field.strip() for field in row)
    if not (pre and post):
        raise FileError(where, got=f"{pre!r} to {post!r}", expected="two names")
    if kind not in ("chemical", "electrical"):
        raise FileError(where, got=repr(kind), expected="chemical or electrical")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise FileError(where, got=repr(text[:20]), expected="a number of contacts")
    return pre, post, float(text), kind


def _connections(edges: list[tuple[int, int, float]]) -> Connections:
    table = np.array(edges, np.float64).reshape(-1, 3)
    return Connections(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2])


def _among(edges: Connections, place: np.ndarray) -> Connections:
    pre, post = place[edges.pre], place[edges.post]
    kept = (pre >= 0) & (post >= 0)
    return Connections(pre[kept], post[kept], edges.contacts[kept])


__all__ = ["Connections", "Connectome", "load_c_elegans"]
