"""Shards with and without the marks of copied and reused rows, and what they say of an architecture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import nasbench_eval
from nasbench_eval import shards
from nasbench_eval.store import Store, digest, read_scores
from nasbench_eval.worker import Row, Task

IDENTITY: dict[str, Any] = {
    "space": {"name": "toy"},
    "seed": 0,
    "datasets": {"a": {}},
    "proxies": {"p": {"name": "p"}, "q": {"name": "q"}},
}
# Of `written`, by the package as it was before there were marks.
FORMER_DIGEST = "5a9923499a680d926c75e10f98016db82e393f0542828e4a6dbb04438bd54d1e"
PARTITION = Path("scores/space=toy/dataset=a/proxy=p")


def row(index: int, label: str = "p", dataset: str = "a", **columns: Any) -> Row:
    place = {"dataset": dataset, "label": label, "index": index, "arch": f"arch-{index}", "seed": 0}
    found = {"score": index / 7, "seconds": 0.1, "status": "ok", "error": None, "proxy_version": 1}
    return {**place, **found, **columns}


def written(folder: Path, *rows: Row) -> Path:
    store = Store(folder, "toy", IDENTITY, {})
    store.add(rows or [row(0, gamma=1.5), row(1, gamma=math.nan), row(0, "q", "b")])
    store.close()
    return folder


def aged(folder: Path) -> Path:
    """As it was written before there were marks."""
    for file in folder.rglob("part-*.parquet"):
        pq.write_table(pq.read_table(file, partitioning=None).drop_columns(list(shards.MARKS)), file)
    return folder


def test_marks_are_integers_and_texts_that_may_be_absent(tmp_path: Path) -> None:
    written(tmp_path, row(0), row(1, copied_from=0), row(2, reused_from="other"))
    schema = pq.read_schema(next(tmp_path.rglob("*.parquet")))
    assert [str(schema.field(name).type) for name in shards.MARKS] == ["int32", "string"]
    scores = read_scores(tmp_path)
    assert scores["copied_from"].isna().to_list() == [True, False, True]
    assert scores["reused_from"].isna().to_list() == [True, True, False]


def test_a_digest_is_what_it_was_and_knows_no_marks(tmp_path: Path) -> None:
    assert digest(written(tmp_path / "now")) == FORMER_DIGEST
    assert digest(aged(written(tmp_path / "then"))) == FORMER_DIGEST
    marked = [row(0, gamma=1.5, reused_from="x"), row(1, gamma=math.nan, copied_from=0), row(0, "q", "b")]
    assert digest(written(tmp_path / "marked", *marked)) == FORMER_DIGEST


def test_shards_with_and_without_marks_merge(tmp_path: Path) -> None:
    aged(written(tmp_path, row(1), row(4)))
    store = Store(tmp_path, "toy", IDENTITY, {})
    assert store.done(Task("a", "p")) == {1, 4}
    store.add([row(2, copied_from=1)])
    store.flush()
    assert list(read_scores(tmp_path)["index"]) == [1, 2, 4]
    store.finish({})
    store.close()
    assert [file.name for file in tmp_path.rglob("*.parquet")] == ["part-00000.parquet"]
    scores = read_scores(tmp_path)
    assert list(scores["index"]) == [1, 2, 4]
    assert scores["copied_from"].isna().to_list() == [True, False, True]
    assert store.run["copied"] == 1


def test_pandas_users_see_scores_with_and_without_marks(tmp_path: Path) -> None:
    now, then = written(tmp_path / "now"), aged(written(tmp_path / "then"))
    for value in ("score", "gamma"):
        both = [nasbench_eval.load_scores(run, value=value) for run in (now, then)]
        pd.testing.assert_frame_equal(*both)


def test_a_copy_tells_the_score_of_its_representative(tmp_path: Path) -> None:
    failed = {"status": "oom", "score": math.nan}
    written(
        tmp_path,
        row(5, copied_from=3, seconds=2.0),
        row(6, copied_from=3, seconds=0.0),
        row(7),
        row(8, **failed),
    )
    found = {r["index"]: r for r in shards.scores_of(tmp_path / PARTITION, {3, 5, 6, 7, 8, 9})}
    assert found.keys() == {3, 7}  # what 5 and 6 would score as is not known
    assert (found[3]["score"], found[3]["seconds"], found[3]["copied_from"]) == (5 / 7, 2.0, None)
    assert not shards.scores_of(tmp_path / "absent", {1})


def test_only_shards_with_something_wanted_are_read_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(written(tmp_path, row(1)))
    written(tmp_path, row(2))
    read = []
    original = shards.read

    def watched(file: Path, columns: Any = None) -> Any:
        read.append((file.name, columns is None))
        return original(file, columns)

    monkeypatch.setattr(shards, "read", watched)
    assert [r["index"] for r in shards.scores_of(tmp_path / PARTITION, {1})] == [1]
    assert [name for name, full in read if full] == ["part-00000.parquet"]
