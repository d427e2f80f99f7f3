"""A command at work in the folder of its run: what scoring and training have in common."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nasbench_eval.options.quoting import plain
from nasbench_eval.runs import provenance
from nasbench_eval.runs.store import Store
from nasbench_eval.runs.wanted import W, Wanted
from nasbench_eval.sampling import spans
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.spaces.open import Known
from nasbench_eval.work.execution import SampleWork, Work
from nasbench_eval.work.pool import Scores
from nasbench_eval.work.progress import Progress
from nasbench_eval.work.runner import run_job

WorkT = TypeVar("WorkT", bound=Work)


def named(config: DictConfig, resolve: Callable[[DictConfig], WorkT]) -> WorkT:
    """A job's work; a sweep that is given a name has its runs in a folder of that name, but for shards."""
    work = resolve(config)
    if HydraConfig.get().mode == RunMode.MULTIRUN and config.run is not None and work.split is None:
        unnamed = resolve(OmegaConf.merge(config, {"run": None}))  # type: ignore[arg-type]
        work = replace(work, whole=work.whole / unnamed.whole.name)
    return work


def sample_facts(work: SampleWork, space: SearchSpace) -> dict[str, Any]:
    """What run.json says of the sample that a command works on.

    Of an open space it lists the texts of named architectures: their indices alone would say nothing.
    """
    named = work.options.indices is not None or work.options.archs is not None
    texts = [space.texts[index] for index in work.sample] if isinstance(space, Known) and named else None
    return {
        "n": work.sampled,
        "shard": None if work.split is None else str(work.split),
        "sample": "given" if named else work.options.n,
        "indices": spans(work.sample) if named and texts is None else None,
        "archs": texts,
        "sample_seed": work.options.sample_seed,
    }


def facts(work: Work, command: str) -> dict[str, Any]:
    """What run.json says of any command beside its configuration."""
    places = ("data=", "results=")  # folders of this machine, which say nothing to anyone else
    overrides = [o for o in HydraConfig.get().overrides.task if not o.lstrip("+").startswith(places)]
    given = [plain(o.replace("++options.", "proxy.", 1)) for o in overrides]
    return {
        "command": shlex.join([command, *given]),
        "workers": work.workers,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        **provenance.hardware(work.device),
    }


@dataclass(frozen=True)
class Session:
    """One go at a run.

    Attributes:
        work: what the command is to do.
        store: the run's rows; its folder is this session's own.
        progress: tells of it.
        started: on `time.perf_counter`'s clock.
    """

    work: Work
    store: Store
    progress: Progress
    started: float

    def say(self, lines: Iterable[str]) -> None:
        """Tell the user, and the log, a line after the other."""
        for line in lines:
            self.progress.say(line)

    def run(self, scorer: Scores, wanted: Wanted[W]) -> None:
        """Have all rows made that are wanted and not there yet, and close the record of the run."""
        workers, timeout = self.work.workers, self.work.options.timeout
        run_job(scorer, wanted, self.progress, workers=workers, timeout=timeout)
        with suppress(OSError):  # absent, or a training in it was not finished
            self.work.checkpoints.rmdir()
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        seconds = round(time.perf_counter() - self.started, 1)
        self.store.finish({"finished": finished, "seconds_last_session": seconds})


@contextmanager
def opened(work: Work, headline: str, record: dict[str, Any]) -> Iterator[Session]:
    """The folder of a run, its own for as long as the session lasts.

    Args:
        work: what the command is to do.
        headline: says what that is.
        record: for run.json, beside the configuration.
    """
    started, identity = time.perf_counter(), work.identity()
    store = Store(
        work.folder,
        identity["space"]["name"],
        identity,
        record,
        whole=work.whole if work.split else None,
        save_every=work.options.save_every,
        allow_changed_code=work.options.allow_changed_code,
    )
    with Progress(work.folder) as progress, closing(store):
        progress.say(headline)
        for line in store.mended:
            progress.warn(line)
        yield Session(work, store, progress, started)
