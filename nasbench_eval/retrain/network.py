"""The network that is trained: built, its weights drawn, and shown to the training loop.

Tensor legend: B images of a batch, R height and width, K classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nasbench_eval.data.datasets import DataSet
from nasbench_eval.errors import UsageError
from nasbench_eval.networks.names import named
from nasbench_eval.passes.observer import modules
from nasbench_eval.passes.weights import draw
from nasbench_eval.retrain.recipe import Recipe
from nasbench_eval.spaces.base import Network
from nasbench_eval.spaces.open import is_open
from nasbench_eval.wording import first_line, shown

# What the head that only training uses is called in networks that have one.
AUXILIARY = "auxiliary"


def arch_named(space: Any, text: str | None) -> Any:
    """The architecture that `arch=` names: by its text, or by the number where the space counts them.

    Raises:
        UsageError: if there is none.
    """
    if text is None:
        raise UsageError(f"no network is named; name one of {space.name} with arch=TEXT")
    try:
        return space.parse(text)
    except ValueError as error:
        counted = text.isdecimal() and not is_open(space) and len(text) <= len(str(len(space)))
        if counted and int(text) < len(space):
            return space.arch(int(text))
        raise UsageError(f"arch={shown(text)[1:-1]}: {first_line(error)}") from error


def built(space: Any, arch: Any, recipe: Recipe, dataset: DataSet, key: tuple[object, ...]) -> nn.Module:
    """The network on the CPU, its weights drawn.

    Networks of this package's own spaces have all weights drawn by the recipe and the key.  Those of other
    packages keep the initialisation that they come with.

    Raises:
        UsageError: if it cannot do what the recipe asks for, or take images of that size.
    """
    try:
        network: nn.Module = space.build(arch, num_classes=dataset.num_classes)
    except ValueError as error:
        raise UsageError(f"arch={shown(space.format(arch))[1:-1]}: {first_line(error)}") from error
    if isinstance(network, Network):
        network.requires_grad_()
        draw(modules(network), recipe.init, *key)
        if (beside := auxiliary(network)) is not None:
            draw({f"{AUXILIARY}.{name}": module for name, module in named(beside).items()}, recipe.init, *key)
    if not recipe.auxiliary:
        without_auxiliary(network)
    _require(network, space, recipe)
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = recipe.batch_norm_momentum
    _try(network, space, dataset)
    return network


def auxiliary(network: nn.Module) -> Any:
    """The head that only training uses, or None."""
    return getattr(network, AUXILIARY, None)


def without_auxiliary(network: nn.Module) -> None:
    """Take away the head that only training uses, if there is one."""
    if auxiliary(network) is not None:
        setattr(network, AUXILIARY, None)


def _require(network: nn.Module, space: Any, recipe: Recipe) -> None:
    if recipe.auxiliary and auxiliary(network) is None:
        raise UsageError(
            f"recipe.auxiliary={recipe.auxiliary:g} needs an auxiliary head: those of space=darts have one "
            "with space.auxiliary=true; recipe.auxiliary=0 trains without"
        )
    if recipe.drop_path and not hasattr(network, "drop_paths"):
        raise UsageError(
            f"recipe.drop_path={recipe.drop_path:g}: networks of {space.name} have no paths to drop; "
            "recipe.drop_path=0 trains without"
        )


def _try(network: nn.Module, space: Any, dataset: DataSet) -> None:
    """Show the network an image or two, before it is too late."""
    side = dataset.resolution
    modes, state = [(m, m.training) for m in network.modules()], torch.get_rng_state()
    network.eval()
    try:
        with torch.no_grad():
            x = torch.zeros(2, 3, side, side)
            shape = tuple(network(x).shape)
            if auxiliary(network) is not None:
                network.both(x)  # type: ignore[operator]
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UsageError(
            f"this network of {space.name} cannot take images of {side} x {side} pixels "
            f"({first_line(error)}); resolution= sets another size"
        ) from error
    finally:
        torch.set_rng_state(state)
        for module, mode in modes:
            module.training = mode
    if shape != (2, dataset.num_classes):
        raise UsageError(
            f"this network of {space.name} puts out {shape[1:]}, not {dataset.num_classes} classes"
        )


class Trained(nn.Module):
    """A network as the loop sees it: one forward pass gives all the logits that the loss is of.

    Args:
        network: the network; with an auxiliary head it has `both`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_BCRR: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (B, K) of the classifier, and of the auxiliary head if there is one."""
        if auxiliary(self.network) is None:
            return self.network(x_BCRR), None
        logits: tuple[Tensor, Tensor] = self.network.both(x_BCRR)  # type: ignore[operator]
        return logits


def drop_paths(network: nn.Module, share: float) -> None:
    """Have each path dropped with this probability; no more than 0 where there are none."""
    if hasattr(network, "drop_paths"):
        network.drop_paths(share)  # type: ignore[operator]


def weights(network: nn.Module) -> dict[str, Tensor]:
    """All tensors of a trained network on the CPU; those of the auxiliary head are left out."""
    return {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.state_dict().items()
        if name.partition(".")[0] != AUXILIARY
    }
