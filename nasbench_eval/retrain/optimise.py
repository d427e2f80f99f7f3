"""From a recipe to an optimizer, a schedule, losses and mixtures of images: timm's parts, put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasbench_eval.networks.traits import LAYERS
from nasbench_eval.retrain.parts import timm_part
from nasbench_eval.retrain.recipe import Recipe
from nasbench_eval.seeding import seed_of


def spared(network: nn.Module) -> set[str]:
    """Names of the parameters that do not decay with `decay=weights`.

    These are all but the matrices and kernels of convolutions and linear layers.
    """
    decaying = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, LAYERS)
        for kind, parameter in module.named_parameters(recurse=False)
        if kind.endswith("weight") and parameter.ndim > 1
    }
    return {name for name, parameter in network.named_parameters() if id(parameter) not in decaying}


def optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """timm's optimizer of the recipe's name, whose parameters decay as the recipe has it."""
    optim, decay = timm_part("optim"), recipe.weight_decay
    if recipe.decay == "weights":
        groups = optim.param_groups_weight_decay(network, decay, no_weight_decay_list=spared(network))
    else:
        groups = [{"params": list(network.parameters()), "weight_decay": decay}]
    made: torch.optim.Optimizer = optim.create_optimizer_v2(
        groups, opt=recipe.optimizer, lr=recipe.learning_rate, weight_decay=0.0, momentum=recipe.momentum
    )
    return made


class Schedule:
    """A warm-up in a line, then half a cosine (Loshchilov & Hutter, ICLR 2017, equation 5), as timm has it.

    Args:
        made: the optimizer whose learning rates it sets.
        recipe: what it is like.
        steps: of an epoch.
    """

    def __init__(self, made: torch.optim.Optimizer, recipe: Recipe, steps: int) -> None:
        self.each = steps if recipe.moves == "step" else 1
        self.by_step, self.optimizer = recipe.moves == "step", made
        warmup = recipe.warmup_epochs * self.each
        self.inside = timm_part("scheduler").CosineLRScheduler(
            made,
            t_initial=recipe.epochs * self.each - warmup,
            lr_min=recipe.final_rate,
            warmup_t=warmup,
            warmup_lr_init=recipe.warmup_rate,
            warmup_prefix=True,
            t_in_epochs=not self.by_step,
        )

    def move(self, epoch: int, step: int) -> float:
        """Set the learning rate for a step, counted from 0, of an epoch, counted from 1; gives it."""
        if self.by_step:
            self.inside.step_update((epoch - 1) * self.each + step)
        elif step == 0:
            self.inside.step(epoch - 1)
        return float(self.optimizer.param_groups[0]["lr"])


@dataclass(frozen=True)
class Loss:
    """What is trained for.

    Attributes:
        of: loss of logits (B, K), and classes (B,) or shares of them (B, K).
        mix: mixes images and gives shares of classes; None where nothing is mixed.
        key: what mixtures depend on.
    """

    of: Callable[[Tensor, Tensor], Tensor]
    mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None
    key: tuple[object, ...]

    def mixed(self, x: Tensor, y: Tensor, *place: object) -> tuple[Tensor, Tensor]:
        """Images and what their classes are taken for; `place` names the batch."""
        if self.mix is None:
            return x, y
        state = np.random.get_state()
        np.random.seed(seed_of(*self.key, "mix", *place) % 2**32)
        try:
            return self.mix(x, y)
        finally:
            np.random.set_state(state)


def loss(recipe: Recipe, classes: int, key: tuple[object, ...]) -> Loss:
    """The loss of a recipe."""
    kinds, smoothing = timm_part("loss"), recipe.label_smoothing
    if recipe.mixup or recipe.cutmix:
        mix: Any = timm_part("data").Mixup(
            recipe.mixup, recipe.cutmix, label_smoothing=smoothing, num_classes=classes
        )
        return Loss(kinds.SoftTargetCrossEntropy(), mix, key)
    plain = kinds.LabelSmoothingCrossEntropy(smoothing) if smoothing else nn.CrossEntropyLoss()
    return Loss(plain, None, key)


def clipped(network: nn.Module, most: float | None) -> None:
    """Scale all gradients so that their norm is at most this."""
    if most is not None:
        nn.utils.clip_grad_norm_(network.parameters(), most)
