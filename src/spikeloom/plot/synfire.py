"""Pictures of a synfire chain: which packets of spikes survive, and how packets change on their way."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..networks.synfire import SynfireConfig
from ..networks.synfire_network import passages, survival
from ..report.palette import BLUE, FAINT, INK, PAPER, VERMILLION, mix
from ..sim.result import Result
from ._frame import WIDTH, headline, label, new_figure, style

_MOST_PATHS = 60


def pictures(config: SynfireConfig, result: Result) -> dict[str, Figure]:
    """Each picture by the name of its file."""
    paths = {"paths.png": packet_paths(config, result)}
    if len(config.spikes) * len(config.spread) == 1:  # a map of one place says nothing
        return paths
    return {"survival.png": survival_map(config, result), **paths}


def survival_map(config: SynfireConfig, result: Result, *, title: str = "") -> Figure:
    """The share of trials in which a packet of a spikes with the standard deviation σ comes to the last group."""
    shares = survival(config, result)
    figure = new_figure(max(2.5, 0.45 * len(config.spikes) + 1.2), max(1.6, 0.4 * len(config.spread) + 1.2))
    ax = figure.subplots()
    style(ax, grid=False)
    for y, row in enumerate(shares):
        for x, share in enumerate(row):
            known = not np.isnan(share)
            shade = mix(PAPER, BLUE, float(share)) if known else PAPER
            ax.fill([x - 0.5, x + 0.5, x + 0.5, x - 0.5], [y - 0.5, y - 0.5, y + 0.5, y + 0.5], facecolor=shade)
            colour = PAPER if known and share > 0.6 else INK
            ax.text(x, y, f"{100 * share:.0f}" if known else "?", ha="center", va="center", color=colour, fontsize=8)
    ax.set_xticks(range(len(config.spikes)), [f"{a:g}" for a in config.spikes])
    ax.set_yticks(range(len(config.spread)), [f"{s:g}" for s in config.spread])
    ax.set_xlim(-0.5, len(config.spikes) - 0.5)
    ax.set_ylim(-0.5, len(config.spread) - 0.5)
    label(ax, xlabel="spikes in the packet, a", ylabel="σ (ms)", title=f"survival in % of {config.trials} trials")
    headline(figure, title)
    return figure


def packet_paths(config: SynfireConfig, result: Result, *, title: str = "") -> Figure:
    """Spikes a and standard deviation σ of packets from group to group: blue where they survive."""
    sizes, spreads = (x.reshape(-1, config.groups) for x in passages(config, result))
    figure = new_figure(0.7 * WIDTH, 0.5 * WIDTH)
    ax = figure.subplots()
    style(ax)
    starts = np.repeat(np.array(config.packets), config.trials, axis=0)
    step = max(1, len(sizes) // _MOST_PATHS)
    for (a, s), size, spread in list(zip(starts, sizes, spreads, strict=True))[::step]:
        if np.isnan(size).any():
            continue
        colour = BLUE if size[-1] >= 0.5 * config.members else VERMILLION
        ax.plot([s, *spread], [a, *size], color=colour, linewidth=0.8, alpha=0.6)
        ax.plot(s, a, "o", markersize=3, color=colour)
    ax.axhline(config.members, color=FAINT, linewidth=0.8)
    ax.set_xlim(left=0.0)
    ax.set_ylim(bottom=0.0)
    label(ax, xlabel="σ (ms)", ylabel="spikes in the packet, a")
    headline(figure, title)
    return figure


__all__ = ["packet_paths", "pictures", "survival_map"]
