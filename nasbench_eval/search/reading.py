"""Scores that the runs of a results folder hold, whatever machine they came from.

Unlike scoring, which takes over what is the same to the bit, a search takes any score of the same proxy with
the same options, version and seed: on another machine it differs by rounding, and where isomorphic
architectures share one (`dedupe=isomorphic`) it may be that of another architecture.  A version is this
package's word for a formula.  Of a proxy or a search space of another package, whose version nobody checks,
the code has to be the same as well; and a run that was mixed on purpose gives nothing of the proxies that it
mixed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasbench_eval.errors import UsageError
from nasbench_eval.runs import parquet
from nasbench_eval.runs.record import Record, completed, sessions, within
from nasbench_eval.scoring.reuse import reading, runs_in
from nasbench_eval.search.history import CLOCKS
from nasbench_eval.search.scores import Known


def take(
    known: Known,
    identity: Mapping[str, Any],
    dataset: str,
    results: Path | None,
    own: Path,
    code: Mapping[str, str | None],
    before: Path | None = None,
) -> dict[str, int]:
    """Fill in the scores that runs hold.  Those of the run itself come first.

    Args:
        known: where the scores go, a column a proxy in the order of the identity's.
        identity: space, seed, data set and proxies, as a record has them.
        dataset: the data set's name.
        results: folder of runs; None to take none but this run's own.
        own: folder of this run.
        code: digests that have to be those of a run: of each proxy of another package by its name, and as
            `shared` where the search space is of another package; None for code that cannot be found.
        before: a run whose scores come before those of the others, wherever it lies.

    Returns:
        How many scores were taken, by the name of the run; this run's own are not counted.
    """
    taken: dict[str, int] = {}
    others = [] if results is None else [before, *runs_in(results)] if before else runs_in(results)
    once: dict[Path, Path] = {}
    for folder in (own, *others):
        once.setdefault(folder.resolve(), folder)
    for folder in once.values():
        for column, partition in _matches(folder, identity, dataset, code):
            counted = known.count(column)
            try:
                _fill(known, column, partition, failures=folder is own)
            except UsageError:  # damaged, or written to right now: the search can do without
                continue
            if results is not None and folder is not own and known.count(column) > counted:
                name = name_of(folder, results)
                taken[name] = taken.get(name, 0) + known.count(column) - counted
    return taken


def name_of(run: Path, results: Path) -> str:
    """What a run is called: its place in the folder of results, or where it lies."""
    here, there = run.absolute(), results.absolute()
    return (here.relative_to(there) if here.is_relative_to(there) else run).as_posix()


def _matches(
    folder: Path, identity: Mapping[str, Any], dataset: str, code: Mapping[str, str | None]
) -> Iterator[tuple[int, Path]]:
    """The columns that a run holds scores for, each with the folder of them."""
    try:
        theirs = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return
    if not isinstance(theirs, dict) or dataset not in within(theirs, "datasets"):
        return
    wanted = {
        reading(identity, dataset, proxy): (column, proxy)
        for column, proxy in enumerate(identity["proxies"].values())
    }
    named = {proxy["name"]: proxy for _, proxy in wanted.values()}
    for label, proxy in within(theirs, "proxies").items():
        if isinstance(proxy, dict) and proxy.get("name") in named and _same_code(theirs, proxy["name"], code):
            text = reading(theirs, dataset, completed(proxy, named[proxy["name"]]))
            if text in wanted:
                place = Path(f"space={identity['space']['name']}", f"dataset={dataset}", f"proxy={label}")
                yield wanted[text][0], folder / "scores" / place


def _same_code(theirs: Record, name: str, code: Mapping[str, str | None]) -> bool:
    """Whether a run's rows of a proxy come from one code, and from this one where that has to be asked."""
    if {name, "shared"} & set(theirs.get("mixed") or ()):
        return False
    asked = {key: digest for key, digest in code.items() if key in (name, "shared")}
    said = [within(session, "sources") for session in sessions(theirs)]
    return all(
        digest is not None and key in said[0] and all(s.get(key, digest) == digest for s in said)
        for key, digest in asked.items()
    )


def _fill(known: Known, column: int, partition: Path, *, failures: bool) -> None:
    """Fill in what a partition holds; `failures` count as told, where they are this run's own."""
    tables = parquet.at_one_moment(partition, ("index", "score", "seconds", "status", "copied_from"))
    if not tables:
        return
    frame = pd.concat([table.to_pandas() for table in tables]).drop_duplicates("index").set_index("index")
    spent = frame["seconds"]
    if "copied_from" in frame:  # a copy cost nothing then, but is what the other architecture was
        spent = spent.where(frame["copied_from"].isna(), frame["copied_from"].map(spent))
    frame = frame.assign(spent=spent.fillna(0.0))
    if not failures:
        frame = frame[~frame["status"].isin(["oom", "error"])]
    seconds = np.zeros((len(frame), len(CLOCKS)))
    seconds[:, CLOCKS.index("proxy")] = frame["spent"]
    known.add(column, frame.index.tolist(), frame["score"].tolist(), seconds)
