"""Linear regions: into how many pieces a ReLU network cuts its inputs.

Xiong et al., "On the Number of Linear Regions of Convolutional Neural Networks", ICML 2020; as a score:
Chen et al. 2021 (TE-NAS), section 3.1.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor, nn

from nasbench_eval.passes import Observer, PassSpec, Record, layers
from nasbench_eval.passes.spec import Init, Source
from nasbench_eval.proxies.base import ProxyInfo, Sized
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class LinearRegions(Sized):
    """Number of distinct joint ReLU sign patterns (input > 0) over the samples.

    In a whole network every sample has a pattern of its own, and the number says nothing.  TE-NAS therefore
    counts them in one cell with one channel, on many tiny inputs; the default comes as near to that as the
    space's own network does.

    Attributes:
        relus: whose signs count: those of the body's `first_cell`, or `all`.
    """

    info: ClassVar = ProxyInfo("linear_regions", 1, "Chen et al. 2021, section 3.1.2")
    init: Init = "torch_default"
    input: Source = "gaussian"
    batch_size: int = 1000
    resolution: int | None = 4
    channels: int | None = 1
    cells: int | None = 1
    batches: int = 3
    relus: Literal["first_cell", "all"] = "first_cell"

    def passes(self) -> tuple[PassSpec, ...]:
        return tuple(PassSpec(forward) for forward in self.forwards())

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        relus = layers(net, "relu")
        if self.relus == "first_cell":
            relus = {name: relu for name, relu in relus.items() if name.startswith("cells.0.")}
        return _PatternObserver(relus, spec.forward.batch_size)

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": sum(record["patterns"] for record in records) / len(records)}


class _PatternObserver(Observer):
    """A running digest a sample, since the patterns themselves have a bit a unit."""

    def __init__(self, relus: Mapping[str, nn.Module], samples: int) -> None:
        self.relus = relus
        self.digests = [hashlib.blake2b(digest_size=16) for _ in range(samples)]

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return self.relus

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        codes = np.packbits((x > 0).flatten(1).cpu().numpy(), axis=1)
        for digest, bits in zip(self.digests, codes, strict=True):
            digest.update(bits.tobytes())

    def record(self) -> Record:
        return {"patterns": len({digest.digest() for digest in self.digests})}


PROXY = LinearRegions
