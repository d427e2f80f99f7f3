"""Correlations in resamples, each pair of a score and a target resampled once for all who ask.

The tables, the statistics and the partial correlations of a report ask for the same pairs again and again: a
table's row is a proxy of the statistics too, and FLOPs rank alike whatever the data set and split. Resamples
depend on the seed and the number of architectures alone, so what was found of a pair holds for everybody.

Shapes: N architectures, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, TypeAlias

from nasbench_eval.report.statistics.bootstrap import Codes, Floats, resampled_rhos, resampled_taus
from nasbench_eval.report.statistics.rank import kendall_tau

Keys: TypeAlias = tuple[bytes, bytes]
Resampling: TypeAlias = Callable[..., Floats]
# Scores and the target that they are correlated with.
Batch: TypeAlias = tuple[Sequence[Codes], Codes]
# What τ and ρ of one architecture in one resample take, roughly.
SECONDS = 2e-8


@dataclass
class Resamples:
    """What is known of the resamples of a report.

    Attributes:
        resamples: R; with 0 all vectors are empty.
        seed: of the resampling.
    """

    resamples: int = 1000
    seed: int = 0
    _taus: dict[Keys, Floats] = field(default_factory=dict, repr=False)
    _rhos: dict[Keys, Floats] = field(default_factory=dict, repr=False)
    _points: dict[Keys, float] = field(default_factory=dict, repr=False)

    def tau(self, score: Codes, target: Codes) -> float:
        """τ-b of the two themselves, not resampled; see `kendall_tau`."""
        key = _digest(score), _digest(target)
        if key not in self._points:
            self._points[key] = kendall_tau(score, target)
        return self._points[key]

    def taus(self, scores: Sequence[Codes], target: Codes) -> list[Floats]:
        """τ-b of each score with the target, shape (R,). Those not known yet are resampled together.

        Args:
            scores: dense ranks from 0 (see `dense_ranks`), each of shape (N,).
            target: likewise.
        """
        return self._of(self._taus, resampled_taus, scores, target)

    def rhos(self, scores: Sequence[Codes], target: Codes) -> list[Floats]:
        """ρ of each score with the target, otherwise as `taus`."""
        return self._of(self._rhos, resampled_rhos, scores, target)

    def learn(self, batches: Sequence[Batch], map_: Callable[..., list[Any]]) -> None:
        """τ and ρ of several batches at once.

        Args:
            batches: scores and their target, as for `taus`.
            map_: maps a function of a module over independent parts, which take so many seconds.
        """
        lacking = []
        for scores, target in batches:
            own = _digest(target)
            fresh = {key: codes for codes in scores if ((key := _digest(codes)), own) not in self._rhos}
            lacking += [(list(fresh.values()), target, self.resamples, self.seed)] if fresh else []
        cells = sum(len(scores) * len(target) for scores, target, _, _ in lacking)
        found = map_(_resampled, lacking, cells * self.resamples * SECONDS)
        for (scores, target, _, _), both in zip(lacking, found, strict=True):
            keys = [(_digest(codes), _digest(target)) for codes in scores]
            for known, values in zip((self._taus, self._rhos), both, strict=True):
                known |= zip(keys, values, strict=True)

    def _of(
        self, known: dict[Keys, Floats], found: Resampling, scores: Sequence[Codes], target: Codes
    ) -> list[Floats]:
        own = _digest(target)
        keys = [(_digest(codes), own) for codes in scores]
        lacking = {key: codes for key, codes in zip(keys, scores, strict=True) if key not in known}
        if lacking:
            values = found(list(lacking.values()), target, resamples=self.resamples, seed=self.seed)
            known |= zip(lacking, values, strict=True)
        return [known[key] for key in keys]


def _resampled(part: tuple[Sequence[Codes], Codes, int, int]) -> tuple[Floats, Floats]:
    scores, target, resamples, seed = part
    return (
        resampled_taus(scores, target, resamples=resamples, seed=seed),
        resampled_rhos(scores, target, resamples=resamples, seed=seed),
    )


def _digest(codes: Codes) -> bytes:
    """Sixteen bytes that two different vectors do not share."""
    return blake2b(codes.tobytes(), digest_size=16).digest()
