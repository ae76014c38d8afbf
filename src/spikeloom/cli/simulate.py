"""``spikeloom simulate NAME``: a named network; every field of its configuration is an option."""

from __future__ import annotations

import importlib
import signal
from collections.abc import Sequence

from ..errors import ConfigError, did_you_mean
from ..networks import NETWORKS, NamedNetwork
from ..train.progress import show_status
from ..train.run_folder import open_run_folder
from ..train.stop import StoppedError
from .interrupts import interrupts_deferred
from .options import parse


def run(arguments: Sequence[str]) -> None:
    """Find the network, let the options override its configuration, simulate."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    network = find_network(arguments[0])
    prog = f"spikeloom simulate {network.name}"
    config = parse(network.configure(), arguments[1:], prog=prog, description=f"Simulate {network.summary}.")
    # The folder comes first: it is refused at once, while what simulates and draws takes seconds to import.
    with open_run_folder(config.out, config.name, network.name) as folder:
        with show_status("loading"), interrupts_deferred():
            runner = importlib.import_module("spikeloom.cli.simulate_run")
        said, stopped = runner.simulate_and_report(network, config, folder)
    print(said)  # outside: a reader that has gone is no fault of the folder
    if stopped:
        raise StoppedError(stopped, number=signal.SIGINT)


def find_network(name: str) -> NamedNetwork:
    """The network called ``name``.

    >>> find_network("cuba").name
    'cuba'
    """
    by_name = {network.name: network for network in NETWORKS}
    if name not in by_name:
        mend = f"{did_you_mean(name, by_name)} See `spikeloom list`."
        raise ConfigError("there is no such network", got=repr(name), mend=mend)
    return by_name[name]


def usage() -> str:
    """The text of ``spikeloom simulate --help``."""
    width = max(len(network.name) for network in NETWORKS)
    lines = [f"  {network.name:<{width}}  {network.summary}" for network in NETWORKS]
    return "\n".join(
        [
            "usage: spikeloom simulate NAME [--duration 1000] [--seed 1] [--threads 2] [--field value ...]",
            "",
            "Simulates a spiking network and writes spikes, pictures, summary and report to runs/<name>/. The spikes",
            "are the same for any number of threads. Ctrl-C keeps what was simulated up to it.",
            "",
            "networks:",
            *lines,
            "",
            "  `spikeloom simulate NAME --help` lists every field with its default.",
        ]
    )
