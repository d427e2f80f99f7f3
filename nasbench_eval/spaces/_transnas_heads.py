"""Heads of TransNAS-Bench-101's tasks but for those that classify images (Duan et al., CVPR 2021).

Images of Taskonomy are not at hand, and neither are their labels: what follows from no image is drawn.  The
benchmark trained `autoencoding` and `normals` with 1 % of an adversarial loss besides, which is left out, as
NAS-Bench-Suite-Zero leaves it out.

Tensor legend: B batch, C channels, h and w of the last maps, H height, W width of an image, K outputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.errors import Undefined
from nasbench_eval.spaces._task_head import TaskHead
from nasbench_eval.spaces._transnas_counts import DECODERS, Kind
from nasbench_eval.spaces.base import PIECES

_SLOPE = 0.2


class _Linear(TaskHead):
    """A linear layer on the channels' means over the maps, those of an image's rows one after the other."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(self.rows * channels, outputs)

    def forward(self, features_BChw: Tensor) -> Tensor:
        means = features_BChw.mean(dim=(2, 3))
        outputs: Tensor = self.linear(means.reshape(-1, self.linear.in_features))
        return outputs


class Regression(_Linear):
    """K numbers, with the squared error; targets are N(0, 1), since the benchmark standardises them."""

    task = "regression"

    def target(self, x: Tensor, outputs: Tensor, skipped: int, coins: torch.Generator) -> Tensor:
        drawn = torch.randn(skipped + len(outputs), *outputs.shape[1:], generator=coins)
        return drawn[skipped:].to(outputs)

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs - target).square().mean(dim=1)


class Jigsaw(_Linear):
    """Which of K orders the nine pieces of an image are in, with cross-entropy; orders are drawn."""

    task = "jigsaw"
    rows = PIECES

    def target(self, x: Tensor, outputs: Tensor, skipped: int, coins: torch.Generator) -> Tensor:
        drawn = torch.randint(outputs.shape[1], (skipped + len(outputs),), generator=coins)
        return drawn[skipped:].to(outputs.device)

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(outputs, target, reduction="none")


def _layer(kind: Kind, channels_in: int, channels_out: int) -> nn.Sequential:
    if kind == "conv":
        convolution: nn.Module = nn.Conv2d(channels_in, channels_out, 3, padding=1)
    else:
        convolution = nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.LeakyReLU(_SLOPE))


class _Decoder(TaskHead):
    """Convolutions back to the size of the image (`DECODERS`), then one to K maps."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for kind, width in DECODERS[self.task]:
            layers.append(_layer(kind, channels, width))
            channels = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, outputs, 3, padding=1))

    def forward(self, features_BChw: Tensor) -> Tensor:
        maps: Tensor = self.layers(features_BChw)
        return maps

    def target(self, x: Tensor, outputs: Tensor, skipped: int, coins: torch.Generator) -> Tensor:
        if outputs.shape[2:] != x.shape[2:]:
            height, width = outputs.shape[2:]
            raise Undefined(
                f"the decoder of {self.task} makes maps of {height} x {width} of images of {x.shape[2]} x "
                f"{x.shape[3]} pixels; sizes have to be multiples of 32"
            )
        return self.pictured(x, outputs, skipped, coins)

    def pictured(self, x: Tensor, outputs: Tensor, skipped: int, coins: torch.Generator) -> Tensor:
        """The target where outputs and images have the same size."""
        raise NotImplementedError


class Segmentation(_Decoder):
    """One of K classes for each pixel, with cross-entropy; classes are drawn uniformly, a pixel at a time."""

    task = "segmentation"

    def pictured(self, x: Tensor, outputs: Tensor, skipped: int, coins: torch.Generator) -> Tensor:
        shape = (skipped + len(outputs), *outputs.shape[2:])
        return torch.randint(outputs.shape[1], shape, generator=coins)[skipped:].to(outputs.device)

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(outputs, target, reduction="none").mean(dim=(1, 2))


class _Generator(_Decoder):
    """Maps between -1 and 1, with the absolute error."""

    saturates = True

    def forward(self, features_BChw: Tensor) -> Tensor:
        return super().forward(features_BChw).tanh()

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs - target).abs().mean(dim=(1, 2, 3))


class Autoencoding(_Generator):
    """The image itself."""

    task = "autoencoding"

    def pictured(self, x: Tensor, outputs: Tensor, skipped: int, coins: torch.Generator) -> Tensor:
        return x.detach()


class Normals(_Generator):
    """The three components of the surfaces' normals; they are drawn from U(-1, 1)."""

    task = "normals"

    def pictured(self, x: Tensor, outputs: Tensor, skipped: int, coins: torch.Generator) -> Tensor:
        drawn = 2 * torch.rand(skipped + len(outputs), *outputs.shape[1:], generator=coins) - 1
        return drawn[skipped:].to(outputs)


HEADS: dict[str, type[_Linear | _Decoder]] = {
    head.task: head for head in (Regression, Jigsaw, Segmentation, Autoencoding, Normals)
}
