"""Watch hidden layers: spikes and states of every layer, by its name in the net."""

from __future__ import annotations

import contextlib
import contextvars
import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import torch

from ..errors import ParameterError, StateError, did_you_mean

_active: contextvars.ContextVar[tuple[Recorder, ...]] = contextvars.ContextVar("spikeloom_recorders", default=())


@dataclasses.dataclass(frozen=True)
class LayerRecord:
    """What one layer did: ``spikes`` ``[T, B, ...]`` (None where it makes none) and recorded states by name."""

    spikes: torch.Tensor | None
    states: Mapping[str, torch.Tensor]

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self.states:
            mend = did_you_mean(name, self.states) + " Name it in sl.record(net, ...)."
            raise StateError(f"state {name!r} was not recorded", mend=mend)
        return self.states[name]


class Recorder:
    """Records of the latest call of each layer. Gradients flow from recorded spikes and states."""

    def __init__(self, net: torch.nn.Module, states: tuple[str, ...]) -> None:
        self._paths = {id(module): name for name, module in net.named_modules()}
        self._records: dict[str, LayerRecord] = {}
        self.states = states

    def wants(self, layer: torch.nn.Module) -> bool:
        """Whether ``layer`` belongs to the recorded net."""
        return id(layer) in self._paths

    def note(self, layer: torch.nn.Module, spikes: torch.Tensor | None, states: Mapping[str, torch.Tensor]) -> None:
        """Keep what ``layer`` did."""
        self._records[self._paths[id(layer)]] = LayerRecord(spikes, dict(states))

    def path(self, layer: torch.nn.Module) -> str:
        """The name of ``layer`` in the recorded net."""
        return self._paths[id(layer)]

    def join(self, layer: torch.nn.Module, parts: Sequence[LayerRecord]) -> None:
        """Keep single steps of ``layer`` as one sequence."""
        if parts:
            self.keep(self._paths[id(layer)], parts)

    def keep(self, name: str, parts: Sequence[LayerRecord]) -> None:
        """Keep ``parts``, which follow each other in time, as the record of layer ``name``."""
        spikes = [part.spikes for part in parts if part.spikes is not None]
        states = {n: torch.cat([part.states[n] for part in parts]) for n in parts[0].states}
        self._records[name] = LayerRecord(torch.cat(spikes) if spikes else None, states)

    def twin(self) -> Recorder:
        """A recorder of the same net and states that has heard nothing."""
        made = copy.copy(self)
        made._records = {}
        return made

    def names(self) -> list[str]:
        """Layers that ran, in order."""
        return list(self._records)

    def __getitem__(self, name: str) -> LayerRecord:
        if name not in self._records:
            raise ParameterError(f"no layer {name!r} was recorded", mend=did_you_mean(name, self._records))
        return self._records[name]


@contextlib.contextmanager
def record(net: torch.nn.Module, *states: str) -> Iterator[Recorder]:
    """Within the block, spikes and the named ``states`` of every neuron layer of ``net`` are kept by layer name.

    >>> import spikeloom as sl
    >>> net = sl.nn.Sequential(torch.nn.Linear(3, 2), sl.nn.Neuron(sl.LIF()))
    >>> with sl.record(net, "v") as rec:
    ...     y, state = net(torch.ones(4, 1, 3))
    >>> rec.names(), rec["1"].spikes.shape, rec["1"]["v"].shape
    (['1'], torch.Size([4, 1, 2]), torch.Size([4, 1, 2]))
    """
    recorder = Recorder(net, states)
    token = _active.set((*_active.get(), recorder))
    try:
        yield recorder
    finally:
        _active.reset(token)


def active_recorders() -> tuple[Recorder, ...]:
    """All active recorders, whatever they watch."""
    return _active.get()


@contextlib.contextmanager
def twins() -> Iterator[tuple[Recorder, ...]]:
    """Within the block, twins of the active recorders hear in their place: for a run that is one piece of another."""
    made = tuple(recorder.twin() for recorder in _active.get())
    token = _active.set(made)
    try:
        yield made
    finally:
        _active.reset(token)


def recorders_of(layer: torch.nn.Module) -> list[Recorder]:
    """The active recorders that watch ``layer``."""
    return [recorder for recorder in _active.get() if recorder.wants(layer)]
