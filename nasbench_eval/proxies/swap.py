"""SWAP: how many different patterns a network's units show over a batch.

Peng et al., "SWAP-NAS: Sample-Wise Activation Patterns for Ultra-fast NAS", ICLR 2024.

Tensor legend: B samples, U units, W bytes of a pattern.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from nasbench_eval.networks.activations import PIECEWISE
from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import Observer, PassSpec, Record, layers
from nasbench_eval.passes.spec import Init
from nasbench_eval.proxies.base import Batch, ProxyInfo, need, remark
from nasbench_eval.proxies.params import Params
from nasbench_eval.spaces.base import Network

Patterns = npt.NDArray[Any]  # of numbers or of pieces of memory
# Bytes of a pattern that are sorted as one number at most.
WORD = 8


@dataclass(frozen=True)
class Swap(Batch):
    """Number of distinct patterns of the outputs of all ReLUs on feature maps.

    A unit is one entry of one ReLU's output, its pattern the B bits that say at which samples it is positive.
    At most 2^B patterns there are.  A network without a ReLU has none, and one without a signal one.  Where
    the last features are not finite, the score is NaN.

    Attributes:
        regularised: whether the number is multiplied with exp(−(P − μ)²/σ), P the network's parameters in
            thousands, which keeps a search from ever larger networks.  The score is the logarithm of the
            product then: it ranks alike, and the product itself is 0 in floating point where P is far off.
        mu: μ, the number of parameters that is preferred, in thousands.
        sigma: σ, how far off others may be, in thousands squared.
    """

    info: ClassVar = ProxyInfo("swap", 1, "Peng et al. 2024", ("patterns",))
    init: Init = "gaussian"
    batch_size: int = 16
    regularised: bool = False
    mu: float = 40.0
    sigma: float = 40.0

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise ValueError(f"sigma is above 0; got {self.sigma}")

    def passes(self) -> tuple[PassSpec, ...]:
        patterns = PassSpec(self.forward())
        return (patterns, *Params().passes()) if self.regularised else (patterns,)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _PatternObserver() if spec.objective == "features" else Params().observe(net, spec)

    def readings(self, traits: Traits) -> list[str]:
        need(traits.activations, "it has no activations that can be seen")
        by_sign = remark("signs of the outputs of {}", traits.activations - PIECEWISE)
        return [*super().readings(traits), *by_sign]

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        patterns = float(records[0]["patterns"])
        if not self.regularised:
            return {"patterns": patterns, "score": patterns}
        off = records[1]["params"] / 1000 - self.mu
        log = math.log(patterns) if patterns > 0 else -math.inf if patterns == 0 else math.nan
        return {"patterns": patterns, "score": log - off**2 / self.sigma}


class _PatternObserver(Observer):
    """The distinct patterns so far, as numbers in sorted runs."""

    def __init__(self) -> None:
        self.options = ()
        self.runs: list[Patterns] = []
        self.finite = True

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return layers(net, "relu")

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        if y.ndim < 3:  # of a multi-layer head: no feature map
            return
        # Units in the order in which channels-last memory holds them: it does not matter, and spares a copy.
        active_BU = (y.movedim(1, -1).flatten(1) > 0).cpu().numpy()
        self.runs.append(np.unique(_packed(active_BU)))
        # Merged once it is as long as what came before: a pattern is sorted a few times, not once a layer.
        while len(self.runs) > 1 and len(self.runs[-1]) >= len(self.runs[-2]):
            self._merge()

    def on_features(self, features_BChw: Tensor) -> None:
        # What is not a number is not positive either: an overflow would pass for a pattern.
        self.finite = bool(features_BChw.isfinite().all())

    def _merge(self) -> None:
        last, before = self.runs.pop(), self.runs.pop()
        self.runs.append(np.union1d(before, last))

    def record(self) -> Record:
        while len(self.runs) > 1:
            self._merge()
        return {"patterns": sum(map(len, self.runs)) if self.finite else math.nan}


def _packed(active_BU: npt.NDArray[np.bool_]) -> Patterns:
    """Each unit's bits as one number, or as one piece of memory where they are more than 64."""
    bytes_WU = np.packbits(active_BU, axis=0)
    width = 1 << (len(bytes_WU) - 1).bit_length()  # the narrower, the faster they are sorted
    kind = f"u{width}" if width <= WORD else f"V{width}"
    padded_UW = np.zeros((bytes_WU.shape[1], width), np.uint8)
    padded_UW[:, : len(bytes_WU)] = bytes_WU.T
    packed: Patterns = padded_UW.view(kind).ravel()
    return packed


PROXY = Swap
