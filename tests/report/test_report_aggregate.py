"""Aggregates: their arithmetic, their definitions, and their way from stored scores to a row."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import N, WriteRun
from scipy import stats

from nasbench_eval.errors import UsageError
from nasbench_eval.paths import configured
from nasbench_eval.report import cli, command, write
from nasbench_eval.report.aggregate import AGGREGATES, log_rank_sum, product, rank_sum
from nasbench_eval.report.scores import Scores, read_runs
from nasbench_eval.report.spec import (
    AggregateSpec,
    RowSpec,
    TableSpec,
    load_aggregate,
    load_table_spec,
)
from nasbench_eval.report.tables import Reporter, Settings, Table, Truth
from nasbench_eval.report.values import row_values

INF, NAN = np.inf, np.nan

# Arithmetic --------------------------------------------------------------------------------------------

A = np.array([1.0, 5.0, 3.0, 3.0])  # ranks 1, 4, 2.5, 2.5
B = np.array([-INF, 0.5, 0.1, 0.9])  # ranks 1, 3, 2, 4


def test_rank_sum_and_log_rank_sum() -> None:
    both = {"a": A, "b": B}
    assert rank_sum(both).tolist() == [1 + 1, 4 + 3, 2.5 + 2, 2.5 + 4]
    expected = [math.log(x / 4) + math.log(y / 4) for x, y in [(1, 1), (4, 3), (2.5, 2), (2.5, 4)]]
    assert log_rank_sum(both) == pytest.approx(expected)


def test_weights_multiply_the_ranks() -> None:
    both = {"a": A, "b": B}
    assert rank_sum(both, [2, 0.5]).tolist() == [2 + 0.5, 8 + 1.5, 5 + 1, 5 + 2]
    pairs = [(1, 1), (4, 3), (2.5, 2), (2.5, 4)]
    expected = [2 * math.log(x / 4) + 0.5 * math.log(y / 4) for x, y in pairs]
    assert log_rank_sum(both, [2, 0.5]) == pytest.approx(expected)


def test_product_multiplies_the_values() -> None:
    a, b = np.array([2.0, -3.0, 0.0, NAN, 1.0, 5.0]), np.array([4.0, 9.0, 16.0, 1.0, -INF, INF])
    assert product({"a": a, "b": b})[:3].tolist() == [8, -27, 0]
    # Only b is raised to a power; a's signs stay.
    weighted = product({"a": a, "b": b}, [1, 0.5])
    assert weighted[:3].tolist() == [4, -9, 0]
    assert np.isnan(weighted[3:]).all()


@pytest.mark.parametrize("value", [0.0, -2.0])
def test_a_power_of_what_is_not_positive_is_refused(value: float) -> None:
    members = {"a": np.array([1.0, 2.0]), "b": np.array([value, NAN])}
    assert product(members)[0] == value
    with pytest.raises(UsageError, match=f"takes 'b' to the power 2, but it goes down to {value:g}"):
        product(members, [1, 2])


def test_a_product_too_large_is_no_warning() -> None:
    assert product({"a": np.array([1e200]), "b": np.array([1e200])}).tolist() == [INF]


@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_failed_member_fails_the_sum(bad: float) -> None:
    total = rank_sum({"a": np.array([1.0, bad, 2.0]), "b": np.array([3.0, 2.0, 1.0])})
    assert np.isnan(total).tolist() == [False, True, False]
    # The failed one takes the lowest rank, not the highest.
    assert total[[0, 2]].tolist() == [2 + 3, 3 + 1]


def test_no_architecture_is_no_error() -> None:
    empty = np.array([])
    assert all(len(kind({"a": empty, "b": empty}, [1, 2])) == 0 for kind in AGGREGATES.values())


# Few distinct values, so that ties are common; all of them exact in every map below.
values = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=1, max_size=20)
weights = st.lists(st.floats(0.1, 10), min_size=2, max_size=2)


@pytest.mark.parametrize("kind", [rank_sum, log_rank_sum])
@given(rows=values, weights=weights)
def test_increasing_maps_leave_rank_aggregates_alone(kind: Any, rows: Any, weights: list[float]) -> None:
    a, b = np.array(rows, dtype=float).T
    plain = kind({"a": a, "b": b}, weights)
    assert (kind({"a": np.exp(a), "b": 3 * b**3 - 7}, weights) == plain).all()
    assert (kind({"a": np.where(a == -4, -INF, a), "b": b}, weights) == plain).all()


@given(rows=values, weights=weights)
def test_a_product_of_powers_is_a_sum_of_logarithms(rows: Any, weights: list[float]) -> None:
    a, b = np.exp(np.array(rows, dtype=float).T)
    logarithm = weights[0] * np.log(a) + weights[1] * np.log(b)
    assert np.log(product({"a": a, "b": b}, weights)) == pytest.approx(logarithm, abs=1e-9)


@pytest.mark.parametrize("kind", AGGREGATES)
@given(rows=values)
def test_equal_weights_are_no_weights(kind: str, rows: Any) -> None:
    a, b = np.exp(np.array(rows, dtype=float).T)
    members = {"a": a, "b": b}
    assert (AGGREGATES[kind](members, [1, 1]) == AGGREGATES[kind](members, [])).all()


# Definitions -------------------------------------------------------------------------------------------


def test_the_packages_own_definitions_load() -> None:
    names = configured("aggregate")
    assert {"te_nas", "teg", "az_nas", "vkdnw_agg"} <= set(names)
    assert [load_aggregate(name)[0] for name in names] == names
    assert load_aggregate("te_nas")[1] == AggregateSpec("rank_sum", ["ntk_condition_thin", "linear_regions"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aggregate: [", "does not define an aggregate"),
        ("only words", "does not define an aggregate"),
        ("aggregate: rank_sum", "does not define an aggregate: .*members"),
        ("{aggregate: ranksum, members: [a]}", "unknown kind of aggregate 'ranksum'; did you mean rank_sum"),
        ("{aggregate: rank_sum, members: []}", "needs members"),
        ("{aggregate: rank_sum, members: [a, a]}", "member 'a' occurs twice"),
        ("{aggregate: rank_sum, members: [a, b], weights: [1]}", "1 weights for 2 members"),
        ("{aggregate: rank_sum, members: [a, b], weights: [1, -2]}", "weight of 'b' is -2"),
        ("{aggregate: rank_sum, members: [a], weights: [.inf]}", "weight of 'a' is inf"),
        ("{aggregate: rank_sum, members: [a], weights: [.nan]}", "weight of 'a' is nan"),
        ("{aggregate: rank_sum, members: [a], weights: [x]}", "does not define an aggregate"),
        ("{aggregate: rank_sum, members: [a], wieghts: [1]}", "does not define an aggregate: .*wieghts"),
    ],
)
def test_definitions_are_checked(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UsageError, match=message) as raised:
        load_aggregate(str(tmp_path / "mine.yaml"))
    assert "\n" not in str(raised.value)


def test_unknown_definitions() -> None:
    with pytest.raises(UsageError, match="unknown aggregate 'te_nsa'; did you mean te_nas"):
        load_aggregate("te_nsa")
    with pytest.raises(UsageError, match=r"there is no aggregate definition nowhere\.yaml"):
        load_aggregate("nowhere.yaml")


def table_yaml(folder: Path, *rows: str) -> str:
    head = "title: t\nspace: nasbench201\ntruth: made up\ndatasets: [cifar10]\nrows:\n"
    (folder / "own.yaml").write_text(head + "".join(f"  - {row}\n" for row in rows))
    return str(folder / "own.yaml")


def test_a_row_names_finds_or_holds_its_definition(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("{aggregate: product, members: [a, b.c], weights: [2, 1]}")
    path = table_yaml(
        tmp_path,
        "{name: x, aggregate: az_nas}",
        "{name: y, aggregate: mine.yaml}",
        "{name: z, aggregate: {aggregate: rank_sum, members: [a]}}",
        "{name: w}",
    )
    spec = load_table_spec(path)[1]
    assert [row.aggregate for row in spec.rows] == [
        load_aggregate("az_nas")[1],
        AggregateSpec("product", ["a", "b.c"], [2, 1]),
        AggregateSpec("rank_sum", ["a"]),
        None,
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{name: x, aggregate: te_nsa}", "did you mean te_nas"),
        ("{name: x, aggregate: absent.yaml}", "there is no aggregate definition"),
        ("{name: x, aggregate: {aggregate: rank_sum, members: [a], weights: [0]}}", "row 'x': the weight"),
        ("{name: x, aggregate: {members: [a]}}", "does not define a table: .*aggregate"),
        ("{name: x, aggregate: te_nas, value: 2 * score}", "both a value and an aggregate"),
    ],
)
def test_a_rows_definition_is_checked(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_table_spec(table_yaml(tmp_path, row))


# From scores to rows -----------------------------------------------------------------------------------


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def formed(scores: Scores, *members: str, kind: str = "rank_sum") -> list[float]:
    row = RowSpec("mine", aggregate=AggregateSpec(kind, list(members)))
    values, notes = row_values(scores, "nasbench201", row, "cifar10")
    assert values is not None
    assert notes == []
    found: list[float] = values["value"].tolist()
    return found


def test_minus_infinity_ranks_lowest_and_other_failures_fail(write_run: WriteRun) -> None:
    a = {
        "score": [-INF, 2.0, INF, NAN, 9.0, 9.0],
        "status": ["inf", "ok", "inf", "nan", "error", "oom"],
    }
    scores = read_runs([write_run({("a", "cifar10"): a, ("b", "cifar10"): {"score": np.arange(6.0)}})])
    # −∞ shares the lowest rank with the four that failed: (1 + 2 + 3 + 4 + 5) / 5.
    assert formed(scores, "a", "b")[:2] == [3 + 1, 6 + 2]
    assert np.isnan(formed(scores, "a", "b")[2:]).all()
    assert np.isnan(formed(scores, "a", "b", kind="product")[2:]).all()


def test_a_column_survives_where_only_the_score_is_nan(write_run: WriteRun) -> None:
    a = {"score": [NAN, 1.0, NAN], "gamma": [7.0, 5.0, 6.0], "status": ["nan", "ok", "error"]}
    scores = read_runs([write_run({("a", "cifar10"): a})])
    assert formed(scores, "a.gamma")[:2] == [3, 2]
    assert math.isnan(formed(scores, "a.gamma")[2])


def test_members_are_joined_on_the_architecture(write_run: WriteRun) -> None:
    parts = {
        ("a", "cifar10"): {"index": [5, 2, 9, 7], "score": [1.0, 2.0, 3.0, 4.0]},
        ("b.c", "cifar10"): {"index": [9, 5, 8, 7], "score": [10.0, 20.0, 30.0, 40.0]},
    }
    scores = read_runs([write_run(parts)])
    row = RowSpec("mine", aggregate=AggregateSpec("product", ["a", "b.c"]))
    values, _ = row_values(scores, "nasbench201", row, "cifar10")
    assert values is not None
    assert values[["index", "value"]].to_numpy().tolist() == [[5, 20], [7, 160], [9, 30]]
    assert values["arch"].tolist() == ["|arch~5|", "|arch~7|", "|arch~9|"]


def test_members_without_a_common_architecture(write_run: WriteRun) -> None:
    parts = {(name, "cifar10"): {"index": [i], "score": [1.0]} for i, name in enumerate("ab")}
    row = RowSpec("mine", aggregate=AggregateSpec("rank_sum", ["a", "b"]))
    found = row_values(read_runs([write_run(parts)]), "nasbench201", row, "cifar10")
    assert found == (None, ["mine: no architecture has all its members"])


def own_table(folder: Path, truths: dict[str, Truth], datasets: list[str]) -> Table:
    row = RowSpec("mine", aggregate=AggregateSpec("rank_sum", ["a", "b"], [2, 1]))
    spec = TableSpec("t", "nasbench201", "made up", datasets, rows=[row, RowSpec("a")])
    return Reporter(read_runs([folder]), truths, Settings(resamples=0)).table("own", spec)


def test_the_size_of_the_set_is_stated(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    parts = {
        ("a", "cifar10"): {"score": rng(0).normal(size=N)},
        ("b", "cifar10"): {"index": np.arange(20, N), "score": rng(1).normal(size=N - 20)},
        ("a", "cifar100"): {"score": rng(2).normal(size=N)},
        ("b", "cifar100"): {"score": rng(3).normal(size=N)},
    }
    folder = write_run(parts)
    table = own_table(folder, truths, ["cifar10", "cifar100"])
    mine = "mine: rank_sum of a, b (weights 2, 1) among the"
    assert f"{mine} architectures that all members have scores of: 40 on cifar10, 60 on cifar100" in (
        table.notes
    )
    assert f"{mine} 60 architectures that all members have scores of" in (
        own_table(folder, truths, ["cifar100"]).notes
    )
    recorded = write.record([table], read_runs([folder]))["tables"]["own"]["aggregates"]
    assert recorded == {
        "mine": {
            "aggregate": "rank_sum",
            "members": ["a", "b"],
            "weights": [2, 1],
            "n_among": {"cifar10": 40, "cifar100": 60},
        }
    }


# The command's --aggregate -----------------------------------------------------------------------------


@pytest.fixture
def run(write_run: WriteRun) -> Path:
    parts = {
        (name, "cifar10"): {"score": rng(number).normal(size=N), "gamma": rng(number + 9).normal(size=N)}
        for number, name in enumerate(["snip", "zen", "own"])
    }
    return write_run(parts)


def call(monkeypatch: pytest.MonkeyPatch, truth: Truth, run: Path, *arguments: object) -> int:
    monkeypatch.setattr(command, "truth_of", lambda space, folder, live, benchmark: truth)
    given = [run, "--resamples", 0, "--table", "table1", *arguments]
    monkeypatch.setattr(sys, "argv", ["nasbench-report", *map(str, given)])
    return cli.main()


def test_a_row_without_writing_a_table(
    run: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in [
        ("mine", "{aggregate: rank_sum, members: [snip, zen.gamma], weights: [2, 1]}"),
        ("yours", "{aggregate: log_rank_sum, members: [own, snip]}"),
    ]:
        (run / f"{name}.yaml").write_text(text)
    wish = ["--aggregate", run / "mine.yaml", "--aggregate", run / "yours.yaml"]
    assert call(monkeypatch, truth, run, *wish) == 0
    assert "mine: rank_sum of snip, zen.gamma (weights 2, 1) among the 60" in capsys.readouterr().out
    record = json.loads((run / "tables" / "report.json").read_text(encoding="utf-8"))
    assert list(record["tables"]["table1"]["aggregates"]) == ["mine", "yours"]

    scores = read_runs([run])
    spec = command.with_aggregate([load_table_spec("table1")], str(run / "mine.yaml"), scores)[0][1]
    rows = Reporter(scores, {"nasbench201": truth}, Settings(resamples=0)).table("table1", spec).rows
    row = rows.set_index(["proxy", "dataset", "split"]).loc[("mine", "cifar10", "test")]
    snip, zen = rng(0).normal(size=N), rng(1 + 9).normal(size=N)
    total = 2 * stats.rankdata(snip) + stats.rankdata(zen)
    accuracy = truth.accuracy("cifar10", "test")
    assert row["kendall_tau"] == pytest.approx(stats.kendalltau(total, accuracy).statistic)
    assert row["group"] == "yours"


@pytest.mark.parametrize(
    ("name", "members", "message"),
    [
        ("mine", "[snip, zne]", "unknown member of aggregate 'mine' 'zne'; did you mean zen"),
        ("mine", "[snip, zen.gama]", "'zen.gama'; did you mean zen.gamma"),
        ("mine", "[snip, absent.gamma]", "'absent.gamma'; there are: own, snip, zen"),
        ("own", "[snip, zen]", "the run has a proxy labelled 'own' already; rename"),
        ("snip", "[snip, zen]", "table 'table1' has another row named 'snip'; rename"),
    ],
)
def test_what_cannot_be_added_exits_two(
    run: Path,
    truth: Truth,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    members: str,
    message: str,
) -> None:
    path = run / f"{name}.yaml"
    path.write_text(f"{{aggregate: rank_sum, members: {members}}}")
    assert call(monkeypatch, truth, run, "--aggregate", path) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert message in printed.err


def test_tables_that_have_the_row_or_lack_the_members_stay(write_run: WriteRun) -> None:
    parts = {(m, "cifar10"): {"score": [1.0, 2.0]} for m in ("ntk_condition_thin", "linear_regions")}
    scores = read_runs([write_run(parts)])
    specs = [load_table_spec("table1"), load_table_spec("table3")]
    elsewhere = ("far", TableSpec("t", "nasbench101", "made up", ["cifar10"], rows=[RowSpec("a")]))
    first, third, far = command.with_aggregate([*specs, elsewhere], "te_nas", scores)
    assert first == specs[0]
    assert third == specs[1]  # it takes no further rows, where another table does
    assert far == elsewhere
    [alone] = command.with_aggregate([specs[1]], "te_nas", scores)
    assert alone[1].ours == [*specs[1][1].ours, RowSpec("te_nas", aggregate=load_aggregate("te_nas")[1])]
    assert alone[1].yours == []
