"""What InTrain sees in an architecture's network, layer by layer: `nasbench-show --diagnose`."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import torch
from torch import nn

from nasbench_eval.api.diagnose import Diagnosis, diagnose
from nasbench_eval.show.sketch import WIDTH
from nasbench_eval.wording import shortened

_NAME, _BAR = 34, 22


def diagnosis_of(space: Any, arch: Any, resolution: int, classes: int) -> Diagnosis:
    """The diagnosis of an architecture's network; its weights are those that scoring draws with seed 0."""

    def make() -> nn.Module:
        network: nn.Module = space.build(arch, num_classes=classes)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()  # what a space builds has weights that nobody has drawn yet
        return network

    return diagnose({space.format(arch): make}, input=(3, resolution, resolution))


def told(found: Diagnosis) -> dict[str, Any]:
    """Plain data; a number that is not finite is None."""
    return {
        "score": {name: _finite(value) for name, value in found.score.items()},
        "layers": _rows(found.layers),
        "tensors": _rows(found.tensors),
        "weakest": found.weakest,
    }


def lines(found: Diagnosis) -> list[str]:
    """A line a layer and a line a tensor, of 100 columns at most."""
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in found.score.items())
    said = [f"intrain: {numbers}", found.weakest, ""]
    said.append(f"{'layer':{_NAME}} {'channels':>8} {'PR':>8}  share of the channels")
    for name, row in found.layers.iterrows():
        end = "dead" if row["dead"] else f"{_bar(row['share'])} {row['share']:.0%}"
        ratio = f"{row['participation_ratio']:8.1f}"
        said.append(f"{shortened(str(name), _NAME):{_NAME}} {row['channels']:8,} {ratio}  {end}")
    said += ["", f"{'gradient of':{_NAME}} {'sigma':>8} {'largest':>8}  health"]
    for name, row in found.tensors.iterrows():
        sizes = f"{row['sigma']:8.2g} {row['largest']:8.2g}"
        end = f"{_bar(row['health'])} {row['health']:.3f}"
        said.append(f"{shortened(str(name), _NAME):{_NAME}} {sizes}  {end}")
    return [line[:WIDTH] for line in said]


def _bar(share: float) -> str:
    return "#" * max(0, min(_BAR, round(share * _BAR))) if math.isfinite(share) else ""


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = frame.reset_index().to_dict("records")
    return [{str(key): _finite(value) for key, value in row.items()} for row in rows]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
