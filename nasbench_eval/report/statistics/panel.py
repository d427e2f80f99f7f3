"""Scores of several proxies on one data set, aligned by architecture, and bootstraps that they share.

A proxy need not have been asked about every architecture. As in the files of a run, a failure is a row and
never a hole: an architecture in the index of a proxy's scores was asked, and has failed if its score is NaN
or +∞; one that is not in the index was not asked, and no statistic of this proxy knows of it.

Shapes: P proxies, N architectures, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from nasbench_eval.report.statistics.bootstrap import Codes, Floats, dense_ranks
from nasbench_eval.report.statistics.correlation import Failures, Sample, failed, judged
from nasbench_eval.report.statistics.resampled import Resamples

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
        failures: the rule for scores that are failures.
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
        return found if self.failures == "worst" else found & ~failed(self.scores[chosen]).any(axis=0)

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
        failures: `worst` ranks failures below all other scores, `omit` leaves them out.

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
        known: the resamples, which other panels and the tables may share.
    """

    panel: Panel
    known: Resamples
    _found: dict[tuple[str, bytes, str | None], dict[str, Floats]] = field(default_factory=dict)
    _samples: dict[tuple[bytes, str], Sample] = field(default_factory=dict)
    _accuracies: dict[bytes, Codes] = field(default_factory=dict)

    @property
    def resamples(self) -> int:
        """R; with 0 all vectors are empty."""
        return self.known.resamples

    def taus(self, name: str, within: Mask, target: str | None = None) -> Floats:
        """τ-b of a proxy with the accuracy, or with another proxy, in each resample; shape (R,).

        Args:
            name: of the proxy.
            within: the architectures to resample; no more than `Panel.ranked` of the proxies involved.
            target: the other proxy; None for the accuracy.
        """
        return self._of(self.known.taus, "tau", name, within, target)

    def rhos(self, name: str, within: Mask, target: str | None = None) -> Floats:
        """ρ, otherwise as `taus`."""
        return self._of(self.known.rhos, "rho", name, within, target)

    def _of(
        self,
        measure: Callable[[Sequence[Codes], Codes], list[Floats]],
        which: str,
        name: str,
        within: Mask,
        target: str | None,
    ) -> Floats:
        key = which, within.tobytes(), target
        if key not in self._found:
            covering = [other for other in self.panel.names if self.panel.ranked(other)[within].all()]
            codes = [self._codes(other, within) for other in covering]
            self._found[key] = dict(zip(covering, measure(codes, self._codes(target, within)), strict=True))
        return self._found[key][name]

    def tau(self, name: str, within: Mask, target: str | None = None) -> float:
        """τ-b of a proxy with the accuracy, or with another proxy, on some of the architectures."""
        return self.known.tau(self._codes(name, within), self._codes(target, within))

    def sample(self, name: str, within: Mask) -> Sample:
        """`Panel.sample`, made once."""
        key = within.tobytes(), name
        if key not in self._samples:
            self._samples[key] = self.panel.sample(name, within)
        return self._samples[key]

    def _codes(self, name: str | None, within: Mask) -> Codes:
        """Dense ranks of a proxy's scores, or of the accuracies."""
        if name is not None:
            return self.sample(name, within).codes
        key = within.tobytes()
        if key not in self._accuracies:
            self._accuracies[key] = dense_ranks(self.panel.accuracy[within])
        return self._accuracies[key]
