"""What `nasbench-merge` tells: what there is, what is missing, and the command that makes it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from nasbench_eval.files import write_whole
from nasbench_eval.merge.missing import Gap, shortened, told
from nasbench_eval.merge.plan import Plan
from nasbench_eval.merge.survey import Survey
from nasbench_eval.runs.record import Record, fingerprint
from nasbench_eval.runs.split import Split
from nasbench_eval.wording import counted

# Ranges of cells in a line of the terminal; the file has all of them.
MOST = 12
_MISSING = "missing.txt"


def headlines(plan: Plan, survey: Survey, missing: Sequence[Gap]) -> list[str]:
    """What there is, a line a fact."""
    found, sample = plan.shards, plan.sample
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


def listed(plan: Plan, missing: Sequence[Gap], most: int | None) -> list[str]:
    """What is missing, a line a gap.

    With `most` ranges in a line at most, and the whole list in a file of the run where that leaves any out.
    """
    busy = {source.split for source in plan.shards if source.in_use}
    lines = []
    for number, gap in enumerate(missing):
        line = told(gap, most)
        following = missing[number + 1].split if number + 1 < len(missing) else None
        if gap.split != following and gap.split not in busy:  # after the last line of a shard
            again = score_command(plan.record, plan.run, gap.split)
            line += f"; score {'it' if gap.nothing else 'them'} with: {again}"
        lines.append(line)
    file = plan.run / _MISSING
    if most is not None:
        if any(shortened(gap, most) for gap in missing):
            write_whole(file, "".join(f"{told(gap, None)}\n" for gap in missing).encode())
            lines.append(f"all ranges stand in {file}")
        else:
            file.unlink(missing_ok=True)  # of an earlier merge
    return lines


def lacking(missing: Sequence[Gap]) -> str:
    """How many shards lack something."""
    nothing = sum(gap.nothing for gap in missing)
    parts = len({gap.split for gap in missing if not gap.nothing})
    said = [f"{counted(nothing, 'shard')} not begun"] if nothing else []
    return ", ".join([*said, *([f"{counted(parts, 'shard')} in part"] if parts else [])])


def whole_command(record: Record) -> list[str]:
    """The words of the command of a shard without what makes it one shard's, or one session's."""
    try:
        words = shlex.split(str(record.get("command", "")))
    except ValueError:
        words = []
    options = ("shard=", "shards=", "retry_failed=")
    return [word for word in words if not word.lstrip("+").startswith(options)] or ["nasbench-score"]


def after(record: Record, run: Path) -> str:
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
