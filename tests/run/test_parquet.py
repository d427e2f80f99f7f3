"""Shards with and without the marks of copied and reused rows, and what they say of an architecture."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nasbench_eval
from nasbench_eval.errors import UsageError
from nasbench_eval.runs import parquet
from nasbench_eval.runs.rows import Row, Task
from nasbench_eval.runs.store import Store, digest, read_scores

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
        pq.write_table(pq.read_table(file, partitioning=None).drop_columns(list(parquet.MARKS)), file)
    return folder


def test_marks_are_integers_and_texts_that_may_be_absent(tmp_path: Path) -> None:
    written(tmp_path, row(0), row(1, copied_from=0), row(2, reused_from="other"))
    schema = pq.read_schema(next(tmp_path.rglob("*.parquet")))
    assert [str(schema.field(name).type) for name in parquet.MARKS] == ["int32", "string"]
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
    assert store.indices(Task("a", "p")) == {1, 4}
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
    found = {r["index"]: r for r in parquet.scores_of(tmp_path / PARTITION, {3, 5, 6, 7, 8, 9})}
    assert found.keys() == {3, 7}  # what 5 and 6 would score as is not known
    assert (found[3]["score"], found[3]["seconds"], found[3]["copied_from"]) == (5 / 7, 2.0, None)
    assert not parquet.scores_of(tmp_path / "absent", {1})


def test_only_shards_with_something_wanted_are_read_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(written(tmp_path, row(1)))
    written(tmp_path, row(2))
    read = []
    original = parquet.read

    def watched(file: Path, columns: Any = None) -> Any:
        read.append((file.name, columns is None))
        return original(file, columns)

    monkeypatch.setattr(parquet, "read", watched)
    assert [r["index"] for r in parquet.scores_of(tmp_path / PARTITION, {1})] == [1]
    assert [name for name, full in read if full] == ["part-00000.parquet"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop_columns(["status"]), "has no column status"),
        (lambda t: t.append_column("index", t["index"]), "has a column twice"),
        (lambda t: t.set_column(0, "index", pa.array(["a", "b"])), "has index as string"),
        (lambda t: t.set_column(0, "index", pa.array([0, None], pa.int32())), "has holes in index"),
        (lambda t: t.append_column("gamma", pa.array(["a", "b"])), "has gamma as string"),
    ],
)
def test_a_shard_of_other_columns_is_refused_by_name(
    tmp_path: Path, change: Callable[[pa.Table], pa.Table], said: str
) -> None:
    [file] = written(tmp_path, row(0), row(1)).rglob("part-*.parquet")
    pq.write_table(change(pq.ParquetFile(file).read()), file)
    with pytest.raises(UsageError, match=rf"part-00000\.parquet {said}; the command that made the run"):
        parquet.read(file)


@pytest.mark.parametrize(
    "said", [None, "null", "3", "[]", '["../../../../kept"]', '["part-00000.parquet", 3]', "["]
)
def test_a_merged_shard_replaces_shards_alone(tmp_path: Path, said: str | None) -> None:
    [file] = written(tmp_path, row(0)).rglob("part-*.parquet")
    (tmp_path / "kept").touch()
    metadata = {} if said is None else {"replaces": said}
    merged = pq.ParquetFile(file).read().replace_schema_metadata(metadata)
    pq.write_table(merged, file.with_name(".merged.parquet"))
    with pytest.raises(
        UsageError, match=r"\.merged\.parquet does not say which files it replaces; delete it"
    ):
        Store(tmp_path, "toy", IDENTITY, {})
    assert (tmp_path / "kept").exists()
    assert file.exists()


def test_other_files_do_not_number_shards(tmp_path: Path) -> None:
    partition = written(tmp_path, row(0)) / PARTITION
    (partition / "part-mine.parquet").touch()
    assert parquet.next_part(partition).name == "part-00001.parquet"


def test_texts_that_are_none_are_refused(tmp_path: Path) -> None:
    [file] = written(tmp_path, row(0)).rglob("part-*.parquet")
    shard = pq.ParquetFile(file).read()
    spoiled = pa.array([b"\x80\xff"]).view(pa.string())
    place = shard.column_names.index("arch")
    pq.write_table(shard.set_column(place, "arch", spoiled), file)
    with pytest.raises(UsageError, match=r"damaged .*UTF"):
        parquet.read(file)
