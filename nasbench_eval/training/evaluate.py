"""How well a trained network does.

Tensor legend: N images, B images of a batch, C channels, R height and width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BATCH = 256


class Outcome(NamedTuple):
    """Mean cross-entropy in nats, and accuracy in percent."""

    loss: float
    accuracy: float


@torch.no_grad()
def evaluate(network: nn.Module, images_NCHW: Tensor, labels_N: Tensor) -> Outcome:
    """Loss and accuracy with the running statistics of batch norm; the modules' modes are put back.

    Args:
        network: gives logits (B, classes) for images (B, C, R, R).
        images_NCHW: normalised, on the network's device.
        labels_N: classes, int64, on the same device.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    loss, hits = 0.0, 0
    for start in range(0, len(labels_N), _BATCH):
        images_BCHW, labels_B = images_NCHW[start : start + _BATCH], labels_N[start : start + _BATCH]
        logits = network(images_BCHW)
        loss += float(F.cross_entropy(logits, labels_B, reduction="sum"))
        hits += int((logits.argmax(1) == labels_B).sum())
    for module, mode in modes.items():
        module.training = mode
    return Outcome(loss / len(labels_N), 100 * hits / len(labels_N))
