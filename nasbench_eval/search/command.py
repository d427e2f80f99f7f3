"""What `nasbench-search` does once its command line is read: searches, and leaves a history."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from nasbench_eval.data.images import images_path
from nasbench_eval.errors import UsageError
from nasbench_eval.runs import provenance
from nasbench_eval.runs.record import known_record, read_record, within
from nasbench_eval.runs.sources import foreign, sources
from nasbench_eval.sampling import spans
from nasbench_eval.scoring.process import Scorer
from nasbench_eval.search import messages, reading
from nasbench_eval.search.config import Plan, located, resolve
from nasbench_eval.search.guides import accuracies
from nasbench_eval.search.live import Live, NothingElse
from nasbench_eval.search.loop import Loop, Supply
from nasbench_eval.search.scores import Known
from nasbench_eval.search.stored import HistoryFiles, Trace
from nasbench_eval.spaces.base import Names
from nasbench_eval.spaces.open import Known as KnownSpace
from nasbench_eval.wording import shortened
from nasbench_eval.work.pool import Pool
from nasbench_eval.work.ray_pool import RayPool
from nasbench_eval.work.session import Session, facts, named, opened


def check(configs: Sequence[DictConfig], *, images: bool) -> None:
    """Check the configurations of all jobs, and if asked that their images are there, before the first one.

    Raises:
        UsageError: naming what is wrong.
    """
    for config in configs:
        plan = resolve(config)
        if images:
            located(plan)


def execute(config: DictConfig) -> int:
    """Search as a job's configuration asks, as far as its folder does not hold the history yet."""
    plan = located(named(config, resolve))
    told = None if plan.job else accuracies(plan.guide, plan.subject, plan.dataset, plan.options.data)
    if told is not None and plan.options.simulated_seconds is not None and not told.known.costs("simulated"):
        raise UsageError("simulated_seconds= would never end the search: this benchmark tells no seconds")
    if told is not None and told.members is not None:
        plan = replace(plan, course=plan.course.keeping_to(told.members.tolist()))
    _require_same_course(plan)
    if plan.options.fork is not None and not plan.folder.exists():
        _require_same_guide(
            plan, plan.options.fork
        )  # before there is a folder that the right command trips over
    with opened(plan, messages.headline(plan), _record(plan)) as session:
        if told is None:
            known, whence = _found(plan, session)
        else:
            known, whence = told.known, list(told.said)
            session.say(whence)
        search = plan.course.begin()
        files = HistoryFiles(plan.folder, plan.course.seeds, plan.guide.values, Names(plan.subject.space))
        trace = _continued(plan, files, session)
        session.progress.begin(plan.options.steps, plan.options.steps - trace.history.steps, None, "step")
        with _supplied(plan, session, known) as supply:
            draws = plan.course.draws(search)
            loop = Loop(search, draws, known, supply, trace, plan.budget, plan.options.lag)
            try:
                loop.run(_Saved(files, session, plan.options.save_every))
            finally:
                files.write(trace)
        files.compact(trace)
        session.progress.end()
        session.store.finish(_finished(session, whence))
        session.say([messages.outcome(plan, trace)])
    return 0


def _require_same_course(plan: Plan) -> None:
    """Refuse to go on with another search's history.

    Raises:
        UsageError: naming what differs.
    """
    record = known_record(plan.folder) if plan.folder.is_dir() else {}
    if "search" not in record:
        return
    # Scores of several data sets may share a folder, trials may not.
    before = {"dataset": ", ".join(record["datasets"]), **record["search"]}
    now = json.loads(json.dumps({"dataset": plan.dataset.name, **plan.course.as_record(), **_decided(plan)}))
    if differ := [key for key in now if key in before and before[key] != now[key]]:
        was, is_now = (shortened(json.dumps(of[differ[0]]), 120) for of in (before, now))
        raise UsageError(
            f"{plan.folder} holds another search: its {differ[0]} is {was}, now {is_now}; "
            "choose another folder with run=NAME, or delete this one"
        )


def _found(plan: Plan, session: Session) -> tuple[Known, list[str]]:
    """The scores that runs hold already, and whence, a line each."""
    known = Known(len(plan.guide.values))
    everywhere = plan.options.results if plan.options.reuse != "none" else None
    identity = json.loads(json.dumps(plan.identity()))
    code, first = _code(plan, session), plan.options.options_from
    taken = reading.take(known, identity, plan.dataset.name, everywhere, plan.folder, code, first)
    session.say(messages.taken(taken))
    return known, [f"{name}: {number:,} scores" for name, number in taken.items()]


def _code(plan: Plan, session: Session) -> dict[str, str | None]:
    """Digests of what other packages bring: of proxies by name, of the search space as `shared`."""
    digests = session.store.run["sources"]
    classes: dict[str, type] = {p.info.name: type(p) for p in plan.guide.proxies.values()}
    classes["shared"] = type(plan.subject.space)
    return {name: digests.get(name) for name, cls in classes.items() if foreign(cls)}


