"""What `nasbench-merge` does: reads the shards of a run, writes their rows into it and says what is missing.

All is read and compared before anything is written.  Then one data set and proxy after the other is put in
place whole, so that the same command goes on from whatever an interruption left.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nasbench_eval.errors import UsageError
from nasbench_eval.files import write_whole
from nasbench_eval.merge.missing import (
    Gap,
    Sample,
    expected,
    sample_of,
    shortened,
    told,
)
from nasbench_eval.merge.removal import clear_up, remove_merged
from nasbench_eval.merge.sources import (
    Source,
    joined_identity,
    own_scores,
    refuse_other,
    shards_of,
)
from nasbench_eval.merge.survey import Survey, survey_of
from nasbench_eval.run.record import MACHINERY, OUTCOME, Record, fingerprint, sessions
from nasbench_eval.run.rows import Task
from nasbench_eval.run.split import Split
from nasbench_eval.run.store import Store
from nasbench_eval.wording import counted, printable

# Ranges of cells in a line of the terminal; the file has all of them.
_MOST = 12
_MISSING = "missing.txt"


def merge(run: Path, *, check: bool = False, remove: bool = False, data: Path | None = None) -> int:
    """Merge the shards of a run and print what came of it.

    Args:
        run: the run's folder.
        check: only say what is missing.
        remove: delete the shards that are complete and merged.
        data: folder of the accuracies; None for the usual one.

    Returns:
        0 if nothing is missing, else 1.

    Raises:
        UsageError: if there are no shards or they cannot be merged; nothing was written then, unless
            it could not be written.
    """
    found, own = shards_of(run), own_scores(run)
    base = found or ([own] if own is not None and "merged" in own.record else [])
    if not base:
        raise UsageError(f"{run} holds no shards, which nasbench-score shard=0/8, shard=1/8 ... would leave")
    first, identity = base[0], joined_identity(base)
    if own is not None:
        refuse_other(run, own, identity)
    sample = sample_of(first.record, first.split.of if first.split else first.record["merged"], data)
    tasks = expected(
        found, [*(task for source in found for task in source.tasks()), *_merged_before(own, sample)]
    )
    if own is not None and not found and not tasks:  # a later command asked for more cells
        tasks = own.tasks()
    survey = survey_of([*([own] if own else []), *found], tasks, sample)
    missing = survey.gaps(sample, found)
    for line in _headlines(found, missing, sample, survey):
        _say(line)
    if check or not found:
        for line in _listed(missing, found, first.record, run, None):
            _say(line)
        if remove:
            clear_up(run)
        _say(f"incomplete: {_lacking(missing)}" if missing else "nothing is missing")
        return 1 if missing else 0
    record = _record(found, own, sample.of)
    with closing(Store(run, identity["space"]["name"], identity, record)) as store:
        for line in store.mended:
            _say(line)
        store.run["earlier"] = _machinery(store.run["earlier"], found, record)
        target = Source(run, store.run, None, False)
        survey = survey_of([target, *found], tasks, sample, store.run)
        missing = survey.gaps(sample, found)
        finished = {} if missing else {"finished": _finished(found, own)}
        store.finish({**finished, "seconds_last_session": round(sum(record["shard_seconds"].values()), 1)})
        for line in _listed(missing, found, first.record, run, _MOST):
            _say(line)
        if remove:
            for line in remove_merged(run, target, found, missing, survey):
                _say(line)
    end = f"incomplete: {_lacking(missing)}" if missing else f"next: {_next(first.record, run)}"
    _say(f"merged into {run}; {end}")
    return 1 if missing else 0


def _merged_before(own: Source | None, sample: Sample) -> list[Task]:
    """The tasks of the sample that a merge has put into the run: their shards may be there no longer."""
    if own is None or "merged" not in own.record:
        return []
    return [
        task
        for task in own.tasks()
        if any("merged" in record and record.get("n") == sample.n for record in own.records(task))
    ]


def _headlines(found: Sequence[Source], missing: Sequence[Gap], sample: Sample, survey: Survey) -> list[str]:
    """What there is, a line a fact."""
    absent = set(range(sample.of)) - {source.split.shard for source in found if source.split}
    merged = len(absent - {gap.split.shard for gap in missing})
    others = f"; the rows of {'the other ' if found else ''}{merged} are in the run" if merged else ""
    lines = [f"{len(found)} of {counted(sample.of, 'shard')} here{others}"]
    if busy := [str(source.split) for source in found if source.in_use]:
        lines.append(f"still being scored: {', '.join(busy)}; what is on the disk is taken")
    labels, datasets = {task.label for task in survey.rows}, {task.dataset for task in survey.rows}
    lines.append(f"{survey.whole(sample):,} of {counted(sample.n, 'cell')} have all scores")
    held = counted(sum(survey.rows.values()), "row")
    what = f"{counted(len(labels), 'proxy', 'proxies')} on {counted(len(datasets), 'data set')}"
    lines.append(f"{held} of {what}, {survey.new:,} of them new to the run")
    if survey.failures:
        failed = ", ".join(f"{number:,} {status}" for status, number in sorted(survey.failures.items()))
        lines.append(f"{failed}: retry_failed=true scores them again")
    if number := survey.rivals.total():
        lines.append(
            f"{counted(number, 'row')} came out otherwise on another kind of machine, by at most "
            f"{survey.largest:.1e} of the score: the first of each is kept"
        )
    return lines


def _listed(
    missing: Sequence[Gap], found: Sequence[Source], record: Record, run: Path, most: int | None
) -> list[str]:
    """What is missing, a line a gap.

    With `most` ranges in a line at most, and the whole list in a file of the run where that leaves any out.
    """
    busy = {source.split for source in found if source.in_use}
    lines = []
    for number, gap in enumerate(missing):
        line = told(gap, most)
        following = missing[number + 1].split if number + 1 < len(missing) else None
        if gap.split != following and gap.split not in busy:  # after the last line of a shard
            again = score_command(record, run, gap.split)
            line += f"; score {'it' if gap.nothing else 'them'} with: {again}"
        lines.append(line)
    file = run / _MISSING
    if most is not None:
        if any(shortened(gap, most) for gap in missing):
            write_whole(file, "".join(f"{told(gap, None)}\n" for gap in missing).encode())
            lines.append(f"all ranges stand in {file}")
        else:
            file.unlink(missing_ok=True)  # of an earlier merge
    return lines


def _lacking(missing: Sequence[Gap]) -> str:
    nothing = sum(gap.nothing for gap in missing)
    parts = len({gap.split for gap in missing if not gap.nothing})
    told = [f"{counted(nothing, 'shard')} not begun"] if nothing else []
    return ", ".join([*told, *([f"{counted(parts, 'shard')} in part"] if parts else [])])


def whole_command(record: Record) -> list[str]:
    """The words of the command of a shard without what makes it one shard's, or one session's."""
    try:
        words = shlex.split(str(record.get("command", "")))
    except ValueError:
        words = []
    options = ("shard=", "shards=", "retry_failed=")
    return [word for word in words if not word.lstrip("+").startswith(options)] or ["nasbench-score"]


def _next(record: Record, run: Path) -> str:
    """What to do with a run that is complete: of trainings the command for all of them makes a benchmark."""
    if whole_command(record)[0] == "nasbench-train":
        return score_command(record, run, None)
    return shlex.join(["nasbench-report", str(run)])


def score_command(record: Record, run: Path, split: Split | None) -> str:
    """The command that scores a shard, or what is missing of all of them, into the folder of this run."""
    words = whole_command(record)
    named = next((word.partition("=")[2] for word in words if word.startswith("run=")), None)
    results = run.parent
    if named is not None and run.parts[-len(Path(named).parts) :] == Path(named).parts:
        results = run.parents[len(Path(named).parts) - 1]
    elif named is not None or not run.name.endswith(fingerprint(record)):
        words = [*(word for word in words if not word.startswith("run=")), f"run={run.name}"]
    if results.resolve() != Path("results").resolve():
        words.append(f"results={results}")
    return shlex.join(words if split is None else [*words, f"shard={split}"])


def _record(found: Sequence[Source], own: Source | None, of: int) -> dict[str, Any]:
    """What run.json says of the merged run beside its configuration."""
    first = found[0].record
    before = own.record.get("shard_seconds") if own else None
    seconds = {
        split: spent
        for split, spent in (before if isinstance(before, dict) else {}).items()
        if split.endswith(f"/{of}") and isinstance(spent, int | float)
    }
    for source in found:
        spent = source.record.get("seconds_last_session")
        if isinstance(spent, int | float):
            seconds[str(source.split)] = spent
    return {
        **{key: value for key, value in first.items() if key not in (*OUTCOME, "earlier")},
        "command": shlex.join(whole_command(first)),
        "shard": None,
        "merged": of,
        "shard_seconds": seconds,
    }


def _machinery(before: Sequence[Record], found: Sequence[Source], record: Record) -> list[dict[str, Any]]:
    """The machinery of all sessions but that which the record tells of."""
    now = {key: record[key] for key in MACHINERY if key in record}
    every = [dict(session) for session in before]
    for source in found:
        for session in sessions(source.record):
            other = {key: session[key] for key in MACHINERY if key in session}
            if other != now and other not in every:
                every.append(other)
    return every


def _finished(found: Sequence[Source], own: Source | None) -> str:
    """When the last shard was finished; now, if one was not and has all its rows nevertheless."""
    times = [source.record.get("finished") for source in found]
    if own is not None and "merged" in own.record and "finished" in own.record:
        times.append(own.record["finished"])
    known = [time for time in times if isinstance(time, str)]
    if len(known) == len(times):
        return max(known)
    return datetime.now(UTC).isoformat(timespec="seconds")


def _say(line: str) -> None:
    """Print a line in printable characters, whatever it quotes of a foreign run."""
    print(printable(line), flush=True)
