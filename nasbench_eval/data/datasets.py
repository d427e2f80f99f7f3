"""The data sets a network is built for: class count, resolution and the statistics inputs are scaled by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class DataSet:
    """A classification data set.

    Attributes:
        name: its one name: YAML stem, image file stem, parquet value.
        num_classes: classes of its head.
        resolution: height and width of its images, in pixels.
        mean, std: per-channel statistics of the training images, in units of 1/255, as NAS-Bench-201
            (Dong & Yang 2020, appendix) normalises its inputs.
    """

    name: str
    num_classes: Annotated[int, Field(ge=1)]
    resolution: Annotated[int, Field(ge=1)]
    mean: tuple[Finite, Finite, Finite]
    std: tuple[Positive, Positive, Positive]
