"""Checks of a run's folder that compute no score: record, files, rows, versions."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from nasbench_eval.errors import UsageError
from nasbench_eval.runs.lock import in_use
from nasbench_eval.runs.record import LATER, TRAINED, Record, completed, fingerprint, mixed_texts, within
from nasbench_eval.runs.store import digest
from nasbench_eval.scoring.classes import representatives
from nasbench_eval.spaces.base import Names
from nasbench_eval.verify.completeness import completeness
from nasbench_eval.verify.held import Check, Held, Partition, scored_cells, verdict
from nasbench_eval.wording import counted, first_line, ranges, some

_STATUSES = ("ok", "nan", "inf", "undefined", "oom", "error")
_FAILED = ("oom", "error")


def structure(held: Held) -> Iterator[Check]:
    """All checks of a folder, one after the other."""
    names = Names(held.job.space) if held.job else None
    yield _finished(held)
    yield _configuration(held)
    if mixed := held.record.get("mixed"):
        told = f"mixed on purpose: rows of {mixed_texts(mixed)} come from more than one code"
        yield Check("ok", "code", told)
    yield _leftovers(held)
    yield verdict("files", [p for part in held.partitions for p in part.problems], _readable(held))
    yield _cells(held, names)
    yield verdict("values", [p for part in held.partitions for p in _wrong_values(held, part)], _values(held))
    if any(part.rows["copied_from"].notna().any() for part in held.partitions if "copied_from" in part.rows):
        yield _copies(held)
    yield _counts(held)
    yield _digest(held)
    if "search" not in held.record:  # whose cells are those that the algorithm asked for
        yield completeness(held)
    yield _proxies(held)


def _finished(held: Held) -> Check:
    record = held.record
    if "finished" in record:
        proxies, datasets = len(record["proxies"]), len(record["datasets"])
        scored = f"{counted(proxies, 'proxy', 'proxies')} on {counted(datasets, 'data set')}"
        return Check("ok", "record", f"finished {record['finished']}: {scored}")
    if in_use(held.folder):
        return Check("FAIL", "record", "not finished: another process is writing to the folder")
    command = record.get("command", "the command that made the run")
    return Check("FAIL", "record", f"not finished: an interrupted session; it continues with: {command}")


def _configuration(held: Held) -> Check:
    """The record against every file, and against the folder's name if that has digits of a configuration."""
    digits = fingerprint(held.record)
    named = re.fullmatch(rf"{re.escape(held.record['space']['name'])}-.+-([0-9a-f]{{8}})", held.folder.name)
    problems = []
    if named and named[1] != digits:
        problems.append(f"the folder's name says {named[1]}, run.json comes to {digits}")
    unsaid = 0
    for part in held.partitions:
        for file, written in part.records.items():
            unsaid += not written
            if written and (wrong := _contradictions(held.record, written, part)):
                problems.append(f"{part}: {file} was made with {', '.join(wrong)}")
    good = f"{digits}, as {'the folder is named and ' if named else ''}every file says"
    return verdict("config", problems, good + (f"; {unsaid} say nothing" if unsaid else ""))


def _contradictions(record: Record, written: Record, part: Partition) -> list[str]:
    """What a file says otherwise than the run's record."""
    dataset, label = part.task
    pairs = {key: (record[key], written.get(key)) for key in ("space", "seed")}
    pairs |= {key: (record.get(key, value), written.get(key, value)) for key, value in LATER.items()}
    pairs[dataset] = (record["datasets"].get(dataset), within(written, "datasets").get(dataset))
    now, then = record["proxies"].get(label), within(within(written, "proxies"), label)
    pairs[label] = (now, completed(then, now) if now and then else then)
    return [f"{key}={json.dumps(then)}" for key, (now, then) in pairs.items() if now != then]


def _leftovers(held: Held) -> Check:
    own = [*held.folder.glob(".*"), *(held.folder / "scores").rglob(".*")]  # shards are runs of their own
    hidden = [f for f in own if f.suffix == ".tmp" or f.name == ".merged.parquet"]
    trainings = [f for f in (held.folder / ".training").rglob("*") if f.is_file()]
    left = [f"left over is {f.relative_to(held.folder)}" for f in sorted([*hidden, *trainings])]
    return verdict("leftovers", left, "none")


def _readable(held: Held) -> str:
    files = sum(len(part.records) for part in held.partitions)
    rows = sum(len(part.rows) for part in held.partitions)
    partitions = counted(len(held.partitions), "partition")
    return f"{counted(files, 'file')} with {counted(rows, 'row')} in {partitions}"


def _cells(held: Held, names: Names | None) -> Check:
    if names is None:
        return Check(
            "skip", "cells", next(iter(held.unfit.values()), "the search space cannot be built here")
        )
    problems = [problem for part in held.partitions for problem in _wrong_cells(part, names)]
    return verdict(
        "cells", problems, f"each once in a partition, inside {held.record['space']['name']}, by name"
    )


