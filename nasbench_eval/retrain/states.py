"""The state of a training after its last epoch, and the weights of its best one: whole files or none."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from nasbench_eval.errors import UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.retrain.parts import extra
from nasbench_eval.training.checkpoints import Folder, State

BEST, LAST, CURVES = "best.safetensors", "last.safetensors", "curves.csv"


@dataclass(frozen=True)
class Point:
    """What one epoch came to.

    Attributes:
        epoch: its number, from 1.
        learning_rate: of its last step.
        loss: mean training loss as the recipe has it, in nats.
        accuracy: training accuracy in percent, over images as they were seen; NaN where they were mixed.
        val_loss: mean cross-entropy after the epoch on the images to validate with; NaN where there are none.
        val_accuracy: in percent, on the same.
        seconds: it took, validation included.
        waited: seconds of these in which there was no batch.
    """

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    waited: float


@dataclass(frozen=True)
class States:
    """Where a training keeps what it needs to continue: the states after its last two epochs.

    Attributes:
        folder: of the run.
    """

    folder: Path

    @property
    def _states(self) -> Folder:
        return Folder(self.folder / ".state")

    def latest(self, epochs: int, identity: Mapping[str, Any]) -> State | None:
        """The state after the last epoch that is kept; None where there is none.

        Raises:
            UsageError: if it is of another training.
        """
        found = self._states.latest(epochs)
        if found is None:
            return None
        if found[1]["identity"] != identity:
            raise UsageError(
                f"{self.folder} holds another training; choose another folder with run=NAME, or "
                "delete this one"
            )
        return found[1]

    def save(self, epoch: int, state: State) -> None:
        """Keep the state after an epoch, and that of the epoch before it, should this one be damaged."""
        self._states.save(epoch, state)
        kept = {f"epoch-{each:03d}.pt" for each in (epoch - 1, epoch)}
        for file in self._states.path.glob("epoch-*.pt"):
            if file.name not in kept:
                with suppress(OSError):
                    file.unlink()

    def clear(self) -> None:
        """Remove the state: the training is finished."""
        self._states.clear()


def write_weights(path: Path, tensors: Mapping[str, Tensor], epoch: int) -> None:
    """Write tensors as safetensors.  Raises UsageError if that cannot be done."""
    save = extra("safetensors.torch").save
    write_whole(path, save(dict(tensors), {"format": "pt", "epoch": str(epoch)}))


def write_curves(folder: Path, history: Sequence[Point]) -> None:
    """All epochs so far, a line each."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Point)], lineterminator="\n")
    writer.writeheader()
    writer.writerows([{name: _short(value) for name, value in asdict(point).items()} for point in history])
    write_whole(folder / CURVES, text.getvalue().encode())


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.8g}"
