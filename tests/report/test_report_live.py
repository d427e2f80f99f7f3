"""Judging live architectures alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nasbench_eval.errors import UsageError
from nasbench_eval.report.scores import Part, Run, Scores

LIVE = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"
DEAD = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"


def scores_of(*archs: str) -> Scores:
    part, run = Part("nasbench201", "cifar10", "snip"), Run(Path("run"), {})
    frame = pd.DataFrame({"index": range(len(archs)), "arch": list(archs), "score": 1.0})
    return Scores((run,), {part: frame}, {part: run})


def test_dead_architectures_are_left_out() -> None:
    [frame] = scores_of(DEAD, LIVE, DEAD).live().frames.values()
    assert frame["index"].tolist() == [1]


def test_none_left_is_an_error() -> None:
    with pytest.raises(UsageError, match="--cells all"):
        scores_of(DEAD).live()
