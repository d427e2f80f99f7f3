"""A trained network, and the curves of its training, in files of other programs."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from nasbench_eval.errors import UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.retrain.parts import extra
from nasbench_eval.retrain.states import Point
from nasbench_eval.wording import first_line

ONNX = "network.onnx"
_NEEDS = "pip install 'nasbench_eval[export]'"
# Images that an exported network is compared by, and how far logits may be apart, relative to the largest.
_IMAGES, _APART = 3, 1e-3


def require(export: str | None, tensorboard: bool) -> None:
    """Refuse what cannot be written here, before the training begins.

    Raises:
        UsageError: saying which package it needs.
    """
    if export == "onnx":
        for name in ("onnx", "onnxscript", "onnxruntime"):
            extra(name, _NEEDS)
    if tensorboard:
        extra("tensorboard", _NEEDS)


@torch.no_grad()
def to_onnx(network: nn.Module, side: int, folder: Path) -> float:
    """Write the network for batches of any size, and run it by onnxruntime.

    Args:
        network: on the CPU, in eval mode.
        side: height and width of its images.
        folder: where to.

    Returns:
        How far its logits are from PyTorch's at most, relative to the largest of these.

    Raises:
        UsageError: if the network cannot be exported, or computes something else.
    """
    x = torch.randn(_IMAGES, 3, side, side, generator=torch.Generator().manual_seed(0))
    try:
        with _quietly():
            made = torch.onnx.export(
                # A copy: tracing leaves attributes of modules as copies, so that what cells share is shared
                # no more, and cells of nasbench201 would add up features of another batch.
                copy.deepcopy(network).to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
                (x,),
                dynamo=True,
                verbose=False,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("images")},),
            )
            assert made is not None
            content = made.model_proto.SerializeToString()
    except Exception as error:  # whatever PyTorch cannot translate
        raise UsageError(f"export=onnx: this network cannot be exported ({first_line(error)})") from error
    worst = 0.0
    batches = (x, x[:1])
    for batch, theirs in zip(batches, _run(content, [batch.numpy() for batch in batches]), strict=True):
        ours = network(batch).numpy()
        worst = max(worst, float(np.abs(ours - theirs).max() / np.abs(ours).max()))
    if not worst < _APART:
        raise UsageError(
            f"export=onnx: onnxruntime's logits are {worst:.1e} from PyTorch's; the file is not kept"
        )
    write_whole(folder / ONNX, content)
    return worst


def _run(content: bytes, batches: Sequence[np.ndarray]) -> list[np.ndarray]:
    """An exported network's logits of batches of images, by onnxruntime."""
    onnxruntime = extra("onnxruntime", _NEEDS)
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return [session.run(None, {"images": images})[0] for images in batches]
    except Exception as error:  # its own kinds have no common one
        said = first_line(error)
        raise UsageError(
            f"export=onnx: onnxruntime cannot run this network on batches of any size ({said}); the file is "
            "not kept"
        ) from error


class Board:
    """The curves of a training for TensorBoard, epoch by epoch.

    Args:
        folder: of the run.
        after: epochs that are there already; later ones of an earlier attempt are dropped.
    """

    def __init__(self, folder: Path, after: int) -> None:
        with _quietly():
            from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=after + 1)

    def add(self, point: Point) -> None:
        """One epoch more."""
        for name, value in asdict(point).items():
            if name != "epoch" and value == value:
                self._writer.add_scalar(name, value, point.epoch)
        self._writer.flush()


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what exporters print and warn of on the way."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
