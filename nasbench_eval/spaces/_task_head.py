"""What follows the last feature maps where a network does something else than to classify images.

Tensor legend: B batch, C channels, h and w of the last maps, H height, W width of an image, K outputs.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn


class TaskHead(nn.Module):
    """A head that says what its outputs are compared with, and by what loss.

    Its parameters belong to layers inside it.

    Attributes:
        task: what it is for (`Task`).
        rows: how many rows of the body's maps an image has.
        saturates: whether large outputs all are the same.
    """

    task: ClassVar[str]
    rows: ClassVar[int] = 1
    saturates: ClassVar[bool] = False

    def forward(self, features_BChw: Tensor) -> Tensor:
        """Outputs (B, ...) of the last maps, (B · rows, C, h, w)."""
        raise NotImplementedError

    def target(self, x: Tensor, outputs: Tensor, skipped: int, coins: torch.Generator) -> Tensor:
        """What the outputs are compared with: random, where it does not follow from the images themselves.

        Args:
            x: the images, (B, channels, H, W).
            outputs: of the head, (B, ...).
            skipped: samples of the same draw that belong to another pass, and come first.
            coins: of the draw, on the CPU.

        Returns:
            A tensor whose first dimension is B, on the device of the outputs.

        Raises:
            Undefined: if outputs of that shape cannot be compared with anything.
        """
        raise NotImplementedError

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample, (B,); that of the batch is their mean."""
        raise NotImplementedError
