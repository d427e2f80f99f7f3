"""All figures of a table: which files there are, and that they are the same every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import N, WriteRun
from made_up_figures import computed

from nasbench_eval.errors import UsageError
from nasbench_eval.report import FORMATS
from nasbench_eval.report.figure import table_drawings, write_drawings
from nasbench_eval.report.figure.write import Drawing
from nasbench_eval.report.scores import Scores
from nasbench_eval.report.spec import TableSpec
from nasbench_eval.report.tables import Table, Truth
from nasbench_eval.report.written import Written


def timed(seed: int) -> dict[str, np.ndarray]:
    return {"score": np.random.default_rng(seed).normal(size=N), "seconds": np.full(N, 1.0 + seed)}


def write(table: Table, scores: Scores, truths: dict[str, Truth], folder: Path) -> Written:
    return write_drawings(list(table_drawings(table, scores, truths.get("nasbench201"))), folder, FORMATS)


def stems(written: Written) -> list[str]:
    assert [Path(name).suffix[1:] for name in written.names] == [*FORMATS] * (len(written.names) // 3)
    return [name.rpartition(".")[0] for name in written.names[::3]]


def test_files_of_several_data_sets(write_run: WriteRun, truths: dict[str, Truth], tmp_path: Path) -> None:
    parts = {(name, "cifar10"): timed(seed) for seed, name in enumerate(["snip", "zen"])}
    parts["snip", "cifar100"] = timed(5)
    table, scores = computed(write_run(parts), truths)
    written = write(table, scores, truths, tmp_path)
    # One row has no cost to compare, and ImageNet16-120 has no row.
    expected = ["scatter_cifar10", "cost_cifar10", "found_cifar10", "scatter_cifar100", "found_cifar100"]
    assert stems(written) == ["table1", *(f"figures/table1_{name}" for name in expected)]
    assert all((tmp_path / name).stat().st_size > 1000 for name in written.names)
    assert [path.relative_to(tmp_path).as_posix() for _, path in written.titled] == written.names[2::3]
    titles = [title for title, _ in written.titled]
    assert titles[0] == table.spec.title
    assert titles[2] == "table1, CIFAR-10: τ and what it costs"
    assert len(set(titles)) == len(titles)


def test_files_of_one_data_set_are_the_same_every_time(
    write_run: WriteRun, truths: dict[str, Truth], tmp_path: Path
) -> None:
    parts = {(name, "cifar10"): timed(seed) for seed, name in enumerate(["snip", "zen"])}
    spec = TableSpec("Mine", "nasbench201", "made up", ["cifar10"], others=True)
    table, scores = computed(write_run(parts), truths, spec)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written = write(table, scores, truths, tmp_path / name)
    assert stems(written) == ["own", *(f"figures/own_{name}" for name in ("scatter", "cost", "found"))]
    for name in written.names:
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
        assert first == second, name
        for mark in (b"atplotlib.org", b"CreationDate", b"<dc:", str(tmp_path).encode()):
            assert mark not in first


def test_what_cannot_be_drawn_is_left_out(
    write_run: WriteRun, truths: dict[str, Truth], tmp_path: Path
) -> None:
    table, scores = computed(write_run({("snip", "cifar10"): {"score": np.zeros(N)}}), truths)
    folder = tmp_path / "empty"
    folder.mkdir()
    assert write(table, scores, truths, folder) == Written([], [])
    assert list(folder.iterdir()) == []
    parts = {(name, "cifar10"): timed(seed) for seed, name in enumerate(["snip", "zen"])}
    table, scores = computed(write_run(parts, name="other"), truths)
    assert stems(write(table, scores, {}, folder)) == [
        "table1",
        "figures/table1_cost_cifar10",
    ]


def test_scores_of_other_architectures_are_refused(
    write_run: WriteRun, truth: Truth, truths: dict[str, Truth], tmp_path: Path
) -> None:
    table, scores = computed(write_run({("snip", "cifar10"): timed(0)}), truths)
    with pytest.raises(UsageError, match="not the same"):
        write(table, scores, {"nasbench201": Truth(["other"] * N, truth.accuracy)}, tmp_path)


def test_written_adds_up() -> None:
    path = Path("a.svg")
    assert Written(["a"], [("A", path)]) + Written(["b"]) == Written(["a", "b"], [("A", path)])


def test_what_has_not_changed_is_not_drawn_again(
    write_run: WriteRun, truths: dict[str, Truth], tmp_path: Path
) -> None:
    parts = {(name, "cifar10"): timed(seed) for seed, name in enumerate(["snip", "zen"])}
    table, scores = computed(write_run(parts), truths)
    drawings = list(table_drawings(table, scores, truths["nasbench201"]))

    def unlike(drawing: Drawing) -> Drawing:
        return drawing._replace(draw=refused)

    first = write_drawings(drawings, tmp_path, ["png"])
    again = write_drawings([unlike(d) for d in drawings], tmp_path, ["png"], first.digests)
    assert again.names == []  # another function, so none of them is what was asked for
    first = write_drawings(drawings, tmp_path, ["png"])
    marks = {name: (tmp_path / name).stat().st_mtime_ns for name in first.names}
    other = first.names[1]
    (tmp_path / other).write_bytes(b"cut off")
    assert write_drawings(drawings, tmp_path, ["png"], first.digests) == first
    changed = [name for name in first.names if (tmp_path / name).stat().st_mtime_ns != marks[name]]
    assert changed == [other]
    # A figure of other numbers is another figure.
    moved = replace(table, rows=table.rows.assign(kendall_tau=table.rows["kendall_tau"] / 2))
    mine = list(table_drawings(moved, scores, truths["nasbench201"]))
    assert (
        write_drawings(mine, tmp_path, ["png"], first.digests).digests["table1.png"]
        != first.digests["table1.png"]
    )


def refused(*arguments: object) -> None:
    return None
