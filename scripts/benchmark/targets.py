"""What the package sets out to cost on the CPU, and whether a measurement holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.networks import COATNET, FEWEST
from benchmark.readings import FEW_PASS, FEW_PASS_TITLE

# Figures of each section that was measured, by its name.
Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """A bound on one figure.

    Attributes:
        what: the figure in words.
        unit: what it is counted in.
        path: where it stands in the figures, the section first.
        limit: the bound, in the unit.
        at_least: whether it is the least the figure may be, not the most.
        scale: by what the figure is divided to come to the unit.
    """

    what: str
    unit: str
    path: tuple[str, ...]
    limit: float
    at_least: bool = False
    scale: float = 1.0

    def value(self, figures: Figures) -> float | None:
        """The figure in the target's unit; None if it was not measured."""
        node: Any = figures
        for key in self.path:
            if key not in node:
                return None
            node = node[key]
        return float(node) / self.scale

    def met(self, value: float) -> bool:
        """Whether a figure holds the bound."""
        return value >= self.limit if self.at_least else value <= self.limit


def _cost(what: str, title: str, limit: float, unit: str = "reference") -> Target:
    words = {"own": "bare passes at its own B and R", "reference": "bare passes at B = 64, R = 32"}
    return Target(what, words[unit], ("targets", title, unit, "together"), limit)


TARGETS = (
    _cost("InTrain alone", "intrain", 1.3, "own"),
    _cost("the few-pass group in one run", FEW_PASS_TITLE, 7),
    _cost("te_nas, batch norm in training mode", "te_nas", 20),
    _cost("te_nas, `bn=eval`", "te_nas, bn=eval", 4),
    _cost("vkdnw, 10 classes", "vkdnw", 6),
    _cost("gradsign, 10 classes", "gradsign", 2.5),
    *(
        Target(f"{what} on {network}", "bare passes at B = 64, R = 64", ("networks", network, *path), limit)
        for network in ("ResNet-18", "MobileNetV2")
        for what, path, limit in (
            ("InTrain", ("costs", "intrain", "ratio"), 1.3),
            ("the few-pass group", ("costs", FEW_PASS_TITLE, "ratio"), 8),
        )
    ),
    *(
        Target(
            f"{what} on {network}",
            "bare passes at B = 64, R = 64",
            ("networks", network, "costs", of, "ratio"),
            limit,
        )
        for what, network, of, limit in (
            ("InTrain of the fewest products", "MobileNetV2", FEWEST, 1.4),
            ("InTrain of the fewest products", COATNET, FEWEST, 1.4),
            ("VKDNW", COATNET, "vkdnw", 8),
        )
    ),
    *(
        Target(
            f"peak of InTrain on {network}",
            "peaks of a bare pass",
            ("networks", network, "peak_ratios", "intrain"),
            1.2,
        )
        for network in ("ResNet-18", "MobileNetV2")
    ),
    Target("two workers against one process of defaults", "times", ("throughput", "ratio"), 1.9, True),
    Target("a step of nasbench-retrain", "steps of a bare loop", ("retraining", "ratio"), 1.1),
    Target("its waiting for images", "share of an epoch", ("retraining", "waited"), 0.05),
    Target("it in two processes against one", "times", ("retraining", "speedup"), 1.7, True),
    Target("`nasbench-score --help`", "s", ("startup", "help_seconds"), 1),
    Target("a command's first score", "s", ("startup", "first_score_seconds"), 6),
    Target("growth of a worker over a run", "MB", ("memory", "flat", "growth_bytes"), 50, scale=1e6),
    Target("peak of a worker on the largest cell", "GiB", ("memory", "peak", "peak_bytes"), 2, scale=2**30),
)


def each_alone(figures: Figures) -> float | None:
    """The few-pass group's members, each in a run of its own: the sum of their costs, in bare passes.

    None unless all of them were measured.
    """
    costs = figures.get("targets", {})
    if not set(FEW_PASS) <= costs.keys():
        return None
    return float(sum(costs[name]["reference"]["together"] for name in FEW_PASS))
