"""What `nasbench-score` tells of a run: before it, on the way, and in the end."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from nasbench_eval.runs.rows import Task
from nasbench_eval.runs.wanted import Wanted
from nasbench_eval.scoring.config import Run
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.reuse import Taken
from nasbench_eval.wording import counted
from nasbench_eval.work.progress import Progress


def headline(run: Run, classes: int) -> str:
    """What is going to be done; `classes` of isomorphic architectures are scored."""
    labels = list(run.job.proxies)
    proxies = ", ".join(labels) if len(labels) < 5 else f"{len(labels)} proxies"
    cells = counted(len(run.indices), "cell")
    if run.options.n == "auto" and run.options.archs is None and run.options.indices is None:
        if run.subject.open is not None:
            cells = f"a random sample of {cells}"
        elif len(run.indices) < (size := len(run.job.space)):
            cells = f"a random sample of {cells} (no GPU; n=all scores all {size:,})"
    if run.split is not None:
        cells += f", shard {run.split} of {run.sampled:,}"
    if run.options.dedupe == "isomorphic":
        cells += f" in {classes} {'class' if classes == 1 else 'classes'} of isomorphic ones"
    return (
        f"{run.job.space.name}: {proxies} of {cells} on {run.subject.title}; "
        f"{counted(run.workers, 'worker')} on {run.device.type}; into {run.folder}"
    )


def left_out(job: Job) -> Iterator[str]:
    """What is not scored because images are absent, a line a data set."""
    for dataset in sorted(job.imageless):
        if skipped := ", ".join(label for label in job.proxies if job.reads_images(Task(dataset, label))):
            yield f"no images of {dataset}: left out there are {skipped}"


def unjudged(run: Run) -> Iterator[str]:
    """Data sets on which the space has no accuracies although it has some on others, a line for all."""
    judged = run.subject.judged()
    if judged and (others := [name for name in run.subject.datasets if name not in judged]):
        yield (
            f"no accuracies of {run.job.space.name} on {', '.join(others)} are known; nasbench-report will "
            f"judge scores on {', '.join(sorted(judged))} alone"
        )


def taken_over(taken: Taken) -> Iterator[str]:
    """What was taken over from other runs, and what of them could not be read."""
    yield from (f"passed over: {line}" for line in taken.passed_over)
    if taken.rows:
        several = len(taken.rows) > 1
        runs = ", ".join(f"{name} ({number})" if several else name for name, number in taken.rows.items())
        yield f"{counted(taken.rows.total(), 'score')} taken over from {runs}; reuse=none computes them anew"


def outcome(run: Run, wanted: Wanted[Job], progress: Progress) -> str:
    """What came of the command, and what to do next."""
    cells, rows = len(progress.cells), progress.rows
    said = f"{counted(cells, 'cell')} scored now" if cells else "nothing left to score"
    if rows:
        said += f"; {progress.failed} of {counted(rows.total(), 'score')} failed"
        if lowest := progress.outcomes["lowest"]:
            said += f"; {counted(lowest, 'score')} of −∞, which ranks lowest"
        if undefined := progress.outcomes["undefined"]:
            said += f"; {undefined:,} undefined, as the proxy has no meaning there"
    if wanted.copied:
        said += f"; {counted(wanted.copied, 'score')} copied from an isomorphic cell"
    if again := rows["oom"] + rows["error"]:
        said += f" ({again} to be scored again with retry_failed=true; reasons in {run.folder / 'run.log'})"
    return f"{said}; {_next(run)}"


def _next(run: Run) -> str:
    """The command to give next, as a shell takes it."""
    if run.split is not None:
        return f"next: {shlex.join(['nasbench-merge', str(run.whole)])}"
    if run.subject.judged() & set(run.subject.datasets):
        return f"next: {shlex.join(['nasbench-report', str(run.folder)])}"
    return (
        f"no accuracies of {run.job.space.name} on {run.subject.title} are known to report against; "
        f"nasbench-train space={run.job.space.name} makes a benchmark, to be scored with truth=; "
        "a file of accuracies will do as well"
    )
