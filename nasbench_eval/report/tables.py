"""Computes a table: joins scores with accuracies and correlates them, row by row. Drawing is elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from nasbench_eval.errors import UsageError
from nasbench_eval.paths import configured
from nasbench_eval.report.apart import Apart
from nasbench_eval.report.published import published_correlation
from nasbench_eval.report.scores import Part, Run, Scores
from nasbench_eval.report.spec import RowSpec, TableSpec
from nasbench_eval.report.statistics.bootstrap import Codes, dense_ranks
from nasbench_eval.report.statistics.correlation import Correlation, Failures, correlate, judged
from nasbench_eval.report.statistics.resampled import Resamples
from nasbench_eval.report.titles import DATASETS
from nasbench_eval.report.values import row_values
from nasbench_eval.runs.record import mixed_texts
from nasbench_eval.sampling import BANDS
from nasbench_eval.truth.ceiling import Ceiling

CSV_COLUMNS = [
    "proxy",
    "dataset",
    "split",
    "n",
    "n_failed",
    "n_lowest",
    "kendall_tau",
    "kendall_low",
    "kendall_high",
    "spearman_rho",
    "spearman_low",
    "spearman_high",
    "interval",
    "published_tau",
    "published_rho",
]

# Whose a row is: the paper's; one that is not in the paper; or of a proxy or an aggregate of one's own.
PAPER, OTHER, YOURS = "paper", "other", "yours"
GROUPS = {PAPER: "", OTHER: "not in the paper", YOURS: "yours"}


def _unknown_ceiling(dataset: str, split: str) -> Ceiling | None:
    return None


@dataclass(frozen=True)
class Truth:
    """What the architectures of a space reach, in index order.

    Attributes:
        archs: their names, to prove that a score's index means the same architecture here; None to trust it.
        place: of an open space, the place of a name in `archs`, or None: scores and accuracies are joined by
            it.  None where they are joined by the index.
        accuracy: of a (dataset, split), one accuracy an architecture; percent, NaN where unknown.
        notes: what a reader of any table must know of them, a line each.
        ceiling: of a (dataset, split), how well training runs agree on the architectures that are judged
            (all, or the live ones), and how high a correlation can be; None where there are no two runs.
    """

    archs: Sequence[str] | None
    accuracy: Callable[[str, str], npt.NDArray[Any]]
    ceiling: Callable[[str, str], Ceiling | None] = _unknown_ceiling
    place: Callable[[str], int | None] | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Settings:
    """How correlations are computed; recorded beside the tables."""

    failures: Failures = "worst"
    resamples: int = 1000
    seed: int = 0
    cells: str = "all"


@dataclass(frozen=True)
class Table:
    """A computed table.

    Attributes:
        name: its file stem.
        spec: its definition.
        settings: how it was computed.
        splits: the ones it holds.
        rows: the columns of the CSV, then `title` (str), `group` (one of `GROUPS`), `n_tied` and, for
            aggregates, the number of architectures they were formed among, `n_among` (0 for other rows).
        notes: what a reader must know about single rows.
        ceilings: the noise ceiling of each measured (dataset, split) that has one.
        answers: of each (dataset, split) which row is the best, and which is given FLOPs; where the table
            compares with no paper.
        all_rows: whether rows that nobody scored are drawn.
    """

    name: str
    spec: TableSpec
    settings: Settings
    splits: tuple[str, ...]
    rows: pd.DataFrame
    notes: tuple[str, ...]
    ceilings: Mapping[tuple[str, str], Ceiling] = field(default_factory=dict)
    answers: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    all_rows: bool = False

    @property
    def compared(self) -> bool:
        """Whether any measured row has a published figure beside it."""
        measured = self.rows[self.rows["n"] > 0]
        return bool(measured[["published_tau", "published_rho"]].notna().any(axis=None))

    def drawn(self, dataset: str, split: str) -> pd.DataFrame:
        """The rows to draw of a data set and split: those that were scored, unless all are wanted.

        In the table's order where they are compared with a paper's, else the highest τ first.
        """
        chosen = (self.rows["dataset"] == dataset) & (self.rows["split"] == split)
        rows = self.rows[chosen if self.all_rows else chosen & (self.rows["n"] > 0)]
        return rows if self.compared else rows.sort_values("kendall_tau", ascending=False, kind="stable")

    def unscored(self) -> str:
        """A sentence that names the rows which are not drawn because nobody scored them; empty for none."""
        if self.all_rows:
            return ""
        scored = self.rows.groupby(["title", "dataset"], sort=False)["n"].max() > 0
        datasets = [name for name in self.spec.datasets if scored.xs(name, level="dataset").any()]
        parts = []
        for title, of in scored.groupby(level="title", sort=False):
            lacking = [name for name in datasets if not of[title, name]]
            where = "" if lacking == datasets else f" on {', '.join(DATASETS.get(n, n) for n in lacking)}"
            parts += [f"{title}{where}"] if lacking else []
        return f"Not scored: {', '.join(parts)}." if parts and datasets else ""

    def csv(self) -> pd.DataFrame:
        """The rows with exactly the columns of the CSV, measured figures to six decimals."""
        return self.rows[CSV_COLUMNS].round(6)


@dataclass
class Reporter:
    """Computes tables from one set of scores; a correlation two tables share is computed once.

    Attributes:
        scores: of the runs.
        truths: of each space.
        settings: of the correlations.
        resamples: what is known of the resamples, which the statistics may share.
        apart: where to resample.
    """

    scores: Scores
    truths: Mapping[str, Truth]
    settings: Settings = Settings()
    resamples: Resamples | None = None
    apart: Apart = field(default_factory=Apart)
    _known: dict[tuple[Part, str, str], Correlation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.resamples is None:
            self.resamples = Resamples(self.settings.resamples, self.settings.seed)

    def table(self, name: str, spec: TableSpec, splits: Sequence[str] | None = None) -> Table:
        """Compute one table. Rows without scores are kept, with n = 0.

        Raises:
            UsageError: if no score belongs to the table's space, if the table lacks all the splits, or if
                scores and accuracies do not belong together.
        """
        chosen = tuple(split for split in spec.splits if splits is None or split in splits)
        if not chosen:
            raise UsageError(f"table '{name}' has no such split; it has {', '.join(spec.splits)}")
        if not self.scores.labels(spec.space):
            spaces = ", ".join(self.scores.spaces())
            raise UsageError(f"table '{name}' is about {spec.space}, the scores are on {spaces}")
        groups = {row.name: OTHER for row in spec.ours} | dict.fromkeys(spec.yours, YOURS)
        below = spec.ours
        if spec.others:
            others = further_rows(spec, self.scores)
            groups |= {row.name: YOURS if self._is_yours(spec.space, row.label) else OTHER for row in others}
            below = sorted(below + others, key=lambda row: groups[row.name] == YOURS)
        plan = [
            (row, dataset, split)
            for dataset in spec.datasets
            for split in chosen
            for row in spec.rows + below
        ]
        self._resample(spec, plan)
        records: list[dict[str, Any]] = []
        notes: dict[str, None] = {}  # an ordered set: both splits complain alike
        for row, dataset, split in tqdm(plan, desc=name, unit="row", leave=False, disable=None):
            values, complaints = row_values(self.scores, spec.space, row, dataset)
            found = Correlation(n=0)
            if values is not None:
                found = self._correlation(spec.space, row, dataset, split, values)
            n_among = len(values) if row.aggregate and values is not None else 0
            records.append(
                _record(spec, row, dataset, split, found, groups.get(row.name, PAPER)) | {"n_among": n_among}
            )
            notes.update(dict.fromkeys([*complaints, *_constant_note(row, dataset, found)]))
        rows = pd.DataFrame(records)
        remarks = [note for row in spec.rows + below for note in _row_notes(row, rows)]
        notes.update(
            dict.fromkeys([*_lowest_note(rows), *_tie_note(rows), *remarks, *self._sample_notes(spec.space)])
        )
        measured = rows[rows["kendall_tau"].notna()]
        ceilings = self._ceilings(spec.space, zip(measured["dataset"], measured["split"], strict=True))
        return Table(name, spec, self.settings, chosen, rows, tuple(notes), ceilings)

    def _sample_notes(self, space: str) -> list[str]:
        return [
            *self.truths[space].notes,
            *self._copy_notes(space),
            *self._strata_notes(space),
            *self._code_notes(space),
        ]

    def _code_notes(self, space: str) -> list[str]:
        """Of each run whose rows come from more than one code, as was asked for, what these are."""
        return [
            f"{run.name}: rows of {mixed_texts(mixed)} come from more than one code, mixed on purpose"
            for run in self._about(space)
            if (mixed := run.config.get("mixed"))
        ]

    def _about(self, space: str) -> list[Run]:
        """The runs with scores on a space."""
        origins = [self.scores.origin[part] for part in self.scores.frames if part.space == space]
        return [run for run in self.scores.runs if any(run is origin for origin in origins)]

    def _copy_notes(self, space: str) -> list[str]:
        """Of each run with copied scores how many these are, and how many networks were scored for all."""
        notes = []
        for run in self.scores.runs:
            frames = [
                frame.assign(copied_from=frame.get("copied_from", np.nan))  # older runs copied none
                for part, frame in self.scores.frames.items()
                if part.space == space and self.scores.origin[part] is run
            ]
            copied = sum(int(frame["copied_from"].notna().sum()) for frame in frames)
            if copied:
                scored = sum(frame["copied_from"].fillna(frame["index"]).nunique() for frame in frames)
                notes.append(
                    f"{run.name}: {sum(map(len, frames)):,} scores, of which {copied:,} copied from an "
                    f"isomorphic architecture; {scored:,} were computed"
                )
        return notes

    def _strata_notes(self, space: str) -> list[str]:
        kinds = {
            "stratified": f"in turn from {BANDS} bands of accuracy, not at random",
            "live": "from the live ones alone",
            "distinct": "from one of each class of isomorphic ones",
        }
        return [
            f"{run.name}: architectures drawn {kinds[sampling]}; correlations over such a sample are not "
            "the space's"
            for run in self._about(space)
            if (sampling := run.config.get("sampling")) in kinds
        ]

    def _stratified(self, space: str) -> list[Run]:
        return [run for run in self._about(space) if run.config.get("sampling") == "stratified"]

    def _ceilings(self, space: str, measured: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Ceiling]:
        # A ceiling is that of the whole space. Drawn evenly over accuracies, architectures are told apart
        # more easily, by a second training run as by a score.
        if self._stratified(space):
            return {}
        found = {place: self.truths[space].ceiling(*place) for place in dict.fromkeys(measured)}
        return {place: ceiling for place, ceiling in found.items() if ceiling is not None}

    def _is_yours(self, space: str, label: str) -> bool:
        """Whether a label is of a proxy that this package does not bring."""
        names = {
            str(self.scores.options(part).get("name", label))
            for part in self.scores.frames
            if part.space == space and part.label == label
        }
        return not names & {*configured("proxy")}

    def _correlation(
        self, space: str, row: RowSpec, dataset: str, split: str, values: pd.DataFrame
    ) -> Correlation:
        part = Part(space, dataset, row.label)
        key = (part, str(row.aggregate or row.value), split)
        if key not in self._known:
            accuracy = matched_accuracy(self.truths[space], part, values, split)
            self._known[key] = correlate(
                values["value"].to_numpy(),
                accuracy,
                failures=self.settings.failures,
                known=self.resamples,
            )
        return self._known[key]

    def _resample(self, spec: TableSpec, plan: Iterable[tuple[RowSpec, str, str]]) -> None:
        """Resample the rows of the same architectures together, which costs a fraction of one by one."""
        assert self.resamples is not None
        together: dict[bytes, tuple[Codes, dict[bytes, Codes]]] = {}
        for row, dataset, split in plan:
            values, _ = row_values(self.scores, spec.space, row, dataset)
            if values is not None:
                part = Part(spec.space, dataset, row.label)
                accuracy = matched_accuracy(self.truths[spec.space], part, values, split)
                sample = judged(values["value"].to_numpy(), accuracy, self.settings.failures)
                target = dense_ranks(sample.accuracy)
                scores = together.setdefault(target.tobytes(), (target, {}))[1]
                scores[sample.codes.tobytes()] = sample.codes
        batches = [(list(scores.values()), target) for target, scores in together.values()]
        self.resamples.learn(batches, self.apart.map)


def further_rows(spec: TableSpec, scores: Scores) -> list[RowSpec]:
    """The labels of scores that no row of a table names: what it appends where it takes `others`."""
    named = {row.label for row in spec.rows + spec.ours} | {row.name for row in spec.rows + spec.ours}
    return [RowSpec(name=label) for label in scores.labels(spec.space) if label not in named]


def matched_accuracy(truth: Truth, part: Part, values: pd.DataFrame, split: str) -> npt.NDArray[np.float64]:
    """The accuracies of the scored architectures, having checked that an index means the same in both.

    Raises:
        UsageError: if it does not, or goes beyond the accuracies.
    """
    accuracy = np.asarray(truth.accuracy(part.dataset, split), dtype=np.float64)
    if truth.place is not None:
        return _by_name(truth.place, accuracy, part, values)
    index = values["index"].to_numpy(dtype=np.int64)
    if len(index) and (index.min() < 0 or index.max() >= len(accuracy)):
        raise UsageError(
            f"the scores of '{part.label}' on {part.dataset} reach architecture {index.max()}, "
            f"the accuracies of {part.space} end at {len(accuracy) - 1}"
        )
    if truth.archs is not None and "arch" in values.columns:
        stored, known = values["arch"].tolist(), [truth.archs[i] for i in index.tolist()]
        if stored != known:
            wrong = next(i for i, a, b in zip(index.tolist(), stored, known, strict=True) if a != b)
            raise UsageError(
                f"architecture {wrong} of {part.space} is not the same in the scores of "
                f"'{part.label}' and in the table of accuracies"
            )
    matched: npt.NDArray[np.float64] = accuracy[index]
    return matched


def _by_name(
    place: Callable[[str], int | None], accuracy: npt.NDArray[np.float64], part: Part, values: pd.DataFrame
) -> npt.NDArray[np.float64]:
    """The accuracies of the scored architectures by their names; NaN where there is none."""
    if "arch" not in values.columns:
        raise UsageError(f"the scores of '{part.label}' on {part.dataset} do not name their architectures")
    places = [place(name) for name in values["arch"]]
    known = np.append(accuracy, np.nan)
    matched: npt.NDArray[np.float64] = known[[-1 if found is None else found for found in places]]
    return matched


def _constant_note(row: RowSpec, dataset: str, found: Correlation) -> list[str]:
    if not found.constant:
        return []
    lost = found.n_failed + found.n_lowest
    every = "no score is finite" if lost == found.n else "every score is the same"
    return [f"{row.name} on {dataset}: {every}, so there is no correlation"]


def _row_notes(row: RowSpec, rows: pd.DataFrame) -> list[str]:
    """What the row's definition says of it, and for an aggregate among how many it was formed."""
    if not (rows.loc[rows["proxy"] == row.name, "n"] > 0).any():
        return []
    notes = [f"{row.name}: {row.note}"] if row.note else []
    formed = rows[(rows["proxy"] == row.name) & (rows["n_among"] > 0)]
    sizes = formed.groupby("dataset", sort=False)["n_among"].first()
    if sizes.nunique() == 1:
        all_have = f"the {sizes.iloc[0]:,} architectures that all members have scores of"
        notes.append(f"{row.name}: {row.aggregate} among {all_have}")
    elif len(sizes):
        each = ", ".join(f"{size:,} on {dataset}" for dataset, size in sizes.items())
        all_have = "the architectures that all members have scores of"
        notes.append(f"{row.name}: {row.aggregate} among {all_have}: {each}")
    return notes


