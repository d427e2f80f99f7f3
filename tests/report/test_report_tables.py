from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import N, WriteRun
from scipy import stats

from nasbench_eval.errors import UsageError
from nasbench_eval.paths import configured
from nasbench_eval.report.draw import draw_latex, draw_markdown, draw_text
from nasbench_eval.report.published import load_published, published_correlation
from nasbench_eval.report.scores import Part, read_runs
from nasbench_eval.report.spec import AggregateSpec, RowSpec, TableSpec, load_table_spec
from nasbench_eval.report.tables import CSV_COLUMNS, Reporter, Settings, Table, Truth
from nasbench_eval.report.values import row_values

QUICK = Settings(resamples=10)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def compute(folder: Path, truths: dict[str, Truth], name: str = "table1", **options: Any) -> Table:
    spec = load_table_spec(name)[1]
    settings = options.pop("settings", QUICK)
    return Reporter(read_runs([folder]), truths, settings).table(name, spec, **options)


def one(table: Table, proxy: str, dataset: str = "cifar10", split: str = "test") -> Any:
    rows = table.rows.set_index(["proxy", "dataset", "split"])
    return rows.loc[(proxy, dataset, split)]


# Reading -----------------------------------------------------------------------------------------------


def test_reads_parts_in_index_order(write_run: WriteRun) -> None:
    folder = write_run(
        {("snip", "cifar10"): {"score": np.arange(9.0)}, ("zen", "cifar100"): {"score": [1.0, 2]}}
    )
    scores = read_runs([folder])
    assert set(scores.frames) == {
        Part("nasbench201", "cifar10", "snip"),
        Part("nasbench201", "cifar100", "zen"),
    }
    assert scores.frames[Part("nasbench201", "cifar10", "snip")]["score"].tolist() == list(range(9))
    assert scores.labels("nasbench201") == ["snip", "zen"]


def test_labels_may_be_percent_encoded(write_run: WriteRun) -> None:
    folder = write_run({("in%3Dtrain", "cifar10"): {"score": [1.0, 2.0]}})
    assert read_runs([folder]).labels("nasbench201") == ["in=train"]


def test_duplicates_are_refused(write_run: WriteRun) -> None:
    folder = write_run({("snip", "cifar10"): {"score": np.arange(4.0), "index": [0, 7, 3, 7]}})
    with pytest.raises(UsageError, match=r"'snip' on cifar10 has 1 repeated rows .* architecture 7"):
        read_runs([folder])


def test_the_same_label_in_two_runs_is_refused(write_run: WriteRun) -> None:
    first = write_run({("snip", "cifar10"): {"score": [1.0, 2.0]}}, name="one")
    second = write_run({("snip", "cifar10"): {"score": [1.0, 2.0]}}, name="two")
    with pytest.raises(UsageError, match=r"'snip' on cifar10 is in both .*one and .*two"):
        read_runs([first, second])


def test_two_runs_add_up_unless_their_options_differ(write_run: WriteRun) -> None:
    def run(name: str, dataset: str, batch: int) -> Path:
        config = {"proxies": {"snip": {"name": "snip", "batch": batch}}}
        return write_run({("snip", dataset): {"score": [1.0, 2.0]}}, name=name, config=config)

    one_run, same, other = run("one", "cifar10", 64), run("two", "cifar100", 64), run("three", "cifar100", 8)
    assert len(read_runs([one_run, same]).frames) == 2
    with pytest.raises(UsageError, match="different options"):
        read_runs([one_run, other])


def test_a_folder_without_scores_is_refused(tmp_path: Path, write_run: WriteRun) -> None:
    with pytest.raises(UsageError, match="no run folder"):
        read_runs([tmp_path / "absent"])
    with pytest.raises(UsageError, match="holds no scores"):
        read_runs([write_run({}, name="empty")])


