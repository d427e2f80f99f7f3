"""What a training of one network has left: read and told, without PyTorch."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nasbench_eval.errors import UsageError
from nasbench_eval.wording import counted, first_line

RECORD, CARD = "retrain.json", "model_card.md"
# Epochs that a table of curves has, at most.
_SHOWN = 12


def read(folder: Path) -> dict[str, Any]:
    """The record of a run.

    Raises:
        UsageError: if there is none that can be read.
    """
    file = folder / RECORD
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{folder} holds no {RECORD}: it is no run of nasbench-retrain") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file} cannot be read ({first_line(error)})") from error
    parts = {"space": dict, "arch": str, "recipe": dict, "dataset": dict, "images": dict, "result": dict}
    if not isinstance(found, dict) or any(not isinstance(found.get(k), kind) for k, kind in parts.items()):
        raise UsageError(f"{file} is no record of nasbench-retrain")
    return found


def curves(folder: Path) -> list[dict[str, float]]:
    """What each epoch came to, by the names of `curves.csv`.

    Raises:
        UsageError: if it is not there, or damaged.
    """
    file = folder / "curves.csv"
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{file} cannot be read ({first_line(error)})") from error


def told(folder: Path) -> list[str]:
    """A run in lines: what was trained, how, and what came of it, with a table of its curves."""
    record, points = read(folder), curves(folder)
    recipe, result = record["recipe"], record["result"]
    done = f"{len(points)} of {counted(int(recipe['epochs']), 'epoch')}"
    return [
        f"{record['space']['name']} {record['arch']}",
        f"on {record['dataset']['name']} by the recipe {recipe['name']}, {done}",
        *sentences(result),
        "",
        *table(points),
    ]


def sentences(result: Mapping[str, Any]) -> list[str]:
    """What came of a training, a line a network that was kept."""
    lines = []
    for which in ("last", "best"):
        found = result.get(which)
        if not isinstance(found, dict):
            continue
        parts = {"test": "test", "val": "validation"}
        said = [f"{parts[p]} {found[p]:.2f} %" for p in parts if isinstance(found.get(p), float)]
        judged = ", ".join(said) or "no images to judge it by"
        lines.append(f"{which} epoch ({found['epoch']}): {judged}")
    if result.get("diverged"):
        lines.append(str(result["diverged"]))
    return lines or ["not finished: the same command continues"]


def table(points: Sequence[Mapping[str, float]]) -> list[str]:
    """The curves in Markdown: the first epoch, the last and some between."""
    if not points:
        return []
    step = max(1, math.ceil(len(points) / _SHOWN))
    shown = [*points[: len(points) - 1 : step], points[-1]]
    rows = ["| epoch | learning rate | loss | accuracy | validation |", "|---:|---:|---:|---:|---:|"]
    for point in shown:
        rate, loss = f"{point['learning_rate']:.3g}", f"{point['loss']:.3f}"
        percents = " | ".join(_percent(point[name]) for name in ("accuracy", "val_accuracy"))
        rows.append(f"| {point['epoch']:.0f} | {rate} | {loss} | {percents} |")
    return rows


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1f} %"
