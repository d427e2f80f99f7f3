"""`nasbench_eval.sweep`: how scores change with the width, the depth, or other arguments of a network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from torch import nn

from nasbench_eval.api.score import Proxies, score
from nasbench_eval.errors import UsageError
from nasbench_eval.wording import first_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Networks in a sweep from which on something is probably meant otherwise.
_MOST = 10_000
_SIZES = ("params", "flops")


@dataclass(frozen=True, eq=False)
class Sweep:
    """Scores over a grid.

    Attributes:
        frame: a row a network, indexed by the arguments it was built with; the columns are `params` and
            `flops` (multiply-accumulates), and of every proxy the mean over seeds (`snip`) and its standard
            deviation (`snip_std`; NaN with a single seed).  Both are NaN where a seed gave no score.
        seeds: how many there were.
    """

    frame: pd.DataFrame
    seeds: int

    @property
    def proxies(self) -> list[str]:
        """The proxies by label."""
        return [str(name) for name in self.frame if f"{name}_std" in self.frame]

    def figure(self) -> Figure:
        """A panel a proxy: score over the first argument, a line for each value of the others."""
        from nasbench_eval.api.figures import drawn_sweep

        return drawn_sweep(self.frame, self.proxies)


def sweep(
    factory: Callable[..., nn.Module],
    grid: Mapping[str, Sequence[Any]] | None = None,
    *,
    proxies: Proxies = ("intrain", "naswot"),
    seeds: int = 3,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    progress: bool = True,
    settings: Mapping[str, Any] | None = None,
    **values: Sequence[Any],
) -> Sweep:
    """Score every network of a grid of a constructor's arguments.

        sweep(MyNet, width=[16, 32, 64], depth=[2, 3])

    Args:
        factory: builds a network from arguments by name.
        grid: values of each argument, for names that are taken here.
        proxies: as for `nasbench_eval.score`.
        seeds: how many seeds weights and inputs are drawn with.
        options: options of proxies by their name.
        progress: whether to show how far it is.
        settings: further arguments of `nasbench_eval.score`, such as `{"input": (3, 64, 64)}`.
        values: values of each argument of the factory.

    Raises:
        UsageError: if there is no value to try, or a network cannot be built; the message names it.
    """
    if clash := {"proxies", "seed", "options", "details"} & set(settings or {}):
        raise UsageError(f"settings: {', '.join(sorted(clash))} cannot be set; sweep does that itself")
    lists = {**(grid or {}), **values}
    for name, tried in lists.items():
        if isinstance(tried, str) or not isinstance(tried, Sequence) or not tried:
            raise UsageError(f"{name}={tried!r}: give a list of the values to try")
    if not lists:
        raise UsageError("name an argument and the values to try, such as width=[16, 32]")
    if seeds < 1:
        raise UsageError(f"seeds={seeds}: at least one is needed")
    points = list(itertools.product(*lists.values()))
    if len(points) > _MOST:
        raise UsageError(f"{len(points):,} networks are more than {_MOST:,}; try fewer values")
    rows = [
        _row(factory, dict(zip(lists, point, strict=True)), proxies, seeds, options, settings or {})
        for point in _shown(points, progress)
    ]
    index = pd.MultiIndex.from_tuples(points, names=list(lists))
    return Sweep(pd.DataFrame(rows, index=index), seeds)


def _shown(points: Sequence[tuple[Any, ...]], progress: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(points, desc="networks", disable=not progress)


def _row(
    factory: Callable[..., nn.Module],
    arguments: Mapping[str, Any],
    proxies: Proxies,
    seeds: int,
    options: Mapping[str, Mapping[str, Any]] | None,
    settings: Mapping[str, Any],
) -> dict[str, float]:
    name = ",".join(f"{key}={value}" for key, value in arguments.items())

    def make() -> nn.Module:
        return factory(**arguments)

    try:
        sizes = score({name: make}, list(_SIZES), **settings)
        by_seed = [score({name: make}, proxies, seed=s, options=options, **settings) for s in range(seeds)]
    except UsageError:
        raise
    except TypeError as error:
        raise UsageError(f"{name}: {first_line(error)}") from error
    scores = pd.concat(by_seed)
    row = {size: float(sizes[size].iloc[0]) for size in _SIZES}
    for label in scores:
        # A seed without a score leaves none: the others alone would be another mean.
        row[str(label)] = float(scores[label].mean(skipna=False))
        row[f"{label}_std"] = float(scores[label].std(skipna=False))
    return row


__all__ = ["Sweep", "sweep"]
