"""A benchmark's table: what is made of the trainings, what is refused, and what is read back."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from nasbench_eval.benchmark.table import build, failures, save
from nasbench_eval.benchmark.trainer import MEASURED, VERSION, Plan, curve_columns, label_of, sizes
from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.runs.rows import Row
from nasbench_eval.runs.store import Store
from nasbench_eval.spaces.nasbench101 import NASBench101
from nasbench_eval.truth.own import CURVES, EMBEDDED, RECORD, TABLE, check, columns, load

CELLS = [3, 20, 404, 1000, 15000]


def row(plan: Plan, index: int, seed: int, score: float | None, **changes: Any) -> Row:
    """A training's row with figures that tell where they are from; without a score a diverged one."""
    made = dict.fromkeys((*MEASURED, *curve_columns(plan.training.epochs)), math.nan)
    if score is not None:
        made |= {c: index + seed + n / 10 for n, c in enumerate(curve_columns(plan.training.epochs))}
        made |= {f"val_{plan.training.epochs}": score / 2, "test_loss": seed + 0.5}
    return {
        "dataset": plan.dataset.name,
        "label": label_of(seed),
        "index": index,
        "arch": plan.space.format(plan.space.arch(index)),
        "seed": seed,
        **made,
        "params": 100.0 + index,
        "flops": 1000.0 + index,
        "score": math.nan if score is None else score,
        "seconds": 1.5,
        "status": "nan" if score is None else "ok",
        "error": None if score is None else "Diverged: training diverged",
        "proxy_version": VERSION,
        "copied_from": None,
        **changes,
    }


def stored(folder: Path, plan: Plan, rows: Sequence[Row]) -> Path:
    """A run's folder with these rows, in an order of their own."""
    identity = {"space": {"name": plan.space.name}, "seed": 0, "datasets": {}, "proxies": {}}
    store = Store(folder, plan.space.name, identity, {"n": len(rows)})
    store.add(reversed(rows))
    store.finish({})
    store.close()
    return folder


def score_of(index: int, seed: int) -> float:
    return 40 + 10 * CELLS.index(index) + seed * (-1) ** index


@pytest.fixture
def rows(plan: Plan) -> list[Row]:
    return [row(plan, i, seed, score_of(i, seed)) for i in CELLS for seed in plan.seeds]


@pytest.fixture
def run(tmp_path: Path, plan: Plan, rows: list[Row]) -> Path:
    return stored(tmp_path / "run", plan, rows)


@pytest.fixture
def made(run: Path, plan: Plan) -> pd.DataFrame:
    return build(run, plan)


def test_a_table_holds_what_the_runs_came_to(made: pd.DataFrame, plan: Plan) -> None:
    assert list(made.columns) == columns("shades", 2)
    assert made["index"].tolist() == CELLS
    assert made["arch"].tolist() == [plan.space.format(plan.space.arch(i)) for i in CELLS]
    assert made["params"].tolist() == [100 + i for i in CELLS]
    assert made["flops"].tolist() == [1000 + i for i in CELLS]
    assert set(made["epochs"]) == {3}
    for seed in plan.seeds:
        assert made[f"shades_test_run{seed}"].tolist() == [score_of(i, seed) for i in CELLS]
        assert made[f"shades_val_run{seed}"].tolist() == [score_of(i, seed) / 2 for i in CELLS]
        assert set(made[f"shades_test_loss_run{seed}"]) == {seed + 0.5}
        assert set(made[f"seconds_run{seed}"]) == {1.5}
        for position, i in enumerate(CELLS):
            points = [i + seed + n / 10 for n in range(12)]
            points[8] = score_of(i, seed) / 2
            for n, curve in enumerate(CURVES):
                of_it = points[3 * n : 3 * n + 3]
                assert made[f"shades_{curve}_curve_run{seed}"][position].tolist() == of_it
                assert made[f"shades_{curve}_run{seed}"][position] == of_it[-1]
    means = [(score_of(i, 0) + score_of(i, 1)) / 2 for i in CELLS]
    np.testing.assert_allclose(made["shades_test"], means)
    check(made, plan.space, "shades", 2, "table")


def test_a_diverged_run_is_left_out_of_the_mean(tmp_path: Path, plan: Plan, rows: list[Row]) -> None:
    rows[0] = row(plan, CELLS[0], 0, None)
    rows[2:4] = [row(plan, CELLS[1], seed, None) for seed in plan.seeds]
    run = stored(tmp_path / "run", plan, rows)
    made = build(run, plan)
    assert made["shades_test"][0] == score_of(CELLS[0], 1)
    assert math.isnan(made["shades_test"][1])
    assert math.isnan(made["shades_val"][1])
    assert made["shades_test"].notna().sum() == 4
    assert failures(run, plan) == {"nan": 3}
    found = save(run, plan, made, {})
    assert found.record["ceiling"]["test"]["agreement"]["n"] == 3
    assert math.isnan(load(str(run)).accuracy("shades", "test")[CELLS[1]])


