"""A proxy of another package whose formula changes without a new version: nothing is mixed in silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nasbench_eval.runs.store import read_scores

SMALL = ["space.channels=4", "space.cells_per_stage=1", "device=cpu", "workers=0"]
PROXY = """
from dataclasses import dataclass
from nasbench_eval.proxies.params import Params
from helping import SIGN

@dataclass(frozen=True)
class Signed(Params):
    info = Params.info.__class__("signed", 1, "a test, 2026", {columns})

    def score(self, records):
        value = SIGN * super().score(records)["score"]
        return dict.fromkeys(("score", *self.info.columns), value)
"""


class Package:
    """Another package with a proxy and a helper, and the command that scores with it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / "site"
        information = self.site / "signed-1.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: signed\nVersion: 1\n")
        (information / "entry_points.txt").write_text("[nasbench_eval.proxies]\nsigned = signed:Signed\n")
        (information / "RECORD").write_text("signed.py,,\nhelping.py,,\n")
        self.write(sign=1)

    def write(self, *, sign: int, columns: tuple[str, ...] = ()) -> None:
        (self.site / "signed.py").write_text(PROXY.format(columns=columns))
        (self.site / "helping.py").write_text(f"SIGN = {sign}\n")

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        name, *rest = words
        return subprocess.run(
            [
                sys.executable,
                "-c",
                f"import sys; from nasbench_eval.{name}; sys.exit(main())",
                *rest,
            ],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(self.site), *sys.path]),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
        )

    def score(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self("cli import score as main", "proxy=signed", *SMALL, *options)


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


def test_scores_of_a_changed_formula_are_neither_taken_over_nor_mixed(package: Package) -> None:
    assert package.score("n=3", "run=a").returncode == 0
    assert "3 scores taken over" in package.score("n=3", "run=same").stderr
    package.write(sign=-1)
    other = package.score("n=5", "run=b")
    assert other.returncode == 0
    assert "taken over" not in other.stderr
    assert (read_scores(package.folder / "results" / "b")["score"] < 0).all()

    refused = package.score("n=5", "run=a")
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    for said in ("changed since", "signed", "run=NAME", "allow_changed_code=true", "version"):
        assert said in line
    assert len(read_scores(package.folder / "results" / "a")) == 3

    assert package.score("n=5", "run=a", "allow_changed_code=true").returncode == 0
    run = package.folder / "results" / "a"
    assert sorted(read_scores(run)["score"] < 0) == [False] * 3 + [True] * 2
    assert json.loads((run / "run.json").read_text())["mixed"] == ["signed"]
    verified = package("verify.cli import main", str(run), "--no-scores")
    assert verified.returncode == 0
    assert "mixed on purpose: rows of signed come from more than one code" in verified.stdout


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (("index",), "the column 'index' is reserved"),
        (("seed",), "the column 'seed' is reserved"),
        (("score",), "the column 'score' is reserved"),
        (("part", "part"), "the column 'part' is there twice"),
        (("a b",), "the column 'a b' is no name"),
    ],
)
def test_columns_that_cannot_be_are_refused_at_the_start(
    package: Package, columns: tuple[str, ...], said: str
) -> None:
    package.write(sign=1, columns=columns)
    refused = package.score("n=2", "run=c")
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert f"signed: {said}" in line
    assert not (package.folder / "results" / "c").exists()
