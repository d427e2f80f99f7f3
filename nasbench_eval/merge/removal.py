"""Deletes shards whose rows the run has, which is read from the disk once more before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from nasbench_eval.errors import UsageError
from nasbench_eval.merge.missing import Gap
from nasbench_eval.merge.rows import join
from nasbench_eval.merge.sources import Source, kept_out
from nasbench_eval.merge.survey import Survey, refuse_contradictions, rivals_of
from nasbench_eval.runs.rows import Task
from nasbench_eval.runs.split import Split
from nasbench_eval.wording import counted, some

# What scoring and training leave in a shard's folder; whoever put more there would not want it deleted.
_OWN = {"run.json", "scores", ".lock", ".training", "run.log", "progress.json", "images"}


def remove_merged(
    run: Path, target: Source, found: Sequence[Source], missing: Sequence[Gap], survey: Survey
) -> list[str]:
    """Delete the shards whose rows the run has, which is read from the disk once more.

    Raises:
        UsageError: if a file is damaged or cannot be deleted.
    """
    lacking, removed = {gap.split for gap in missing}, 0
    kept: dict[Split | None, str]
    kept = {source.split: "it is not complete" for source in found if source.split in lacking}
    with ExitStack() as locks:
        for source in found:
            if source.split not in kept and not locks.enter_context(kept_out(source.folder)):
                kept[source.split] = "another process is writing to it"
            elif source.split not in kept and (more := _foreign(source.folder)):
                kept[source.split] = f"there is more in it ({some(more)})"
        candidates = [source for source in found if source.split not in kept]
        for source, task in _unmerged(target, candidates, survey):
            kept[source.split] = f"its rows of {task.label} on {task.dataset} are not those of the run"
        for source in found:
            if source.split not in kept:
                _delete(source.folder)
                removed += 1
    lines = [f"{source} is kept: {kept[source.split]}" for source in found if source.split in kept]
    if removed:
        lines.append(f"{counted(removed, 'shard')} deleted")
    clear_up(run)
    return lines


def clear_up(run: Path) -> None:
    """Finish deletions that were cut short, and remove the folder of the shards if nothing is left in it."""
    for leftover in (run / "shards").glob(".*-of-*.removed"):
        _delete_all(leftover)
    with suppress(OSError):  # there is something in it, or it is not there
        (run / "shards").rmdir()


def _foreign(folder: Path) -> list[str]:
    """What is in a shard's folder that scoring did not put there."""
    own = _OWN | {path.name for path in folder.glob("_run.json.damaged*")}
    return sorted({path.name for path in folder.iterdir()} - own)


def _unmerged(target: Source, sources: Sequence[Source], survey: Survey) -> Iterator[tuple[Source, Task]]:
    """The shards with rows that the run, as it is on the disk, lacks or has otherwise, but for rivals."""
    for task in sorted({task for source in sources for task in source.tasks()}):
        given = [(s, table) for s in (target, *sources) if (table := s.table(task)) is not None]
        joined, having = join([table for _, table in given]), [source for source, _ in given]
        refuse_contradictions(having, joined, task)
        rivals = rivals_of(having, joined, task)
        taken = set(joined.source.tolist())
        for number, source in enumerate(having):
            mine = (task, source.split)
            if source is not target and (number in taken or rivals[mine] > survey.rivals[mine]):
                yield source, task


def _delete(folder: Path) -> None:
    """Delete a shard: at once as far as anyone sees, whatever happens meanwhile."""
    hidden = folder.with_name(f".{folder.name}.removed")
    _delete_all(hidden)
    try:
        folder.rename(hidden)
    except OSError as error:
        raise UsageError(f"cannot delete {folder}: {error.strerror or error}") from error
    _delete_all(hidden)


def _delete_all(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"cannot delete {folder}: {error.strerror or error}") from error
