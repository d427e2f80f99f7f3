"""A search on made-up tables, as a driver runs it: told at once, late, or several steps at a time."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from nasbench_eval import paths
from nasbench_eval.search import algorithms
from nasbench_eval.search.algorithms.base import Algorithm, Problem
from nasbench_eval.search.draws import Draws
from nasbench_eval.search.history import Numbers, Past, Values
from nasbench_eval.search.moves import Cells201, Masks, Moves

CELLS = 15625
MOVES = Cells201()
# How many of the steps before a step have been told by then.
Told = Callable[[int], int]


@dataclass(frozen=True)
class World:
    """What an algorithm is tried on.

    Attributes:
        moves: of a space.
        size: how many architectures it has.
        ends: those that a search may end with.
    """

    moves: Moves
    size: int
    ends: range | tuple[int, ...]


CELLS201 = World(MOVES, CELLS, range(CELLS))


@cache
def supernets() -> World:
    """Sets of four operations on four edges; a search ends with one on each, and without `none`."""
    moves = Masks(("none", "a", "b", "c"), 4)
    size = 15**4
    has = moves.has(np.arange(size))
    single = (has.sum(-1) == 1).all(-1) & ~has[..., 0].any(-1)
    return World(moves, size, tuple(np.flatnonzero(single).tolist()))


def world_of(algorithm: Algorithm) -> World:
    """Supernets for an algorithm that needs them, cells of NAS-Bench-201 for all others."""
    return supernets() if algorithm.info.name == "prune" else CELLS201


@cache
def landscape(seed: int = 0, world: World = CELLS201) -> Values:
    """An accuracy of each architecture in percent: what its operations add up to, and a little of its own.

    Of several operations on an edge the mean counts.
    """
    rng = np.random.default_rng(seed)
    if isinstance(world.moves, Masks):
        has = world.moves.has(np.arange(world.size))
        worth = rng.standard_normal(has.shape[1:])
        total = ((has * worth).sum(-1) / has.sum(-1)).sum(-1)
    else:
        choices = world.moves.encode(np.arange(world.size))
        worth = rng.standard_normal((6, 5))
        total = worth[np.arange(6), choices].sum(1)
    total = total + 0.3 * rng.standard_normal(world.size)
    return 50 + 45 * (total - total.min()) / (total.max() - total.min())


@dataclass
class Played:
    """A search that was played to its end: what was proposed, told and answered after each step."""

    archs_TS: Numbers
    values_TSV: Values
    answers_TS: Numbers


def at_once(step: int) -> int:
    return step


def late(lag: int) -> Told:
    return lambda step: max(step - lag, 0)


def in_jumps(step: int) -> int:
    """Seven steps at a time, and after the next 14 nothing until 35 are told at once."""
    return step // 35 * 35 + min(step % 35 // 7 * 7, 14)


def play(
    algorithm: Algorithm,
    problem: Problem,
    tables_SNV: Values,
    seeds: Sequence[int],
    told: Told = at_once,
    before: Played | None = None,
    begin: int = 0,
) -> Played:
    """Play a search, from its beginning or from a step on after what another left before it."""
    search = algorithm.begin(problem)
    draws = Draws(0, seeds, search.uniforms)
    places_S = np.arange(problem.seeds)
    archs_TS = np.zeros((problem.steps, problem.seeds), np.int64)
    values_TSV = np.full((problem.steps, problem.seeds, tables_SNV.shape[-1]), np.nan)
    answers_TS = archs_TS.copy()
    if before is not None:
        archs_TS[:begin], values_TSV[:begin] = before.archs_TS[:begin], before.values_TSV[:begin]
        answers_TS[:begin] = before.answers_TS[:begin]
    for step in range(begin, problem.steps):
        past = Past(archs_TS[:step], values_TSV[: told(step)])
        archs_TS[step] = search.propose(past, draws.of(step))
        asked = search.asked(step)
        columns = list(range(tables_SNV.shape[-1]) if asked is None else asked)
        values_TSV[step][:, columns] = tables_SNV[places_S, archs_TS[step]][:, columns]
        answers_TS[step] = search.answer(Past(archs_TS[: step + 1], values_TSV[: step + 1]))
    return Played(archs_TS, values_TSV, answers_TS)


def spread(table: Values, seeds: int, values: int = 1) -> Values:
    """The same table for every seed and value."""
    return np.broadcast_to(table[None, :, None], (seeds, len(table), values))


def own_names() -> list[str]:
    """The algorithms of this package: the modules of the folder."""
    modules = [module.name for module in pkgutil.iter_modules(algorithms.__path__)]
    return [name for name in modules if name != "base" and not name.startswith("_")]


def configured(name: str) -> Algorithm:
    """An algorithm as its YAML file describes it."""
    file = paths.config_folder() / "algorithm" / f"{name}.yaml"
    options: Any = OmegaConf.to_container(OmegaConf.load(file))
    options.pop("label", None)
    return class_of(options.pop("name"))(**options)


def class_of(name: str) -> Any:
    return import_module(f"{algorithms.__name__}.{name}").ALGORITHM


def yaml_names() -> list[str]:
    return paths.configured("algorithm")
