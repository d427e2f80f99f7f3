"""The data sets a network is built for: class count, resolution and the statistics inputs are scaled by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from nasbench_eval.spaces.base import Task

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class DataSet:
    """A data set, and what networks do on it.

    Attributes:
        name: its one name: YAML stem, image file stem, parquet value.
        num_classes: classes of its head, or what the head of another task puts out.
        resolution: height and width of its images, in pixels; of jigsaws those of a piece.
        mean, std: per-channel statistics of the training images, in units of 1/255, as NAS-Bench-201
            (Dong & Yang 2020, appendix) normalises its inputs.
        task: what networks do on it.
        input: what proxies are shown in whose passes there are images: `gaussian` noise where there are none.
    """

    name: str
    num_classes: Annotated[int, Field(ge=1)]
    resolution: Annotated[int, Field(ge=1)]
    mean: tuple[Finite, Finite, Finite]
    std: tuple[Positive, Positive, Positive]
    task: Task = field(default="classification", metadata={"later": True})
    input: Literal["images", "gaussian"] = field(default="images", metadata={"later": True})