def _lowest_note(rows: pd.DataFrame) -> list[str]:
    """How many architectures a row gives the lowest score there is, which is no failure."""
    most = rows.groupby("title", sort=False)["n_lowest"].max()
    counts = [f"{title} {count:,}" for title, count in most.items() if count]
    return [f"scores of −∞, which rank lowest and are no failures: {', '.join(counts)}"] if counts else []


def _tie_note(rows: pd.DataFrame) -> list[str]:
    measured = rows[rows["n"] > 0]
    shares = (measured["n_tied"] / measured["n"]).groupby(measured["proxy"], sort=False).max()
    ties = [f"{name} {share:.0%}" for name, share in shares.items() if share >= 0.01]
    return [f"architectures that share their score with another: {', '.join(ties)}"] if ties else []


def _record(
    spec: TableSpec, row: RowSpec, dataset: str, split: str, found: Correlation, group: str
) -> dict[str, Any]:
    figures: list[float | None] = [None, None]
    if row.published:
        figures = [
            published_correlation(spec.source, spec.table, spec.space, dataset, row.published, metric)
            for metric in ("kendall_tau", "spearman_rho")
        ]
    tau, rho = (np.nan if figure is None else figure for figure in figures)
    return {
        "proxy": row.name,
        "dataset": dataset,
        "split": split,
        **found.columns(),
        "published_tau": tau,
        "published_rho": rho,
        "title": row.title or row.name,
        "group": group,
        "n_tied": found.n_tied,
    }
