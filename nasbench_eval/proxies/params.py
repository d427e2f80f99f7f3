"""Parameters: trainable scalars of the network, as NAS-Bench-201 counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nasbench_eval.passes import ForwardSpec, Observer, PassSpec, Record, parameters
from nasbench_eval.proxies.base import Data, ProxyInfo
from nasbench_eval.spaces.base import Network, Sizes


@dataclass(frozen=True)
class Params:
    """Number of parameters, batch norm and classifier included."""

    info: ClassVar = ProxyInfo("params", 1, "Dong & Yang 2020 (NAS-Bench-201)")

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(ForwardSpec("kaiming", "ones", 1, bn="eval"), "logits"),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _CountObserver(sum(p.numel() for p in parameters(net).values()))

    def from_size(self, space: Sizes, arch: object, data: Data) -> dict[str, float]:
        """The score where the search space tells the size of its networks."""
        return {"score": float(space.params(arch, num_classes=data.num_classes))}

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(records[0]["params"])}


class _CountObserver(Observer):
    def __init__(self, params: int) -> None:
        self.params = params

    def record(self) -> Record:
        return {"params": self.params}


PROXY = Params