def test_broken_files_are_told_in_one_line(write_run: WriteRun) -> None:
    folder = write_run({("snip", "cifar10"): {"score": [1.0, 2.0]}})
    (path,) = folder.glob("scores/*/*/*/part-0.parquet")
    path.write_text("no")
    with pytest.raises(UsageError, match="cannot read the scores"):
        read_runs([folder])
    (folder / "run.json").write_text("{")
    with pytest.raises(UsageError, match="not valid JSON"):
        read_runs([folder])


# Published figures and definitions ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"index": ["a", "b"]}, "for index, or holes: not whole numbers"),
        ({"index": [0.0, 1.0]}, "have float64 for index"),
        ({"index": [0, 1], "status": [1, 2]}, "have int64 for status, or holes: not texts"),
    ],
)
def test_columns_of_other_kinds_are_told(write_run: WriteRun, columns: dict[str, Any], said: str) -> None:
    run = write_run({("a", "cifar10"): {"arch": ["x", "y"], "score": [1.0, 2.0], **columns}})
    with pytest.raises(UsageError, match=said):
        read_runs([run])


def test_live_cells_have_to_be_cells(write_run: WriteRun) -> None:
    scores = read_runs([write_run({("a", "cifar10"): {"score": [1.0, 2.0], "arch": ["no cell", "at all"]}})])
    with pytest.raises(UsageError, match="of 'a' on cifar10 name no cells: 'no cell'"):
        scores.live()


def test_published_figures() -> None:
    assert (
        published_correlation("intrain", "table1", "nasbench201", "cifar100", "zico", "kendall_tau") == 0.614
    )
    assert (
        published_correlation("intrain", "table1", "nasbench201", "cifar10", "params", "kendall_tau") is None
    )
    assert (
        not load_published()
        .duplicated(["source", "table", "space", "dataset", "item", "metric", "note"])
        .any()
    )


@pytest.mark.parametrize("name", ["table1", "table3"])
def test_every_published_row_of_a_table_is_found_and_none_forgotten(name: str) -> None:
    spec = load_table_spec(name)[1]
    figures = load_published()
    figures = figures[(figures["source"] == spec.source) & (figures["table"] == spec.table)]
    assert [row.published for row in spec.rows] == list(dict.fromkeys(figures["item"]))
    assert spec.datasets == list(dict.fromkeys(figures["dataset"]))
    assert not any(row.published for row in spec.ours)


def test_definitions_are_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean table1"):
        load_table_spec("tabel1")
    with pytest.raises(UsageError, match="no table definition"):
        load_table_spec(str(tmp_path / "mine.yaml"))
    head = "{title: t, paper: p, source: s, table: t, space: x, truth: a, datasets: [d], rows: "
    for text, message in [
        ("title: [", "does not define a table"),
        ("title: only", "does not define a table"),
        (head + "[{nam: a}]}", "does not define a table: .*nam"),
        (head + "[{name: a}, {name: a}]}", "two rows named 'a'"),
        (head + "[]}", "has no rows"),
        (head.replace("source: s, ", "") + "[{name: a, published: b}]}", "the table has no source"),
    ]:
        (tmp_path / "mine.yaml").write_text(text)
        with pytest.raises(UsageError, match=message):
            load_table_spec(str(tmp_path / "mine.yaml"))
    assert {"table1", "table3"} <= set(configured("table"))


# Computing ---------------------------------------------------------------------------------------------


