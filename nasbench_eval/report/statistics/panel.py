"""Scores of several proxies on one data set, aligned by architecture, and bootstraps that they share.

A proxy need not have been asked about every architecture. As in the files of a run, a failure is a row and
never a hole: an architecture in the index of a proxy's scores was asked, and has failed if its score is not
finite; one that is not in the index was not asked, and no statistic of this proxy knows of it.

Shapes: P proxies, N architectures, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from nasbench_eval.report.statistics.bootstrap import Floats, bootstrap
from nasbench_eval.report.statistics.correlation import Failures, Sample, judged

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Panel:
    """What every statistic of several proxies starts from.

    Attributes:
        names: of the proxies, in the order they were given.
        archs: the architectures with a known accuracy that some proxy was asked about, in the order of the
            accuracies; N.
        scores: shape (P, N); NaN where a proxy was not asked.
        asked: shape (P, N); which proxy was asked about which architecture.
        accuracy: shape (N,), in the unit it was given in.
        failures: the rule for scores that are not finite.
    """

    names: tuple[str, ...]
    archs: pd.Index
    scores: Floats
    asked: npt.NDArray[np.bool_]
    accuracy: Floats
    failures: Failures

    def common(self, *names: str) -> Mask:
        """The architectures that all these proxies were asked about, failed ones included; shape (N,)."""
        chosen = [self.names.index(name) for name in names]
        found: Mask = np.logical_and.reduce(self.asked[chosen], axis=0)
        return found

    def ranked(self, *names: str) -> Mask:
        """Those of them that are ranked: all, or, with failures left out, those where no proxy failed."""
        chosen = [self.names.index(name) for name in names]
        found = self.common(*names)
        return found if self.failures == "worst" else found & np.isfinite(self.scores[chosen]).all(axis=0)

    def sample(self, name: str, within: Mask) -> Sample:
        """One proxy's scores and the accuracies of some of the architectures that it was asked about."""
        return judged(self.scores[self.names.index(name)][within], self.accuracy[within], self.failures)


def panel(
    scores: Mapping[str, pd.Series[float]] | pd.DataFrame,
    accuracy: pd.Series[float],
    failures: Failures = "worst",
) -> Panel:
    """Align the scores of P proxies with the accuracies.

    Args:
        scores: of each proxy its scores by architecture, one row for each architecture that it was asked
            about. In a frame, with a column a proxy, all proxies were asked about all of its rows.
        accuracy: by architecture; percent. Architectures without one are left out.
        failures: `worst` ranks scores that are not finite below all others, `omit` leaves them out.

    Raises:
        ValueError: if there is no proxy, or an architecture occurs twice.
    """
    columns = {str(name): column for name, column in scores.items()}
    if not columns:
        raise ValueError("there are no scores")
    for name, index in [("the accuracies", accuracy.index), *((n, c.index) for n, c in columns.items())]:
        if not index.is_unique:
            raise ValueError(f"architecture {index[index.duplicated()][0]} occurs twice in {name}")
    archs = accuracy.index[np.isfinite(accuracy.to_numpy(dtype=np.float64))]
    archs = archs[np.any([archs.isin(column.index) for column in columns.values()], axis=0)]
    return Panel(
        names=tuple(columns),
        archs=archs,
        scores=np.stack([column.reindex(archs).to_numpy(dtype=np.float64) for column in columns.values()]),
        asked=np.stack([archs.isin(column.index) for column in columns.values()]),
        accuracy=np.asarray(accuracy.reindex(archs), dtype=np.float64),
        failures=failures,
    )


@dataclass
class Bootstraps:
    """Correlations of a panel's proxies in the same resamples, computed when first asked for.

    The resamples of a set of architectures depend on the seed and the size of the set alone. All proxies that
    cover the set are resampled together.

    Attributes:
        panel: the scores.
        resamples: R; with 0 all vectors are empty.
        seed: of the resampling.
    """

    panel: Panel
    resamples: int
    seed: int
    _known: dict[tuple[bytes, str | None], dict[str, tuple[Floats, Floats]]] = field(default_factory=dict)

    def of(self, name: str, within: Mask, target: str | None = None) -> tuple[Floats, Floats]:
        """τ-b and ρ of a proxy with the accuracy, or with another proxy, in each resample; shapes (R,).

        Args:
            name: of the proxy.
            within: the architectures to resample; no more than `Panel.ranked` of the proxies involved.
            target: the other proxy; None for the accuracy.
        """
        key = within.tobytes(), target
        if key not in self._known:
            covering = [other for other in self.panel.names if self.panel.ranked(other)[within].all()]
            codes = [self.panel.sample(other, within).codes for other in covering]
            aim = self.panel.accuracy[within] if target is None else self.panel.sample(target, within).codes
            found = bootstrap(codes, aim, resamples=self.resamples, seed=self.seed)
            self._known[key] = dict(zip(covering, zip(found.taus, found.rhos, strict=True), strict=True))
        return self._known[key][name]
