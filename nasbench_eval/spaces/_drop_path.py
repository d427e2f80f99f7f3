"""Drop path: what a training leaves out of networks, image by image.

Huang et al. 2016, "Deep Networks with Stochastic Depth"; Larsson et al. 2017, "FractalNet".
"""

from __future__ import annotations

import torch
from torch import Tensor


def drop_path(y_BCHW: Tensor, share: float) -> Tensor:
    """A path's output, zero for an image with probability `share`, else divided by 1 − share."""
    kept = 1 - share
    return y_BCHW / kept * torch.empty_like(y_BCHW[:, :1, :1, :1]).bernoulli_(kept)
