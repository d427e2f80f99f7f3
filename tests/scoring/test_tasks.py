"""Data sets say what networks do on them, and what proxies are shown where there are no images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from nasbench_eval import testing
from nasbench_eval.api.inputs import shown
from nasbench_eval.data.images import images_path
from nasbench_eval.errors import UsageError
from nasbench_eval.paths import config_folder
from nasbench_eval.proxies.grad_norm import GradNorm
from nasbench_eval.proxies.naswot import Naswot
from nasbench_eval.proxies.ntk_evolution import NTKEvolution
from nasbench_eval.runs.rows import Task
from nasbench_eval.scoring.config import Run, resolve
from nasbench_eval.scoring.job import Job, job_of
from nasbench_eval.scoring.process import Scorer
from nasbench_eval.show.command import dataset_of
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.spaces.transnas_micro import TransNASMicro

SPACE = TransNASMicro(channels=4, cells_per_module=1)
CPU = torch.device("cpu")


def run_of(*overrides: str) -> Run:
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return resolve(compose("config", overrides=["device=cpu", *overrides]))


def job(dataset: str, **options: str) -> Job:
    info = replace(testing.dataset(dataset), **options)
    proxies = {
        "grad_norm": GradNorm(batch_size=3, resolution=32),
        "naswot": Naswot(batch_size=3, resolution=32),
    }
    return Job(SPACE, {dataset: info}, proxies, 0)


def test_records_of_other_data_sets_are_what_they_were() -> None:
    [told] = (
        Job(NASBench201(), {"cifar10": testing.dataset("cifar10")}, {}, 0).identity()["datasets"].values()
    )
    assert set(told) == {"name", "num_classes", "resolution", "mean", "std"}


@pytest.mark.parametrize(
    ("dataset", "task"),
    [
        ("class_scene", "classification"),
        ("class_object", "classification"),
        ("room_layout", "regression"),
        ("jigsaw", "jigsaw"),
        ("segmentsemantic", "segmentation"),
        ("autoencoder", "autoencoding"),
        ("normal", "normals"),
    ],
)
def test_a_record_says_the_task_and_the_noise(dataset: str, task: str) -> None:
    mine = run_of("space=transnas_micro", f"dataset=[{dataset}]").job
    told = mine.identity()["datasets"][dataset]
    assert told.get("task", "classification") == task
    assert told["input"] == "gaussian"
    assert job_of(mine.identity()) == mine


def test_noise_stands_in_for_images_where_there_are_none(tmp_path: Path) -> None:
    noise, pictures = job("class_scene"), job("class_scene", input="images")
    task = Task("class_scene", "grad_norm")
    assert noise.imaged() == []
    assert [spec.forward.source for spec, _ in noise.passes(task)] == ["gaussian"]
    assert pictures.imaged() == list(pictures.tasks())
    assert [spec.forward.source for spec, _ in pictures.passes(task)] == ["images"]
    rng = np.random.default_rng(0)
    path = images_path(tmp_path, "class_scene")
    path.parent.mkdir()
    np.savez(
        path,
        x_train=rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8),
        y_train=rng.integers(0, 47, 5),
        classes=np.array([f"scene {k}" for k in range(47)]),
    )
    rows = Scorer(pictures, tmp_path, CPU)(1215, pictures.tasks())
    assert {row["status"] for row in rows} == {"ok"}
    [other] = Scorer(noise, None, CPU)(1215, [task])
    assert other["status"] == "ok"
    assert other["score"] != rows[0]["score"]


def test_what_trains_on_images_still_needs_them() -> None:
    mine = replace(job("class_scene"), proxies={"ntk_evolution": NTKEvolution()})
    assert mine.imaged() == list(mine.tasks())


def test_jigsaws_see_pieces_beyond_the_features() -> None:
    mine = job("jigsaw")
    pieces = {
        label: [s.forward.pieces for s, _ in mine.passes(Task("jigsaw", label))] for label in mine.proxies
    }
    assert pieces == {"grad_norm": [9], "naswot": [1]}
    [(spec, dataset)] = mine.passes(Task("jigsaw", "grad_norm"))
    assert Scorer(mine, None, CPU).batches.input(spec.forward, dataset).shape == (3, 27, 32, 32)


def test_a_space_that_classifies_alone_says_so() -> None:
    with pytest.raises(
        UsageError, match="dataset=normal is for normals, and networks of nasbench201 do class"
    ):
        run_of("dataset=[normal]")


@pytest.mark.parametrize("dataset", ["segmentsemantic", "autoencoder", "normal"])
def test_sizes_that_no_decoder_gives_back_are_refused(dataset: str) -> None:
    asked = ["space=transnas_micro", f"dataset=[{dataset}]", "proxy=[snip,naswot]"]
    with pytest.raises(
        UsageError, match=f"snip on {dataset}: .* 48 pixels are no multiple of 32; set proxy.res"
    ):
        run_of(*asked, "+options.resolution=48")
    assert run_of(*asked, "+options.resolution=64").indices
    assert run_of(*asked[:2], "proxy=[naswot]", "+options.resolution=48").indices  # no decoder is met


def test_networks_that_are_handed_over_classify() -> None:
    with pytest.raises(UsageError, match="images=normal are for normals"):
        shown(None, "normal", None)
    with pytest.raises(UsageError, match="--dataset normal is for normals"):
        dataset_of("normal")
