"""The results of a benchmark as a table: for the terminal, and for pages."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .rounds import fastest, middle_ratio, spread_text
from .simulate import OURS, PEERS, PLAIN
from .train import PEERS as TRAINING_PEERS

Row = Sequence[str]
NETWORK_HEAD = (
    "contender", "s / simulated s", "/ plain loop", "/ fastest peer", "rate Hz", "build s", "compile s", "memory MiB",
)  # fmt: skip


def network_rows(found: Mapping[str, Any]) -> list[Row]:
    """Rows under :data:`NETWORK_HEAD`: medians and ranges, ratios within rounds."""
    rows: Mapping[str, Mapping[str, Any]] = found["contenders"]
    walls = {label: row["wall_s_per_simulated_s"] for label, row in rows.items()}
    best = fastest({label: wall for label, wall in walls.items() if label.startswith(PEERS)})
    table: list[Row] = []
    for label, row in rows.items():
        ratios = [f"{middle_ratio(walls[label], walls[base]):.2f}" if base in walls else "" for base in (PLAIN, best)]
        rate, memory = statistics.fmean(row["rate_hz"]), row["memory_mib"]
        cells = [f"{rate:.2f}", f"{row['build_s']:.2f}", f"{row['compile_s']:.1f}"]
        table.append([label, spread_text(walls[label]), *ratios, *cells, "" if memory is None else f"{memory:.0f}"])
    return table


def verdict(found: Mapping[str, Any]) -> str:
    """How spikeloom compares with the fastest peer and with the plain loop; "" where there is neither."""
    walls = {label: row["wall_s_per_simulated_s"] for label, row in found["contenders"].items()}
    ours = fastest({label: wall for label, wall in walls.items() if label.startswith(OURS)})
    peer = fastest({label: wall for label, wall in walls.items() if label.startswith(PEERS)})
    said: list[str] = []
    if peer:
        said.append(f"{ours}: {middle_ratio(walls[peer], walls[ours]):.2f} x the speed of the fastest peer ({peer})")
    alone = f"{OURS}, 1"  # a plain loop has one thread
    if PLAIN in walls and alone in walls:
        said.append(f"{alone}: {middle_ratio(walls[alone], walls[PLAIN]):.2f} x the time of the plain loop")
    return "; ".join(said)


TRAINING_HEAD = ("contender", "ms", "/ floor", "/ fastest peer", "compile s", "first call s", "memory MiB")


def training_rows(found: Mapping[str, Any]) -> list[Row]:
    """Rows under :data:`TRAINING_HEAD`: medians and ranges, ratios within rounds to the fastest floor and peer."""
    rows: Mapping[str, Mapping[str, Any]] = found["contenders"]
    walls = {label: row["wall_s"] for label, row in rows.items()}
    floor = fastest({label: wall for label, wall in walls.items() if label.startswith("floor")})
    # The loop in torch is no peer: it is what they are held against.
    peer = fastest({label: wall for label, wall in walls.items() if label.startswith(tuple(TRAINING_PEERS))})
    table: list[Row] = []
    for label, row in rows.items():
        ratios = [f"{middle_ratio(walls[label], walls[base]):.2f}" if base else "" for base in (floor, peer)]
        memory = "" if row["memory_mib"] is None else f"{row['memory_mib']:.0f}"
        times = [f"{row['compile_s']:.2f}", f"{row['first_call_s']:.2f}"]
        table.append([label, spread_text([1e3 * wall for wall in walls[label]]), *ratios, *times, memory])
    return table


def text_table(head: Sequence[str], rows: Sequence[Row]) -> str:
    """Aligned columns: the first to the left, the others to the right.

    >>> print(text_table(("a", "long name"), [("one", "1"), ("two", "22")]))
    a    long name
    one          1
    two         22
    """
    every = [head, *rows]
    widths = [max(len(row[k]) for row in every) for k in range(len(head))]
    lines = (
        "  ".join(c.ljust(w) if not k else c.rjust(w) for k, (c, w) in enumerate(zip(r, widths, strict=True)))
        for r in every
    )
    return "\n".join(line.rstrip() for line in lines)
