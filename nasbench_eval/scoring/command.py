"""What `nasbench-score` does once its command line is read: checks what is asked for and scores it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig

from nasbench_eval.data.images import images_path, load_images
from nasbench_eval.errors import UsageError
from nasbench_eval.runs import provenance
from nasbench_eval.runs.sources import sources
from nasbench_eval.runs.wanted import Wanted
from nasbench_eval.scoring import messages
from nasbench_eval.scoring.config import Run, located, resolve
from nasbench_eval.scoring.process import Scorer
from nasbench_eval.scoring.reuse import take_over
from nasbench_eval.work.session import facts, named, opened, sample_facts


def check(configs: Sequence[DictConfig], *, images: bool) -> None:
    """Check the configurations of all jobs, and if asked to their images, before the first one begins.

    Raises:
        UsageError: naming what is wrong.
    """
    runs = [resolve(config) for config in configs]
    _check_shards(runs)
    if images:
        runs = [located(run) for run in runs]
        if len(runs) > 1:  # a single one reads its images at once anyway
            _check_images(runs)


def _check_shards(runs: Sequence[Run]) -> None:
    """Refuse a sweep that would score other things than shards into the folder of one shard."""
    folders = Counter(run.folder for run in runs if run.split is not None)
    for folder, times in folders.items():
        if times > 1:
            raise UsageError(
                f"{times} runs of this sweep would go into {folder}; leave run= out, so that each "
                "configuration has a folder of its own"
            )


def _check_images(runs: Sequence[Run]) -> None:
    """Read the images of all runs once, so that a sweep does not learn of a missing file half-way."""
    for folder, dataset in {(run.images, task.dataset) for run in runs for task in run.job.imaged()}:
        if folder is not None:
            load_images(folder, dataset)


def execute(config: DictConfig) -> int:
    """Score what a job's configuration asks for, as far as its folder does not hold it yet."""
    run = located(named(config, resolve))
    scorer = Scorer(run.job, run.images, run.device, run.checkpoints)
    scorer.check_inputs()
    stands_in = run.stands_in()
    with opened(run, messages.headline(run, len(set(stands_in.values()))), record(run)) as session:
        session.say(messages.left_out(run.job))
        for line in messages.unjudged(run):
            session.progress.warn(line)
        # A size costs nothing, and isomorphic cells differ in what leads nowhere.
        own, retry = run.job.of_size, run.options.retry_failed
        wanted = Wanted(run.job, stands_in, session.store, retry_failed=retry, own=own)
        if run.options.reuse == "results":
            session.say(messages.taken_over(take_over(wanted, run.options.results)))
        session.run(scorer, wanted)
        session.say([messages.outcome(run, wanted, session.progress)])
    return 0


def record(run: Run) -> dict[str, Any]:
    """What run.json says beside the configuration."""
    datasets = sorted({task.dataset for task in run.job.imaged()})
    files = {} if run.images is None else {name: images_path(run.images, name) for name in datasets}
    proxies = {proxy.info.name: type(proxy) for proxy in run.job.proxies.values()}
    return {
        **facts(run, "nasbench-score"),
        **sample_facts(run, run.job.space),
        "truth": run.options.truth,
        "sources": sources(type(run.job.space), proxies),
        "images": {name: provenance.file_digest(file) for name, file in files.items()},
    }
