"""What `nasbench-merge` does: reads the shards of a run, writes their rows into it and says what is missing.

All is read and compared before anything is written.  Then one data set and proxy after the other is put in
place whole, so that the same command goes on from whatever an interruption left.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from nasbench_eval.merge import messages, record
from nasbench_eval.merge.plan import Plan, plan_of
from nasbench_eval.merge.removal import clear_up, remove_merged
from nasbench_eval.merge.sources import Source
from nasbench_eval.merge.survey import survey_of
from nasbench_eval.runs.store import Store
from nasbench_eval.wording import printable


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
    plan = plan_of(run, data)
    survey = survey_of(plan.sources, plan.tasks, plan.sample)
    missing = survey.gaps(plan.sample, plan.shards)
    _say(messages.headlines(plan, survey, missing))
    if plan.shards and not check:
        return _write(plan, remove=remove)
    _say(messages.listed(plan, missing, None))
    if remove:
        clear_up(run)
    _say([f"incomplete: {messages.lacking(missing)}" if missing else "nothing is missing"])
    return 1 if missing else 0


def _write(plan: Plan, *, remove: bool) -> int:
    """Write the rows of the shards into the run."""
    told = record.record(plan)
    space = plan.identity["space"]["name"]
    with closing(Store(plan.run, space, plan.identity, told, allow_changed_code=True)) as store:
        _say(store.mended)
        store.run["earlier"] = record.machinery(plan, store.run["earlier"], told)
        target = Source(plan.run, store.run, None, False)
        survey = survey_of([target, *plan.shards], plan.tasks, plan.sample, store.run)
        missing = survey.gaps(plan.sample, plan.shards)
        finished = {} if missing else {"finished": record.finished(plan)}
        store.finish({**finished, "seconds_last_session": round(sum(told["shard_seconds"].values()), 1)})
        _say(messages.listed(plan, missing, messages.MOST))
        if remove:
            _say(remove_merged(plan.run, target, plan.shards, missing, survey))
    rest = f"incomplete: {messages.lacking(missing)}"
    after = f"next: {messages.after(plan.record, plan.run)}"
    _say([f"merged into {plan.run}; {rest if missing else after}"])
    return 1 if missing else 0


def _say(lines: Iterable[str]) -> None:
    """Print lines in printable characters, whatever they quote of a foreign run."""
    for line in lines:
        print(printable(line), flush=True)
