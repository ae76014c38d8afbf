"""The processes of one training, as ``torchrun`` starts them; torch-free until they meet."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ConfigError, SpikeloomError


class RankError(SpikeloomError, RuntimeError):
    """Another process of the same training has ended, so that this one cannot go on."""


@dataclass(frozen=True)
class Ranks:
    """This process is number ``rank`` of ``size`` that train one network together.

    Alone (``size`` 1) every method returns at once what it was given, and torch.distributed is never imported. What
    is exchanged here are numbers and text in main memory; gradients are the business of
    :class:`~spikeloom.train.parallel.Parallel`.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.size == 1

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Within the block the processes can talk: by gloo, and between GPUs by NCCL.

        Raises :class:`ConfigError` when they cannot meet, for instance because the port is in use, and
        :class:`RankError` in the block when another one has ended.
        """
        if self.alone:
            yield
            return
        import torch
        import torch.distributed as dist

        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        try:
            dist.init_process_group(backend, rank=self.rank, world_size=self.size)
        except (dist.DistError, ValueError) as error:
            raise _no_meeting(error) from error
        try:
            yield
        except RuntimeError as error:
            # gloo and NCCL raise bare RuntimeErrors, DistBackendError or text from a socket.
            if isinstance(error, SpikeloomError) or not _is_of_the_line(error):
                raise
            mend = "See its own message; the last checkpoint is intact, go on with --resume."
            raise RankError("another process of this training has ended", mend=mend) from error
        finally:
            with contextlib.suppress(RuntimeError):
                dist.destroy_process_group()

    def total(self, values: Sequence[float]) -> list[float]:
        """The sum over all processes, for each of ``values``."""
        return list(values) if self.alone else self._reduced(values, "SUM")

    def largest(self, value: int) -> int:
        """The largest of all processes."""
        return value if self.alone else int(self._reduced([value], "MAX")[0])

    def wait(self) -> None:
        """Return when all processes have come here."""
        self.total([0.0])

    def told(self, text: str) -> str:
        """``text`` of the first process."""
        if self.alone:
            return text
        import torch
        import torch.distributed as dist

        data = text.encode()
        size = int(self.largest(len(data) if self.first else 0))
        letters = torch.tensor(list(data) if self.first else [0] * size, dtype=torch.uint8)
        dist.broadcast(letters, 0)
        return bytes(letters.tolist()).decode()

    def require_equal(self, values: Sequence[int], what: str) -> None:
        """Raise :class:`ConfigError` on all processes unless ``values`` are the same on all."""
        if self.alone:
            return
        most, least = self._reduced(values, "MAX"), self._reduced(values, "MIN")
        if most != least:
            mend = "The folder of the run must be one that all machines share."
            raise ConfigError(f"the processes do not agree on {what}: {least} and {most}", mend=mend)

    def _reduced(self, values: Sequence[float], operation: str) -> list[float]:
        import torch
        import torch.distributed as dist

        found = torch.tensor(list(values), dtype=torch.float64)
        dist.all_reduce(found, getattr(dist.ReduceOp, operation))
        return found.tolist()


SINGLE = Ranks()


def ranks_from(environment: Mapping[str, str]) -> Ranks:
    """The place of this process, from what ``torchrun`` puts into the environment; SINGLE without it.

    Raises :class:`ConfigError` when that cannot be used.

    >>> ranks_from({}), ranks_from({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"})
    (Ranks(rank=0, size=1), Ranks(rank=1, size=2))
    """
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return SINGLE
    mend = "Start the processes with torchrun."
    try:
        rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    except ValueError as error:
        raise ConfigError(f"RANK and WORLD_SIZE must be whole numbers: {error}", mend=mend) from error
    if not 0 <= rank < size:
        raise ConfigError("RANK", got=rank, expected=f"from 0 to below WORLD_SIZE, which is {size}", mend=mend)
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in environment]
    if size > 1 and missing:
        raise ConfigError(f"WORLD_SIZE is {size}, but {' and '.join(missing)} is not set", mend=mend)
    return Ranks(rank, size)


def _no_meeting(error: Exception) -> ConfigError:
    where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    text = str(error)
    if "EADDRINUSE" in text or "already in use" in text:
        mend = "Choose another with torchrun --master-port, or leave the choice to torchrun --standalone."
        return ConfigError(f"the port of {where} is in use", mend=mend)
    reason = text.splitlines()[0] if text else type(error).__name__
    return ConfigError(f"the processes cannot meet at {where}: {reason}")


def _is_of_the_line(error: RuntimeError) -> bool:
    import torch.distributed as dist

    words = ("gloo", "NCCL", "onnection closed", "onnection reset", "Socket", "roken pipe")
    return isinstance(error, dist.DistError) or any(word in str(error) for word in words)
