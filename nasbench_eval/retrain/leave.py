"""What a training leaves beside weights and curves: its record and a card for people."""

from __future__ import annotations

import json
import shlex
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from torch import nn

from nasbench_eval.benchmark.trainer import count_flops
from nasbench_eval.files import write_whole
from nasbench_eval.options.quoting import plain
from nasbench_eval.options.typed import written
from nasbench_eval.retrain.config import VERSION, Plan, changed
from nasbench_eval.retrain.outcome import CARD, RECORD, sentences, table
from nasbench_eval.retrain.parts import extra
from nasbench_eval.retrain.states import Point
from nasbench_eval.retrain.team import Team
from nasbench_eval.runs import provenance

# Forward passes that a latency is the median of, after some to warm up.
_PASSES, _WARM = 20, 3


def record(plan: Plan, team: Team, network: nn.Module) -> dict[str, Any]:
    """What retrain.json says before the training begins."""
    places = ("data=", "results=")  # folders of this machine, which say nothing to anyone else
    given = [plain(o) for o in HydraConfig.get().overrides.task if not o.lstrip("+").startswith(places)]
    dataset = plan.source.dataset
    return {
        "command": shlex.join(["nasbench-retrain", *given]),
        "version": VERSION,
        "space": {"name": plan.space.name, **asdict(plan.space)},
        "arch": plan.text,
        "recipe": asdict(plan.recipe),
        "recipe_changes": changed(plan.recipe),
        "flips": plan.flips,
        "dataset": written(dataset),
        "classes": list(plan.source.classes),
        "images": {
            **{name: len(part) for name, part in plan.source.parts.items()},
            "sha256": plan.source.digest,
        },
        "teacher": plan.teacher,
        "split_seed": plan.options.split_seed,
        "seed": plan.options.seed,
        "precision": plan.options.precision,
        "processes": team.size,
        "sync_batch_norm": plan.options.sync_batch_norm,
        "params": sum(
            p.numel() for name, p in network.named_parameters() if not name.startswith("auxiliary.")
        ),
        "flops": count_flops(network, torch.zeros(1, 3, dataset.resolution, dataset.resolution)),
        "versions": {**provenance.versions(), **_parts()},
        "commit": provenance.commit(),
        **provenance.hardware(plan.device),
        "started": _now(),
        "finished": None,
        "result": {},
    }


def _parts() -> dict[str, str]:
    return {name: str(extra(name).__version__) for name in ("timm", "torchvision", "safetensors")}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(plan: Plan, known: Mapping[str, Any]) -> None:
    """Put the record into the run's folder."""
    write_whole(plan.folder / RECORD, (json.dumps(known, indent=2) + "\n").encode())


def finish(plan: Plan, known: dict[str, Any], history: Sequence[Point], result: dict[str, Any]) -> None:
    """Close the record, and write the card."""
    known["result"] = result
    known["finished"] = _now()
    known["seconds"] = round(sum(point.seconds for point in history), 1)
    known["waited"] = round(sum(point.waited for point in history), 1)
    write(plan, known)
    write_whole(plan.folder / CARD, card(known, history).encode())


def card(known: Mapping[str, Any], history: Sequence[Point]) -> str:
    """The model card, in Markdown."""
    recipe, dataset, images = known["recipe"], known["dataset"], known["images"]
    parts = ", ".join(f"{images[part]:,} ({part})" for part in ("train", "val", "test") if part in images)
    changes = ", ".join(f"{name}={value}" for name, value in known["recipe_changes"].items()) or "none"
    latency = known["result"].get("latency_ms")
    speed = f", {latency:.2f} ms for one image ({known['device_name']})" if latency is not None else ""
    versions = ", ".join(f"{name} {version}" for name, version in known["versions"].items())
    facts = {
        "space": ", ".join(f"{name}={value}" for name, value in known["space"].items()),
        "architecture": f"`{known['arch']}`",
        "size": f"{known['params']:,} parameters, {known['flops']:,} multiply-accumulates an image{speed}",
        "data": f"{dataset['name']}: {parts}; {dataset['num_classes']} classes, "
        f"{dataset['resolution']} x {dataset['resolution']} pixels",
        "recipe": f"{recipe['name']}, {recipe['epochs']} epochs, batches of {recipe['batch_size']}; "
        f"changed: {changes}",
        "teacher": _taught(known["teacher"]),
        "seed": f"{known['seed']}, of the division {known['split_seed']}",
        "machine": f"{known['processes']} x {known['device_name']}, {known['precision']}"
        f"{', batch norms synchronised' * known['sync_batch_norm']}",
        "versions": versions,
        "commit": known["commit"] or "no checkout",
        "command": f"`{known['command']}`",
    }
    lines = [f"# {known['space']['name']} network trained on {dataset['name']}", ""]
    lines += [f"* {name}: {value}" for name, value in facts.items()]
    lines += ["", "## What came of it", "", *(f"* {line}" for line in sentences(known["result"]))]
    if "best" in known["result"]:
        lines.append(
            "* the best epoch was chosen by the validation images: its accuracy on them is too good, that on "
            "test images is not"
        )
    lines += ["", *table([asdict(point) for point in history])]
    lines += ["", "## Use", "", "```python", "import nasbench_eval", ""]
    lines += ['network = nasbench_eval.load_network("this folder")', "```", ""]
    mean, std = dataset["mean"], dataset["std"]
    lines += [f"Images are red, green, blue from 0 to 255, less {mean}, divided by {std}.", ""]
    return "\n".join(lines)


def _taught(teacher: Mapping[str, Any] | None) -> str:
    if teacher is None:
        return "none"
    return f"{teacher['name']}; what it was trained with is extra data: {teacher['data']}"


@torch.no_grad()
def latency(network: nn.Module, side: int, device: torch.device) -> float:
    """Median milliseconds of a forward pass of one image, in eval mode."""
    x, taken = torch.zeros(1, 3, side, side, device=device), []
    network.eval()
    for _ in range(_WARM + _PASSES):
        start = time.perf_counter()
        network(x)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(taken[_WARM:]), 3)
