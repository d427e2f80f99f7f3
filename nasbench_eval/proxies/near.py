"""NEAR: how many directions pre- and post-activations fill, summed over the layers.

Husistein, Reiher & Eckhoff, "NEAR: A Training-Free Pre-Estimator of Machine Learning Model Performance",
ICLR 2025; the effective rank is that of Roy & Vetterli, "The effective rank: A measure of effective
dimensionality", EUSIPCO 2007.

    erank(Z) = exp(−Σ p log p), p = σ / Σσ, σ the singular values of Z

Tensor legend: B samples, C channels, H height, W width, N = B·H·W positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nasbench_eval.networks.traits import NORMS, Traits
from nasbench_eval.passes import Observer, PassSpec, Record, layers, modules
from nasbench_eval.proxies.base import Batch, ProxyInfo, functions, need
from nasbench_eval.spaces.base import Network

Layers = Literal["activations", "weighted"]
Rows = Literal["all", "square"]


@dataclass(frozen=True)
class Near(Batch):
    """Σ_l erank(Z_l) + erank(H_l), Z_l and H_l the pre- and post-activations of layer l, a column a channel.

    A matrix of zeros has effective rank 0.  Matrices are not centred.  An output that is not finite makes
    the score NaN.

    Attributes:
        layers: which matrices: the inputs and the outputs of all `activations`; or the outputs of activations
            and of all layers with weights (`weighted`), as the authors' code has it: convolutions, linear
            layers and normalisations, each of whose outputs is a pre-activation there.
        rows: `all` positions of all samples are rows, or the first C alone, so that the matrix is `square`,
            as in the authors' code, which takes C in a row from a random one on.
    """

    info: ClassVar = ProxyInfo("near", 1, "Husistein et al. 2025")
    layers: Layers = "activations"
    rows: Rows = "all"

    def passes(self) -> tuple[PassSpec, ...]:
        # The classifier is a layer with weights: with it the pass is one of a data set.
        return (PassSpec(self.forward(), "features" if self.layers == "activations" else "logits"),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _RankObserver(self.layers, self.rows)

    def readings(self, traits: Traits) -> list[str]:
        need(
            self.layers == "weighted" or traits.activations,
            "it has no activations that can be seen; layers=weighted takes layers with weights as well",
        )
        hidden = functions(traits, "observed") if self.layers == "weighted" else []
        return [*super().readings(traits), *hidden]

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": float(records[0]["ranks"].sum())}


class _RankObserver(Observer):
    def __init__(self, kinds: Layers, rows: Rows) -> None:
        self.kinds, self.rows = kinds, rows
        self.options = (kinds, rows)
        self.activations: frozenset[str] = frozenset()
        self.ranks: list[float] = []

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        activations = layers(net, "relu")
        self.activations = frozenset(activations)
        if self.kinds == "activations":
            return activations
        norms = {name: module for name, module in modules(net).items() if isinstance(module, NORMS)}
        return {**layers(net, "conv_linear"), **norms, **activations}

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        if self.kinds == "activations":
            self.ranks.append(self._rank(x))
        self.ranks.append(self._rank(y))

    def _rank(self, y: Tensor) -> float:
        y_NC = y.movedim(1, -1).flatten(0, -2)
        return effective_rank(y_NC if self.rows == "all" else y_NC[: y_NC.shape[1]])

    def record(self) -> Record:
        return {"ranks": torch.tensor(self.ranks, dtype=torch.float64)}


def effective_rank(y_NC: Tensor) -> float:
    """exp of the entropy of the normalised singular values; 0 of a zero matrix, NaN if not finite.

    The singular values are the square roots of the eigenvalues of YᵀY, in float64: those of float32 entries
    come out to 8 digits of the largest, and C×C is small.
    """
    y_NC = y_NC.double()
    gram_CC = (y_NC.T @ y_NC).cpu()
    if not gram_CC.isfinite().all():
        return float("nan")
    sigma_C = torch.linalg.eigvalsh(gram_CC).clamp(min=0).sqrt()
    if not sigma_C.any():
        return 0.0
    return float(torch.special.entr(sigma_C / sigma_C.sum()).sum().exp())


PROXY = Near
