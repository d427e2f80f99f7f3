"""What tests of spaces of mobile inverted bottlenecks share: sizes of built networks, seen by hooks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from nasbench_eval.spaces.base import Network


class Seen(NamedTuple):
    """Sizes of a network: `averaged` are the elements that means are taken of, and the means."""

    macs: int
    params: int
    normalised: int
    averaged: int


def seen(space: Any, arch: Any, resolution: int, classes: int) -> Seen:
    """Sizes of the network that a space builds, of one image."""
    network = space.build(arch, num_classes=classes).eval().to("meta")
    macs = normalised = averaged = 0

    def hook(module: Any, inputs: tuple[Tensor], y: Tensor) -> None:
        nonlocal macs, normalised, averaged
        if isinstance(module, nn.BatchNorm2d):
            normalised += y.numel()
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            averaged += inputs[0].numel() + y.numel()
        else:
            macs += y.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.AdaptiveAvgPool2d):
            module.register_forward_hook(hook)
    features = network.features(torch.empty(1, 3, resolution, resolution, device="meta"))
    network.head(features)
    averaged += features.numel() + features.shape[1]
    return Seen(macs, sum(each.numel() for each in network.parameters()), normalised, averaged)


def plain(network: Network) -> Network:
    """The network in evaluation, with weights from a generator and batch norms that change nothing."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if tensor.ndim > 1 or ".se." in name or name.startswith("classifier"):
            tensor.data.normal_(generator=generator)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.eps == 1e-5
            module.reset_parameters()
            module.eps = 0.0
    return network.eval()


def table(name: str) -> pd.DataFrame:
    """A table of the data folder; without it the test is skipped."""
    file = Path(os.environ.get("NASBENCH_EVAL_DATA") or "/nowhere") / name
    if not file.is_file():
        pytest.skip(f"NASBENCH_EVAL_DATA names no folder with {name}")
    return pd.read_parquet(file)
