from __future__ import annotations

from pathlib import Path

import pytest

from nasbench_eval.data.folder import data_folder, output_folder, whole_file
from nasbench_eval.errors import UsageError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NASBENCH_EVAL_DATA", raising=False)


def test_explicit_comes_before_variable_comes_before_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("given", "named", "data"):
        (tmp_path / name).mkdir()
    assert data_folder() == Path("data")
    monkeypatch.setenv("NASBENCH_EVAL_DATA", str(tmp_path / "named"))
    assert data_folder() == tmp_path / "named"
    assert data_folder(tmp_path / "given") == tmp_path / "given"


def test_no_folder_at_all() -> None:
    with pytest.raises(UsageError, match=r"NASBENCH_EVAL_DATA is not set.*nasbench-data.*make data"):
        data_folder()


def test_a_folder_that_is_asked_for_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(UsageError, match="nowhere"):
        data_folder(tmp_path / "nowhere")
    monkeypatch.setenv("NASBENCH_EVAL_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=r"NASBENCH_EVAL_DATA names .*nowhere"):
        data_folder()


def test_what_cannot_be_a_name_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no data folder xxx"):
        data_folder(Path("x" * 300))
    monkeypatch.setenv("NASBENCH_EVAL_DATA", "x" * 300)
    with pytest.raises(UsageError, match="which is no folder"):
        data_folder()


def test_the_output_folder_need_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert output_folder() == Path("data")
    monkeypatch.setenv("NASBENCH_EVAL_DATA", str(tmp_path / "named"))
    assert output_folder() == tmp_path / "named"
    assert output_folder(tmp_path / "given") == tmp_path / "given"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with whole_file(path) as temporary:
        temporary.write_text("old")

    def fail() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write .*--data"), whole_file(tmp_path / "file" / "x.txt"):
        pytest.fail("the folder cannot exist")


def test_a_reader_of_the_old_file_is_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    with path.open() as reader:
        with whole_file(path) as temporary:
            temporary.write_text("newer")
        assert reader.read() == "new"
    assert path.read_text() == "newer"
