"""Golden records: scores on file, which move only together with the proxy's version."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nasbench_eval import registry


@pytest.fixture(scope="module")
def record(golden_script: ModuleType, noise_images: Path) -> Any:
    """Computes a proxy's record."""
    return lambda name: golden_script.compute(name, noise_images)


@pytest.mark.parametrize("name", registry.own("proxies"))
def test_scores_have_not_moved(name: str, golden_script: ModuleType, record: Any) -> None:
    """To the record's tolerance, 1e-4 unless it says otherwise: kernels of other CPUs sum in another order.

    A failure means that scores moved.  If they should, raise `info.version` and run scripts/golden.py.
    """
    path = golden_script.FOLDER / f"{name}.json"
    assert path.is_file(), f"{name} has no golden record: run `python scripts/golden.py {name}`"
    old, new = golden_script.load(name), record(name)
    assert old["version"] == new["version"], f"run `python scripts/golden.py {name}` and say why scores moved"
    assert not golden_script.differences(old, new)
    assert old["rtol"] <= 0.03


def test_no_record_without_a_proxy(golden_script: ModuleType) -> None:
    assert {path.stem for path in golden_script.FOLDER.glob("*.json")} == set(registry.own("proxies"))


@pytest.mark.parametrize("name", ["intrain", "jacov", "zen"])
def test_a_record_holds_what_cannot_be_a_json_number(golden_script: ModuleType, name: str) -> None:
    rows = golden_script.load(name)["rows"]
    assert [row["arch"] for row in rows] == [cell for cell in golden_script.CELLS for _ in range(2)]
    for row in rows:
        value = float(row["score"])
        status = "ok" if math.isfinite(value) else "nan" if math.isnan(value) else "inf"
        assert row["status"] == status
        assert repr(value) == row["score"]  # to the last digit


CHANGES: dict[str, Any] = {
    "version": lambda r: r.update(version=2),
    "score": lambda r: r["rows"][0].update(score=repr(float(r["rows"][0]["score"]) * 1.002)),
    "gamma": lambda r: r["rows"][1].update(gamma="nan"),
    "status": lambda r: r["rows"][0].update(status="nan"),
    "rows": lambda r: r["rows"].pop(),
    "options": lambda r: r["options"].update(batch_size=4),
    "columns": lambda r: r["rows"][0].pop("gamma"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_difference_is_told(golden_script: ModuleType, change: str) -> None:
    old = golden_script.load("intrain")
    new = copy.deepcopy(old)
    assert golden_script.differences(old, new) == []
    CHANGES[change](new)
    (line,) = golden_script.differences(old, new)
    assert change in line


def test_writing_and_checking(
    golden_script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(golden_script, "FOLDER", tmp_path / "golden")
    assert golden_script.main(["--check", "params"]) == 1
    assert "params: no record on file" in capsys.readouterr().out
    assert not (tmp_path / "golden").exists()
    assert golden_script.main(["params"]) == 0
    path = tmp_path / "golden" / "params.json"
    text = path.read_text().replace('"rtol": 0.0001', '"rtol": 0.001')
    path.write_text(text)
    assert golden_script.main(["--check", "params"]) == 0
    path.write_text(text.replace('"version": 1', '"version": 0'))
    assert golden_script.main(["--check", "params"]) == 1
    assert golden_script.main(["params"]) == 0
    assert path.read_text() == text  # the version is put right, the tolerance kept


def test_a_first_record_is_called_new_when_it_is_written(
    golden_script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(golden_script, "FOLDER", tmp_path)
    assert golden_script.main(["--check", "params"]) == 1
    assert capsys.readouterr().out == "params: no record on file\n"
    assert golden_script.main(["params"]) == 0
    assert capsys.readouterr().out == "params: new record\n"
    assert golden_script.main(["--check", "params"]) == 0
    assert capsys.readouterr().out == ""
