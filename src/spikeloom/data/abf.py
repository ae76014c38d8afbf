"""Axon Binary Format 2 (.abf), read without trust: every offset and count is checked against the file's size.

Layout after Molecular Devices' ABF2 header structures, as documented by pyABF (Harden 2018, MIT licence), against
whose output this reader is tested. Only what a fit needs is read: the recorded channels, and the command of each
output that is held, or stepped or ramped by an epoch table. A command played from another file is not looked for,
although the format names its path.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError

Floats = NDArray[np.float64]

_BLOCK = 512
_PROTOCOL, _ADC, _DAC, _EPOCHS, _STRINGS, _DATA, _SWEEPS = 76, 92, 108, 156, 220, 236, 316
_STRINGS_HEADER = 44
_EPISODIC, _GAP_FREE = 5, 3
_OFF, _STEP, _RAMP = 0, 1, 2
_NO_WAVEFORM, _EPOCH_TABLE = 0, 1
# Clampex plays the holding level for the first 1/64 of a sweep before the first epoch begins.
_LEAD = 64


@dataclasses.dataclass(frozen=True)
class Signal:
    """``values`` ``[sweeps, samples]`` in ``unit``, as the file spells it."""

    name: str
    unit: str
    values: Floats


@dataclasses.dataclass(frozen=True)
class AbfFile:
    """Recorded ``channels``, the commands of as many outputs, and the time ``dt`` between samples in ms."""

    channels: tuple[Signal, ...]
    commands: tuple[Signal | FileError, ...]
    dt: float

    def command(self, output: int) -> Signal:
        """What was sent to an output; raises :class:`FileError` where the header does not tell."""
        found = self.commands[output]
        if isinstance(found, FileError):
            raise found
        return found


def read_abf(path: str | Path) -> AbfFile:
    """Read an ABF2 file of episodic or gap-free recording; raises :class:`FileError` for anything else."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise FileError(f"cannot read {path}", got=error.strerror or type(error).__name__) from error
    return parse_abf(content, str(path))


def parse_abf(content: bytes, name: str = "the file") -> AbfFile:
    """:func:`read_abf` of a file's content."""
    return _Reader(content, name).read()


@dataclasses.dataclass(frozen=True)
class _Section:
    start: int
    size: int
    count: int


@dataclasses.dataclass(frozen=True)
class _Epoch:
    kind: int
    level: float
    level_step: float
    duration: int
    duration_step: int


