"""The histories of searches: read, put in order, and refused where they are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_searches import NAMES, TRUTH, trials, write

from nasbench_eval.errors import UsageError
from nasbench_eval.report.search.read import read_search, search_folders, trials_of
from nasbench_eval.report.search.rows import rows_of

A = trials([3, 9, 4], {"snip": [1, 5, 2]}, seed=0)
B = trials([7], {"snip": [1]}, seed=1)


def test_seeds_of_different_lengths_become_arrays(tmp_path: Path) -> None:
    run = read_search(write(tmp_path / "a", [A, B], record={"seed": 4}))
    assert (run.space, run.datasets, run.method, run.guide.values) == (
        "nasbench201", ["cifar10"], "regularized_evolution", ("snip",),
    )  # fmt: skip
    found = trials_of([run])
    assert found.seeds == ((4, 0), (4, 1))
    assert found.lengths.tolist() == [3, 1]
    assert found.index.tolist() == [[3, 9, 4], [7, -1, -1]]
    assert found.incumbent.tolist() == [[3, 9, 9], [7, 7, 7]]
    np.testing.assert_array_equal(found.told[..., 0], [[1, 5, 2], [1, np.nan, np.nan]])
    assert found.proxy.tolist() == [[2, 2, 2], [2, 0, 0]]
    assert found.wall.tolist() == [[0.5, 1, 1.5], [0.5, 0.5, 0.5]]


def test_an_answer_may_be_missing(tmp_path: Path) -> None:
    history = trials([3, 9], {"snip": [1, 5]}, incumbents=[None, None])
    assert trials_of([read_search(write(tmp_path / "a", [history]))]).incumbent.tolist() == [[-1, -1]]


@pytest.mark.parametrize(
    ("history", "said"),
    [
        (A[A["step"] != 1], "seed 0 lacks step 1"),
        (pd.concat([A, A[A["step"] == 1]]), "seed 0 has step 1 twice"),
        (A.drop(columns="told_snip"), "has no column told_snip"),
        (A.drop(columns=["arch", "step"]), "has no column step and arch"),
        (A.assign(index=[3, np.nan, 4]), "holes in the column index"),
        (A.assign(told_snip=["a", "b", "c"]), "for told_snip"),
        (A[:0], "holds no trials yet"),
    ],
)
def test_a_damaged_history_is_refused(tmp_path: Path, history: pd.DataFrame, said: str) -> None:
    folder = write(tmp_path / "a", [A])
    for file in (folder / "history").iterdir():
        file.unlink()
    history.to_parquet(folder / "history" / "part-00000.parquet")
    with pytest.raises(UsageError, match=said):
        read_search(folder)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", [A])
    (folder / "history" / "part-00007.parquet").write_text("not parquet")
    with pytest.raises(UsageError, match="cannot read the history"):
        read_search(folder)


def test_a_record_without_an_algorithm_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", [A], record={"search": {"guide": {}}})
    with pytest.raises(UsageError, match="does not say of its search what it should"):
        read_search(folder)


def test_a_folder_of_two_data_sets_is_refused(tmp_path: Path) -> None:
    """Earlier versions went on with a search on another data set."""
    folder = write(tmp_path / "a", [A], record={"datasets": {"cifar10": {}, "cifar100": {}}})
    with pytest.raises(UsageError, match="mixes searches on cifar10 and cifar100"):
        read_search(folder)


def test_folders_of_searches_are_found(tmp_path: Path) -> None:
    one = write(tmp_path / "multirun" / "b", [A])
    two = write(tmp_path / "multirun" / "a", [A])
    assert search_folders([tmp_path / "multirun"]) == [two, one]
    assert search_folders([one, one]) == [one]
    scores = tmp_path / "scores"
    scores.mkdir()
    (scores / "run.json").write_text("{}")
    assert search_folders([scores, tmp_path / "nowhere"]) == []
    with pytest.raises(UsageError, match="report searches apart from scores"):
        search_folders([one, scores])
    (tmp_path / "multirun" / "c").mkdir()
    (tmp_path / "multirun" / "c" / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="holds searches and runs of scores"):
        search_folders([tmp_path / "multirun"])


def test_rows_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    folders = [
        write(tmp_path / "a", [A]),
        write(tmp_path / "b", [A], steps=99),
        write(tmp_path / "c", [A], record={"seed": 1}),
    ]
    runs = [read_search(folder) for folder in folders]
    rows = rows_of(runs, [TRUTH] * 3)
    assert [row.algorithm for row in rows] == [
        "regularized_evolution (steps=3)",
        "regularized_evolution (steps=99)",
    ]
    assert rows[0].trials.seeds == ((0, 0), (1, 0))


def test_the_same_seed_twice_is_refused(tmp_path: Path) -> None:
    runs = [read_search(write(tmp_path / name, [A])) for name in "ab"]
    with pytest.raises(UsageError, match="seed 0 of regularized_evolution with snip is in both"):
        rows_of(runs, [TRUTH] * 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"arch": NAMES[8]}, "calls architecture 3"), ({"index": 15_625}, "ends at 15624")],
)
def test_a_history_of_other_architectures_is_refused(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    run = read_search(write(tmp_path / "a", [A.assign(**change)]))
    with pytest.raises(UsageError, match=said):
        rows_of([run], [TRUTH])
