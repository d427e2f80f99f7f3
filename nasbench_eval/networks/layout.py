"""How networks lie in memory."""

from __future__ import annotations

import torch
from torch import nn

from nasbench_eval.spaces._network import Network, risky_channels_last


def layout(network: nn.Module) -> torch.memory_format:
    """How a network's images and weights lie best.

    Both have to: weights of 1×1 convolutions lie in both ways at once, so that the images decide.
    """
    if isinstance(network, Network):
        return network.tensor_layout
    return torch.contiguous_format if risky_channels_last(network) else torch.channels_last
