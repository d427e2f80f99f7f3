"""A trained network that another one learns from beside the labels.

Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015.

Tensor legend: B images of a batch, R height and width, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.retrain import outcome
from nasbench_eval.retrain.load import load_network
from nasbench_eval.retrain.states import BEST, LAST
from nasbench_eval.runs.provenance import file_digest
from nasbench_eval.spaces._torchvision import import_torchvision
from nasbench_eval.wording import first_line

# What timm's names are told from folders by.
TIMM = "timm:"


def distilled(logits_BK: Tensor, taught_BK: Tensor, temperature: float) -> Tensor:
    """T² · KL(softmax(taught / T) ‖ softmax(logits / T)), the mean over images.

    T² keeps gradients of one size whatever T is (their section 2).
    """
    log_BK, taught_log_BK = ((x.float() / temperature).log_softmax(1) for x in (logits_BK, taught_BK))
    divergence = F.kl_div(log_BK, taught_log_BK, reduction="batchmean", log_target=True)
    return temperature**2 * divergence


@dataclass(frozen=True)
class Teacher:
    """A network in eval mode, and how the student's images become its own.

    Attributes:
        network: gives logits (B, K).
        scale, shift: of the student's normalised images, a number a channel: (3, 1, 1).
        side: pixels a side that it was trained with; smaller and larger images are resized.
    """

    network: nn.Module
    scale: Tensor
    shift: Tensor
    side: int

    @torch.no_grad()
    def __call__(self, x_B3RR: Tensor) -> Tensor:
        """Logits (B, K) for images as the student sees them."""
        own = x_B3RR * self.scale + self.shift
        if own.shape[-1] != self.side:
            own = F.interpolate(own, size=(self.side, self.side), mode="bilinear", antialias=True)
        taught: Tensor = self.network(own)
        return taught


def opened(name: str, dataset: DataSet, classes: Sequence[str], device: torch.device) -> Teacher:
    """The teacher of a name: a folder that `nasbench-retrain` has left, or `timm:NAME` with timm's weights.

    Args:
        name: of it.
        dataset: the student's, by whose statistics images are normalised.
        classes: the student's, in their order.
        device: where it is to be.

    Raises:
        UsageError: if there is none, or it knows other classes.
    """
    if name.startswith(TIMM):
        network, mean, std, side, known = _of_timm(name.removeprefix(TIMM))
    else:
        network, record = load_network(name), outcome.read(Path(name))
        given = record["dataset"]
        mean, std, side, known = given["mean"], given["std"], given["resolution"], record.get("classes")
    _require_same(name, network, dataset, classes, known)
    scale, shift = affine(dataset, mean, std)
    network.requires_grad_(False).eval()
    return Teacher(network.to(device), scale.to(device), shift.to(device), int(side))


def about(name: str) -> dict[str, Any]:
    """What the record says of a teacher before it is opened: its name, and the digest of weights in a folder.

    Raises:
        UsageError: if the folder holds no trained network.
    """
    if name.startswith(TIMM):
        return {"name": name, "sha256": None, "data": "that of timm's weights of this name"}
    folder = Path(name)
    record = outcome.read(folder)
    files = [folder / file for file in (BEST, LAST) if (folder / file).is_file()]
    if not record.get("finished") or not files:
        raise UsageError(f"teacher={name}: the training there has not come to its end")
    digest = file_digest(files[0])
    return {"name": folder.resolve().name, "sha256": digest, "data": record["dataset"]["name"]}


def told_apart(teacher: Mapping[str, Any] | None) -> str | None:
    """What tells a teacher from others: its weights, wherever they lie; of timm's its name."""
    return None if teacher is None else teacher["sha256"] or teacher["name"]


def _of_timm(name: str) -> tuple[nn.Module, Sequence[float], Sequence[float], int, None]:
    import_torchvision()
    import timm

    if not timm.is_model(name):
        raise UsageError(f"teacher={TIMM}{name}: timm has no network of that name")
    try:
        network: Any = timm.create_model(name, pretrained=True)
    except Exception as error:  # whatever a download may end with
        raise UsageError(f"teacher={TIMM}{name}: its weights cannot be had ({first_line(error)})") from error
    cfg = network.pretrained_cfg
    mean, std = ([255 * float(value) for value in cfg[key]] for key in ("mean", "std"))
    return network, mean, std, int(cfg["input_size"][-1]), None


def _require_same(
    name: str, network: nn.Module, dataset: DataSet, classes: Sequence[str], known: Sequence[str] | None
) -> None:
    """Refuse a teacher of other classes: those of its record, or as many as it puts out."""
    if known is not None and list(known) != list(classes):
        raise UsageError(f"teacher={name}: it knows other classes than {dataset.name} has")
    number = getattr(network, "num_classes", None)
    if isinstance(number, int) and number != dataset.num_classes:
        raise UsageError(
            f"teacher={name}: it knows {number} classes, and {dataset.name} has {dataset.num_classes}"
        )


def affine(dataset: DataSet, mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Scale and shift from one normalisation, (p − m) / s of a pixel p, to another."""
    m, s, to_m, to_s = (torch.tensor(v, dtype=torch.float32) for v in (dataset.mean, dataset.std, mean, std))
    return (s / to_s)[:, None, None], ((m - to_m) / to_s)[:, None, None]
