"""What `nasbench-score` does once its command line is read: checks what is asked for and scores it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from nasbench_eval.run import provenance
from nasbench_eval.scoring.config import Run, resolve
from nasbench_eval.data.images import images_path, load_images
from nasbench_eval.errors import UsageError
from nasbench_eval.work.progress import Progress, counted
from nasbench_eval.scoring.reuse import Taken, take_over
from nasbench_eval.work.runner import Scorer
from nasbench_eval.work.session import facts, named, opened
from nasbench_eval.data.folder import data_folder
from nasbench_eval.run.wanted import Wanted
from nasbench_eval.scoring.worker import Job, Task


def check(configs: Sequence[DictConfig], *, images: bool) -> None:
    """Check the configurations of all jobs, and if asked to their images, before the first one begins.

    Raises:
        UsageError: naming what is wrong.
    """
    runs = [resolve(config) for config in configs]
    _check_shards(runs)
    if images and len(runs) > 1:  # a single one reads them at once anyway
        _check_images([_without_absent_images(run) for run in runs])


def _check_shards(runs: Sequence[Run]) -> None:
    """Refuse a sweep that would score other things than shards into the folder of one shard."""
    folders = Counter(run.folder for run in runs if run.split is not None)
    for folder, times in folders.items():
        if times > 1:
            raise UsageError(
                f"{times} runs of this sweep would go into {folder}; leave run= out, so that each "
                "configuration has a folder of its own"
            )


def _check_images(runs: list[Run]) -> None:
    """Read the images of all runs once, so that a sweep does not learn of a missing file half-way."""
    for folder, dataset in {(_images_folder(run), task.dataset) for run in runs for task in _imaged(run)}:
        if folder is not None:
            load_images(folder, dataset)


def _imaged(run: Run) -> list[Task]:
    """The tasks that read real images."""
    return [task for task in run.job.tasks() if run.job.reads_images(task.label)]


def _without_absent_images(run: Run) -> Run:
    """With missing_images=skip, the run without the tasks whose images are absent.

    Raises:
        UsageError: if nothing is left of it.
    """
    if run.options.missing_images == "refuse" or run.benchmark is not None:
        return run
    try:
        folder = data_folder(run.options.data)
        absent = {d for d in run.job.datasets if not images_path(folder, d).is_file()}
    except UsageError:
        absent = set(run.job.datasets)
    job = replace(run.job, imageless=frozenset(absent))
    if not job.tasks():
        raise UsageError("all proxies read images, and none are there: build them with nasbench-data")
    return replace(run, job=job)


def _images_folder(run: Run) -> Path | None:
    imaged = _imaged(run)
    if run.benchmark is not None:
        return run.benchmark.folder
    try:
        return data_folder(run.options.data) if imaged else None
    except UsageError as error:
        raise UsageError(
            f"{imaged[0].label} reads images of {imaged[0].dataset}: {error}; "
            "or ask for Gaussian inputs with proxy.input=gaussian"
        ) from error


def execute(config: DictConfig) -> int:
    """Score what a job's configuration asks for, as far as its folder does not hold it yet."""
    run = _without_absent_images(named(config, resolve))
    scorer = Scorer(run.job, _images_folder(run), run.device, run.checkpoints)
    scorer.check_inputs()
    stands_in = run.stands_in()
    headline = _headline(run, len(set(stands_in.values())))
    with opened(run, headline, _record(run)) as session:
        progress = session.progress
        for line in _left_out(run):
            progress.say(line)
        wanted = Wanted(run.job, stands_in, session.store, retry_failed=run.options.retry_failed)
        if run.options.reuse == "results":
            for line in _told(take_over(wanted, run.options.results)):
                progress.say(line)
        session.run(scorer, wanted)
        progress.say(_outcome(run, wanted, progress))
    return 0


def _outcome(run: Run, wanted: Wanted[Job], progress: Progress) -> str:
    """What came of the command, and what to do next."""
    cells, rows = len(progress.cells), progress.rows
    said = f"{counted(cells, 'cell')} scored now" if cells else "nothing left to score"
    if rows:
        said += f"; {progress.failed} of {counted(rows.total(), 'score')} not finite or failed"
    if wanted.copied:
        said += f"; {counted(wanted.copied, 'score')} copied from an isomorphic cell"
    if again := rows["oom"] + rows["error"]:
        said += f" ({again} to be scored again with retry_failed=true; reasons in {run.folder / 'run.log'})"
    after = f"nasbench-report {run.folder}" if run.split is None else f"nasbench-merge {run.whole}"
    return f"{said}; next: {after}"


def _record(run: Run) -> dict[str, Any]:
    """What run.json says beside the configuration."""
    return {
        **facts(run, "nasbench-score"),
        "truth": run.options.truth,
        "sources": provenance.sources(run.job.space, run.job.proxies.values()),
        "images": _image_digests(run),
    }


def _image_digests(run: Run) -> dict[str, str]:
    """SHA-256 of the files of images that are read, by data set."""
    folder = _images_folder(run)
    datasets = sorted({task.dataset for task in _imaged(run)})
    return {} if folder is None else {d: provenance.file_digest(images_path(folder, d)) for d in datasets}


def _left_out(run: Run) -> list[str]:
    """What is not scored because images are absent, a line each."""
    skipped = ", ".join(label for label in run.job.proxies if run.job.reads_images(label))
    absent = sorted(run.job.imageless) if skipped else ()
    return [f"no images of {dataset}: left out there are {skipped}" for dataset in absent]


def _told(taken: Taken) -> Iterator[str]:
    yield from (f"passed over: {line}" for line in taken.passed_over)
    if taken.rows:
        several = len(taken.rows) > 1
        runs = ", ".join(f"{name} ({number})" if several else name for name, number in taken.rows.items())
        yield f"{counted(taken.rows.total(), 'score')} taken over from {runs}; reuse=none computes them anew"


def _headline(run: Run, classes: int) -> str:
    labels = list(run.job.proxies)
    proxies = ", ".join(labels) if len(labels) < 5 else f"{len(labels)} proxies"
    cells, size = counted(len(run.indices), "cell"), len(run.job.space)
    if run.options.n == "auto" and len(run.indices) < size:
        cells = f"a random sample of {cells} (no GPU; n=all scores all {size:,})"
    if run.split is not None:
        cells += f", shard {run.split} of {run.sampled:,}"
    if run.options.dedupe == "isomorphic":
        cells += f" in {classes} {'class' if classes == 1 else 'classes'} of isomorphic ones"
    datasets = ", ".join(run.job.datasets) if run.benchmark is None else run.benchmark.title
    return (
        f"{run.job.space.name}: {proxies} of {cells} on {datasets}; "
        f"{counted(run.workers, 'worker')} on {run.device.type}; into {run.folder}"
    )
