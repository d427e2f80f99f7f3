"""What is chosen on one benchmark, judged on the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from nasbench_eval.report.ensemble.choose import terms_of
from nasbench_eval.report.ensemble.columns import TRANSFER_MEANINGS
from nasbench_eval.report.ensemble.pool import Pool
from nasbench_eval.report.ensemble.source import Options, Source, fixed_of, said
from nasbench_eval.report.statistics.bootstrap import Codes, Floats, dense_ranks, interval
from nasbench_eval.report.statistics.resampled import Resamples

# Where it was chosen, how, and what.
Key: TypeAlias = tuple[str, str, str]


def transfer(
    pools: Sequence[Pool], sources: Sequence[Source], options: Options, map_: Callable[..., list[Any]]
) -> pd.DataFrame:
    """What is chosen on one benchmark, on all architectures of each other one (`TRANSFER_MEANINGS`).

    On benchmarks of one space architectures may be those that the choice was made on; then only the
    accuracies are others.  `shared` says how many.
    """
    known = Resamples(options.resamples, options.seed)
    held = [(pool, _scores(pool, sources)) for pool in pools]
    codes = [
        {key: dense_ranks(each) for key, each in scores.items() if each is not None} for _, scores in held
    ]
    if options.resamples:
        batches = [(list(own.values()), pool.target) for (pool, _), own in zip(held, codes, strict=True)]
        known.learn(batches, map_)
    records = [
        record
        for (pool, scores), own in zip(held, codes, strict=True)
        for record in _records(pool, list(scores), own, options, known, _shared(pool, sources))
    ]
    return pd.DataFrame(records, columns=list(TRANSFER_MEANINGS))


def _scores(pool: Pool, sources: Sequence[Source]) -> dict[Key, Floats | None]:
    """What was chosen elsewhere and what is fixed, on a pool; None where a member is missing."""
    terms = terms_of(pool.scores)
    scores: dict[Key, Floats | None] = {}
    for source in sources:
        if any(pool is each for each in source.pools):
            continue
        for method in source.chosen:
            members = source.members(method)
            places = pool.places(members)
            found = None if places is None else terms.combined(places, method)
            scores[source.name, source.prefix + method, said(members)] = found
    for name, each in fixed_of(pool).items():
        scores["", name, said(pool.fixed[name].members)] = terms.combined(each.members, each.kind)
    return scores


def _shared(pool: Pool, sources: Sequence[Source]) -> dict[str, int]:
    """Of each source how many of a pool's architectures it has as well."""
    return {
        source.name: int(np.isin(pool.archs, source.pools[0].archs).sum())
        for source in sources
        if source.pools[0].benchmark.space == pool.benchmark.space
    }


def _records(
    pool: Pool,
    keys: Sequence[Key],
    codes: Mapping[Key, Codes],
    options: Options,
    known: Resamples,
    shared: Mapping[str, int],
) -> Iterator[dict[str, Any]]:
    taus = {key: known.tau(each, pool.target) for key, each in codes.items()}
    resampled = dict(zip(codes, known.taus(list(codes.values()), pool.target), strict=True))
    given = {name: key for key in codes if not key[0] and (name := key[1]) in options.references}
    for key in keys:
        common: dict[str, Any] = dict(zip(("chosen_on", "method", "combination"), key, strict=True))
        common |= {"benchmark": pool.benchmark.name, "n": pool.n, "shared": shared.get(key[0], 0)}
        if key not in codes:
            yield common
            continue
        low, high = interval(resampled[key], pool.n)
        common |= {"tau": taus[key], "low": low, "high": high}
        compared = [(name, other) for name, other in given.items() if other != key]
        for name, other in compared:
            low, high = interval(resampled[key] - resampled[other], pool.n)
            ends = {"difference_low": low, "difference_high": high}
            yield {**common, "reference": name, "difference": taus[key] - taus[other], **ends}
        if not compared:
            yield common
