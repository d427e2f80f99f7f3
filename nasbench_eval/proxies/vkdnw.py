"""VKDNW: how evenly the eigenvalues of a network's Fisher information are spread.

Týbl & Neumann, "Training-free Neural Architecture Search through Variance of Knowledge of Deep Network
Weights", CVPR 2025.

    F = mean_n J_nᵀ (diag p_n − p_n p_nᵀ) J_n,  score = −Σ_i q_i log q_i,  q the deciles of F's eigenvalues

The authors also let batch norm take statistics of its own in a training-mode forward beforehand; that is not
offered.

Tensor legend: B samples, K classes, M differentiated outputs, T parameter tensors, h and w height and width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_eval.networks.traits import Traits
from nasbench_eval.passes import (
    Observer,
    Parameters,
    PassSpec,
    Record,
    modules,
    parameter_names,
    parameters,
)
from nasbench_eval.passes.spec import Source
from nasbench_eval.proxies.base import NO_HEAD, Batch, ProxyInfo, need
from nasbench_eval.spaces.base import Drawn, Network

Choice = Literal["first", "random", "all"]
Dead = Literal["keep", "drop"]
SMOOTHING = 0.05
# Outputs from which on it is cheaper to move the entries one by one than to go back from each output.
MANY = 128


@dataclass(frozen=True)
class Vkdnw(Batch):
    """−Σ_i q_i log q_i, q the deciles of the eigenvalues of the empirical Fisher matrix F, scaled to sum 1.

    F is that of one entry (the first) of each of the first parameter tensors, in their order in the network.
    `choose`, `dead` and `kinds` are other readings, for networks in which the first tensors say little.
    J_n is the Jacobian of the logits at sample n by these entries, p_n the softmax mixed with 5 % of the
    uniform distribution.  Batch norm runs in eval mode with untouched statistics (mean 0, variance 1).

    Where all deciles are zero, fewer than about a tenth of the entries carry any information: 0, the least
    entropy there is.

    Attributes:
        tensors: how many parameter tensors count, at most.
        choose: which: the `first`, as the authors do on NAS-Bench-201; some at `random`, as they do in larger
            spaces, by a generator that the number of tensors seeds; or `all`, whatever `tensors` says.
        dead: whether entries by which all derivatives are exactly zero are kept, each an eigenvalue of zero,
            or dropped before any are chosen: those behind a zero, say, or in corners of kernels that meet no
            pixel.
        kinds: whether all tensors can be chosen, or `weights` alone, those of convolutions and linear layers.
    """

    info: ClassVar = ProxyInfo("vkdnw", 1, "Týbl & Neumann 2025")
    input: Source = "gaussian"
    tensors: int = 128
    choose: Choice = field(default="first", metadata={"later": True})
    dead: Dead = field(default="keep", metadata={"later": True})
    kinds: Parameters = field(default="all", metadata={"later": True})

    def __post_init__(self) -> None:
        if self.tensors < 1:
            raise ValueError(f"tensors are at least 1; got {self.tensors}")
        for name, choices in (("choose", Choice), ("dead", Dead), ("kinds", Parameters)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} is {' or '.join(get_args(choices))}; got {getattr(self, name)}")

    def passes(self) -> tuple[PassSpec, ...]:
        return (PassSpec(self.forward(bn="eval"), "logits", "outputs"),)

    def observe(self, net: Network, spec: PassSpec) -> Observer:
        return _FisherObserver(net, self.tensors, self.choose, self.dead, self.kinds)

    def readings(self, traits: Traits) -> list[str]:
        need(traits.headed, NO_HEAD)
        return super().readings(traits)

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        return {"score": decile_entropy(records[0]["fisher"])}


def chosen(choose: Choice, n: int, most: int) -> list[int]:
    """Places of the tensors that count among n, in their order."""
    if choose == "all" or n <= most:
        return list(range(n))
    return list(range(most)) if choose == "first" else sorted(Random(n).sample(range(n), most))


def decile_entropy(fisher_TT: Tensor) -> float:
    """Entropy of the nine deciles of the eigenvalues; 0 if all are zero, NaN of a non-finite matrix."""
    if not fisher_TT.isfinite().all():
        return float("nan")
    if not len(fisher_TT):
        return 0.0
    eigenvalues_T = torch.linalg.eigvalsh(fisher_TT)
    # What is within rounding of zero is zero: else the deciles of a matrix of low rank would be noise.
    floor = len(eigenvalues_T) * torch.finfo(eigenvalues_T.dtype).eps * eigenvalues_T.max()
    eigenvalues_T = torch.where(eigenvalues_T > floor, eigenvalues_T, 0.0)
    deciles_9 = eigenvalues_T.quantile(torch.arange(1, 10, dtype=torch.float64) / 10)
    if not deciles_9.any():
        return 0.0
    return float(torch.special.entr(deciles_9 / deciles_9.sum()).sum())


class _FisherObserver(Observer):
    """Gathers the gradients of the tensors' first entries from the inputs and output gradients of layers.

    The classifier's own need no gradient: ∂f_k/∂W[0, 0] = δ_k0 φ_0 and ∂f_k/∂b[0] = δ_k0.
    """

    def __init__(self, net: Network, tensors: int, choose: Choice, dead: Dead, kinds: Parameters) -> None:
        self.options = (tensors, choose, dead, kinds)
        self.tensors, self.choose, self.dead = tensors, choose, dead
        self.slopes: dict[str, Tensor] = {}
        names = list(parameters(net))
        wanted = parameter_names(net, kinds)
        rows = [name for name in names if name in wanted]
        if dead == "keep":
            rows = [rows[t] for t in chosen(choose, len(rows), tensors)]
        self.row = {name: t for t, name in enumerate(rows)}
        self.head = net.classifier_name
        plain = net.plain_layers()
        # What no layer known here shows is had from the network as a whole, an entry at a time; and so is
        # everything where there are more outputs to go back from than entries.
        known = {*(plain or ()), *(n for n, m in modules(net).items() if isinstance(m, Drawn))}
        few = min(net.classifier.weight.shape) <= max(len(self.row), MANY)
        self.others = {
            name
            for name in self.row
            if plain is not None and (owner := _owner(name)) != self.head and not (few and owner in known)
        }
        # The size of the network, for vkdnw_single.
        self.size = {"tensors": len(names), "layers": len({_owner(name) for name in names})}

    def layers(self, net: Network) -> Mapping[str, nn.Module]:
        shown = [name for name in self.row if name not in self.others]
        owners = dict.fromkeys([*map(_owner, shown), self.head])
        inside = modules(net)
        return {name: inside[name] for name in owners}

    def on_layer(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        if name == self.head:
            if y.ndim != 2:
                raise ValueError("the Fisher matrix needs one vector of logits a sample")
            self.phi_B, self.logits_BK = x[:, 0].double(), y.double()

    def on_basis(self, basis_KM: Tensor) -> None:
        self.basis_KM = basis_KM.double()
        shape = (basis_KM.shape[1], len(self.row), len(self.phi_B))
        self.jacobian_MTB = basis_KM.new_zeros(shape, dtype=torch.float64)

    def on_output_gradient(
        self, output: int, name: str, module: nn.Module, x: Tensor, gradient: Tensor
    ) -> None:
        if name == self.head:
            return
        for kind, value_B in first_entries(name, module, x, gradient).items():
            if (row := self.row.get(f"{name}.{kind}")) is not None:
                self.jacobian_MTB[output, row] += value_B

    def entries_wanted(self) -> tuple[str, ...]:
        return tuple(sorted(self.others))

    def on_entry(self, name: str, slope_BK: Tensor) -> None:
        self.slopes[name] = slope_BK.double()

    def record(self) -> Record:
        jacobian_KTB = torch.einsum("km,mtb->ktb", self.basis_KM, self.jacobian_MTB)
        for kind, value in (("weight", self.phi_B), ("bias", 1.0)):
            if (row := self.row.get(f"{self.head}.{kind}")) is not None:
                jacobian_KTB[0, row] = value
        for name, slope_BK in self.slopes.items():
            jacobian_KTB[:, self.row[name]] = slope_BK.T
        if self.dead == "drop":
            live_T = jacobian_KTB.abs().amax((0, 2)) > 0
            kept = chosen(self.choose, int(live_T.sum()), self.tensors)
            jacobian_KTB = jacobian_KTB[:, live_T][:, kept]
        classes = self.logits_BK.shape[1]
        p_KB = (1 - SMOOTHING) * self.logits_BK.softmax(dim=1).T + SMOOTHING / classes
        # With J centred by p, Jᵀ(diag p − ppᵀ)J is Σ_k p_k J_kᵀ J_k: nothing cancels.
        centred_KTB = jacobian_KTB - torch.einsum("kb,ktb->tb", p_KB, jacobian_KTB)
        root_KTB = centred_KTB * (p_KB / len(self.phi_B)).sqrt().unsqueeze(1)
        root_TR = root_KTB.movedim(1, 0).flatten(1)
        return {"fisher": (root_TR @ root_TR.T).cpu(), **self.size}


def first_entries(name: str, module: nn.Module, x: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    """Gradients (B,) in float64 by the first entry of a layer's tensors, from that by its output.

    `name` is for the error: TypeError where the layer is not one whose gradient is known here.
    """
    if isinstance(module, Drawn):
        return module.first_entries(x, gradient)
    if isinstance(module, nn.LayerNorm):
        kept = len(module.normalized_shape)
        normalised = F.layer_norm(x, module.normalized_shape, eps=module.eps)
        first, g = (each.flatten(-kept)[..., 0] for each in (normalised, gradient))
        return {"weight": _inner(g, first), "bias": _inner(g)}
    if isinstance(module, nn.Linear):
        first, g = x[..., 0], gradient[..., 0]  # of tokens as of samples
        return {"weight": _inner(g, first), "bias": _inner(g)}
    g = gradient[:, 0]
    if isinstance(module, nn.GroupNorm):
        normalised = F.group_norm(x, module.num_groups, eps=module.eps)
        return {"weight": _inner(g, normalised[:, 0]), "bias": _inner(g)}
    if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
        assert module.running_var is not None
        variance = module.running_var[0] + module.eps
        normalised_Bhw = (x[:, 0] - module.running_mean[0]) / variance.sqrt()
        return {"weight": _inner(g, normalised_Bhw), "bias": _inner(g)}
    if isinstance(module, nn.Conv2d) and module.padding_mode == "zeros" and isinstance(module.padding, tuple):
        # The kernel's first entry meets the first channel alone, whatever the groups and the dilation.
        (above, left), (down, right) = module.padding, module.stride
        padded_Bhw = F.pad(x[:, 0], (left, left, above, above))
        met_Bhw = padded_Bhw[:, ::down, ::right][:, : g.shape[1], : g.shape[2]]
        return {"weight": _inner(g, met_Bhw), "bias": _inner(g)}
    raise TypeError(f"no gradient is defined by the parameters of {type(module).__name__} '{name}'")


def _inner(a: Tensor, b: Tensor | float = 1.0) -> Tensor:
    """Inner product a sample, (B,) in float64."""
    product = a * b
    return product.sum(dim=tuple(range(1, a.ndim)), dtype=torch.float64) if a.ndim > 1 else product.double()


def _owner(parameter: str) -> str:
    return parameter.rpartition(".")[0]


PROXY = Vkdnw
