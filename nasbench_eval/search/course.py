"""What decides the history of a search, given the scores: algorithm, guide, seeds, and how they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from nasbench_eval.errors import UsageError
from nasbench_eval.options.typed import made
from nasbench_eval.runs.record import within
from nasbench_eval.search.algorithms.base import Algorithm, Problem, Search
from nasbench_eval.search.draws import Draws
from nasbench_eval.search.guide import ByRanks, ByValue, Judge
from nasbench_eval.search.moves import moves_of
from nasbench_eval.search.restricted import Restricted
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.wording import first_line


@dataclass(frozen=True)
class Course:
    """All that decides which architectures are proposed but what is told of them.

    Attributes:
        space: the search space.
        algorithm: what proposes.
        label: the algorithm's name on the command line.
        guide: the guide's name.
        kind: what it tells (see `guides.Guide`).
        judge: how what it tells compares.
        seed: of the run.
        seeds: those of the searches.
        steps: trials that each has at most.
        lag: step t is proposed from what was told of the steps up to t − lag.
        mutation: how an edge is chosen (see `moves.moves_of`).
        fork: the search whose history was gone on with, and from which step; None for none.
        n: how many architectures were drawn to keep to; `all` for every one.
        sample_seed: of that draw.
        members: the architectures that the search keeps to; None for all.
    """

    space: SearchSpace
    algorithm: Algorithm
    label: str
    guide: str
    kind: str
    judge: Judge
    seed: int
    seeds: tuple[int, ...]
    steps: int
    lag: int
    mutation: str
    fork: Mapping[str, Any] | None = None
    n: int | str = "all"
    sample_seed: int = 0
    members: Sequence[int] | None = None

    def begin(self) -> Search:
        """The search before its first step.

        Raises:
            UsageError: if the algorithm cannot search this space with this guide.
        """
        moves = moves_of(self.space, self.mutation)
        if self.members is not None:
            moves = Restricted(moves, self.members)
        return self.algorithm.begin(Problem(moves, self.judge, len(self.seeds), self.steps))

    def keeping_to(self, members: Sequence[int]) -> Course:
        """The search that keeps to these architectures besides.

        Raises:
            UsageError: if none is left.
        """
        left = sorted(set(members) if self.members is None else set(members) & set(self.members))
        if not left:
            raise UsageError(f"guide={self.guide} knows none of the architectures that the search keeps to")
        return replace(self, members=left)

    def draws(self, search: Search) -> Draws:
        """The random numbers of a search."""
        return Draws(self.seed, self.seeds, search.uniforms)

    def as_record(self) -> dict[str, Any]:
        """As plain data; `course_of` is the inverse."""
        return {
            "algorithm": {
                "label": self.label,
                "name": self.algorithm.info.name,
                **asdict(self.algorithm),  # type: ignore[call-overload]
            },
            "guide": {
                "name": self.guide,
                "kind": self.kind,
                "values": list(self.judge.values),
                "ranks": getattr(self.judge, "rank", None),
            },
            "seeds": list(self.seeds),
            "lag": self.lag,
            "mutation": self.mutation,
            "n": self.n,
            "sample_seed": None if self.n == "all" else self.sample_seed,
            "schedule": self.steps if getattr(self.algorithm, "by_steps", False) else None,
            "fork": None if self.fork is None else dict(self.fork),
        }


def judge_of(kind: str, values: Sequence[str], ranks: Any) -> Judge:
    """How the values of a guide compare: one as it is, several by their ranks."""
    if len(values) == 1:
        return ByValue(tuple(values), percent=kind in ("val", "accuracy_12"))
    return ByRanks(tuple(values), ranks or "rank")


def algorithm_of(node: Any) -> tuple[str, Algorithm]:
    """An algorithm from plain data, after its label.

    Raises:
        UsageError: if there is none of that name, or it has no such option.
    """
    if not isinstance(node, Mapping) or "name" not in node:
        raise UsageError("no algorithm is chosen; choose one with algorithm=NAME")
    given = dict(node)
    label = str(given.pop("label", None) or given["name"])
    return label, made("algorithms", given, label)


def course_of(run: Mapping[str, Any], space: SearchSpace, members: Sequence[int] | None) -> Course:
    """What decided a search, from its record.

    Raises:
        UsageError: if the record does not say.
    """
    search = within(run, "search")
    try:
        guide = search["guide"]
        label, algorithm = algorithm_of(search["algorithm"])
        return Course(
            space=space,
            algorithm=algorithm,
            label=label,
            guide=str(guide["name"]),
            kind=str(guide["kind"]),
            judge=judge_of(guide["kind"], guide["values"], guide["ranks"]),
            seed=int(run["seed"]),
            seeds=tuple(int(seed) for seed in search["seeds"]),
            steps=int(search["steps"]),
            lag=int(search["lag"]),
            mutation=str(search["mutation"]),
            fork=search.get("fork"),
            n=search.get("n", "all"),
            sample_seed=search.get("sample_seed") or 0,
            members=members,
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"the record does not say how the search went ({first_line(error)})") from error
