"""From the configuration of `nasbench-retrain` to typed objects."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import RetrainOptions, plain, retrain_options_of, typed, written
from nasbench_eval.paths import config_folder
from nasbench_eval.retrain.network import arch_named
from nasbench_eval.retrain.recipe import Recipe
from nasbench_eval.retrain.source import Source, opened
from nasbench_eval.retrain.teacher import about, told_apart
from nasbench_eval.retrain.team import Team
from nasbench_eval.wording import counted
from nasbench_eval.work.execution import device_named, folder_of, space_named

# To be raised when the same plan comes to other weights.  2: images lie as the network bears them.
VERSION = 2
# Processes that read images, at most, where the command does not say.
_READERS = 8
# Copies of the weights in float32 that a run's folder holds for a moment: two states of weights, gradients'
# averages of two moments and moving average, and the best and last weights.
_COPIES = 10


@dataclass(frozen=True)
class Plan:
    """A training ready to begin.

    Attributes:
        options: of the command.
        space: the search space.
        arch: the architecture in it.
        recipe: how it is trained.
        source: with what.
        device: where.
        folder: of the run.
        teacher: what the record says of the network that is learnt from; None if there is none.
    """

    options: RetrainOptions
    space: Any
    arch: Any
    recipe: Recipe
    source: Source
    device: torch.device
    folder: Path
    teacher: dict[str, Any] | None

    @property
    def text(self) -> str:
        """The architecture's text."""
        return str(self.space.format(self.arch))

    @property
    def key(self) -> tuple[object, ...]:
        """What all draws depend on."""
        return ("retrain", self.options.seed, self.source.dataset.name, self.text)

    @property
    def flips(self) -> bool:
        """Whether images are mirrored at random."""
        return self.options.images != "digits" if self.recipe.flips is None else self.recipe.flips

    def identity(self) -> dict[str, Any]:
        """What decides the trained weights, as plain data; how many processes there are is no part of it."""
        known = {
            "version": VERSION,
            "space": {"name": self.space.name, **asdict(self.space)},
            "arch": self.text,
            "recipe": effective(asdict(self.recipe), self.teacher),
            "flips": self.flips,
            "dataset": written(self.source.dataset),
            "images": self.source.digest,
            "seed": self.options.seed,
            "precision": self.options.precision,
        }
        if self.teacher is not None:
            known["teacher"] = told_apart(self.teacher)
        if self.options.sync_batch_norm:
            known["sync_batch_norm"] = True
        return json.loads(json.dumps(known))  # type: ignore[no-any-return]

    def readers(self, team: Team) -> int:
        """Processes that read images for this one."""
        if self.source.in_memory and self.recipe.plain:
            return 0
        if self.options.workers is not None:
            return self.options.workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(_READERS, cores // team.neighbours)


def effective(recipe: Mapping[str, Any], teacher: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of a recipe has an effect: without a teacher nothing is taken from one."""
    idle = ("distillation", "temperature") if teacher is None else ()
    return {name: value for name, value in recipe.items() if name not in idle}


def resolve(config: DictConfig) -> Plan:
    """Check a composed configuration, and the images that it names.

    Raises:
        UsageError: naming what is wrong.
    """
    options = retrain_options_of(config)
    space, arch, recipe = checked(config)
    source = opened(options)
    device = device_named(options.device)
    plan = Plan(options, space, arch, recipe, source, device, Path(), _teacher(options, recipe))
    text = json.dumps(plan.identity(), sort_keys=True)
    digits = hashlib.sha256(text.encode()).hexdigest()[:8]
    name = f"{space.name}-{source.dataset.name}-{recipe.name}-{digits}"
    return replace(plan, folder=folder_of(options, name))


def _teacher(options: RetrainOptions, recipe: Recipe) -> dict[str, Any] | None:
    """What is known of the network that is learnt from.  Raises UsageError."""
    if options.teacher is None:
        return None
    if not recipe.distillation:
        raise UsageError(
            f"teacher={options.teacher}: nothing is taken from it with recipe.distillation=0; "
            "recipe.distillation=1 counts it like the labels"
        )
    return about(options.teacher)


def named(config: DictConfig) -> Plan:
    """A job's plan; a sweep that is given a name has its runs in a folder of that name."""
    plan = resolve(config)
    if HydraConfig.get().mode == RunMode.MULTIRUN and config.run is not None:
        unnamed = resolve(OmegaConf.merge(config, {"run": None}))  # type: ignore[arg-type]
        plan = replace(plan, folder=plan.folder / unnamed.folder.name)
    return plan


def checked(config: DictConfig) -> tuple[Any, Any, Recipe]:
    """The search space, the architecture and the recipe of a configuration, before any image is read.

    Raises:
        UsageError: naming what is wrong.
    """
    values = plain(config)
    space = space_named(values.get("space"))
    recipe = typed(Recipe, values["recipe"], f"recipe {values['recipe']['name']}")
    return space, arch_named(space, retrain_options_of(config).arch), recipe


def changed(recipe: Recipe) -> dict[str, Any]:
    """What a command has changed of the recipe of a name."""
    file = config_folder() / "recipe" / f"{recipe.name}.yaml"
    before = typed(Recipe, OmegaConf.to_container(OmegaConf.load(file)), "recipe")  # type: ignore[arg-type]
    now = asdict(recipe)
    return {name: now[name] for name, value in asdict(before).items() if now[name] != value}


def require(plan: Plan, team: Team, parameters: int) -> None:
    """Refuse what would fail later: batches that cannot be shared out, no room on the disk.

    Raises:
        UsageError: naming it.
    """
    size, images = plan.recipe.batch_size, len(plan.source.parts["train"])
    if size > images:
        raise UsageError(
            f"recipe.batch_size={size} is more than the {counted(images, 'image')} to train with; "
            "make it smaller"
        )
    if size % team.size:
        raise UsageError(f"recipe.batch_size={size} cannot be shared by {team.size} processes alike")
    if (plan.recipe.mixup or plan.recipe.cutmix) and size // team.size % 2:
        raise UsageError(
            f"{size // team.size} images a process cannot be mixed in pairs; make it an even number"
        )
    free, needed = shutil.disk_usage(_existing(plan.folder)).free, 4 * _COPIES * parameters
    if team.leads and free < needed:
        raise UsageError(
            f"{plan.folder}: the states of this training take up to {needed / 1e6:,.0f} MB, and "
            f"{free / 1e6:,.0f} MB are free there; choose another place with results="
        )


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
