"""Where a training leaves its state after every epoch, to continue from."""

from __future__ import annotations

import copy
import io
import re
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from nasbench_eval.errors import UsageError
from nasbench_eval.files import set_aside, write_whole
from nasbench_eval.wording import first_line

# A training after an epoch: `epoch`, `identity`, `history`, and the state_dicts `network` and `optimizer`.
State = dict[str, Any]
_KEYS = {"epoch", "identity", "history", "network", "optimizer"}
# The files that a folder of checkpoints may hold: finished, set aside, half written.
_OWN = ("epoch-*.pt", "_epoch-*.pt.damaged*", ".epoch-*.tmp")


class Checkpoints(Protocol):
    """Where a training puts its state after every epoch; `str()` says where that is."""

    def latest(self, at_most: int) -> tuple[int, State] | None:
        """The last epoch up to `at_most` that is kept, with its state, which is the caller's own."""
        ...

    def save(self, epoch: int, state: State) -> None:
        """Keep the state after an epoch."""
        ...

    def clear(self) -> None:
        """Forget all epochs."""
        ...


@dataclass(frozen=True)
class Memory:
    """Checkpoints on the network's device, for as long as the process lives."""

    states: dict[int, State] = field(default_factory=dict)

    def __str__(self) -> str:
        return "memory"

    def latest(self, at_most: int) -> tuple[int, State] | None:
        epoch = max((e for e in self.states if e <= at_most), default=None)
        # Copies in both directions: a state_dict's tensors are the network's own, and training goes on.
        return None if epoch is None else (epoch, copy.deepcopy(self.states[epoch]))

    def save(self, epoch: int, state: State) -> None:
        self.states[epoch] = copy.deepcopy(state)

    def clear(self) -> None:
        self.states.clear()


@dataclass(frozen=True)
class Folder:
    """Checkpoints on disk, `epoch-003.pt` after epoch 3; one training and one process a folder.

    A damaged file is renamed to `_epoch-003.pt.damaged` with a warning and counts as absent.

    Raises:
        UsageError: from each method, if a file cannot be read, written or removed.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def latest(self, at_most: int) -> tuple[int, State] | None:
        numbers = (re.fullmatch(r"epoch-(\d+)\.pt", file.name) for file in self.path.glob("epoch-*.pt"))
        for epoch in sorted((int(n[1]) for n in numbers if n is not None), reverse=True):
            state = self._load(epoch) if epoch <= at_most else None
            if state is not None:
                return epoch, state
        return None

    def save(self, epoch: int, state: State) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(self._file(epoch), buffer.getvalue())

    def clear(self) -> None:
        """Remove all epochs, those set aside too, and the folder if nothing else is in it."""
        try:
            for file in [f for pattern in _OWN for f in self.path.glob(pattern)]:
                file.unlink()
            if self.path.is_dir() and not any(self.path.iterdir()):
                self.path.rmdir()
        except OSError as error:
            raise UsageError(f"cannot clear {self.path}: {error.strerror or error}") from error

    def _file(self, epoch: int) -> Path:
        return self.path / f"epoch-{epoch:03d}.pt"

    def _load(self, epoch: int) -> State | None:
        file = self._file(epoch)
        try:
            content = file.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror or error}") from error
        try:
            return _parse(content, epoch)
        except Exception as error:  # whatever the parsers meet in a damaged file
            what = f"{file} is damaged ({first_line(error)}); it is set aside as {set_aside(file).name}"
            warnings.warn(f"{what} and the epoch trained again", stacklevel=4)
        return None


def _parse(content: bytes, epoch: int) -> State:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # torch.save writes checksums, but torch.load does not compare them.
        broken = archive.testzip()
    if broken is not None:
        raise ValueError(f"the checksum of {broken} is wrong")
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not state.keys() >= _KEYS or state["epoch"] != epoch:
        raise ValueError(f"it does not hold epoch {epoch} of a training")
    return state
