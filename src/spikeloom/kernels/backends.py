"""Which backend runs, and which kernels did.

The backend follows the device of the data: ``cpu`` (Numba), ``gpu`` (Triton on CUDA), ``reference`` (torch, one
operation at a time) everywhere else. An explicit choice never falls back silently.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import threading
from collections.abc import Generator

from ..errors import BackendError, did_you_mean

BACKENDS = ("reference", "cpu", "gpu")


@dataclasses.dataclass(frozen=True)
class Choice:
    """An explicit backend (None: follow the device); ``strict`` kernels never contract a multiply and an add."""

    name: str | None = None
    strict: bool = False


_BY_DEVICE = Choice()
_choice: contextvars.ContextVar[Choice] = contextvars.ContextVar("spikeloom_backend", default=_BY_DEVICE)


@contextlib.contextmanager
def backend(name: str | None, *, strict: bool = False) -> Generator[None, None, None]:
    """Within the block every kernel runs on backend ``name``: "reference", "cpu" or "gpu" (None: by device).

    ``strict=True`` builds kernels whose every operation rounds as IEEE 754 says, without fused multiply-add:
    models without exp, log and the like then give the reference's bits.

    >>> import torch, spikeloom as sl
    >>> earlier = sl.last_kernels()
    >>> with sl.backend("reference"):
    ...     y, state = sl.nn.Neuron(sl.LIF())(torch.ones(3, 1, 2))
    >>> sl.last_kernels()
    ['scan/reference/LIF/forward']
    """
    if name is not None and name not in BACKENDS:
        raise BackendError(f"no backend {name!r}", expected=" or ".join(BACKENDS), mend=did_you_mean(name, BACKENDS))
    token = _choice.set(Choice(name, strict))
    try:
        yield
    finally:
        _choice.reset(token)


def choose(device_type: str) -> Choice:
    """The backend for data on a device of this type ("cpu", "cuda", ...)."""
    choice = _choice.get()
    if choice.name is not None:
        return choice
    return dataclasses.replace(choice, name={"cpu": "cpu", "cuda": "gpu"}.get(device_type, "reference"))


class _Log:
    """Names of kernels that ran, in order of first use. Backward passes run on torch's threads, hence the lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, None] = {}

    def note(self, name: str) -> None:
        with self._lock:
            self._names[name] = None

    def take(self) -> list[str]:
        with self._lock:
            names, self._names = list(self._names), {}
        return names


_log = _Log()
note_kernel = _log.note


def last_kernels() -> list[str]:
    """Kernels that ran since the last call, as "operator/backend/model/pass", each once."""
    return _log.take()
