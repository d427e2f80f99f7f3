"""Trainings of a benchmark: they learn, repeat themselves, and end in a row whatever happens."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasbench_eval.benchmark import trainer as module
from nasbench_eval.benchmark.pictures import divide, read
from nasbench_eval.benchmark.trainer import (
    MEASURED,
    VERSION,
    Plan,
    Seldom,
    Trainer,
    count_flops,
    curve_columns,
    label_of,
    sizes,
)
from nasbench_eval.data.batches import Batches
from nasbench_eval.data.images import images_path
from nasbench_eval.proxies.flops import Flops
from nasbench_eval.proxies.params import Params
from nasbench_eval.runs.rows import Row
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.spaces.base import SearchSpace
from nasbench_eval.spaces.nasbench101 import NASBench101
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.training import Folder, Training
from nasbench_eval.work.pool import Item, Pool

CPU = torch.device("cpu")
# Every operation, on a path from input to output; and nothing but zeros.
WHOLE = "|nor_conv_3x3~0|+|avg_pool_3x3~0|skip_connect~1|+|nor_conv_1x1~0|nor_conv_3x3~1|skip_connect~2|"
NONE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def index_of(text: str) -> int:
    space = NASBench201()
    return next(index for index in range(len(space)) if space.format(space.arch(index)) == text)


CELL = index_of(WHOLE)


def trained(plan: Plan, folder: Path, index: int = CELL, **options: Any) -> list[Row]:
    return Trainer(plan, folder, CPU, **options)(index, plan.tasks())


def results(rows: list[Row]) -> list[dict[str, str]]:
    """Rows without their timings, to the bit."""
    return [{k: repr(v) for k, v in row.items() if k not in ("seconds", "traceback")} for row in rows]


def test_a_training_is_a_row_a_seed(plan: Plan, folder: Path) -> None:
    rows = trained(plan, folder)
    assert [row["label"] for row in rows] == ["trained_0", "trained_1"]
    for seed, row in enumerate(rows):
        assert row.keys() == {
            *("dataset", "label", "index", "arch", "seed", "score", "seconds", "status", "error"),
            *("proxy_version", *MEASURED, *curve_columns(3)),
        }
        assert (row["dataset"], row["index"], row["arch"], row["seed"]) == ("shades", CELL, WHOLE, seed)
        assert (row["status"], row["error"], row["proxy_version"]) == ("ok", None, VERSION)
        assert row["seconds"] > 0
        # Accuracies are those of so many images.
        assert row["score"] * 30 / 100 == pytest.approx(round(row["score"] * 30 / 100))
        for n in (1, 2, 3):
            assert row[f"val_{n}"] * 24 / 100 == pytest.approx(round(row[f"val_{n}"] * 24 / 100))
        assert all(0 <= row[f"train_{n}"] <= 100 for n in (1, 2, 3))
        assert all(math.isfinite(row[c]) for c in (*curve_columns(3), *MEASURED))
    assert curve_columns(2)[:4] == ["train_1", "train_2", "train_loss_1", "train_loss_2"]
    assert curve_columns(2)[4:] == ["val_1", "val_2", "val_loss_1", "val_loss_2"]


def test_accuracy_rises_on_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    pictures = read("digits", None, lambda: tmp_path)
    division = divide(pictures, (400, 200, 200), 0, "digits")
    arrays = {}
    for part in ("train", "val", "test"):
        chosen = getattr(division, part)
        arrays |= {f"x_{part}": pictures.x[chosen], f"y_{part}": pictures.y[chosen]}
    path = images_path(tmp_path, "digits")
    path.parent.mkdir()
    np.savez(path, **arrays)
    x = arrays["x_train"]
    dataset = module.DataSet("digits", 10, 8, (float(x.mean()),) * 3, (float(x.std()),) * 3)
    recipe = Training(4, images=400, batch_size=32, schedule=4, flips=False)
    [row] = trained(Plan(NASBench201(4, 1), dataset, recipe, (0,)), tmp_path)
    assert row["train_1"] < row["train_2"] < row["train_4"]
    assert row["train_loss_1"] > row["train_loss_2"] > row["train_loss_4"]
    assert row["val_loss_1"] > row["val_loss_4"]
    assert row["score"] > 50  # chance is 10
    assert row["val_4"] > row["val_1"]
    assert row["val_4"] > 50
    assert row["test_loss"] < math.log(10) / 1.5


def test_the_same_plan_gives_the_same_rows_in_any_order(plan: Plan, folder: Path, tmp_path: Path) -> None:
    cells = [CELL, 7, 1234]
    one = Trainer(plan, folder, CPU)
    forwards = {i: results(one(i, plan.tasks())) for i in cells}
    other = Trainer(plan, folder, CPU, tmp_path / "checkpoints", every=0)
    for i in reversed(cells):
        for n, task in reversed(list(enumerate(plan.tasks()))):
            assert results(other(i, [task])) == [forwards[i][n]]
    assert not list((tmp_path / "checkpoints").iterdir())  # nothing is left of a finished training


def test_the_same_rows_come_from_processes(plan: Plan, folder: Path) -> None:
    trainer = Trainer(plan, folder, CPU)
    work = [Item(index, plan.tasks()[:1]) for index in (CELL, 7, 1234)]
    pool = Pool(trainer, 2, None, lambda line: pytest.fail(line))
    found = {rows[0]["index"]: results(rows) for rows in pool.results(work) if rows}
    assert found == {item.cell: results(trainer(item.cell, item.tasks)) for item in work}


def test_the_seed_and_the_recipe_matter(plan: Plan, folder: Path) -> None:
    first, second = trained(plan, folder)
    assert first["train_loss_1"] != second["train_loss_1"]
    [alone] = trained(replace(plan, seeds=(1,)), folder)
    assert results([alone]) == results([second])
    for changed in ({"learning_rate": 0.05}, {"flips": False}, {"weight_decay": 0.0}):
        recipe = replace(plan.training, **changed)  # type: ignore[arg-type]
        [other] = trained(replace(plan, seeds=(1,), training=recipe), folder)
        assert other["train_loss_3"] != second["train_loss_3"]


def test_divergence_is_a_row(plan: Plan, folder: Path) -> None:
    hot = replace(plan, training=replace(plan.training, learning_rate=1e30))
    healthy = trained(plan, folder)
    for row, other in zip(trained(hot, folder), healthy, strict=True):
        assert row["status"] == "nan"
        assert row["error"].startswith("Diverged: training diverged in epoch 1, at learning rate 1e+30")
        assert math.isnan(row["score"])
        assert math.isnan(row["val_1"])
        assert (row["params"], row["flops"]) == (other["params"], other["flops"])
        assert row.keys() - {"traceback"} == other.keys()


def test_of_a_divergence_the_epochs_before_stay_and_no_checkpoint(
    plan: Plan, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(plan, seeds=(0,))
    [healthy] = trained(plan, folder)
    rate = Training.rate
    monkeypatch.setattr(Training, "rate", lambda self, epoch: rate(self, epoch) if epoch < 3 else 1e30)
    [row] = trained(plan, folder, checkpoints=tmp_path, every=0)
    assert row["status"] == "nan"
    for name in ("train", "train_loss", "val", "val_loss"):
        assert [row[f"{name}_{n}"] for n in (1, 2)] == [healthy[f"{name}_{n}"] for n in (1, 2)]
        assert math.isnan(row[f"{name}_3"])
    assert not list(tmp_path.iterdir())


def test_a_failure_is_a_row_with_the_same_columns(
    plan: Plan, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = trained(plan, folder)

    def fail(*arguments: object, **options: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(module, "train", fail)
    failed = trained(plan, folder)
    lost = Trainer(plan, folder, CPU).failure(CELL, plan.tasks(), "error", "the process died", 3.0)
    assert [row["status"] for row in failed] == ["oom", "oom"]
    assert [(row["status"], row["error"], row["seconds"]) for row in lost] == [
        ("error", "the process died", 3.0)
    ] * 2
    for row in (*failed, *lost):
        assert row.keys() - {"traceback"} == healthy[0].keys()
        assert math.isnan(row["score"])


@pytest.mark.parametrize(
    ("space", "index"), [(NASBench201(4, 1), CELL), (NASBench201(8, 2), 99), (NASBench101(8, 1), 5)]
)
@pytest.mark.parametrize("side", [8, 16])
def test_sizes_are_those_of_the_proxies(plan: Plan, space: SearchSpace, index: int, side: int) -> None:
    plan = replace(plan, space=space, dataset=replace(plan.dataset, resolution=side))
    job = Job(space, plan.datasets, {"flops": Flops(), "params": Params()}, 0)
    batches = Batches(0, plan.datasets, None, CPU)
    rows = score_architecture(job, index, job.tasks(), batches, CPU)
    flops, params = (row["score"] for row in rows)
    assert sizes(plan, index) == (params, flops)
    network = space.build(space.arch(index), num_classes=3)
    network.eval()
    assert count_flops(network, torch.zeros(1, 3, side, side)) == flops
    assert not network.training
    assert not any(m._forward_hooks for m in network.modules())


def test_an_interrupted_training_continues_to_the_same_row(
    plan: Plan, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = results(trained(plan, folder))
    save = Folder.save

    def interrupted(self: Folder, epoch: int, state: Any) -> None:
        save(self, epoch, state)
        if epoch == 2:
            raise KeyboardInterrupt

    latest, seen = Folder.latest, []

    def watched(self: Folder, at_most: int) -> Any:
        found = latest(self, at_most)
        seen.append(None if found is None else found[0])
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trained(plan, folder, checkpoints=tmp_path, every=0)
    assert list(tmp_path.rglob("epoch-002.pt"))
    monkeypatch.setattr(Folder, "latest", watched)
    assert results(trained(plan, folder, checkpoints=tmp_path, every=0)) == whole
    assert seen == [2, None]  # the first seed went on from its second epoch
    assert not list(tmp_path.iterdir())


def test_checkpoints_are_written_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    seldom = Seldom(Folder(tmp_path / "one"), 30)
    assert str(seldom) == str(tmp_path / "one")
    assert seldom.latest(9) is None
    saved = []
    monkeypatch.setattr(Folder, "save", lambda self, epoch, state: saved.append(epoch))
    for epoch, now in enumerate([110.0, 129.9, 130.0, 140.0, 159.0, 161.0, 200.0], start=1):  # noqa: B007
        seldom.save(epoch, {})
    assert saved == [3, 6, 7]
    seldom.clear()
    assert not (tmp_path / "one").exists()


def test_a_short_training_leaves_no_checkpoint(
    plan: Plan, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Folder, "save", lambda self, epoch, state: pytest.fail("a checkpoint was written"))
    trained(replace(plan, seeds=(0,)), folder, checkpoints=tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()


def test_a_trainer_goes_to_other_processes(plan: Plan, folder: Path, tmp_path: Path) -> None:
    trainer = Trainer(plan, folder, CPU, tmp_path, 7.0)
    content = pickle.dumps(trainer)
    assert len(content) < 5000  # the images stay where they are
    other = pickle.loads(content)
    assert (other.plan, other.folder, other.device) == (plan, folder, CPU)
    assert (other.checkpoints, other.every) == (tmp_path, 7.0)


def test_a_cell_of_nothing_but_zeros_stays_near_chance(plan: Plan, folder: Path) -> None:
    [row] = trained(replace(plan, seeds=(0,)), folder, index_of(NONE))
    assert row["status"] == "ok"
    assert 0 < row["flops"] < sizes(plan, CELL)[1]


def test_a_cell_of_nasbench101_trains(plan: Plan, folder: Path) -> None:
    plan = replace(plan, space=NASBench101(8, 1), seeds=(0,))
    [row] = trained(plan, folder, 1234)
    assert row["status"] == "ok"
    assert row["score"] > 0
    assert label_of(0) == row["label"]
