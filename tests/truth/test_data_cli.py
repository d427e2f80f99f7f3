"""`nasbench-data` from end to end, on synthetic sources behind a loopback address."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasbench_eval.data import images
from nasbench_eval.data.images import load_images
from nasbench_eval.errors import UsageError
from nasbench_eval.truth import build, nasbench201
from nasbench_eval.truth.nasbench201 import save
from nasbench_eval.truth.sources import IMAGE_SOURCES, TABLE_SOURCES, Source, fetch

Run = Callable[..., tuple[int, str, str]]
Publish = Callable[[Path, str], dict[str, Source]]


def save_images(folder: Path, dataset: str) -> None:
    shape = images.FORMATS[dataset]
    labels = np.arange(shape.num_classes)
    content = {
        "x_train": np.zeros((len(labels), shape.side, shape.side, 3), np.uint8),
        "y_train": labels.astype(np.uint8),
        "classes": np.array([f"c{k}" for k in labels]),
    }
    build.save_images(content, folder, dataset)


@pytest.fixture
def complete(lawful: pd.DataFrame, tmp_path: Path) -> Path:
    folder = tmp_path / "complete"
    save(lawful, folder)
    for dataset in images.FORMATS:
        save_images(folder, dataset)
    return folder


@pytest.fixture
def public(publish: Publish, served: tuple[Path, str]) -> dict[str, Source]:
    """The public files of accuracies behind the loopback address."""
    return publish(*served)


def test_check_a_complete_folder(run: Run, complete: Path) -> None:
    code, out, err = run("--out", complete, "--check")
    assert (code, err) == (0, "")
    assert (
        "ok nasbench201.parquet: 15625 architectures, 200 epochs, best test accuracies 94.37 / 73.51" in out
    )
    assert "ok images/cifar100.npz: 100 training images, 100 classes" in out


@pytest.mark.parametrize("words", [("--data", "{}"), ("--out", "{}"), ("data={}",), ("--data={}",)])
def test_the_data_folder_goes_by_one_word_and_its_old_one(
    run: Run, complete: Path, words: tuple[str, ...]
) -> None:
    code, out, _ = run(*(word.format(complete) for word in words), "--check")
    assert code == 0
    assert out.startswith(f"data folder {complete}\n")


def test_check_finds_what_is_wrong_and_what_is_missing(run: Run, complete: Path) -> None:
    (complete / "images" / "cifar10.npz").unlink()
    code, out, _ = run("--out", complete, "--check")
    assert code == 0
    assert "missing: no images of cifar10" in out
    path = complete / nasbench201.FILE
    path.write_bytes(path.read_bytes()[:-9])
    (complete / "images" / "cifar100.npz").write_bytes(b"PK")
    code, out, _ = run("--out", complete, "--check")
    assert code == 2
    assert "nasbench201.parquet is truncated" in out
    assert "cifar100.npz cannot be read" in out


def test_check_builds_nothing(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("--out", tmp_path / "new", "--check")
    assert code == 2
    assert "no NAS-Bench-201 table" in out
    assert not (tmp_path / "new").exists()


def test_what_is_right_is_kept(run: Run, complete: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "fetch", lambda *args: pytest.fail("nothing is to be fetched"))
    before = {path: path.stat().st_mtime_ns for path in complete.rglob("*")}
    code, out, _ = run("--out", complete)
    assert code == 0
    assert out.count("kept ") == 4
    assert {path: path.stat().st_mtime_ns for path in complete.rglob("*")} == before


def test_build_the_table_over_http(
    run: Run, public: dict[str, Source], lawful: pd.DataFrame, tmp_path: Path
) -> None:
    out_folder = tmp_path / "new"
    code, out, err = run("--out", out_folder, "--tables-only")
    assert (code, err) == (0, "")
    assert "built nasbench201.parquet" in out
    pd.testing.assert_frame_equal(nasbench201.load(out_folder), lawful, rtol=1e-12)
    assert [path.name for path in out_folder.iterdir()] == [nasbench201.FILE], "no downloads are left behind"


def test_a_wrong_table_is_replaced(run: Run, public: dict[str, Source], complete: Path) -> None:
    (complete / nasbench201.FILE).write_bytes(b"no parquet")
    code, out, _ = run("--out", complete, "--tables-only")
    assert code == 0
    assert "replacing a wrong table" in out
    assert "built nasbench201.parquet" in out


def test_a_tampered_download_is_refused(
    run: Run, public: dict[str, Source], served: tuple[Path, str], tmp_path: Path
) -> None:
    path = served[0] / public["cifar100"].name
    path.write_text(path.read_text().replace(",1.0,1.0\n", ",1.5,1.0\n"))
    code, _, err = run("--out", tmp_path / "new", "--tables-only")
    assert code == 2
    assert "other numbers than those pinned" in err
    assert err.rstrip().endswith("what was downloaded was deleted")
    assert not (tmp_path / "new" / nasbench201.FILE).exists()
    assert not (tmp_path / "new" / "downloads").exists()


def test_a_wrong_file_that_was_put_there_is_reported_and_kept(
    run: Run, public: dict[str, Source], tmp_path: Path
) -> None:
    put = tmp_path / "new" / "downloads" / public["cifar10_runs"].name
    put.parent.mkdir(parents=True)
    put.write_bytes(b"mine")
    code, _, err = run("--out", tmp_path / "new", "--tables-only")
    assert (code, err.count("\n")) == (2, 1)
    assert str(put) in err
    assert [path.name for path in put.parent.iterdir()] == [put.name]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nats", "x" * 300], "does not exist"),
        (["--nasbench101", "x" * 300], "which is no file"),
        (["--no-such"], "unrecognized arguments: --no-such"),
        (["--tables-only", "--images-only"], "not allowed with argument"),
    ],
)
def test_wrong_arguments_are_one_line(run: Run, tmp_path: Path, arguments: list[str], said: str) -> None:
    code, _, err = run("--out", tmp_path / "new", *arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err
    assert not (tmp_path / "new" / nasbench201.FILE).exists()


def test_a_missing_file_is_one_line_with_the_way_out(
    run: Run, public: dict[str, Source], served: tuple[Path, str], tmp_path: Path
) -> None:
    (served[0] / public["cifar10"].name).unlink()
    code, _, err = run("--out", tmp_path / "new", "--tables-only")
    assert code == 2
    assert err.count("\n") == 1
    assert f"cannot fetch {public['cifar10'].url} (404" in err
    assert str(tmp_path / "new" / "downloads" / public["cifar10"].name) in err


def test_no_network_is_one_line_with_the_way_out(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens on port 9 of the loopback interface.
    gone = {"cifar10": Source("http://127.0.0.1:9/cifar10.csv", content="0")}
    monkeypatch.setattr(build, "TABLE_SOURCES", gone)
    code, _, err = run("--out", tmp_path / "new", "--tables-only")
    assert code == 2
    assert err.count("\n") == 1
    assert "cannot fetch http://127.0.0.1:9/cifar10.csv" in err
    assert "by other means" in err


def test_a_file_fetched_by_hand_is_used(tmp_path: Path) -> None:
    (tmp_path / "archive.tar.gz").write_bytes(b"content")
    sha256 = hashlib.sha256(b"content").hexdigest()
    assert (
        fetch(Source("http://127.0.0.1:9/archive.tar.gz", sha256=sha256), tmp_path).read_bytes() == b"content"
    )


def test_another_checksum_is_refused(served: tuple[Path, str], tmp_path: Path) -> None:
    (served[0] / "archive.tar.gz").write_bytes(b"other")
    with pytest.raises(UsageError, match="does not have the pinned sha256 00"):
        fetch(Source(f"{served[1]}/archive.tar.gz", sha256="00" * 32), tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())


def test_images_without_imagenet16(run: Run, complete: Path) -> None:
    (complete / "images" / "imagenet16_120.npz").unlink()
    code, out, _ = run("--out", complete, "--images-only")
    assert code == 0
    assert "imagenet16_120 has no public https file" in out
    assert "--imagenet16" in out


def test_build_images(
    run: Run, complete: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (served[0] / "archive.tar.gz").write_bytes(b"archive")
    sha256 = hashlib.sha256(b"archive").hexdigest()
    monkeypatch.setattr(
        build, "IMAGE_SOURCES", {"cifar10": Source(f"{served[1]}/archive.tar.gz", sha256=sha256)}
    )

    def convert(archive: Path, dataset: str) -> images.Arrays:
        assert archive.read_bytes() == b"archive"
        with np.load(complete / "images" / "kept.npz") as content:
            return dict(content)

    monkeypatch.setattr(build, "from_cifar_archive", convert)
    (complete / "images" / "cifar10.npz").rename(complete / "images" / "kept.npz")
    code, out, _ = run("--out", complete, "--images-only")
    assert code == 0
    assert "built images/cifar10.npz: 10 training images" in out
    assert load_images(complete, "cifar10").num_classes == 10
    assert not (complete / "downloads").exists()


def test_nats_is_checked_before_it_is_written(run: Run, tmp_path: Path) -> None:
    code, _, err = run("--out", tmp_path / "new", "--nats", tmp_path / "nowhere", "--tables-only")
    assert code == 2
    assert "does not exist" in err
    assert not (tmp_path / "new").exists()


def test_the_folder_is_the_variables(run: Run, complete: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVAL_DATA", str(complete))
    code, out, _ = run("--check")
    assert code == 0
    assert f"data folder {complete}" in out


def test_every_public_source_is_https_and_pinned() -> None:
    for source in (*TABLE_SOURCES.values(), *IMAGE_SOURCES.values()):
        assert source.url.startswith("https://")
        assert len(source.sha256 or source.content or "") == 64
