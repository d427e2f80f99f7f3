"""What can be chosen on a benchmark, and on which architectures.

A combination ranks architectures that all its members have scores of.  So that all candidates are chosen and
judged on the same ones, proxies with few scores stay out: a *pool* has the proxies that were asked about at
least half as many architectures as the one with most, on the architectures that all of these have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.report.across.benchmarks import Benchmark, combined_rows
from nasbench_eval.report.scores import Part
from nasbench_eval.report.spec import AggregateSpec, RowSpec
from nasbench_eval.report.statistics.bootstrap import Codes, Floats, dense_ranks
from nasbench_eval.runs.parquet import MARKS, schema
from nasbench_eval.spaces.open import space_of

SHARED = "shared"
# The share of the largest number of architectures from which on a proxy is in a pool by itself.
SHARE = 0.5
# Fewer held-out architectures than four a fold say nothing of a rank correlation.
FEWEST = 20
RANK_KINDS = ("rank_sum", "log_rank_sum")


@dataclass(frozen=True)
class Pool:
    """The members of a benchmark. Shapes: P members, N architectures.

    Attributes:
        benchmark: whose.
        names: of all members, `label` or `label.column`; P.
        candidates: how many of them, the first, can be chosen; the others are members of fixed combinations.
        archs: their indices, ascending; shape (N,).
        scores: shape (P, N); higher is better, NaN or +∞ where a proxy failed.
        target: dense ranks of the accuracies; shape (N,).
        classes: which architectures are isomorphic, a number a class from 0; shape (N,).
        fixed: combinations that are given, by name.
    """

    benchmark: Benchmark
    names: tuple[str, ...]
    candidates: int
    archs: Codes
    scores: Floats
    target: Codes
    classes: Codes
    fixed: Mapping[str, AggregateSpec]

    def places(self, members: Sequence[str]) -> list[int] | None:
        """Where members stand in `names`, ascending; None if one is not there."""
        if not set(members) <= set(self.names):
            return None
        return sorted(self.names.index(member) for member in members)

    @property
    def n(self) -> int:
        """The number of architectures."""
        return len(self.target)


def label_of(member: str) -> str:
    """The label that a member is a score or a column of."""
    return member.partition(".")[0]


def pool_of(
    benchmark: Benchmark,
    *,
    wished: Sequence[str] = (),
    components: bool = False,
    aggregates: Sequence[str] = (),
) -> Pool:
    """What can be chosen on a benchmark.

    Args:
        benchmark: whose scores.
        wished: the candidates, all of them on whatever architectures they share; empty for the usual ones.
        components: whether the columns of proxies are candidates beside their scores.
        aggregates: fixed combinations beside those of the configuration.

    Raises:
        UnknownName: if the benchmark has no scores of a candidate wished for.
        UsageError: if fewer than 20 architectures are left.
    """
    values = _wished(benchmark, wished) if wished else _usual(benchmark, components)
    shared = pd.concat(
        {name: frame.set_index("index")["value"] for name, frame in values.items()}, axis=1, join="inner"
    )
    if len(shared) < FEWEST:
        raise UsageError(
            f"{benchmark.name}: {len(values)} proxies share {len(shared)} architectures with accuracies; "
            f"{FEWEST} are needed, so name fewer with --pool"
        )
    columns = {str(name): shared[name].to_numpy(np.float64) for name in shared}
    fixed = {}
    for row in combined_rows(aggregates):
        aggregate = row.aggregate
        if aggregate is None or aggregate.aggregate not in RANK_KINDS or aggregate.weights:
            continue
        members = {member: _covering(benchmark, member, shared.index) for member in aggregate.members}
        found = {name: column for name, column in members.items() if column is not None}
        if len(found) == len(members):
            fixed[row.name] = aggregate
            columns |= {name: column for name, column in found.items() if name not in columns}
    first = next(iter(values.values())).set_index("index")["accuracy"]
    accuracy = first.loc[shared.index].to_numpy(np.float64)
    return Pool(
        benchmark=benchmark,
        names=tuple(columns),
        candidates=len(values),
        archs=shared.index.to_numpy(np.int64),
        scores=np.stack(list(columns.values())),
        target=dense_ranks(accuracy),
        classes=classes_of(benchmark, shared.index),
        fixed=fixed,
    )


def classes_of(benchmark: Benchmark, archs: pd.Index) -> Codes:
    """Which of some architectures are isomorphic: a number a class, from 0.

    Those whose text the space does not read are each a class of their own.
    """
    frames = [frame for part, frame in benchmark.scores.frames.items() if part.space == benchmark.space]
    texts: dict[int, str] = {}
    for frame in frames:
        if "arch" in frame.columns:
            texts |= dict(zip(frame["index"].tolist(), frame["arch"].tolist(), strict=True))
    node = benchmark.run.config.get("space")
    space = space_of(node if isinstance(node, dict) else {"name": benchmark.space})

    def key(index: int) -> object:
        try:
            return space.format(space.canonical(space.parse(texts[index])))
        except (KeyError, ValueError):
            return index

    return pd.factorize(np.array([str(key(index)) for index in archs.tolist()]))[0]


def shared_pools(pools: Sequence[Pool]) -> list[str]:
    """The candidates that all pools have.

    Raises:
        UsageError: if there are none.
    """
    first, *others = [pool.names[: pool.candidates] for pool in pools]
    names = [name for name in first if all(name in other for other in others)]
    if not names:
        raise UsageError("no proxy was scored on half of the architectures of every benchmark")
    return names


def _usual(benchmark: Benchmark, components: bool) -> dict[str, pd.DataFrame]:
    """The scores, and columns, of the proxies that were asked about enough architectures."""
    labels = benchmark.scores.labels(benchmark.space)
    found = {label: frame for label in labels if (frame := _values(benchmark, label)) is not None}
    if not found:
        raise UsageError(f"{benchmark.name}: nothing that was scored has an accuracy")
    most = max(map(len, found.values()))
    kept = {label: frame for label, frame in found.items() if len(frame) >= SHARE * most}
    if components:
        for label in list(kept):
            for column in _columns(benchmark, label):
                if (frame := _values(benchmark, f"{label}.{column}")) is not None:
                    kept[f"{label}.{column}"] = frame
    return dict(sorted(kept.items()))


def _columns(benchmark: Benchmark, label: str) -> list[str]:
    """The columns of numbers that a proxy has beside its score, without those that never differ."""
    frame = benchmark.scores.frames[Part(benchmark.space, benchmark.dataset, label)]
    common = {*schema(()).names, *MARKS}
    own = [str(name) for name in frame.select_dtypes("number").columns if name not in common]
    return [name for name in own if frame[name].nunique() > 1]


def _wished(benchmark: Benchmark, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    found = {}
    for name in names:
        frame = _values(benchmark, name)
        if frame is None:
            label = label_of(name)
            known = benchmark.scores.labels(benchmark.space)
            if label in known:
                known = [label, *(f"{label}.{column}" for column in _columns(benchmark, label))]
            raise UnknownName(f"proxy of {benchmark.name}", name, known)
        found[name] = frame
    return dict(sorted(found.items()))


def _values(benchmark: Benchmark, member: str) -> pd.DataFrame | None:
    """A member's values where accuracies are known; None without."""
    label, _, column = member.partition(".")
    if Part(benchmark.space, benchmark.dataset, label) not in benchmark.scores.frames:
        return None
    values = benchmark.values(RowSpec(member, proxy=label, value=column or "score"))
    if values is None:
        return None
    known = values[np.isfinite(values["accuracy"])]
    return known if len(known) else None


def _covering(benchmark: Benchmark, member: str, archs: pd.Index) -> Floats | None:
    """A member's values on some architectures; None if it does not have them all."""
    values = _values(benchmark, member)
    if values is None:
        return None
    column = values.set_index("index")["value"]
    return column.loc[archs].to_numpy(np.float64) if archs.isin(column.index).all() else None
