"""Zen-score: how far the features move when the input moves a little, with batch norm's scaling undone.

Lin et al., "Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition", ICCV 2021, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nasbench_eval.errors import Undefined
from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import Observer, PassSpec, Record, layers, stack
from nasbench_eval.passes.spec import Init, Source
from nasbench_eval.proxies.base import Batch, ProxyInfo, need, remark
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class Zen(Batch):
    """log E‖F(x) − F(x + αε)‖₁ + Σ over batch norms of log sqrt(mean variance), averaged over repeats.

    F are the feature maps before global pooling, summed over a sample and averaged over samples.

    Attributes:
        alpha: size α of the perturbation.
        repeats: draws of weights, input and perturbation.
        variance: `batch`, the variance of the batch x; or `running`, what the authors' code reads: batch
            norm's running variance after both forwards, 0.81 + 0.09 v(x) + 0.1 v(x + αε).
    """

    info: ClassVar = ProxyInfo("zen", 1, "Lin et al. 2021, algorithm 1")
    init: Init = "gaussian"
    input: Source = "gaussian"
    alpha: float = 0.01
    repeats: int = 1
    variance: Literal["batch", "running"] = "batch"

    def passes(self) -> tuple[PassSpec, ...]:
        return tuple(
            PassSpec(self.forward(repeat=r, batch=r, noise=noise))
            for r in range(self.repeats)
            for noise in (0.0, self.alpha)
        )

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _FeatureObserver()

    def readings(self, traits: Traits) -> list[str]:
        need(traits.batch_norms, "it has no batch norm whose scaling could be undone")
        return [*super().readings(traits), *remark("scaling by {} not undone", traits.other_norms)]

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        scores = [self._once(*pair) for pair in zip(records[::2], records[1::2], strict=True)]
        return {"score": sum(scores) / len(scores)}

    def _once(self, plain: Record, moved: Record) -> float:
        difference = (plain["features"] - moved["features"]).abs().flatten(1).double().sum(1).mean()
        variances = plain["variances"]
        if self.variance == "running":
            variances = 0.81 + 0.09 * plain["variances"] + 0.1 * moved["variances"]
        return float(difference.log() + variances.sqrt().log().sum())


class _FeatureObserver(Observer):
    """Keeps the features whole, since they are compared between two passes, and each norm's mean variance."""

    def __init__(self) -> None:
        self.variances: list[Tensor] = []

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return layers(net, "bn")

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        assert isinstance(module, _BatchNorm)
        if module.running_var is None:
            raise Undefined(f"the batch norm '{name}' keeps no statistics")
        self.variances.append(module.running_var.mean())  # momentum is 1: the batch's own variance

    def on_features(self, features_BChw: Tensor) -> None:
        self.features = features_BChw.clone()

    def record(self) -> Record:
        return {"features": self.features, "variances": stack(self.variances)}


PROXY = Zen
