"""Chooses combinations of proxies by forward selection, and judges them on architectures held out.

A combination ranks architectures by the sum of its members' ranks r_j among N architectures, or by the sum
of log(r_j / N) as AZ-NAS does (see `report.aggregate`).  Forward selection begins with the proxies of the
highest Kendall τ-b and adds one at a time.  What ranks best alone need not combine best, so that it goes on
with the eight best combinations of a size, not with one alone.  The best of all sizes is chosen.

Choosing among many on the architectures that one judges by finds something in noise as well.  So the networks
are divided into folds, several times; isomorphic architectures are one network.  A combination is chosen
without those of a fold and judged on them alone, where ranks are taken among the held-out architectures only.

Shapes: P members, N architectures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from nasbench_eval.report.statistics.bootstrap import Codes, Floats
from nasbench_eval.report.statistics.correlation import failed
from nasbench_eval.report.statistics.rank import kendall_tau

FOLDS, REPEATS = 5, 5
# Combinations of a size that forward selection goes on with.
BEAM = 8
# Of the methods that choose: the best proxy by itself, and combinations of each kind.
SINGLE, RANK_SUM, LOG_RANK_SUM = "single", "rank_sum", "log_rank_sum"
# By less than this a τ is not higher: sums of logarithms round.
_ROUNDING = 1e-12

Allowed = Callable[[Collection[int]], bool]


@dataclass(frozen=True)
class Terms:
    """What members add to a combination on some architectures.

    Attributes:
        ranks: from 1, the worst, to N, ties sharing their mean; shape (P, N).
        logs: log(rank / N); shape (P, N).
        failed: where a member failed; shape (P, N).
    """

    ranks: Floats
    logs: Floats
    failed: npt.NDArray[np.bool_]

    def of(self, kind: str) -> Floats:
        """The terms of a kind of combination."""
        return self.ranks if kind != LOG_RANK_SUM else self.logs

    def combined(self, members: Sequence[int], kind: str) -> Floats:
        """The combination's score, −∞ where a member failed; members ascending.  Shape (N,)."""
        terms = self.of(kind)
        total = np.zeros(terms.shape[1])
        for member in members:  # one after the other, so that a set has one sum
            total += terms[member]
        return np.where(self.failed[list(members)].any(axis=0), -np.inf, total)


def terms_of(scores: Floats) -> Terms:
    """Ranks among the architectures that are given, a failure with the lowest; scores of shape (P, N)."""
    bad = failed(scores)
    ranks = stats.rankdata(np.where(bad, -np.inf, scores), axis=1)
    return Terms(ranks, np.log(ranks / scores.shape[1]), bad)


class Choice(NamedTuple):
    """A combination: its members, ascending, and τ on the architectures that it is chosen on."""

    members: tuple[int, ...]
    tau: float


class Task(NamedTuple):
    """Architectures to choose on: what members add to a combination, and dense ranks of the accuracies."""

    terms: Terms
    target: Codes


def forward(
    tasks: Sequence[Task], candidates: int, most: int, allowed: Allowed | None = None
) -> dict[str, Choice]:
    """Forward selection of up to `most` of the first members, of each kind.

    Args:
        tasks: the architectures, on each of some data sets; what counts is the mean τ over these.
        candidates: how many members can be chosen.
        most: members of a combination.
        allowed: whether a set of members may be chosen; None for any.

    Returns:
        `single`, and with `most` above 1 `rank_sum` and `log_rank_sum`; nothing if no candidate has a τ.
    """
    singles = _best(tasks, {(candidate,) for candidate in range(candidates)}, RANK_SUM, allowed)
    if not singles:
        return {}
    found = {SINGLE: singles[0]}
    for kind in (RANK_SUM, LOG_RANK_SUM)[: 2 * (most > 1)]:
        beam, found[kind] = singles, singles[0]
        for _ in range(most - 1):
            larger = {
                tuple(sorted({*choice.members, candidate}))
                for choice in beam
                for candidate in range(candidates)
                if candidate not in choice.members
            }
            beam = _best(tasks, larger, kind, allowed)
            if beam and beam[0].tau > found[kind].tau + _ROUNDING:
                found[kind] = beam[0]
    return found


def _best(
    tasks: Sequence[Task], sets: Collection[tuple[int, ...]], kind: str, allowed: Allowed | None
) -> list[Choice]:
    """The sets of members with the highest mean τ, as many as are gone on with; equals in their order."""
    choices = []
    for members in sorted(sets):
        if allowed is None or allowed(members):
            taus = [kendall_tau(task.terms.combined(members, kind), task.target) for task in tasks]
            if np.isfinite(taus).all():
                choices.append(Choice(members, float(np.mean(taus))))
    return sorted(choices, key=lambda choice: -round(choice.tau, 12))[:BEAM]


