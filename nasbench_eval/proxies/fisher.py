"""Fisher: how much the loss would change if single channels were taken away.

Turner et al., "BlockSwap: Fisher-guided Block Substitution for Network Compression on a Budget", ICLR 2020;
Liu et al., "Group Fisher Pruning for Practical Network Compression", ICML 2021.

Tensor legend: N samples, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import Observer, PassSpec, Record, layers, stack
from nasbench_eval.passes.spec import Init
from nasbench_eval.proxies.base import Batch, ProxyInfo, functions
from nasbench_eval.spaces.base import Network


@dataclass(frozen=True)
class Fisher(Batch):
    """Σ_a Σ_c w_c · ½ · mean_n (Σ_hw a ⊙ ∂L/∂a)² over the outputs a of convolution and linear layers.

    Attributes:
        square: what is squared: the sum over a `channel`, or each `position` by itself, (Σ_hw (a ⊙ ∂L/∂a)²).
        weighting: what a channel counts: w_c = 1 (`channel`); or as often as it has weights (`weight`),
            C_in·k·k in a convolution, as in public implementations, which give the channel's value to each of
            its weights and sum over weights.
    """

    info: ClassVar = ProxyInfo("fisher", 1, "Turner et al. 2020; Liu et al. 2021")
    init: Init = "torch_default"
    square: Literal["channel", "position"] = "channel"
    weighting: Literal["channel", "weight"] = "channel"

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward(), "cross_entropy", "parameters"),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _FisherObserver(self.square, self.weighting)

    def readings(self, traits: Traits) -> list[str]:
        return [*super().readings(traits), *functions(traits, "observed")]

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(records[0]["layers"].sum())}


class _FisherObserver(Observer):
    def __init__(
        self, square: Literal["channel", "position"], weighting: Literal["channel", "weight"]
    ) -> None:
        self.square, self.weighting = square, weighting
        self.values: list[Tensor] = []

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        return layers(net, "conv_linear")

    def on_layer_gradient(self, name: str, module: nn.Module, y: Tensor, gradient: Tensor) -> None:
        product = y * gradient
        if self.square == "channel" and y.ndim > 2:
            product = product.flatten(2).sum(2)
        value = product.square().mean(0).sum() / 2
        if self.weighting == "weight":
            assert isinstance(module.weight, Tensor)
            outputs = getattr(module, "out_channels", module.weight.shape[0])
            value = value * (module.weight.numel() // outputs)  # as many for each of its channels
        self.values.append(value)

    def record(self) -> Record:
        return {"layers": stack(self.values)}


PROXY = Fisher
