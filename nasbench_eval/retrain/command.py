"""What `nasbench-retrain` does once its command line is read: trains one network, and leaves it."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from typing import Any

import torch
from omegaconf import DictConfig

from nasbench_eval.errors import UsageError
from nasbench_eval.networks.layout import layout
from nasbench_eval.options.typed import plain, retrain_options_of
from nasbench_eval.retrain import export, leave, outcome
from nasbench_eval.retrain.batch_norm import synchronised
from nasbench_eval.retrain.batches import Batches
from nasbench_eval.retrain.config import Plan, checked, effective, named, require, resolve
from nasbench_eval.retrain.load import load_network
from nasbench_eval.retrain.loop import Course, Diverged
from nasbench_eval.retrain.network import built, weights
from nasbench_eval.retrain.parts import extra, timm_part
from nasbench_eval.retrain.states import BEST, LAST, Point, States, write_curves, write_weights
from nasbench_eval.retrain.teacher import opened, told_apart
from nasbench_eval.retrain.team import Team, joined
from nasbench_eval.runs.lock import lock
from nasbench_eval.wording import counted
from nasbench_eval.work.execution import device_named, space_named


def check(configs: Sequence[DictConfig], *, images: bool) -> None:
    """Check the configurations of all jobs, and if asked to their images, before the first one begins.

    Raises:
        UsageError: naming what is wrong.
    """
    for config in configs:
        if not images:
            retrain_options_of(config)
            space_named(plain(config).get("space"))
        elif len(configs) > 1:  # a single one reads them at once anyway
            resolve(config)
        else:
            checked(config)


def execute(config: DictConfig) -> int:
    """Train the network that a job's configuration names, as far as its folder does not hold it yet."""
    timm_part("optim")
    extra("safetensors.torch")
    export.require(config.export, config.tensorboard)
    with joined(device_named(str(config.device)).type) as team:
        plan = named(config)
        _settle(plan, team)
        held = closing(lock(plan.folder)) if team.leads else nullcontext()
        with held:
            _train(plan, team)
    return 0


