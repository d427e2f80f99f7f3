"""What combinations are chosen on: a benchmark, or the data sets of a run together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.report.ensemble import passes
from nasbench_eval.report.ensemble.choose import (
    BEAM,
    FOLDS,
    REPEATS,
    Choice,
    Fixed,
    Fold,
    Limit,
    Part,
    divisions,
    forward,
    judge,
)
from nasbench_eval.report.ensemble.pool import Pool, label_of, shared_pools
from nasbench_eval.wording import counted

# Of a combination that is chosen for all data sets of a run at once.
JOINT = "joint_"
# Fixed combinations that others are compared with, where they are at hand.
REFERENCES = ("az_nas", "vkdnw_agg", "vkdnw_agg_16")
# What choosing and judging takes, roughly: a τ of one architecture among many.
_SECONDS = 2.5e-7


@dataclass(frozen=True)
class Options:
    """What is asked of combinations.

    Attributes:
        most: members.
        passes: different passes; None for any number.
        references: names of fixed combinations to compare with.
        seed: of folds and resamples.
        resamples: of the intervals of transfer; 0 for none.
        repeats: divisions into folds.
    """

    most: int
    passes: int | None = None
    references: tuple[str, ...] = REFERENCES
    seed: int = 0
    resamples: int = 1000
    repeats: int = REPEATS


@dataclass(frozen=True)
class Source:
    """What a combination is chosen on: one benchmark, or all of a run's that share architectures.

    Attributes:
        name: of the benchmark, or of what they have in common.
        pools: one, or several with the same architectures.
        prefix: of its methods' names.
        names: the candidates.
        chosen: on all architectures, by method.
        folds: of all repeats.
    """

    name: str
    pools: tuple[Pool, ...]
    prefix: str
    names: tuple[str, ...]
    chosen: Mapping[str, Choice] = field(default_factory=dict)
    folds: Sequence[Fold] = ()

    def members(self, method: str) -> list[str]:
        """What was chosen on all architectures."""
        return [self.names[member] for member in self.chosen[method].members]

    def unknown(self, options: Options) -> list[str]:
        """The candidates that a limit of passes leaves out, since nobody knows theirs."""
        known = passes.known()
        return [name for name in self.names if options.passes is not None and label_of(name) not in known]

    def part(self, options: Options, held_out: list[Any], fixed: dict[str, Fixed]) -> Part:
        """What a division into folds needs."""
        every = (
            [*self.names, *self.pools[0].names[self.pools[0].candidates :]]
            if len(self.pools) == 1
            else self.names
        )
        limit = None
        if options.passes is not None:
            known = passes.known()
            limit = Limit(tuple(known.get(label_of(name)) for name in self.names), options.passes)
        return Part(
            scores=tuple(pool.scores[[pool.names.index(name) for name in every]] for pool in self.pools),
            targets=tuple(pool.target for pool in self.pools),
            candidates=len(self.names),
            most=options.most,
            fixed=fixed,
            held_out=held_out,
            limit=limit,
        )


def said(members: Sequence[str]) -> str:
    """A combination in a line."""
    return " + ".join(members)


def sources_of(pools: Sequence[Pool]) -> list[Source]:
    """Each pool by itself, and those of one run and space together, if they have the same architectures."""
    found = [Source(pool.benchmark.name, (pool,), "", pool.names[: pool.candidates]) for pool in pools]

    def key(pool: Pool) -> tuple[str, str, bytes]:
        return str(pool.benchmark.run.folder), pool.benchmark.space, pool.archs.tobytes()

    alike: dict[tuple[str, str, bytes], list[Pool]] = {}
    for pool in pools:
        alike.setdefault(key(pool), []).append(pool)
    for together in map(tuple, alike.values()):
        if len(together) > 1:
            first = together[0].benchmark
            name = f"{first.space} on {len(together)} data sets ({first.run.name})"
            found.append(Source(name, together, JOINT, tuple(shared_pools(together))))
    return found


def judged_on(sources: Sequence[Source], options: Options, map_: Callable[..., list[Any]]) -> list[Source]:
    """The sources with what is chosen on them, and in the folds.

    Raises:
        UsageError: if nothing can be chosen on one of them.
    """
    parts, owners = [], []
    for number, source in enumerate(sources):
        pool = source.pools[0]
        fixed = {} if source.prefix else fixed_of(pool)
        for held_out in divisions(pool.classes, options.repeats, options.seed):
            parts.append(source.part(options, held_out, fixed))
            owners.append(number)
    candidates = sum(
        2 * BEAM * options.most * part.candidates * len(part.scores) * len(part.targets[0]) for part in parts
    )
    done = map_(judge, parts, FOLDS * candidates * _SECONDS)
    folds: list[list[Fold]] = [[] for _ in sources]
    for number, found in zip(owners, done, strict=True):
        folds[number] += found
    judged = []
    for source, own in zip(sources, folds, strict=True):
        part = source.part(options, [], {})
        chosen = forward(part.tasks(np.arange(source.pools[0].n)), part.candidates, part.most, part.limit)
        if not chosen:
            limit = f" of at most {counted(options.passes, 'pass', 'passes')}" if options.passes else ""
            raise UsageError(
                f"{source.name}: no candidate{limit} has a correlation; there is nothing to choose"
            )
        judged.append(Source(source.name, source.pools, source.prefix, source.names, chosen, own))
    return judged


def fixed_of(pool: Pool) -> dict[str, Fixed]:
    """The fixed combinations of a pool, as its members' places."""
    found = {}
    for name, aggregate in pool.fixed.items():
        places = pool.places(aggregate.members)
        assert places is not None
        found[name] = Fixed(tuple(places), aggregate.aggregate)
    return found