def divisions(classes: Codes, repeats: int, seed: int, folds: int = FOLDS) -> Iterator[list[Codes]]:
    """Architectures divided at random into folds of nearly as many classes, so many times.

    Isomorphic architectures are one network, and nearly one accuracy: those of a class stay together, so that
    a held-out network is new to the choice.

    Args:
        classes: the class of each architecture, from 0; shape (N,).
        repeats: how many divisions.
        seed: of the draws.
        folds: in each division.
    """
    for repeat in range(repeats):
        order = np.random.default_rng([seed, repeat]).permutation(int(classes.max()) + 1)
        yield [np.flatnonzero(np.isin(classes, part)) for part in np.array_split(order, folds)]


class Fixed(NamedTuple):
    """A given combination: its members, ascending, and its kind."""

    members: tuple[int, ...]
    kind: str


@dataclass(frozen=True)
class Limit:
    """Sets of candidates that may be chosen: those with few enough passes.

    Attributes:
        passes: of each candidate; None if they are not known, so that it cannot be chosen.
        most: different passes of a combination.
    """

    passes: tuple[frozenset[str] | None, ...]
    most: int

    def __call__(self, members: Collection[int]) -> bool:
        sets = [self.passes[member] for member in members]
        known = [each for each in sets if each is not None]
        return len(known) == len(sets) and len(frozenset[str]().union(*known)) <= self.most


@dataclass(frozen=True)
class Part:
    """What one division of the architectures needs, for another process.

    Attributes:
        scores: of the members on each data set, each of shape (P, N).
        targets: dense ranks of the accuracies on each, of shape (N,).
        candidates: how many members can be chosen.
        most: members of a combination.
        fixed: given combinations, by name.
        held_out: the architectures of each fold.
        limit: of passes; None for no limit.
    """

    scores: tuple[Floats, ...]
    targets: tuple[Codes, ...]
    candidates: int
    most: int
    fixed: dict[str, Fixed]
    held_out: list[Codes]
    limit: Limit | None = None

    def tasks(self, archs: Codes) -> list[Task]:
        """Some of the architectures, ranked among themselves."""
        return [
            Task(terms_of(scores[:, archs]), target[archs])
            for scores, target in zip(self.scores, self.targets, strict=True)
        ]


class Fold(NamedTuple):
    """What was chosen without a fold's architectures, and what every method reaches on them.

    `tau` has a number a data set.
    """

    chosen: dict[str, tuple[int, ...]]
    tau: dict[str, tuple[float, ...]]


def judge(part: Part) -> list[Fold]:
    """Choose and judge on each fold; the held-out architectures have no part in what is chosen."""
    found = []
    for held_out in part.held_out:
        rest = np.setdiff1d(np.arange(len(part.targets[0])), held_out)
        chosen = forward(part.tasks(rest), part.candidates, part.most, part.limit)
        tasks = part.tasks(held_out)
        combinations = {name: Fixed(choice.members, name) for name, choice in chosen.items()}
        tau = {
            name: tuple(
                kendall_tau(task.terms.combined(each.members, each.kind), task.target) for task in tasks
            )
            for name, each in {**combinations, **part.fixed}.items()
        }
        found.append(Fold({name: choice.members for name, choice in chosen.items()}, tau))
    return found


class Mean(NamedTuple):
    """A mean over folds, their standard deviation, and the 95 % interval of the mean."""

    mean: float
    sd: float
    low: float
    high: float


def over_folds(values: Floats, folds: int = FOLDS) -> Mean:
    """Mean and interval over repeated folds, which share most of the architectures that they choose on.

    The variance of the mean of J values is not s²/J but s²·(1/J + 1/(folds − 1)), whose second part is the
    ratio of held-out to other architectures (Nadeau & Bengio 2003, the corrected resampled t-test); the
    interval is that of Student's t with J − 1 degrees of freedom.

    Args:
        values: of each fold of each repeat, shape (J,); NaN counts for nothing.
        folds: in how many parts the architectures were divided.
    """
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return Mean(float(values.mean()) if len(values) else np.nan, np.nan, np.nan, np.nan)
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * sd * np.sqrt(1 / len(values) + 1 / (folds - 1))
    return Mean(mean, sd, mean - float(half), mean + float(half))
