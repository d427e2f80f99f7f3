"""FLOPs: multiply-accumulates of convolution and linear layers for one image, NAS-Bench-201's count.

Products of features, as inside attention, count where the network shows them (`Product`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import ForwardSpec, Observer, PassSpec, Record, layers, modules
from nasbench_eval.proxies.base import Data, ProxyInfo, functions
from nasbench_eval.spaces.base import Network, Product, Sizes, summed


@dataclass(frozen=True)
class Flops:
    """Multiply-accumulates for one image; batch norm, pooling and additions are not counted.

    Attributes:
        resolution: height and width of the image in pixels; null takes the data set's own.
    """

    info: ClassVar = ProxyInfo("flops", 1, "Dong & Yang 2020 (NAS-Bench-201)")
    resolution: int | None = None

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(ForwardSpec("kaiming", "ones", 1, self.resolution, bn="eval"), "logits"),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _CountObserver()

    def from_size(self, space: Sizes, arch: object, data: Data) -> dict[str, float]:
        """The score where the search space tells the size of its networks."""
        resolution = self.resolution or data.resolution
        return {"score": float(space.flops(arch, resolution=resolution, num_classes=data.num_classes))}

    def readings(self, traits: Traits) -> list[str]:
        """Products that belong to no layer count nowhere."""
        return [
            *(["products inside attention not counted"] if traits.hidden else []),
            *functions(traits, "counted"),
        ]

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(records[0]["flops"])}


class _CountObserver(Observer):
    def __init__(self) -> None:
        self.flops = 0

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        products = {name: m for name, m in modules(net).items() if isinstance(m, Product)}
        return {**layers(net, "conv_linear"), **products}

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        self.flops += y[0].numel() * summed(module, x)

    def record(self) -> Record:
        return {"flops": self.flops}


PROXY = Flops