def test_columns_and_rows(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    folder = write_run({("snip", "cifar10"): {"score": rng(0).normal(size=N)}})
    table = compute(folder, truths)
    csv = table.csv()
    assert ",".join(csv.columns) == (
        "proxy,dataset,split,n,n_failed,n_lowest,kendall_tau,kendall_low,kendall_high,"
        "spearman_rho,spearman_low,spearman_high,interval,published_tau,published_rho"
    )
    assert list(csv.columns) == CSV_COLUMNS
    # Fourteen published rows and six of ours, three data sets, two splits: missing ones are kept.
    assert len(csv) == 20 * 3 * 2
    missing = one(table, "zico", "cifar100", "val")
    assert (missing["n"], missing["n_failed"]) == (0, 0)
    assert np.isnan(missing["kendall_tau"])
    assert (missing["published_tau"], missing["published_rho"]) == (0.614, 0.809)


def test_a_row_is_the_correlation_with_its_own_accuracies(
    write_run: WriteRun, truths: dict[str, Truth]
) -> None:
    chosen = rng(3).permutation(N)[:40]
    parts = {
        ("snip", d): {"index": chosen, "score": rng(s).normal(size=40)}
        for s, d in enumerate(["cifar10", "cifar100"])
    }
    table = compute(write_run(parts), truths)
    for (_, dataset), columns in parts.items():
        for split in ("test", "val"):
            row = one(table, "snip", dataset, split)
            accuracy = truths["nasbench201"].accuracy(dataset, split)[chosen]
            assert row["n"] == 40
            assert row["kendall_tau"] == pytest.approx(stats.kendalltau(columns["score"], accuracy).statistic)
            assert row["spearman_rho"] == pytest.approx(stats.spearmanr(columns["score"], accuracy).statistic)
            assert row["kendall_low"] < row["kendall_high"]


def test_status_makes_a_failure(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    score = np.arange(N, dtype=float)
    status = ["ok"] * N
    score[:3] = [np.nan, np.inf, -np.inf]
    status[:5] = ["nan", "inf", "inf", "error", "oom"]
    folder = write_run({("snip", "cifar10"): {"score": score, "status": status}})
    worst = one(compute(folder, truths), "snip")
    omitted = one(compute(folder, truths, settings=Settings("omit", 10)), "snip")
    assert worst[["n", "n_failed", "n_lowest", "n_tied"]].tolist() == [N, 4, 1, 5]
    assert omitted[["n", "n_failed", "n_lowest", "n_tied"]].tolist() == [N, 4, 1, 0]
    accuracy = truths["nasbench201"].accuracy("cifar10", "test")
    kept = [2, *range(5, N)]  # −∞ is a score, the lowest there is
    ranks = stats.rankdata(score[kept])
    assert omitted["kendall_tau"] == pytest.approx(stats.kendalltau(ranks, accuracy[kept]).statistic)
    ranked = np.where(np.arange(N) < 5, -1, score)
    assert worst["kendall_tau"] == pytest.approx(stats.kendalltau(ranked, accuracy).statistic)


def test_derived_rows_of_the_ablation(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    gamma, resilience, score = rng(0).normal(size=(3, N))
    columns = {"gamma": gamma, "resilience": resilience, "score": score, "status": ["ok"] * N}
    # γ is sound where the score is not; where the run crashed nothing is.
    columns["status"][0], columns["status"][1] = "nan", "error"
    table = compute(write_run({("intrain", "cifar10"): columns}), truths, "table3")
    accuracy = truths["nasbench201"].accuracy("cifar10", "test")
    for name, values, failed in [
        ("gamma", gamma, [1]),
        ("resilience", resilience, [1]),
        ("additive", gamma + resilience, [1]),
        ("intrain", score, [0, 1]),
    ]:
        ranked = values.copy()
        ranked[failed] = -100
        row = one(table, name)
        assert row["n_failed"] == len(failed)
        assert row["kendall_tau"] == pytest.approx(stats.kendalltau(ranked, accuracy).statistic)
    assert one(table, "intrain_cell")["n"] == 0


def test_expressions_that_cannot_be_evaluated(write_run: WriteRun) -> None:
    scores = read_runs(
        [write_run({("a", "cifar10"): {"score": [1.0, 2.0], "b": [3.0, 4.0], "word": ["x", "y"]}})]
    )

    def value(expression: str) -> Any:
        return row_values(scores, "nasbench201", RowSpec("a", value=expression), "cifar10")

    found, notes = value("2 * b - score")
    assert found["value"].tolist() == [5.0, 6.0]
    assert notes == []
    assert value("b + absent") == (None, ["a: 'b + absent' needs a column that the scores do not have"])
    assert value("word")[0] is None
    with pytest.raises(UsageError, match="cannot evaluate"):
        value("b +")
    with pytest.raises(UsageError, match="one number"):
        value("1 + 1")


def test_aggregates_take_own_columns_or_other_labels(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    a, b = rng(1).normal(size=(2, N))
    a[0] = np.nan
    apart = {("ntk_condition_thin", "cifar10"): {"score": a}, ("linear_regions", "cifar10"): {"score": b}}
    within = {
        ("te_nas", "cifar10"): {"ntk_condition_thin": a, "linear_regions": b, "score": np.full(N, np.nan)}
    }
    rows = [
        one(compute(write_run(parts, name=name), truths), "te_nas")
        for name, parts in (("apart", apart), ("within", within))
    ]
    total = stats.rankdata(np.where(np.isnan(a), -np.inf, a)) + stats.rankdata(b)
    total[0] = -1
    accuracy = truths["nasbench201"].accuracy("cifar10", "test")
    for row in rows:
        assert (row["n"], row["n_failed"]) == (N, 1)
        assert row["kendall_tau"] == pytest.approx(stats.kendalltau(total, accuracy).statistic)


def test_an_aggregate_short_of_a_member_says_so(write_run: WriteRun) -> None:
    scores = read_runs([write_run({("snip", "cifar10"): {"score": [1.0, 2.0]}})])
    for lacking, said in [
        (["zen"], ["both: not computed, there are no scores of zen"]),
        (["zen", "no_such_proxy"], ["both: not computed, there are no scores of zen, no_such_proxy"]),
    ]:
        row = RowSpec("both", aggregate=AggregateSpec("rank_sum", ["snip", *lacking]))
        assert row_values(scores, "nasbench201", row, "cifar10") == (None, said)


def test_ours_stand_below_with_the_runs_own_proxies_last(
    write_run: WriteRun, truths: dict[str, Truth]
) -> None:
    names = ["mine", "snip", "intrain_cell", "params"]
    folder = write_run({(name, "cifar10"): {"score": rng(0).normal(size=N)} for name in names})
    rows = compute(folder, truths).rows
    section = rows[(rows["dataset"] == "cifar10") & (rows["split"] == "val")]
    assert section["group"].tolist() == ["paper"] * 14 + ["other"] * 6 + ["yours"]
    assert section["proxy"].tolist()[13:] == (
        ["intrain", "intrain_cell", "log_synflow", "params", "gradsign", "teg", "vkdnw_agg_16", "mine"]
    )
    assert section["published_tau"].notna().tolist() == [True] * 14 + [False] * 7


@pytest.mark.parametrize("n", [2, 3, 5, 19])
def test_a_handful_of_cells_has_no_interval(write_run: WriteRun, truths: dict[str, Truth], n: int) -> None:
    table = compute(write_run({("snip", "cifar10"): {"score": np.arange(n, dtype=float)}}), truths)
    row = one(table, "snip", "cifar10", "test")
    assert np.isfinite(row["kendall_tau"])
    assert np.isnan(row[["kendall_low", "kendall_high", "spearman_low", "spearman_high"]].astype(float)).all()
    assert row["interval"] == "n < 20"
    for drawn in (draw_text(table, "test"), draw_markdown(table)):
        [line] = [line for line in drawn.splitlines() if line.lstrip("| ").startswith("snip")][:1]
        assert line.count("n < 20") == 2
        assert "[" not in line
    assert "n < 20" in draw_latex(table)


def test_notes_tell_of_constant_scores_ties_and_other_options(
    write_run: WriteRun, truths: dict[str, Truth]
) -> None:
    config = {"proxies": {"intrain_cell": {"name": "intrain", "layers": "conv", "dead_layers": "collapsed"}}}
    parts = {
        ("zen", "cifar10"): {"score": np.full(N, 3.0)},
        ("zico", "cifar10"): {"score": np.full(N, np.nan), "status": ["nan"] * N},
        ("flops", "cifar10"): {"score": np.arange(N) // 2},
        ("intrain_cell", "cifar10"): {"score": rng(0).normal(size=N)},
    }
    notes = compute(write_run(parts, config=config), truths).notes
    assert "zen on cifar10: every score is the same, so there is no correlation" in notes
    assert "zico on cifar10: no score is finite, so there is no correlation" in notes
    assert "intrain_cell: was run with layers=conv, where the row says layers=cell" in notes
    assert "architectures that share their score with another: zen 100%, zico 100%, flops 100%" in notes
    assert len(notes) == len(set(notes))


def test_scores_of_other_architectures_are_refused(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    score = rng(0).normal(size=3)
    other = write_run(
        {("snip", "cifar10"): {"score": score, "arch": ["|arch~0|", "|arch~2|", "|arch~1|"]}}, name="a"
    )
    with pytest.raises(UsageError, match="architecture 1 of nasbench201 is not the same"):
        compute(other, truths)
    beyond = write_run(
        {("snip", "cifar10"): {"score": score, "index": [0, 1, N], "arch": ["x"] * 3}}, name="b"
    )
    with pytest.raises(UsageError, match=f"reach architecture {N}"):
        compute(beyond, truths)


def test_tables_need_their_space_and_split(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    folder = write_run({("snip", "cifar10"): {"score": [1.0, 2.0]}}, space="nasbench101")
    with pytest.raises(UsageError, match="about nasbench201, the scores are on nasbench101"):
        compute(folder, truths)
    with pytest.raises(UsageError, match="no such split; it has test, val"):
        compute(folder, truths, splits=["train"])


def test_a_shared_correlation_is_computed_once(
    write_run: WriteRun, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    from nasbench_eval.report import tables

    original = tables.correlate
    monkeypatch.setattr(tables, "correlate", lambda *a, **k: calls.append(1) or original(*a, **k))
    columns = {name: rng(0).normal(size=N) for name in ("score", "gamma", "resilience")}
    reporter = Reporter(
        read_runs([write_run({("intrain", "cifar10"): columns})]), {"nasbench201": truth}, QUICK
    )
    first, third = (reporter.table(n, load_table_spec(n)[1], ["test"]) for n in ("table1", "table3"))
    assert len(calls) == 4  # score, γ, o and their sum; not the score twice
    assert one(first, "intrain")["kendall_tau"] == one(third, "intrain")["kendall_tau"]


def test_a_table_of_ones_own(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    spec = TableSpec(
        title="t", paper="none", source="none", table="none", space="nasbench201", truth="made up",
        datasets=["cifar10"], splits=["val"], rows=[RowSpec("twice", proxy="snip", value="2 * score")],
    )  # fmt: skip
    scores = read_runs([write_run({("snip", "cifar10"): {"score": rng(0).normal(size=N)}})])
    rows = Reporter(scores, truths, QUICK).table("own", spec).rows
    assert rows[["proxy", "split", "n"]].to_numpy().tolist() == [["twice", "val", N]]


def test_a_stratified_sample_is_said_to_be_one(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    parts = {("snip", "cifar10"): {"score": np.arange(N, dtype=float)}}
    spec = load_table_spec("table1")[1]
    uniform = read_runs([write_run(parts, name="u", config={"sampling": "uniform"})])
    stratified = read_runs([write_run(parts, name="s", config={"sampling": "stratified"})])
    said = "s: architectures drawn in turn from 10 bands of accuracy, not at random"
    assert not any("drawn" in note for note in Reporter(uniform, truths, QUICK).table("t", spec).notes)
    assert any(said in note for note in Reporter(stratified, truths, QUICK).table("t", spec).notes)