class _Reader:
    def __init__(self, content: bytes, name: str) -> None:
        self.content, self.name = content, name

    def read(self) -> AbfFile:
        signature = self.content[:4]
        if signature != b"ABF2":
            mend = "Save ABF1 files as ABF2, or as .npz." if signature == b"ABF " else ""
            raise FileError(f"{self.name} is no ABF2 file", got=repr(signature), expected="b'ABF2'", mend=mend)
        sweeps = int(self.unpack("<I", 12)[0])
        protocol = self.section(_PROTOCOL, least=122)
        mode, interval = self.unpack("<hf", protocol.start)
        if mode not in (_EPISODIC, _GAP_FREE):
            raise self.error("acquisition mode", mode, "5 (episodic) or 3 (gap-free)")
        if not (math.isfinite(interval) and interval > 0):
            raise self.error("sampling interval", interval, "a time > 0 in microseconds")
        channels = self.channels(protocol, 1 if mode == _GAP_FREE else max(sweeps, 1))
        shape = channels[0].values.shape
        commands = tuple(self.command(k, shape) for k in range(len(channels)))
        return AbfFile(channels, commands, interval / 1000.0)

    # -- raw access

    def error(self, what: str, got: object, expected: object = None, mend: str = "") -> FileError:
        return FileError(f"{self.name}: {what}", got=got, expected=expected, mend=mend)

    def unpack(self, layout: str, offset: int) -> tuple[float, ...]:
        if offset < 0 or offset + struct.calcsize(layout) > len(self.content):
            raise self.error("the file is cut off", f"{len(self.content)} bytes", f"a value at byte {offset}")
        return struct.unpack_from(layout, self.content, offset)

    def section(self, offset: int, *, least: int) -> _Section:
        """The section whose entry in the header is at ``offset``; its rows have at least ``least`` bytes."""
        block, size, count = (int(n) for n in self.unpack("<IIq", offset))
        found = _Section(block * _BLOCK, size, count)
        if count < 0 or (count and size < least) or found.start + size * count > len(self.content):
            got = f"{count} entries of {size} bytes at byte {found.start}"
            raise self.error("a section does not fit", got, f"entries of {least} bytes or more within the file")
        return found

    def strings(self) -> list[str]:
        """Names and units; entry 1 is the first."""
        section = self.section(_STRINGS, least=_STRINGS_HEADER)
        if not section.count:
            return [""]
        text = self.content[section.start + _STRINGS_HEADER : section.start + section.size]
        return ["", *(part.decode("latin-1").strip().replace("µ", "u") for part in text.split(b"\0"))]

    # -- what was recorded

    def channels(self, protocol: _Section, sweeps: int) -> tuple[Signal, ...]:
        adc, strings = self.section(_ADC, least=82), self.strings()
        if not 1 <= adc.count <= 64:
            raise self.error("recorded channels", adc.count, "1 to 64")
        raw = self.samples(adc.count, sweeps)
        (span,) = self.unpack("<f", protocol.start + 110)
        (resolution,) = self.unpack("<i", protocol.start + 118)
        found: list[Signal] = []
        for k in range(adc.count):
            start = adc.start + k * adc.size
            title, unit = (self.string(strings, start + place) for place in (74, 78))
            with np.errstate(all="ignore"):
                values = raw[:, :, k].astype(np.float64)
                if raw.dtype == np.dtype("<i2"):
                    gain, offset = self.scale(start, span, int(resolution))
                    values = values * gain + offset
            if not np.isfinite(values).all():
                raise self.error(f"channel {k} holds NaN or infinity", "NaN or infinity", "finite numbers")
            found.append(Signal(title, unit, values))
        return tuple(found)

    def string(self, strings: list[str], offset: int) -> str:
        index = int(self.unpack("<i", offset)[0])
        return strings[index] if 0 <= index < len(strings) else ""

    def samples(self, channels: int, sweeps: int) -> np.ndarray:
        """Raw samples ``[sweeps, samples, channels]``."""
        (form,) = self.unpack("<H", 30)
        if form not in (0, 1):
            raise self.error("sample format", form, "0 (16-bit integers) or 1 (32-bit floats)")
        dtype = np.dtype("<i2" if form == 0 else "<f4")
        data = self.section(_DATA, least=dtype.itemsize)
        if data.size != dtype.itemsize:
            raise self.error("bytes of a sample", data.size, dtype.itemsize)
        lengths = self.section(_SWEEPS, least=8)
        rows = range(min(lengths.count, sweeps))
        different = {self.unpack("<i", lengths.start + k * lengths.size + 4)[0] for k in rows}
        if len(different) > 1:
            raise self.error("sweeps differ in length", f"{len(different)} lengths", "one length for all")
        if data.count == 0 or data.count % (sweeps * channels):
            raise self.error("samples", data.count, f"a multiple of {sweeps} sweeps x {channels} channels, more than 0")
        flat = np.frombuffer(self.content, dtype, data.count, data.start)
        return flat.reshape(sweeps, -1, channels)

    def scale(self, start: int, span: float, resolution: int) -> tuple[float, float]:
        """Gain and offset from counts to the channel's unit."""
        factors = [self.unpack("<f", start + place)[0] for place in (28, 40, 48)]
        if self.unpack("<h", start + 2)[0] == 1:  # an amplifier that told its own gain
            factors.append(self.unpack("<f", start + 6)[0])
        gain = float(np.prod(factors)) * resolution
        offset = self.unpack("<f", start + 44)[0] - self.unpack("<f", start + 52)[0]
        if not (math.isfinite(gain) and gain and math.isfinite(span) and math.isfinite(offset)):
            raise self.error("scale of a channel", f"{gain:g}", "a finite number other than 0")
        return span / gain, offset

    # -- what was commanded

    def command(self, output: int, shape: tuple[int, ...]) -> Signal | FileError:
        """What was sent to an output, or the error for whoever needs it."""
        try:
            with np.errstate(all="ignore"):
                return self.played(output, shape)
        except FileError as error:
            return error

    def played(self, output: int, shape: tuple[int, ...]) -> Signal:
        dac, strings = self.section(_DAC, least=46), self.strings()
        if output >= dac.count:
            raise self.error("no command", f"{dac.count} outputs", f"output {output}")
        start = dac.start + output * dac.size
        title, unit = (self.string(strings, start + place) for place in (24, 28))
        (holding,) = self.unpack("<f", start + 12)
        enabled, source, keeps_last = self.unpack("<hhh", start + 40)
        holding = 0.0 if abs(holding) < 1e-6 else holding  # what Clampex writes where nothing was set
        values = np.full(shape, holding)
        if enabled and source == _EPOCH_TABLE:
            self.play(values, self.epochs(output), holding, bool(keeps_last))
        elif enabled and source != _NO_WAVEFORM:
            mend = "Give v and the current as arrays: sl.Recording(v, current, dt)."
            raise self.error("the command was played from another file", f"source {source}", "an epoch table", mend)
        if not np.isfinite(values).all() or np.abs(values).max() > 1e6:
            raise self.error("command", "NaN or more than 1e6", f"a level in {unit or 'its unit'}")
        return Signal(title, unit, values)

    def epochs(self, output: int) -> list[_Epoch]:
        section, found = self.section(_EPOCHS, least=30), []
        if section.count > 4096:
            raise self.error("epochs", section.count, "at most 4096")
        for k in range(section.count):
            _, number, kind, level, level_step, duration, duration_step = self.unpack(
                "<hhhffii", section.start + k * section.size
            )
            if number == output and kind != _OFF:
                if kind not in (_STEP, _RAMP):
                    raise self.error("an epoch of the command", f"type {kind}", "1 (step) or 2 (ramp)")
                found.append(_Epoch(int(kind), level, level_step, int(duration), int(duration_step)))
        return found

    def play(self, values: Floats, epochs: list[_Epoch], holding: float, keeps_last: bool) -> None:
        """Write the epoch table's waveform of each sweep into ``values``."""
        samples, before = values.shape[1], holding
        for k, sweep in enumerate(values):
            position, level = samples // _LEAD, before
            sweep[:position] = before
            for epoch in epochs:
                last, level = level, epoch.level + epoch.level_step * k
                stop = position + epoch.duration + epoch.duration_step * k
                if not position <= stop <= samples:
                    raise self.error("an epoch of the command ends", f"at sample {stop}", f"{position} to {samples}")
                ramp = np.linspace(last, level, stop - position)
                sweep[position:stop] = ramp if epoch.kind == _RAMP else level
                position = stop
            before = level if keeps_last else holding
            sweep[position:] = before


__all__ = ["AbfFile", "Signal", "parse_abf", "read_abf"]
