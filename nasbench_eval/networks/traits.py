"""What proxies ask of a network before they score it: whether it has what they are defined on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from nasbench_eval.networks.activations import kind
from nasbench_eval.networks.look import Look
from nasbench_eval.spaces.base import Drawn

# Layers whose parameters a draw of weights sets.
LAYERS = (_ConvNd, nn.Linear, nn.MultiheadAttention)
NORMS = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True)
class Traits:
    """What a network is made of.

    Attributes:
        activations: names of its activations (`relu`, `gelu`, ...), gates left out.
        batch_norms: how many batch norms there are.
        other_norms: names of the classes of its other normalisations.
        convolutions: how many there are.
        blocks: how many were found or named.
        attention: whether products of features weigh features.
        hidden: whether some of these are in no module that shows them.
        tokens: whether some features are tokens (B, N, C).
        headed: whether one linear layer gives the logits.
        opaque: parameters of no layer that is known here, by name; a draw of weights leaves them.
        made: layers whose weight is no parameter, but made of others (as by weight norm), by name.
        products: modules that call products with weights as functions, so that no layer shows them, by name.
    """

    activations: frozenset[str]
    batch_norms: int
    other_norms: frozenset[str]
    convolutions: int
    blocks: int
    attention: bool
    hidden: bool
    tokens: bool
    headed: bool
    opaque: tuple[str, ...]
    made: tuple[str, ...]
    products: frozenset[str]


def traits_of(modules: Mapping[str, nn.Module], look: Look) -> Traits:
    """The traits of a network from its modules by name, and what was seen of it."""
    met = {name: module for name, module in modules.items() if look.times.get(name)}
    called = {name for _, name in look.sites}
    shown = {name for module in met.values() if (name := kind(module)) is not None}
    norms = [module for module in met.values() if isinstance(module, NORMS)]
    opaque = [
        f"{name}.{tensor}" if name else tensor
        for name, module in modules.items()
        if not isinstance(module, (*LAYERS, *NORMS, Drawn))
        for tensor, _ in module.named_parameters(recurse=False)
    ]
    return Traits(
        activations=frozenset(called | shown),
        batch_norms=sum(isinstance(norm, _BatchNorm) for norm in norms),
        other_norms=frozenset(type(norm).__name__ for norm in norms if not isinstance(norm, _BatchNorm)),
        convolutions=sum(isinstance(module, _ConvNd) for module in met.values()),
        blocks=len(look.blocks),
        attention=look.attention,
        hidden=look.hidden,
        tokens=look.tokens,
        headed=look.head is not None,
        opaque=tuple(opaque),
        made=tuple(
            name
            for name, module in modules.items()
            if isinstance(module, (_ConvNd, nn.Linear)) and "weight" not in module._parameters
        ),
        products=look.products,
    )