def _wrong_cells(part: Partition, names: Names) -> Iterator[str]:
    index = part.rows["index"]
    if twice := set(index[index.duplicated()]):
        yield f"{part}: {counted(len(twice), 'cell')} twice, {ranges(twice)}"
    inside = index.map(names.holds).astype(bool)
    if not inside.all():
        yield f"{part}: outside the space {ranges(set(index[~inside]))}"
    rows = part.rows[inside]
    expected = [names[i] for i in rows["index"]]
    wrong = rows["index"][rows["arch"].to_numpy(dtype=object) != np.array(expected, dtype=object)]
    if len(wrong):
        yield f"{part}: another architecture's text at {ranges(set(wrong))}"


def _wrong_values(held: Held, part: Partition) -> Iterator[str]:
    rows, recorded = part.rows, held.record["proxies"].get(part.task.label, {})
    seed = recorded.get("seed") if recorded.get("name") == TRAINED else held.record["seed"]
    for column, expected in (("seed", seed), ("proxy_version", recorded.get("version"))):
        if (other := rows[rows[column] != expected]).size:
            found, where = some(sorted(map(str, set(other[column])))), ranges(set(other["index"]))
            yield f"{part}: {column} {found} where the record says {expected}, at {where}"
    if (strange := rows[~rows["status"].isin(_STATUSES)]).size:
        yield f"{part}: unknown status at {ranges(set(strange['index']))}"
    score = rows["score"]
    fits = np.select(
        [np.isfinite(score), np.isinf(score)],
        [rows["status"] == "ok", rows["status"] == "inf"],
        rows["status"].isin(["nan", "undefined", *_FAILED]),
    )
    if (wrong := rows[~fits.astype(bool)]).size:
        yield f"{part}: the status is not that of the score at {ranges(set(wrong['index']))}"


def _values(held: Held) -> str:
    totals = Counter[str]()
    for part in held.partitions:
        totals.update(part.rows["status"])
    failures = ", ".join(f"{totals[status]:,} {status}" for status in _STATUSES[1:] if totals[status])
    return f"seed {held.record['seed']}, versions as recorded; {failures or 'all finite'}"


def _copies(held: Held) -> Check:
    """Copies bear the number of their class's representative, and are made in deduplicated runs alone."""
    if held.record.get("dedupe", "none") != "isomorphic":
        return Check("FAIL", "copies", "there are rows copied from other cells, but dedupe=none is recorded")
    if held.job is None:
        return Check("skip", "copies", "the search space cannot be built here")
    space, problems, number = held.job.space, [], 0
    names = Names(space)
    inside = {i for part in held.partitions for i in part.rows["index"] if names.holds(i)}
    origins = representatives(space, sorted(inside))
    for part in held.partitions:
        said = zip(part.rows["index"], scored_cells(part.rows), strict=True)
        pairs = [(index, origin) for index, origin in said if index in inside]
        number += sum(index != origin for index, origin in pairs)
        if part.task.label in held.job.of_size:  # which are each cell's own, but once were copied
            pairs = [(index, origin) for index, origin in pairs if index != origin]
        if wrong := {index for index, origin in pairs if origins[index] != origin}:
            problems.append(f"{part}: not that of the representative at {ranges(wrong)}")
    return verdict("copies", problems, f"{counted(number, 'row')} of isomorphic cells")


def _counts(held: Held) -> Check:
    recorded: Any = held.record.get("rows")
    if not isinstance(recorded, dict):
        return Check("skip", "rows", "the record has no counts of a finished run")
    said = {(d, label): n for d, labels in recorded.items() for label, n in labels.items()}
    found = {(part.task.dataset, part.task.label): part.rows["index"].nunique() for part in held.partitions}
    every = {task: (found.get(task, 0), said.get(task, 0)) for task in sorted(said.keys() | found.keys())}
    problems = [
        f"{label} on {dataset}: {here:,} cells, {there:,} recorded"
        for (dataset, label), (here, there) in every.items()
        if here != there
    ]
    return verdict("rows", problems, f"as recorded in {counted(len(said), 'partition')}")


def _digest(held: Held) -> Check:
    recorded = held.record.get("scores_sha256")
    if recorded is None:
        return Check("skip", "digest", "the record has none: that of a finished run has")
    try:
        found = digest(held.folder)
    except (UsageError, KeyError, TypeError, ValueError) as error:
        return Check("FAIL", "digest", f"cannot be formed: {first_line(error)}")
    problems = [] if found == recorded else [f"the scores come to {found}, recorded is {recorded}"]
    return verdict("digest", problems, f"{found[:16]}…, as recorded")


def _proxies(held: Held) -> Check:
    if held.unfit:
        reasons = [f"{label}: {reason}" for label, reason in held.unfit.items()]
        return Check("skip", "proxies", some(reasons, "; "))
    return Check("ok", "proxies", "all installed here, in the run's versions")
