"""Local search: the neighbours of an architecture are tried, and the search moves to a better one.

White et al., "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021, algorithm 1:

    a_0 at random;  a_{i+1} = argmax over the neighbours a of a_i of f(a), while f(a_{i+1}) > f(a_i).

Neighbours are one edit away.  They are tried in random order.  An architecture that was told of is not tried
again.  Where no neighbour is better, the search begins anew at random.  Where a guide tells several numbers,
f is judged among a_i and those of its neighbours that were told of, and a climb never goes back to where it
was, since ranks in different sets could otherwise lead it in a circle.

Where proposals are made before earlier ones were told, and all neighbours are out, random ones are proposed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from nasbench_eval.search.algorithms.base import AlgorithmInfo, Problem, Search
from nasbench_eval.search.history import Numbers, Past, Values


@dataclass(frozen=True)
class LocalSearch:
    """Climbs, one after another.

    Attributes:
        improvement: when to move: to the `best` neighbour, once all are told of, or to the `first` that is
            better.
        starts: random architectures that are tried before each climb, which begins at the best of them.
    """

    info: ClassVar = AlgorithmInfo("local_search", "White et al. 2021, algorithm 1")
    improvement: Literal["best", "first"] = "best"
    starts: int = 1

    def __post_init__(self) -> None:
        if self.starts < 1:
            raise ValueError("starts is at least 1")

    def begin(self, problem: Problem) -> Search:
        problem.moves.require_neighbours()
        return _LocalSearch(problem, self)


class _LocalSearch(Search):
    def __init__(self, problem: Problem, options: LocalSearch) -> None:
        super().__init__(problem)
        self.uniforms = problem.moves.for_sample + 1
        self._near: dict[int, list[int]] = {}
        self._climbs = [_Climb(problem, options, self._near, seed) for seed in range(problem.seeds)]
        self._read = 0

    def propose(self, past: Past, u_SU: Values) -> Numbers:
        for step in range(self._read, past.told):
            archs = past.archs_TS[step].tolist()
            for climb, arch in zip(self._climbs, archs, strict=True):
                climb.read(arch, step, past)
        self._read = past.told
        archs_S = self.problem.moves.sample(u_SU[:, :-1])
        for seed, (climb, u) in enumerate(zip(self._climbs, u_SU[:, -1].tolist(), strict=True)):
            out = past.proposed_TS[past.told :, seed].tolist()
            untried = [arch for arch in climb.untried if arch not in out]
            if untried:
                archs_S[seed] = untried[int(u * len(untried))]
        return archs_S


@dataclass
class _Climb:
    """Where one seed is, after all that it was told.

    Attributes:
        near: neighbours of architectures, as far as they were asked for; all seeds share them.
        seed: its place among the seeds.
        told: the step at which each architecture was first told of.
        starts: steps of the random architectures that a climb begins with.
        here: where the climb is; None before it begins.
        untried: neighbours that were not told of.
        been: where the climb was.
    """

    problem: Problem
    options: LocalSearch
    near: dict[int, list[int]]
    seed: int
    told: dict[int, int] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)
    here: int | None = None
    untried: dict[int, None] = field(default_factory=dict)
    been: set[int] = field(default_factory=set)

    def read(self, arch: int, step: int, past: Past) -> None:
        self.told.setdefault(arch, step)
        if self.here is None:
            self.starts.append(step)
            if len(self.starts) < self.options.starts:
                return
            fitness = self._fitness(self.starts, past)
            self._go(int(past.archs_TS[self.starts[int(fitness.argmax())], self.seed]))
        elif arch in self.untried:
            del self.untried[arch]
        else:
            return
        self._climb(past)

    def _climb(self, past: Past) -> None:
        """Move while what was told so far says so."""
        while self.here is not None and not (self.untried and self.options.improvement == "best"):
            better = self._better(self.here, past)
            if better is not None:
                self._go(better)
            elif self.untried:
                return
            else:
                self.here = None
                self.starts.clear()
                self.been.clear()

    def _go(self, arch: int) -> None:
        self.here = arch
        self.been.add(arch)
        if arch not in self.near:
            self.near[arch] = self.problem.moves.neighbours(arch).tolist()
        self.untried = dict.fromkeys(near for near in self.near[arch] if near not in self.told)

    def _better(self, here: int, past: Past) -> int | None:
        """The neighbour to move to: the best, or the first that was told of, of those that are better."""
        archs = [arch for arch in self.near[here] if arch in self.told]
        archs.sort(key=self.told.__getitem__)
        fitness = self._fitness([self.told[here], *(self.told[arch] for arch in archs)], past)
        better = [
            (value, arch)
            for arch, value in zip(archs, fitness[1:].tolist(), strict=True)
            if value > fitness[0] and arch not in self.been
        ]
        if not better:
            return None
        if self.options.improvement == "first":
            return better[0][1]
        return max(better, key=lambda each: each[0])[1]

    def _fitness(self, steps: list[int], past: Past) -> Values:
        told_KSV = past.values_TSV[steps, self.seed][:, None]
        fitness: Values = self.problem.judge.fitness(told_KSV)[:, 0]
        return fitness


ALGORITHM = LocalSearch