def test_a_cell_that_never_came_so_far_has_its_size_all_the_same(
    tmp_path: Path, plan: Plan, rows: list[Row]
) -> None:
    nothing = {"params": math.nan, "flops": math.nan, "status": "error"}
    rows[2:4] = [row(plan, CELLS[1], seed, None, **nothing) for seed in plan.seeds]
    rows[4] = row(plan, CELLS[2], 0, None, **nothing)
    made = build(stored(tmp_path / "run", plan, rows), plan)
    assert (made["params"][1], made["flops"][1]) == sizes(plan, CELLS[1])
    assert (made["params"][2], made["flops"][2]) == (100 + CELLS[2], 1000 + CELLS[2])
    check(made, plan.space, "shades", 2, "table")


def test_a_benchmark_in_which_nothing_was_learnt_is_one(tmp_path: Path, plan: Plan) -> None:
    for name, score in (("diverged", None), ("zero", 0.0), ("one", 1.0)):
        rows = [row(plan, i, seed, score) for i in CELLS for seed in plan.seeds]
        run = stored(tmp_path / name, plan, rows)
        save(run, plan, build(run, plan), {})
        assert load(str(run)).ceiling("shades", "test") is None


def test_what_is_saved_is_read_back(run: Path, plan: Plan, made: pd.DataFrame) -> None:
    record = {"command": "nasbench-train", "seconds": 3.0}
    saved, read = save(run, plan, made, record), load(str(run))
    for found in (saved, read):
        assert found.folder == run
        assert found.space == plan.space
        assert found.dataset == plan.dataset
        assert found.indices == CELLS
        assert found.title == "shades (own benchmark)"
    assert read.record == json.loads(json.dumps(saved.record))
    assert read.record["command"] == "nasbench-train"
    assert read.record["training"] == plan.training.identity()
    assert read.record["seeds"] == [0, 1]
    assert read.record["architectures"] == len(CELLS)
    content = (run / TABLE).read_bytes()
    assert read.record["table_sha256"] == hashlib.sha256(content).hexdigest()
    curves = [f"shades_{name}_curve_run{n}" for name in CURVES for n in (0, 1)]
    pd.testing.assert_frame_equal(read.table.drop(columns=curves), made.drop(columns=curves))
    for curve in curves:
        np.testing.assert_array_equal(np.stack(read.table[curve]), np.stack(made[curve]))
    save(run, plan, made, record)
    assert (run / TABLE).read_bytes() == content


def test_accuracies_are_of_every_cell_of_the_space(run: Path, plan: Plan, made: pd.DataFrame) -> None:
    save(run, plan, made, {})
    found = load(str(run))
    accuracy, single = found.accuracy("shades", "test"), found.runs("shades", "val")
    assert accuracy.shape == (15625,)
    assert single.shape == (15625, 2)
    untrained = np.setdiff1d(np.arange(15625), CELLS)
    assert np.isnan(accuracy[untrained]).all()
    assert np.isnan(single[untrained]).all()
    np.testing.assert_array_equal(accuracy[CELLS], made["shades_test"])
    np.testing.assert_array_equal(single[CELLS, 1], made["shades_val_run1"])
    with pytest.raises(UnknownName, match="unknown data set of the benchmark run 'cifar10'"):
        found.accuracy("cifar10", "test")
    with pytest.raises(UnknownName, match="unknown split 'tset'; did you mean test"):
        found.runs("shades", "tset")


def test_the_ceiling_comes_from_the_agreement_of_the_runs(run: Path, plan: Plan, made: pd.DataFrame) -> None:
    made = made.copy()
    made["shades_test_run1"] = [70.0, 40.0, 50.0, 60.0, 80.0]
    made["shades_test"] = made[["shades_test_run0", "shades_test_run1"]].mean(axis=1)
    found = save(run, plan, made, {}).ceiling("shades", "test")
    assert found is not None
    expected = kendalltau(made["shades_test_run0"], made["shades_test_run1"]).statistic
    assert found.agreement.kendall_tau == pytest.approx(expected)
    assert (found.agreement.pairs, found.agreement.n, found.runs) == (1, 5, 2)
    assert json.loads((run / RECORD).read_text())["ceiling"]["test"] == asdict(found)


