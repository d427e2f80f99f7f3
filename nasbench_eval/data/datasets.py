"""The data sets a network is built for: class count, resolution and the statistics inputs are scaled by."""

from __future__ import annotations

from dataclasses import dataclass


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
    num_classes: int
    resolution: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
