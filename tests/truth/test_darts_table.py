"""The table of DARTS genotypes: converted, checked, and joined with scores by what a text means."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.spaces.darts import DARTS
from nasbench_eval.spaces.open import finder
from nasbench_eval.truth import build, darts
from nasbench_eval.truth.errors import MissingTruth, TruthError
from nasbench_eval.truth.sources import Source, digest
from nasbench_eval.truth.tables import accuracy, load_table

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Eight made-up rows of the table's form, which are the published ones from now on."""
    space, rng = DARTS(), np.random.default_rng(0)
    texts = [space.published(space.sample(rng)) for _ in range(8)]
    made = pd.DataFrame({"genotype": texts, "cifar10_val": rng.uniform(70, 90, 8)})
    lines = "".join(f"{text}\n" for text in texts)
    monkeypatch.setattr(darts, "ROWS", len(made))
    monkeypatch.setattr(darts, "GENOTYPES", hashlib.sha256(lines.encode()).hexdigest())
    monkeypatch.setattr(darts, "ACCURACIES", digest([made["cifar10_val"].to_numpy()]))
    return made


def test_a_row_is_our_text_and_an_accuracy(table: pd.DataFrame, tmp_path: Path) -> None:
    darts.save(table, tmp_path)
    found = load_table("darts", tmp_path)
    assert list(found.columns) == ["arch", "cifar10_val"]
    space = DARTS()
    assert [space.published(space.parse(text)) for text in found["arch"]] == table["genotype"].tolist()
    np.testing.assert_allclose(accuracy(found, "cifar10", "val"), table["cifar10_val"])
    with pytest.raises(UsageError, match="none on cifar100"):
        accuracy(found, "cifar100", "val")


def test_the_public_file_becomes_the_table(
    run: Run, served: tuple[Path, str], table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = served[0] / "genotypes.csv"
    table.to_csv(path, index=False, header=False)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(build, "DARTS_SOURCE", Source(f"{served[1]}/{path.name}", sha256=sha256))
    folder = tmp_path / "new"
    code, out, err = run("--data", folder, "--darts")
    assert (code, err) == (0, "")
    assert "built darts_1000.parquet: 8 genotypes, best accuracy" in out
    assert [each.name for each in folder.iterdir()] == [darts.FILE]
    code, out, _ = run("--data", folder, "--darts")
    assert (code, out.count("kept ")) == (0, 1)
    code, out, _ = run("--data", folder, "--check")
    assert "ok darts_1000.parquet: 8 genotypes" in out
    path.write_text("x,1\n")
    code, _, err = run("--data", tmp_path / "other", "--darts")
    assert (code, err.count("\n")) == (2, 1)
    assert "does not have the pinned sha256" in err


@pytest.mark.parametrize("other", [["--check"], ["--nats", "x"], ["--imagenet16", "x"]])
def test_the_option_stands_alone(run: Run, tmp_path: Path, other: list[str]) -> None:
    code, _, err = run("--data", tmp_path / "new", "--darts", *other)
    assert (code, err.count("\n")) == (2, 1)
    assert "--darts builds its table alone" in err


def test_another_table_is_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    shuffled = table.assign(cifar10_val=table["cifar10_val"].to_numpy()[::-1])
    for wrong, why in (
        (table.drop(columns="cifar10_val"), "lacks cifar10_val"),
        (table.iloc[:-1], "has 7 rows instead of 8"),
        (table.assign(cifar10_val="x"), "not numbers"),
        (table.assign(cifar10_val=table["cifar10_val"] / 100), "fractions instead of percentages"),
        (table.iloc[::-1], "not those of the published table, in its order"),
        (shuffled, "shuffled against the genotypes"),
    ):
        with pytest.raises(TruthError, match=why) as told:
            darts.check(wrong)
        assert "\n" not in str(told.value)
    with pytest.raises(MissingTruth, match="nasbench-data --darts"):
        darts.load(tmp_path)
    (tmp_path / darts.FILE).write_bytes(b"PAR1")
    with pytest.raises(TruthError, match="truncated or no parquet file"):
        darts.load(tmp_path)
    with pytest.raises(TruthError, match="is no CSV file"):
        darts.from_csv(tmp_path)


ONE = "sep3~0+skip~1|skip~0+max~2|skip~0+max~1|skip~0+max~1/" + "|".join(["skip~0+max~1"] * 4)
OTHER = "skip~1+sep3~0|max~2+skip~0|max~1+skip~0|skip~0+max~1/" + "|".join(["max~1+skip~0"] * 4)
THIRD = ONE.replace("sep3", "sep5")


def test_an_architecture_is_found_by_what_its_text_means() -> None:
    place = finder(DARTS(), [THIRD, ONE])
    assert [place(text) for text in (ONE, OTHER, THIRD)] == [1, 1, 0]
    assert place(ONE.replace("sep3", "dil3")) is None
    assert place("no genotype") is None


def test_of_texts_that_mean_the_same_each_has_its_own_place() -> None:
    """Two trainings of one network are not taken for each other, nor for a third text of it."""
    place = finder(DARTS(), [ONE, OTHER])
    assert (place(ONE), place(OTHER)) == (0, 1)
    assert place(ONE.replace("sep3~0+skip~1", "skip~1+sep3~0")) is None


def test_texts_are_read_only_if_need_be() -> None:
    class Unread:
        def parse(self, text: str) -> str:
            raise AssertionError(text)

    place = finder(Unread(), ["a", "b"])
    assert [place("b"), place("a")] == [1, 0]


def listed(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "list_judged.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_can_be_listed() -> None:
    for arguments, why in (
        (("nasbench201",), "n=all has them"),
        (("nasbench",), "unknown"),
    ):
        told = listed(*arguments)
        assert (told.returncode, told.stderr.count("\n")) == (2, 1)
        assert why in told.stderr


class TestOfficial:
    """The real table, where it is at hand."""

    @pytest.fixture
    def folder(self) -> Path:
        try:
            folder = data_folder()
            darts.load(folder)
        except MissingTruth:
            pytest.skip("there is no table of genotypes in the data folder: nasbench-data --darts")
        except UsageError as error:
            if isinstance(error, TruthError):
                raise  # a damaged table is no reason to pass over it
            pytest.skip(f"there is no data folder: {error}")
        return folder

    def test_what_is_stated_of_it_holds(self, folder: Path) -> None:
        found, space = darts.load(folder), DARTS()
        archs = [space.parse(text) for text in found["arch"]]
        assert len({str(space.canonical(arch)) for arch in archs}) == 1000
        assert all(arch.normal == arch.reduce for arch in archs)
        assert sum("none" in text for text in found["arch"]) == 644
        sizes = [space.params(arch, num_classes=10) for arch in archs]
        tau = pd.Series(sizes).corr(found["cifar10_val"], method="kendall")
        rho = pd.Series(sizes).corr(found["cifar10_val"], method="spearman")
        assert (round(tau, 3), round(rho, 3)) == (0.619, 0.805)

    def test_its_genotypes_are_listed(self, folder: Path) -> None:
        told = listed("darts", "--data", folder)
        assert told.stdout.splitlines() == darts.load(folder)["arch"].tolist()