def test_a_single_seed_has_no_ceiling(tmp_path: Path, plan: Plan, rows: list[Row]) -> None:
    one = replace(plan, seeds=(0,))
    run = stored(tmp_path / "run", one, rows[::2])
    found = save(run, one, build(run, one), {})
    assert found.ceiling("shades", "test") is None
    assert found.record["ceiling"] == {"val": None, "test": None}
    np.testing.assert_array_equal(found.table["shades_test"], found.table["shades_test_run0"])


def test_more_cells_and_another_seed_make_a_new_table(run: Path, plan: Plan, made: pd.DataFrame) -> None:
    save(run, plan, made, {})
    more, third = [*CELLS, 12, 9999], replace(plan, seeds=(0, 1, 2))
    # The folder holds five cells; two more, of which one lacks a seed, do not belong to it yet.
    stored(run, plan, [row(plan, 12, seed, 50.0 + seed) for seed in (0, 1)] + [row(plan, 9999, 0, 50.0)])
    assert build(run, plan)["index"].tolist() == sorted([*CELLS, 12])
    stored(run, plan, [row(plan, 9999, 1, 60.0)])
    save(run, plan, build(run, plan), {})
    assert load(str(run)).indices == sorted(more)
    assert load(str(run)).accuracy("shades", "test")[9999] == 55
    # Another seed, of some cells: the table with it is about these.
    stored(run, third, [row(plan, i, 2, 30.0) for i in (12, 404, 1000)])
    save(run, third, build(run, third), {})
    found = load(str(run))
    assert found.indices == [12, 404, 1000]
    assert found.runs("shades", "test")[12].tolist() == [50, 51, 30]
    assert build(run, plan)["index"].tolist() == sorted(more)


