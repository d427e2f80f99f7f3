"""What `nasbench-train` does once its command line is read: trains, and makes a benchmark of the outcome."""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
from omegaconf import DictConfig

from nasbench_eval.benchmark import table
from nasbench_eval.benchmark.config import Course, resolve
from nasbench_eval.benchmark.trainer import Trainer
from nasbench_eval.data.images import images_path
from nasbench_eval.files import write_whole
from nasbench_eval.options.typed import plain, train_options_of
from nasbench_eval.runs.record import TRAINED
from nasbench_eval.runs.sources import sources
from nasbench_eval.runs.store import Store
from nasbench_eval.runs.wanted import Wanted
from nasbench_eval.truth.ceiling import WEAK, Ceiling
from nasbench_eval.wording import counted
from nasbench_eval.work.execution import space_named
from nasbench_eval.work.progress import Progress
from nasbench_eval.work.session import facts, named, opened, sample_facts


def check(configs: Sequence[DictConfig], *, images: bool) -> None:
    """Check the configurations of all jobs, and if asked to their images, before the first one begins.

    Raises:
        UsageError: naming what is wrong.
    """
    if not images:
        for config in configs:
            train_options_of(config)
            space_named(plain(config).get("space"))
    elif len(configs) > 1:  # a single one reads them at once anyway
        for config in configs:
            resolve(config)


def execute(config: DictConfig) -> int:
    """Train what a job's configuration asks for, as far as its folder does not hold it yet."""
    course = named(config, resolve)
    with opened(course, _headline(course), _record(course)) as session:
        _write_images(course)
        trainer = Trainer(
            course.plan, course.folder, course.device, course.checkpoints, course.options.save_every
        )
        stands_in = {index: index for index in course.indices}
        retry = course.options.retry_failed
        wanted = Wanted(course.plan, stands_in, session.store, retry_failed=retry, apart=True)
        session.run(trainer, wanted)
        session.say([_outcome(course, session.progress), _made(course, session.store)])
    return 0


def _outcome(course: Course, progress: Progress) -> str:
    """What came of the command."""
    if not progress.cells:
        return "nothing left to train"
    done = f"{counted(len(progress.cells), 'cell')} trained now"
    if progress.failed:
        failed = counted(progress.failed, "training")
        done += f"; {failed} diverged or failed (reasons in {course.folder / 'run.log'})"
    return done


def _made(course: Course, store: Store) -> str:
    """Make the benchmark; what there is to say of it."""
    if course.split is not None:
        merge = shlex.join(["nasbench-merge", str(course.whole)])
        return f"next: {merge}, then this command without shard="
    plan, run = course.plan, course.folder
    made = table.build(run, plan)
    record = {
        **{
            key: store.run[key]
            for key in ("command", "versions", "commit", "device", "device_name", "processor", "earlier")
        },
        "sample_seed": course.options.sample_seed,
        "images": _division(course),
        "failures": table.failures(run, plan),
        "seconds": round(float(made.filter(like="seconds_run").to_numpy().sum()), 1),
        "finished": store.run["finished"],
    }
    found = table.save(run, plan, made, record)
    test = made[f"{plan.dataset.name}_test"]
    if not test.notna().any():
        return f"no training came to an accuracy (reasons in {run / 'run.log'}); try a smaller learning_rate="
    low, middle, high = test.quantile([0.0, 0.5, 1.0])
    ceiling = found.ceiling(plan.dataset.name, "test")
    agree = "" if ceiling is None else _agreement(ceiling)
    return (
        f"{counted(len(made), 'cell')} with test accuracies from {low:.1f} to {high:.1f} %, median "
        f"{middle:.1f}{agree}; "
        f"next: {shlex.join(['nasbench-score', f'truth={run}', 'proxy=table1', 'n=all'])}"
    )


def _agreement(ceiling: Ceiling) -> str:
    """How well runs agree and how high a correlation with their mean can be, with a warning if it is low."""
    agreed = ceiling.agreement
    warning = f" (less than {WEAK}: mostly noise; train longer, or on more seeds)" if agreed.weak else ""
    highest = f"noise ceiling of their mean {ceiling.kendall_tau:.3f}"
    return f"; two runs agree to tau {agreed.kendall_tau:.3f}{warning}, {highest}"


def _write_images(course: Course) -> None:
    """The images beside the scores: workers read them, and proxies of the benchmark will."""
    arrays: dict[str, Any] = {"classes": np.array(course.classes)}
    for part, (images, labels) in course.parts.items():
        arrays |= {f"x_{part}": images, f"y_{part}": labels}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_whole(images_path(course.folder, course.plan.dataset.name), buffer.getvalue())


def _headline(course: Course) -> str:
    plan = course.plan
    cells = counted(len(course.indices), "cell")
    if course.split is not None:
        cells += f", shard {course.split} of {course.sampled:,}"
    sizes = " + ".join(str(len(labels)) for _, labels in course.parts.values())
    images = f"{sizes} images of {plan.dataset.num_classes} classes, {plan.dataset.resolution} pixels"
    return (
        f"{plan.space.name}: {cells}, each trained with {counted(len(plan.seeds), 'seed')} for "
        f"{counted(plan.training.epochs, 'epoch')} on {plan.dataset.name} ({images}); "
        f"{counted(course.workers, 'worker')} on {course.device.type}; into {course.folder}"
    )


def _record(course: Course) -> dict[str, Any]:
    """What run.json says beside the configuration."""
    return {
        **facts(course, "nasbench-train"),
        **sample_facts(course, course.plan.space),
        "sources": sources(type(course.plan.space), {TRAINED: Trainer}),
        "images": {},
    }


def _division(course: Course) -> dict[str, Any]:
    sizes = {part: len(labels) for part, (_, labels) in course.parts.items()}
    options = course.options
    return {
        **sizes,
        "split_seed": options.split_seed,
        "noise": options.noise,
        "copies": options.copies,
        "sha256": course.digest,
    }