def _continued(plan: Plan, files: HistoryFiles, session: Session) -> Trace:
    """The history so far: this search's own, or that of its parent."""
    trace = files.read()
    for line in files.mended:
        session.progress.warn(line)
    if not trace.history.steps and plan.options.fork is not None and plan.options.fork_step is not None:
        _require_same_guide(plan, plan.options.fork)
        return files.fork(plan.options.fork, plan.options.fork_step)
    return trace


def _require_same_guide(plan: Plan, parent: Path) -> None:
    """Refuse to go on with what another guide told, or the same one of other networks or images.

    Raises:
        UsageError: naming what differs.
    """
    if not (parent / "history").is_dir():
        raise UsageError(f"fork={parent}: there is no history of a search")
    ours = json.loads(json.dumps({**plan.identity(), "guide": plan.course.as_record()["guide"]}))
    record = read_record(parent)
    theirs = {**record, "guide": within(record, "search").get("guide")}
    if differ := [key for key in ours if theirs.get(key) != ours[key]]:
        raise UsageError(f"fork={parent}: that search was told of other {', '.join(differ)} than this one")


@contextmanager
def _supplied(plan: Plan, session: Session, known: Known) -> Iterator[Supply]:
    """Where values come from that are not known: workers, or nowhere."""
    space = plan.subject.space
    size = None if isinstance(space, KnownSpace) else len(space)
    if plan.job is None:
        yield NothingElse(known, plan.guide.values, size, "choose a guide that knows them")
    elif plan.options.reuse == "only":
        why = "reuse=results scores what is missing, nasbench-score n=all scores them all"
        yield NothingElse(known, plan.guide.values, size, why)
    else:
        scorer = Scorer(plan.job, plan.images, plan.device, plan.checkpoints)
        scorer.check_inputs()
        pool = _pool(plan, scorer, session)
        texts = space.texts if isinstance(space, KnownSpace) else None
        live = Live(scorer, plan.job.tasks(), known, session.store, session.progress, pool, texts)
        try:
            yield live
        finally:
            live.close()


def _pool(plan: Plan, scorer: Scorer, session: Session) -> Pool | RayPool | None:
    """The workers: on a Ray cluster, or of this machine; None where this process does the work."""
    options, warn = plan.options, session.progress.warn
    if options.ray is not None:
        # A worker there has another working directory.
        data, checkpoints = (path and path.resolve() for path in (scorer.data, scorer.checkpoints))
        there = Scorer(scorer.job, data, plan.remote, checkpoints)
        gpus = (plan.remote.type == "cuda") if options.ray_gpus is None else options.ray_gpus
        return RayPool(there, options.workers, options.timeout, warn, options.ray, float(gpus))
    return Pool(scorer, plan.workers, options.timeout, warn) if plan.workers else None


class _Saved:
    """Writes the history every now and then, and tells how far it is."""

    def __init__(self, files: HistoryFiles, session: Session, every: float) -> None:
        self.files, self.progress, self.every = files, session.progress, every
        self._last, self._told = time.monotonic(), 0

    def __call__(self, trace: Trace) -> None:
        told = len(trace.answers_TS)
        self.progress.done([], range(self._told, told))
        self._told = told
        if time.monotonic() - self._last > self.every:
            self.files.write(trace)
            self._last = time.monotonic()


def _record(plan: Plan) -> dict[str, Any]:
    """What run.json says beside the configuration."""
    images = {}
    if plan.job is not None and plan.images is not None and plan.job.imaged():
        images = {plan.dataset.name: provenance.file_digest(images_path(plan.images, plan.dataset.name))}
    options = plan.options
    budget = {"evaluations": options.steps} | {
        f"{clock}_seconds": getattr(options, f"{clock}_seconds") for clock in ("proxy", "simulated", "wall")
    }
    proxies = {proxy.info.name: type(proxy) for proxy in plan.guide.proxies.values()}
    return {
        **facts(plan, "nasbench-search"),
        **_elsewhere(plan),
        "n": options.steps,
        "truth": options.truth,
        "sources": sources(type(plan.subject.space), proxies),
        "images": images,
        "search": {
            **plan.course.as_record(),
            "steps": options.steps,
            "budget": budget,
            **_decided(plan),
        },
    }


def _elsewhere(plan: Plan) -> dict[str, Any]:
    """What a record says of the machine where it is not this one that scores."""
    if plan.options.ray is None:
        return {}
    workers = plan.options.workers
    return {"device": plan.remote.type, "device_name": "a Ray cluster's", "workers": workers}


def _decided(plan: Plan) -> dict[str, Any]:
    """What decides the search beside its course: what it keeps to, and the run whose scores come first."""
    members, first = plan.course.members, plan.options.options_from
    return {
        "members": None if members is None else spans(members),
        "options_from": None if first is None else reading.name_of(first, plan.options.results),
    }


def _finished(session: Session, whence: list[str]) -> dict[str, Any]:
    """What run.json says in the end; where values came from that the search's own folder does not hold."""
    return {
        "search": {**session.store.run["search"], "whence": whence},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds_last_session": round(time.perf_counter() - session.started, 1),
    }