def swapped(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[[1, 0, 2, 3, 4]].reset_index(drop=True)


WRONG: list[tuple[str, Callable[[pd.DataFrame], pd.DataFrame], str]] = [
    ("another order", swapped, "the column index does not ascend from 0 to 15624"),
    ("a cell twice", lambda t: t.iloc[[0, 0, 1]], "the column index does not ascend"),
    ("no such cell", lambda t: t.assign(index=t["index"] + 15000), "the column index does not ascend"),
    ("negative index", lambda t: t.assign(index=t["index"] - 9), "the column index does not ascend"),
    ("fractions for indices", lambda t: t.assign(index=t["index"] * 1.0), "the column index does not ascend"),
    (
        "another's name",
        lambda t: t.assign(arch=t["arch"].shift(1).fillna("x")),
        "row 3 names the cell 'x', which",
    ),
    ("no rows", lambda t: t.iloc[:0], "it has no rows"),
    ("lost column", lambda t: t.drop(columns="shades_val"), "the columns are wrong: shades_val"),
    ("odd column", lambda t: t.assign(note=1), "the columns are wrong: note"),
    ("columns of another order", lambda t: t[list(t.columns[::-1])], "the columns are wrong: their order"),
    (
        "other mean",
        lambda t: t.assign(shades_test=t["shades_test"] + 0.01),
        "shades_test is not the mean of its",
    ),
    (
        "mean without runs",
        lambda t: t.assign(shades_val_run0=np.nan, shades_val_run1=np.nan),
        "shades_val is not the mean of its runs",
    ),
    ("runs without mean", lambda t: t.assign(shades_val=np.nan), "shades_val is not the mean of its runs"),
    (
        "above 100",
        lambda t: t.assign(shades_test=t["shades_test"] + 90, shades_test_run0=t["shades_test_run0"] + 180),
        "shades_test goes from 39 to 260: no percentages",
    ),
    (
        "below 0",
        lambda t: t.assign(shades_val=t["shades_val"] - 30, shades_val_run0=t["shades_val_run0"] - 60),
        "shades_val goes from -40 to",
    ),
    ("no parameters", lambda t: t.assign(params=0.0), "a network has no parameters or no FLOPs"),
    ("unknown FLOPs", lambda t: t.assign(flops=np.nan), "a network has no parameters or no FLOPs"),
]


@pytest.mark.parametrize(("change", "said"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_table_that_cannot_be_is_refused(
    made: pd.DataFrame,
    run: Path,
    plan: Plan,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    said: str,
) -> None:
    with pytest.raises(UsageError) as raised:
        save(run, plan, change(made), {})
    assert f"{run / TABLE}: {said}" in str(raised.value)
    assert "make it again with nasbench-train" in str(raised.value)
    assert not (run / TABLE).exists()
    assert not (run / RECORD).exists()


@pytest.fixture
def kept(run: Path, plan: Plan, made: pd.DataFrame) -> Path:
    save(run, plan, made, {})
    return run


def test_a_table_that_was_changed_is_refused(kept: Path, made: pd.DataFrame) -> None:
    content = (kept / TABLE).read_bytes()
    (kept / TABLE).write_bytes(content[:-1])
    with pytest.raises(UsageError, match=r"table\.parquet cannot be read \(.*\); make it again"):
        load(str(kept))
    made.assign(seconds_run0=0.0).to_parquet(kept / TABLE)
    with pytest.raises(UsageError, match=r"table\.parquet is not the table that benchmark\.json is about"):
        load(str(kept))
    (kept / TABLE).unlink()
    with pytest.raises(UsageError, match=r"table\.parquet cannot be read"):
        load(str(kept))


def test_a_table_of_something_else_is_refused_though_its_digest_agrees(
    kept: Path, made: pd.DataFrame
) -> None:
    for changes in ({"params": "many"}, {"shades_test_run0": "high"}, {"index": "first"}, {"arch": 3}):
        made.assign(**changes).to_parquet(kept / TABLE)
        record = json.loads((kept / RECORD).read_text())
        record["table_sha256"] = hashlib.sha256((kept / TABLE).read_bytes()).hexdigest()
        (kept / RECORD).write_text(json.dumps(record))
        with pytest.raises(UsageError, match=r"table\.parquet"):
            load(str(kept))


@pytest.mark.parametrize("name", ["nowhere", "", "x" * 300, "a\0b", "digit"])
def test_no_benchmark_is_told_with_what_there_may_be(name: str) -> None:
    with pytest.raises(UsageError, match=r"there is no benchmark\.json in that folder; nasbench-train makes"):
        load(name)


RECORDS: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("no space", lambda r: r.pop("space"), "does not say, or not as it should: space"),
    ("nameless space", lambda r: r["space"].pop("name"), "does not say, or not as it should: space"),
    ("a text for seeds", lambda r: r.update(seeds="0"), "does not say, or not as it should: seeds"),
    ("no training", lambda r: r.pop("training"), "does not say, or not as it should: training"),
    ("no digest", lambda r: r.pop("table_sha256"), "does not say, or not as it should: table_sha256"),
    ("unknown space", lambda r: r["space"].update(name="nasbench301"), "unknown search space 'nasbench301'"),
    ("unknown option", lambda r: r["space"].update(depth=3), "unknown option of nasbench201 'depth'"),
    ("odd option", lambda r: r["space"].update(channels="four"), "channels=four will not do"),
    ("another data set", lambda r: r["dataset"].update(name="other"), "the columns are wrong: other_test"),
    ("bad statistics", lambda r: r["dataset"].update(std=[0, 0, 0]), "std"),
    ("more seeds", lambda r: r.update(seeds=[0, 1, 2]), "the columns are wrong: seconds_run2"),
]


@pytest.mark.parametrize(("change", "said"), [w[1:] for w in RECORDS], ids=[w[0] for w in RECORDS])
def test_a_record_that_cannot_be_is_refused(
    kept: Path, change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    record = json.loads((kept / RECORD).read_text())
    change(record)
    (kept / RECORD).write_text(json.dumps(record))
    with pytest.raises(UsageError, match=said):
        load(str(kept))


@pytest.mark.parametrize("content", ["", "[]", "3", "{", "[" * 100_000, '"\\ud800"'])
def test_a_record_of_something_else_is_refused(kept: Path, content: str) -> None:
    (kept / RECORD).write_text(content)
    with pytest.raises(UsageError, match=r"benchmark\.json (cannot be read|does not say)"):
        load(str(kept))


def test_a_table_of_nasbench101(tmp_path: Path, plan: Plan) -> None:
    plan = replace(plan, space=NASBench101(8, 1))
    rows = [row(plan, i, seed, 30.0 + i / 10_000) for i in (5, 700, 423000) for seed in plan.seeds]
    run = stored(tmp_path / "run", plan, rows)
    save(run, plan, build(run, plan), {})
    found = load(str(run))
    assert found.space == NASBench101(8, 1)
    assert found.accuracy("shades", "test").shape == (423624,)


def test_only_what_the_package_brings_is_called_embedded(kept: Path) -> None:
    place = kept.parent / "embedded" / "digits"
    shutil.copytree(kept, place)
    assert load(str(place)).title == "shades (own benchmark)"


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_embedded_benchmark_is_sound(name: str) -> None:
    found = load(name)
    assert found.title == f"{name} (embedded benchmark)"
    assert len(found.indices) >= 1000
    assert len(found.record["seeds"]) >= 3
    assert found.accuracy(name, "test")[found.indices].std() > 0
    ceiling = found.ceiling(name, "test")
    assert ceiling is not None
    assert ceiling.agreement.kendall_tau >= 0.6
