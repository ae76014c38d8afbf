"""Pictures of a synfire chain: which packets of spikes survive, and how packets change on their way."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ..networks.synfire import SynfireConfig
from ..networks.synfire_network import SURVIVAL, comparable, half_point, passages, survival
from ..report.palette import BLUE, FAINT, INK, MUTED, PAPER, VERMILLION, mix
from ..sim.result import Result
from ._frame import WIDTH, headline, label, new_figure, style

_MOST_PATHS, _LOST = 100, 10.0  # packets; spikes of one that is lost
_BEFORE, _AFTER = 10.0, 25.0  # ms around the middle of a packet


def pictures(config: SynfireConfig, result: Result) -> dict[str, Figure]:
    """Each picture by the name of its file."""
    found = passages(config, result)
    drawn = {"raster.png": packet_rasters(config, result, found[0]), "paths.png": packet_paths(config, found)}
    if len(config.packets) == 1:  # a map of one place says nothing
        return drawn
    return {"survival.png": survival_map(config, found[0]), **drawn}


def survival_map(config: SynfireConfig, sizes: np.ndarray, *, title: str = "") -> Figure:
    """The share of trials in which a packet of a spikes with the standard deviation σ comes to the last group.

    ``sizes`` [packets, trials, groups] are spikes of each packet in each group. A line goes where half survive, rings
    are where they do in the published chain.
    """
    shares = survival(config, sizes)
    figure = new_figure(max(5.4, 0.45 * len(config.spikes) + 1.2), max(2.0, 0.4 * len(config.spread) + 1.6))
    ax = figure.subplots()
    style(ax, grid=False)
    for y, row in enumerate(shares):
        for x, share in enumerate(row):
            known = not np.isnan(share)
            shade = mix(PAPER, BLUE, float(share)) if known else PAPER
            ax.fill([x - 0.5, x + 0.5, x + 0.5, x - 0.5], [y - 0.5, y - 0.5, y + 0.5, y + 0.5], facecolor=shade)
            colour = PAPER if known and share > 0.6 else INK
            text = f"{100 * share:.0f}" if known else "?"
            number = ax.text(x, y, text, ha="center", va="center", color=colour, fontsize=8, zorder=4)
            number.set_path_effects([withStroke(linewidth=2.0, foreground=shade)])  # lines pass behind
    ax.set_xticks(range(len(config.spikes)), [f"{a:g}" for a in config.spikes])
    ax.set_yticks(range(len(config.spread)), [f"{s:g}" for s in config.spread])
    ax.set_xlim(-0.5, len(config.spikes) - 0.5)
    ax.set_ylim(-0.5, len(config.spread) - 0.5)
    _separatrix(ax, config, shares)
    label(ax, xlabel="spikes in the packet, a", ylabel="σ (ms)")
    label(ax, title=f"Packets that came through, in % of {config.trials} trials")
    headline(figure, title)
    return figure


def _separatrix(ax: Axes, config: SynfireConfig, shares: np.ndarray) -> None:
    """Mark where half survive, here and as published."""
    if not (np.diff(config.spikes) > 0.0).all() or not (np.diff(config.spread) > 0.0).all():
        return
    places = range(len(config.spikes))
    halves = [(half_point(config.spikes, row), y) for y, row in enumerate(shares)]
    line = [(np.interp(half, config.spikes, places), y) for half, y in halves if half is not None]
    if line:
        ax.plot(*zip(*line, strict=True), ".-", color=VERMILLION, linewidth=1.2, markersize=5, label="half of them")
    known = [(SURVIVAL[s][0], y) for y, s in enumerate(config.spread) if s in SURVIVAL] if comparable(config) else []
    rings = [(np.interp(a, config.spikes, places), y) for a, y in known if config.spikes[0] <= a <= config.spikes[-1]]
    if rings:
        ring = {"markersize": 19.0, "markerfacecolor": "none", "markeredgecolor": VERMILLION, "markeredgewidth": 1.0}
        ax.plot(*zip(*rings, strict=True), "o", label="half of them, as published", **ring)
    if line or rings:
        _legend(ax)


def _legend(ax: Axes) -> None:
    """Below the axes, where it hides nothing."""
    below = {
        "loc": "outside lower left",
        "ncols": 3,
        "markerscale": 0.6,
        "frameon": False,
        "fontsize": 9,
        "labelcolor": INK,
    }
    figure = ax.get_figure(root=True)
    if figure is not None:
        figure.legend(handles=ax.get_legend_handles_labels()[0], **below)


def packet_rasters(config: SynfireConfig, result: Result, sizes: np.ndarray, *, title: str = "") -> Figure:
    """Spikes of one chain, groups above each other, while a packet that dies out and one that does not run through.

    These are those with the most and with the fewest spikes at the beginning.
    """
    chosen = _examples(config, sizes)
    figure = new_figure(WIDTH, 0.45 * WIDTH)
    trains, each = result.spikes["chain"], config.groups * config.members
    for ax, (packet, trial) in zip(figure.subplots(1, len(chosen), sharey=True, squeeze=False)[0], chosen, strict=True):
        style(ax, grid=False)
        a, spread = config.packets[packet]
        centre = config.discard + packet * config.spacing
        begin, end = centre - _BEFORE - 2.0 * spread, min(centre + max(_AFTER, 1.5 * config.groups + 10.0), result.end)
        end = max(end, begin + 1.0)  # of a run that was stopped
        kept = slice(*np.searchsorted(trains.times, (begin, end)))
        mine = trains.neurons[kept] // each == trial
        through = sizes[packet, trial, -1] >= 0.5 * config.members
        neurons = trains.neurons[kept][mine] % each
        colour = BLUE if through else VERMILLION
        dots = ax.plot(
            trains.times[kept][mine] - centre, neurons, "|", color=colour, markersize=2.5, markeredgewidth=0.8
        )
        dots[0].set_rasterized(True)
        for group in range(1, config.groups):
            ax.axhline(group * config.members - 0.5, color=FAINT, linewidth=0.5)
        ax.set_xlim(begin - centre, end - centre)
        ax.set_ylim(-0.5, each - 0.5)
        words = "came through" if through else "died out"
        label(ax, xlabel="ms from the middle of the packet", title=f"a = {a:g}, σ = {spread:g} ms: {words}")
    label(figure.axes[0], ylabel="neuron")
    headline(figure, title)
    return figure


def _examples(config: SynfireConfig, sizes: np.ndarray) -> list[tuple[int, int]]:
    """(packet, trial) of one that died out and one that came through, of the same σ if possible; else the first."""
    sent = np.array([a for a, _ in config.packets])[:, None]
    spread = np.array([s for _, s in config.packets])[:, None]
    done, through = ~np.isnan(sizes[:, :, -1]), sizes[:, :, -1] >= 0.5 * config.members
    both = [s for s in config.spread if all((which & (spread == s)).any() for which in (done & ~through, through))]
    if both:
        done = done & (spread == both[0])
    found: list[tuple[int, int]] = []
    for which, score in ((done & ~through, sent), (done & through, -sent)):
        if which.any():
            packet, trial = divmod(int(np.where(which, score, -np.inf).argmax()), sizes.shape[1])
            found.append((packet, trial))
    return found or [(0, 0)]


def packet_paths(config: SynfireConfig, found: tuple[np.ndarray, np.ndarray], *, title: str = "") -> Figure:
    """Spikes a and standard deviation σ of packets from group to group: blue where they survive.

    ``found`` are both [packets, trials, groups]. Of many packets some are shown; a path ends where too few spikes are
    left for a σ.
    """
    sizes, spreads = (x.reshape(-1, config.groups) for x in found)
    figure = new_figure(0.7 * WIDTH, 0.5 * WIDTH)
    ax = figure.subplots()
    style(ax)
    starts = np.repeat(np.array(config.packets), config.trials, axis=0)
    step = max(1, len(sizes) // _MOST_PATHS)
    for (a, s), size, spread in list(zip(starts, sizes, spreads, strict=True))[::step]:
        if np.isnan(size).any():
            continue
        colour = BLUE if size[-1] >= 0.5 * config.members else VERMILLION
        kept = int(np.argmax(size < _LOST)) if (size < _LOST).any() else len(size)
        ax.plot([s, *spread[:kept]], [a, *size[:kept]], color=colour, linewidth=0.8, alpha=0.6)
        ax.plot(s, a, "o", markersize=3, color=colour)
    ax.axhline(config.members, color=MUTED, linewidth=1.0, linestyle="--")
    ax.set_xlim(left=0.0)
    ax.set_ylim(bottom=0.0)
    label(ax, xlabel="standard deviation of the spike times, σ (ms)", ylabel="spikes in the packet, a")
    label(ax, title="Packets from group to group (dots: as sent)")
    ax.plot([], [], color=BLUE, label="came through")
    ax.plot([], [], color=VERMILLION, label="died out")
    ax.plot([], [], "--", color=MUTED, linewidth=1.0, label=f"the {config.members} neurons of a group")
    _legend(ax)
    headline(figure, title)
    return figure


__all__ = ["packet_paths", "packet_rasters", "pictures", "survival_map"]
