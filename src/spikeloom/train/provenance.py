"""What a result depends on besides its configuration: versions and the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from .. import __version__


def package_version(name: str) -> str:
    """The installed version of a package, or ``"unknown"``."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that take part in the numbers."""
    packages = ("torch", "numba", "llvmlite", "numpy", "scikit-learn")
    return {
        "python": platform.python_version(),
        "spikeloom": __version__,
        **{name: package_version(name) for name in packages},
    }


def machine() -> dict[str, object]:
    """Platform and number of CPU cores; no host name, no user name."""
    return {"platform": platform.platform(), "machine": platform.machine(), "cpu_count": os.cpu_count()}
