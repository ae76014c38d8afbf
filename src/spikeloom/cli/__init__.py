"""The command line: ``spikeloom list | train | neuron``.

Importing this package imports neither torch nor numba, so that ``--help`` answers at once.
"""

from .app import main

__all__ = ["main"]
