"""What a run does where the images of a data set are absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nasbench_eval.errors import UsageError
from nasbench_eval.options import overrides
from nasbench_eval.runs.rows import Task
from nasbench_eval.scoring.config import Run, located, resolve


def run_of(*arguments: str) -> Run:
    [config] = overrides.jobs(overrides.read([*arguments, "device=cpu"]))
    return resolve(config)


@pytest.fixture
def cifar10_only(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    np.savez(tmp_path / "images" / "cifar10.npz", x_train=np.zeros(1))
    return tmp_path


def test_skip_leaves_out_what_would_read_them_and_nothing_else(cifar10_only: Path) -> None:
    arguments = ["dataset=[cifar10,imagenet16_120]", "proxy=[snip,intrain]", f"data={cifar10_only}"]
    run = located(run_of(*arguments, "missing_images=skip"))
    assert set(run.job.tasks()) == {
        Task("cifar10", "snip"),
        Task("cifar10", "intrain"),
        Task("imagenet16_120", "intrain"),
    }
    assert run.identity() == run_of(*arguments).identity()  # images that come later are scored then


def test_refuse_is_the_default(cifar10_only: Path) -> None:
    run = run_of("dataset=imagenet16_120", "proxy=snip", f"data={cifar10_only}")
    assert located(run).job.tasks() == (Task("imagenet16_120", "snip"),)


def test_skip_with_nothing_left_is_an_error(cifar10_only: Path) -> None:
    run = run_of("dataset=imagenet16_120", "proxy=snip", f"data={cifar10_only}", "missing_images=skip")
    with pytest.raises(UsageError, match="all proxies read images"):
        located(run)


def test_the_experiment_of_table_1_runs_without_the_images_that_have_no_public_address() -> None:
    assert run_of("experiment=table1").options.missing_images == "skip"