def _settle(plan: Plan, team: Team) -> None:
    """What this process computes with."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(plan.options.threads or max(1, cores // team.neighbours))
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # float32 means it


def _train(plan: Plan, team: Team) -> None:
    if team.leaders(_finished(plan) if team.leads else None):
        _say(team, "nothing left to train", *outcome.sentences(outcome.read(plan.folder)["result"]))
        return
    dataset, device = plan.source.dataset, team.device(plan.device)
    network = built(plan.space, plan.arch, plan.recipe, dataset, plan.key)
    require(plan, team, sum(p.numel() for p in network.parameters()))
    known = leave.record(plan, team, network) if team.leads else {}
    network.to(device, memory_format=layout(network))  # type: ignore[call-overload]
    if plan.options.sync_batch_norm and team.size > 1:
        network = synchronised(network, device)
    readers = plan.readers(team)
    batches = Batches(plan.source, plan.recipe, plan.key, team, device, readers, plan.flips)
    _say(team, _headline(plan, team))
    course = Course(
        network,
        plan.recipe,
        batches,
        States(plan.folder),
        plan.identity(),
        plan.key,
        plan.options.precision,
    )
    course.told = _teller(plan, team, course)
    if plan.options.teacher is not None:
        course.teacher = opened(plan.options.teacher, dataset, plan.source.classes, device)
    if team.leads:
        leave.write(plan, known)
    try:
        course.run()
    except Diverged as error:
        if team.leads:
            write_curves(plan.folder, course.history)
            known["result"] = {"diverged": str(error)}
            leave.write(plan, known)
        epochs = counted(len(course.history), "epoch")
        raise UsageError(
            f"{error}; {plan.folder / 'curves.csv'} has the {epochs} before; try a smaller "
            "recipe.learning_rate"
        ) from error
    _leave(plan, team, course, known)


def _finished(plan: Plan) -> bool:
    """Whether the folder holds this training, from beginning to end.

    Raises:
        UsageError: if it holds another one.
    """
    if not (plan.folder / outcome.RECORD).exists():
        return False
    record, identity = outcome.read(plan.folder), plan.identity()
    teacher = record.get("teacher")
    before = record | {
        "recipe": effective(record["recipe"], teacher),
        "images": record["images"].get("sha256"),
        "teacher": told_apart(teacher),
        "sync_batch_norm": record.get("sync_batch_norm") or None,
    }
    keys = dict.fromkeys([*identity, "teacher", "sync_batch_norm"])
    if wrong := [key for key in keys if before.get(key) != identity.get(key)]:
        raise UsageError(
            f"{plan.folder} holds another training (its {wrong[0]} is not the same); choose another "
            "folder with run=NAME, or delete this one"
        )
    return bool(record.get("finished"))


def _leave(plan: Plan, team: Team, course: Course, known: dict[str, Any]) -> None:
    """Judge the networks that are kept, the last and the best, and write all that is left to write."""
    last, best, result = course.history[-1], course.best, dict[str, Any]()
    result["last"] = _judged(last, course)
    if team.leads:
        write_weights(plan.folder / LAST, weights(course.judged), last.epoch)
        write_curves(plan.folder, course.history)
    if best is not None:
        tensors = team.leaders(load_network(plan.folder, "best").state_dict() if team.leads else None)
        course.judged.load_state_dict(tensors, strict=False)  # an auxiliary head is not kept
        result["best"] = _judged(best, course)
    if not team.leads:
        return
    result["latency_ms"] = leave.latency(course.judged, plan.source.dataset.resolution, course.device)
    if plan.options.export == "onnx":
        kept = load_network(plan.folder)
        result["onnx_apart"] = export.to_onnx(kept, plan.source.dataset.resolution, plan.folder)
    leave.finish(plan, known, course.history, result)
    course.states.clear()
    name = BEST if best is not None else LAST
    _say(
        team,
        *outcome.sentences(result),
        f"{plan.folder / name} has the weights; {outcome.CARD} says what they are",
    )


def _judged(point: Point, course: Course) -> dict[str, Any]:
    test, validation = course.judge("test")[1], point.val_accuracy
    found: dict[str, Any] = {"epoch": point.epoch}
    for name, value in (("val", validation), ("test", test)):
        if not math.isnan(value):
            found[name] = value
    return found


def _headline(plan: Plan, team: Team) -> str:
    dataset = plan.source.dataset
    sizes = " + ".join(f"{len(part):,}" for part in plan.source.parts.values())
    processes = "" if team.size == 1 else f", {team.size} processes"
    return (
        f"{plan.space.name}: one network, {counted(plan.recipe.epochs, 'epoch')} of the recipe "
        f"{plan.recipe.name} on {dataset.name} ({sizes} images of {dataset.num_classes} classes, "
        f"{dataset.resolution} pixels); on {plan.device.type}{processes}; into {plan.folder}"
    )


def _teller(plan: Plan, team: Team, course: Course) -> Callable[[Point], None]:
    """What is done with each epoch that is finished: told, and shown on a board if that is asked for."""
    boards: list[export.Board] = []  # made when the first epoch is there, and it is known which one that is

    def told(point: Point) -> None:
        _tell(team, plan, point)
        if plan.options.tensorboard and team.leads:
            if not boards:
                boards.append(export.Board(plan.folder, len(course.history) - 1))
            boards[0].add(point)

    return told


def _tell(team: Team, plan: Plan, point: Point) -> None:
    accuracy = "" if math.isnan(point.accuracy) else f", accuracy {point.accuracy:.1f} %"
    validation = "" if math.isnan(point.val_accuracy) else f", validation {point.val_accuracy:.1f} %"
    _say(
        team,
        f"epoch {point.epoch}/{plan.recipe.epochs}: loss {point.loss:.3f}{accuracy}{validation} "
        f"({point.seconds:.1f} s)",
    )


def _say(team: Team, *lines: str) -> None:
    if team.leads:
        for line in lines:
            print(line, file=sys.stderr, flush=True)
