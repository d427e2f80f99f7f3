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
import numpy.typing as npt
from torch import Tensor, nn

from nasbench_eval.networks.activations import PIECEWISE
from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import Observer, PassSpec, Record, layers
from nasbench_eval.passes.spec import Body, CellSource, Init, Source
from nasbench_eval.proxies.base import NO_BLOCKS, ProxyInfo, Sized, need
from nasbench_eval.spaces.base import Network

# Bytes that stand for the signs of a layer with more.
DIGEST = 16


@dataclass(frozen=True)
class LinearRegions(Sized):
    """Number of distinct joint ReLU sign patterns (input > 0) over the samples.

    In a whole network every sample has a pattern of its own, and the number says nothing.  The code of TE-NAS
    and TEG-NAS therefore counts the patterns of 3,000 crops of 3×3 pixels, each of one random channel of an
    image, in one cell of one channel without a stem.  They pass in three batches, each with its own batch
    statistics, and are counted together.

    In a `whole` network the score is the mean number over the batches.

    Attributes:
        input: what the network is shown.  A cell takes `crops` of images, or inputs of one channel that need
            no images; a whole network takes `images` or the others with three channels.
        resolution: height and width R of the input in pixels, of a crop too; null takes the data set's own.
        relus: whose signs count: `all`, or those of the body's `first_cell`.
        body: one `cell` and what follows the cells, without a stem, or the `whole` network.
    """

    info: ClassVar = ProxyInfo("linear_regions", 2, "Chen et al. 2021, section 3.1.2")
    init: Init = "torch_default"
    input: Literal[Source, CellSource] = "crops"  # type: ignore[assignment]
    batch_size: int = 1000
    resolution: int | None = 3
    channels: int | None = 1
    cells: int | None = 1
    batches: int = 3
    relus: Literal["all", "first_cell"] = "all"
    body: Body = "cell"

    def passes(self) -> tuple[PassSpec, ...]:
        return tuple(PassSpec(forward) for forward in self.forwards(body=self.body))

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        relus = layers(net, "relu")
        if self.relus == "first_cell":
            first = next(iter(layers(net, "cell").values()), None)
            within = set() if first is None else set(first.modules())
            relus = {name: relu for name, relu in relus.items() if relu in within}
        return _PatternObserver(relus)

    def readings(self, traits: Traits) -> list[str]:
        need(traits.activations, "it has no activations that can be seen")
        curved = sorted(traits.activations - PIECEWISE)
        need(not curved, f"{', '.join(curved)} cut the input into no linear regions")
        need(self.relus == "all" or traits.blocks, NO_BLOCKS)
        return super().readings(traits)

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        patterns = [record["patterns"] for record in records]
        if self.body == "cell":
            return {"score": len(frozenset().union(*patterns))}
        return {"score": sum(map(len, patterns)) / len(patterns)}


class _PatternObserver(Observer):
    """The signs of every sample as bytes, those of a large layer as their digest."""

    def __init__(self, relus: Mapping[str, nn.Module]) -> None:
        self.relus = relus
        self.options = (tuple(relus),)
        self.codes: list[npt.NDArray[np.uint8]] = []

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return self.relus

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        self.codes.append(_short(np.packbits((x > 0).flatten(1).cpu().numpy(), axis=1)))

    def record(self) -> Record:
        if not self.codes:  # no ReLU: one piece
            return {"patterns": frozenset([b""])}
        codes = np.ascontiguousarray(np.concatenate(self.codes, axis=1))
        return {"patterns": frozenset(codes.view(f"V{codes.shape[1]}").ravel().tolist())}


def _short(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if codes.shape[1] <= DIGEST:
        return codes
    digests = b"".join(hashlib.blake2b(code, digest_size=DIGEST).digest() for code in codes)
    return np.frombuffer(digests, dtype=np.uint8).reshape(len(codes), DIGEST)


PROXY = LinearRegions
