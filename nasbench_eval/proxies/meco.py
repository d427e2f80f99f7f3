"""MeCo: how far a layer's channels are from saying the same, by one image of noise.

Jiang et al., "MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum Eigenvalue of
Correlation", NeurIPS 2023; with `channels`, the paper's MeCo-opt.

Tensor legend: B samples, C channels, H height, W width, N = B·H·W positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import Observer, PassSpec, Record, layers, modules
from nasbench_eval.passes.spec import Init, Source
from nasbench_eval.proxies.base import Batch, ProxyInfo, functions, need
from nasbench_eval.seeding import generator
from nasbench_eval.spaces.base import Network

Layers = Literal["conv", "all"]


@dataclass(frozen=True)
class MeCo(Batch):
    """Σ_l λ_min(P_l), P_l the Pearson correlation matrix of a layer's output channels, positions as samples.

    A channel that is the same everywhere has no correlation; its row, its diagonal entry too, counts as 0,
    and so does the layer.  A layer with fewer positions than channels, or with channels that are copies of
    each other, counts 0 as well.  An output that is not finite makes the score NaN.

    Attributes:
        layers: whose outputs count: those of convolutions (`conv`), or of `all` modules, as in the authors'
            code, which takes blocks and what is in them.
        channels: how many channels of a layer are drawn, the layer then counting λ_min·C/channels (MeCo-opt
            takes 8); null takes all.  Which are drawn depends on the layer's name and C alone.
    """

    info: ClassVar = ProxyInfo("meco", 1, "Jiang et al. 2023")
    init: Init = "torch_default"
    input: Source = "gaussian"
    batch_size: int = 1
    resolution: int | None = 64
    layers: Layers = "conv"
    channels: int | None = None

    def __post_init__(self) -> None:
        if self.channels is not None and self.channels < 2:
            raise ValueError(
                f"one channel correlates with nothing: channels are at least 2; got {self.channels}"
            )

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward()),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _EigenvalueObserver(self.layers, self.channels)

    def readings(self, traits: Traits) -> list[str]:
        need(
            self.layers == "all" or traits.convolutions,
            "it has no convolution; layers=all takes every module",
        )
        return [*super().readings(traits), *functions(traits, "observed")]

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(records[0]["layers"].sum())}


class _EigenvalueObserver(Observer):
    def __init__(self, kinds: Layers, channels: int | None) -> None:
        self.kinds, self.channels = kinds, channels
        self.options = (kinds, channels)
        self.values: list[float] = []

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return layers(net, "conv") if self.kinds == "conv" else modules(net)

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        y_CN = y.movedim(1, 0).flatten(1)
        counts = 1.0
        if self.channels is not None and self.channels < len(y_CN):
            counts = len(y_CN) / self.channels
            order = torch.randperm(len(y_CN), generator=generator("meco", name, len(y_CN)))
            y_CN = y_CN[order[: self.channels].to(y_CN.device)]
        self.values.append(counts * smallest_eigenvalue(correlation(y_CN).cpu()))

    def record(self) -> Record:
        return {"layers": torch.tensor(self.values, dtype=torch.float64)}


def correlation(y_CN: Tensor) -> Tensor:
    """Pearson's correlations (C, C) in float64 between rows; 0 where a row is constant, NaN if not finite."""
    low_C, high_C = y_CN.aminmax(dim=1)
    centred_CN = y_CN.double()
    centred_CN = centred_CN - centred_CN.mean(dim=1, keepdim=True)
    # To compare extremes is exact; rounding leaves a constant row a little variance.
    moving_C = (low_C != high_C).double()
    unit_CN: Tensor = centred_CN * (moving_C / centred_CN.norm(dim=1).where(moving_C > 0, 1.0))[:, None]
    return unit_CN @ unit_CN.T


def smallest_eigenvalue(correlation_CC: Tensor) -> float:
    """λ_min of a correlation matrix, which has none below 0; NaN if an entry is not finite."""
    if not correlation_CC.isfinite().all():
        return float("nan")
    return max(float(torch.linalg.eigvalsh(correlation_CC)[0]), 0.0)


PROXY = MeCo
