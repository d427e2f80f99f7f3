"""What `run.json` says of a merged run, made of what the records of its shards say."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from nasbench_eval.merge.messages import whole_command
from nasbench_eval.merge.plan import Plan
from nasbench_eval.runs.record import MACHINERY, OUTCOME, Record, sessions


def record(plan: Plan) -> dict[str, Any]:
    """What run.json says of the merged run beside its configuration."""
    before, of = plan.own.record.get("shard_seconds") if plan.own else None, plan.sample.of
    seconds = {
        split: spent
        for split, spent in (before if isinstance(before, dict) else {}).items()
        if split.endswith(f"/{of}") and isinstance(spent, int | float)
    }
    for source in plan.shards:
        spent = source.record.get("seconds_last_session")
        if isinstance(spent, int | float):
            seconds[str(source.split)] = spent
    return {
        **{key: value for key, value in plan.record.items() if key not in (*OUTCOME, "earlier")},
        "command": shlex.join(whole_command(plan.record)),
        "shard": None,
        "merged": of,
        "shard_seconds": seconds,
    }


def machinery(plan: Plan, before: Sequence[Record], record: Record) -> list[dict[str, Any]]:
    """The machinery of all sessions but that which the record tells of."""
    now = {key: record[key] for key in MACHINERY if key in record}
    every = [dict(session) for session in before]
    for source in plan.shards:
        for session in sessions(source.record):
            other = {key: session[key] for key in MACHINERY if key in session}
            if other != now and other not in every:
                every.append(other)
    return every


def finished(plan: Plan) -> str:
    """When the last shard was finished; now, if one was not and has all its rows nevertheless."""
    times = [source.record.get("finished") for source in plan.shards]
    if plan.own is not None and {"merged", "finished"} <= plan.own.record.keys():
        times.append(plan.own.record["finished"])
    known = [time for time in times if isinstance(time, str)]
    if len(known) == len(times):
        return max(known)
    return datetime.now(UTC).isoformat(timespec="seconds")
