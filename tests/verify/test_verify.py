"""`nasbench-verify` passes what is whole and names what is not."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from commands import Asked, scored

from nasbench_eval import sampling
from nasbench_eval.errors import UsageError
from nasbench_eval.proxies.intrain import InTrain
from nasbench_eval.proxies.params import Params
from nasbench_eval.runs import parquet
from nasbench_eval.runs.record import fingerprint
from nasbench_eval.runs.store import digest
from nasbench_eval.scoring.job import job_of
from nasbench_eval.verify import rescoring
from nasbench_eval.verify.cli import main

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted(file.parent for file in (ROOT / "results").rglob("run.json"))
Row = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "good"
    scored(folder, "proxy=[intrain,params]", "n=12", "workers=1")
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of a good run: 12 cells, two proxies."""
    return shutil.copytree(made, tmp_path / "run")


class Verified(NamedTuple):
    code: int
    checks: dict[str, tuple[str, str]]  # status and text by name, of the last run that has it
    out: str
    err: str

    def failed(self) -> set[str]:
        return {name for name, (status, _) in self.checks.items() if status == "FAIL"}


Verify = Callable[..., Verified]


@pytest.fixture
def verify(asked: Asked) -> Verify:
    """Runs the command."""

    def call(*arguments: object) -> Verified:
        code, out, err = asked(main, "nasbench-verify", *arguments)
        checks = {}
        for line in out.splitlines():
            if line.startswith("  "):
                status, name, text = line.split(maxsplit=2)
                if name == "scores":
                    label, text = text.split(": ", 1)
                    name += f" {label}"
                checks[name] = (status, text)
        return Verified(code, checks, out, err)

    return call


def shard(run: Path, label: str = "intrain") -> Path:
    [file] = run.rglob(f"proxy={label}/part-*.parquet")
    return file


def rewrite(
    file: Path, change: Callable[[list[Row]], object], record: Mapping[str, Any] | None = None
) -> None:
    """Change the rows of a shard in place, or the record it bears."""
    table = parquet.read(file)
    rows = table.to_pylist()
    change(rows)
    parquet.write(file, rows, parquet.record_of(table) if record is None else record)


def record(run: Path, **changes: Any) -> dict[str, Any]:
    """The content of run.json, with changes; None takes a part away."""
    file = run / "run.json"
    known: dict[str, Any] = {**json.loads(file.read_text()), **changes}
    known = {key: value for key, value in known.items() if value is not None}
    file.write_text(json.dumps(known))
    return known


def move(rows: list[Row], factor: float) -> None:
    rows[3]["score"] *= factor


def test_a_good_run_passes_bit_for_bit(run: Path, verify: Verify) -> None:
    verified = verify(run, "--cells", "3")
    assert (verified.code, verified.err) == (0, "")
    assert {status for status, _ in verified.checks.values()} == {"ok"}
    assert verified.checks["scores intrain"] == ("ok", "3 rows of 3 cells equal to the bit")
    assert verified.checks["scores params"] == ("ok", "3 rows of 3 cells equal to the bit")
    assert "bit for bit" in verified.checks["machinery"][1]
    assert "2 partitions with all 12 cells" in verified.checks["complete"][1]
    assert verified.out.endswith(f"1 run: {len(verified.checks)} ok, 0 failed, 0 skipped\n")


def test_without_scores_nothing_is_scored(run: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescoring, "Scorer", None)
    verified = verify(run, "--no-scores")
    assert verified.code == 0
    assert not any(name.startswith("scores") for name in verified.checks)


def test_the_draw_is_seeded_and_shared_by_proxies(
    run: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    call = rescoring.Scorer.__call__

    def watched(self: Any, index: int, tasks: Any) -> Any:
        asked.append((index, len(tasks)))
        return call(self, index, tasks)

    monkeypatch.setattr(rescoring.Scorer, "__call__", watched)
    for seed in (0, 0, 1):
        assert verify(run, "cells=4", f"seed={seed}").code == 0
    first, again, other = asked[:4], asked[4:8], asked[8:]
    assert first == again != other
    assert {tasks for _, tasks in asked} == {2}
    assert len(asked) == 12


def duplicate(run: Path) -> None:
    rewrite(shard(run), lambda rows: rows.append(rows[0]))


def misname(run: Path) -> None:
    rewrite(shard(run), lambda rows: rows[0].update(arch=rows[1]["arch"]))


def outside(run: Path) -> None:
    rewrite(shard(run), lambda rows: rows[0].update(index=15625))


def other_seed(run: Path) -> None:
    rewrite(shard(run), lambda rows: rows[0].update(seed=1))


def other_version(run: Path) -> None:
    rewrite(shard(run), lambda rows: rows[0].update(proxy_version=9))


def wrong_status(run: Path) -> None:
    rewrite(shard(run), lambda rows: rows[0].update(status="nan"))


def drop_column(run: Path) -> None:
    def change(rows: list[Row]) -> None:
        for row in rows:
            del row["gamma"]

    rewrite(shard(run), change)


def copy_without_dedupe(run: Path) -> None:
    rewrite(shard(run), lambda rows: rows[0].update(copied_from=3))


def other_options(run: Path) -> None:
    known = record(run)
    changed = {**known["proxies"], "intrain": {**known["proxies"]["intrain"], "layers": "cell"}}
    rewrite(shard(run), lambda rows: None, {**known, "proxies": changed})


def truncate(run: Path) -> None:
    file = shard(run)
    file.write_bytes(file.read_bytes()[:-40])


def leave_a_temporary_file(run: Path) -> None:
    shard(run).with_name(".part-00001.parquet.tmp").write_bytes(b"PAR")


def make_a_hole(run: Path) -> None:
    rewrite(shard(run), lambda rows: rows.pop(5))
    record(run, scores_sha256=digest(run), rows={"cifar10": {"intrain": 11, "params": 12}})


SPOILED: dict[str, tuple[Callable[[Path], object], set[str], str]] = {
    "missing shard": (lambda run: shard(run).unlink(), {"rows", "digest"}, "intrain on cifar10: 0 cells, 12"),
    "truncated": (truncate, {"files", "digest", "rows", "complete"}, "part-00000.parquet is damaged"),
    "flipped score": (
        lambda run: rewrite(shard(run), lambda rows: move(rows, 1 + 1e-15)),
        {"digest"},
        "the scores come to",
    ),
    "changed digest": (
        lambda run: record(run, scores_sha256="0" * 64),
        {"digest"},
        f"recorded is {'0' * 64}",
    ),
    "duplicate row": (duplicate, {"cells", "digest"}, "intrain on cifar10: 1 cell twice"),
    "wrong name": (misname, {"cells", "digest"}, "another architecture's text at"),
    "outside": (outside, {"cells", "digest", "complete"}, "outside the space 15625"),
    "seed": (other_seed, {"values", "digest"}, "seed 1 where the record says 0"),
    "row's version": (other_version, {"values", "digest"}, "proxy_version 9 where the record says 1"),
    "status": (wrong_status, {"values", "digest"}, "the status is not that of the score"),
    "column": (drop_column, {"files", "digest", "rows", "complete"}, "has no column gamma"),
    "copy": (copy_without_dedupe, {"copies"}, "dedupe=none is recorded"),
    "options": (other_options, {"config"}, '"layers": "cell"'),
    "leftover": (leave_a_temporary_file, {"leftovers"}, ".part-00001.parquet.tmp"),
    "hole": (make_a_hole, {"complete"}, "intrain on cifar10 lacks 1 of 12 cells:"),
    "count": (lambda run: record(run, rows={"cifar10": {"intrain": 12}}), {"rows"}, "12 cells, 0 recorded"),
    "unfinished": (
        lambda run: record(run, finished=None),
        {"record"},
        "an interrupted session; it continues with: nasbench-score",
    ),
    "record": (lambda run: (run / "run.json").write_text("{"), {"record"}, "run.json cannot be read"),
    "no record": (lambda run: (run / "run.json").unlink(), {"record"}, "run.json cannot be read"),
    "empty record": (lambda run: (run / "run.json").write_text("{}"), {"record"}, "does not say"),
    "torn record": (lambda run: record(run, proxies={"intrain": {"name": "intrain"}}), {"record"}, "intrain"),
}


@pytest.mark.parametrize(("spoil", "failed", "said"), SPOILED.values(), ids=SPOILED.keys())
def test_what_is_wrong_is_named(
    spoil: Callable[[Path], object], failed: set[str], said: str, run: Path, verify: Verify
) -> None:
    spoil(run)
    verified = verify(run, "--no-scores")
    assert verified.code == 1
    assert verified.failed() == failed
    assert said in verified.out
    assert all(len(line.splitlines()) == 1 for line in verified.out.split("\n")[:-1])


def test_a_flipped_score_that_the_digest_hides_is_found_by_scoring(run: Path, verify: Verify) -> None:
    rewrite(shard(run), lambda rows: move(rows, 1 + 1e-15))
    record(run, scores_sha256=digest(run))
    verified = verify(run, "--cells", "12")
    assert verified.code == 1
    assert verified.failed() == {"scores intrain"}
    assert "1 of 12 rows not bit for bit; the largest relative difference is" in verified.out
    near = verify(run, "--cells", "12", "--near")
    assert near.code == 0
    assert "within 0.001: 1 differ, the largest relative difference is" in near.checks["scores intrain"][1]


@pytest.mark.parametrize(("factor", "code"), [(1, 0), (1 + 1e-6, 0), (1.01, 1)])
def test_another_pytorch_is_compared_within_a_tolerance(
    factor: float, code: int, run: Path, verify: Verify
) -> None:
    rewrite(shard(run), lambda rows: move(rows, factor))
    versions = {**record(run)["versions"], "torch": "2.0"}
    record(run, scores_sha256=digest(run), versions=versions)
    verified = verify(run, "--cells", "12")
    assert verified.code == code
    assert verified.checks["machinery"][1].startswith(
        f"made with torch 2.0, here {torch.__version__}: scores"
    )
    assert verified.checks["machinery"][1].endswith("within 0.001")


@pytest.mark.parametrize(
    ("changes", "exact"),
    [
        ({}, True),
        ({"processor": None}, True),
        ({"processor": "another"}, False),
        ({"device_name": "x86_64 of the future"}, False),
        ({"device": "cuda"}, False),
        ({"earlier": [{"device": "cuda"}]}, False),
    ],
)
def test_bits_have_to_agree_only_on_the_same_machinery(
    changes: dict[str, Any], exact: bool, run: Path
) -> None:
    assert rescoring.comparison(record(run, **changes), torch.device("cpu"))[0] is exact


@pytest.mark.parametrize("value", [None, 3, "x", [], [3], {}, {"intrain": 3}, {"cifar10": 3}, {"name": "x"}])
def test_whatever_stands_in_a_record_is_no_crash(value: object, run: Path, verify: Verify) -> None:
    known = record(run)
    for key in known.keys() | {"processor", "reused"}:
        (run / "run.json").write_text(json.dumps({**known, key: value}))
        assert verify(run, "cells=1").code in (0, 1)


def test_an_unfinished_run_that_is_in_use_says_so(run: Path, verify: Verify) -> None:
    record(run, finished=None)
    with (run / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert "another process is writing" in verify(run, "--no-scores").checks["record"][1]


def test_a_proxy_of_another_version_is_skipped(
    run: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InTrain, "info", replace(InTrain.info, version=9))
    verified = verify(run, "--cells", "1")
    assert verified.code == 0
    assert verified.checks["proxies"] == ("skip", "intrain: version 1 in the run, 9 here: other scores")
    assert verified.checks["scores intrain"][0] == "skip"
    assert verified.checks["scores params"][0] == "ok"


def test_a_proxy_that_is_not_installed_is_skipped(run: Path, verify: Verify) -> None:
    known = record(run)
    proxies = {**known["proxies"], "intrain": {**known["proxies"]["intrain"], "name": "of_a_plugin"}}
    known = record(run, proxies=proxies)
    for label in ("intrain", "params"):
        rewrite(shard(run, label), lambda rows: None, known)
    verified = verify(run, "--cells", "1")
    assert verified.code == 0
    assert verified.checks["scores intrain"][0] == "skip"
    assert "unknown proxy 'of_a_plugin'" in verified.checks["scores intrain"][1]
    assert verified.checks["scores params"][0] == "ok"


def test_a_space_that_is_not_installed_leaves_what_needs_none(run: Path, verify: Verify) -> None:
    known = record(run)
    record(run, space={**known["space"], "depth": 3})
    verified = verify(run)
    assert {verified.checks[name][0] for name in ("cells", "complete", "machinery")} == {"skip"}
    assert verified.failed() == {"config"}  # every shard says otherwise


def test_proxies_may_be_left_out(run: Path, verify: Verify) -> None:
    verified = verify(run, "--cells", "1", "--skip", "params")
    assert verified.checks["scores params"] == ("skip", "left out, as asked")
    assert verified.checks["scores intrain"][0] == "ok"


def test_copies_are_compared_with_their_representative(tmp_path: Path, verify: Verify) -> None:
    run = tmp_path / "deduped"
    scored(run, "indices=[5157,1157,57]", "dedupe=isomorphic")
    verified = verify(run)
    assert verified.code == 0
    assert verified.checks["copies"] == ("ok", "2 rows of isomorphic cells")
    assert "all 3 cells" in verified.checks["complete"][1]
    assert verified.checks["scores intrain"] == ("ok", "3 rows of 3 cells equal to the bit")
    rewrite(shard(run), lambda rows: rows[1].update(copied_from=3))
    assert verify(run, "--no-scores").failed() == {"copies"}


def test_a_folder_of_several_samples_is_told_and_no_failure(tmp_path: Path, verify: Verify) -> None:
    run = tmp_path / "mixed"
    scored(run, "n=4")
    scored(run, "proxy=grad_norm", "proxy.input=gaussian", "n=9")
    verified = verify(run, "--no-scores")
    assert verified.code == 0
    assert verified.checks["complete"][1] == (
        "1 partition with all 9 cells that were asked for last; "
        "1 with smaller samples (4 cells): intrain on cifar10"
    )
    scored(run, "proxy=grad_norm", "proxy.input=gaussian", "indices=[1,2]")
    assert verify(run, "--no-scores").code == 0


def test_a_sample_that_was_begun_larger_is_told(run: Path, verify: Verify) -> None:
    known = record(run)
    kept = [3, 7]  # of the sample, in the order of the draw
    for label, cells in zip(("intrain", "params"), kept, strict=True):
        first = set(sampling.uniform(15625, cells, known["sample_seed"]))
        rows = parquet.read(shard(run, label)).to_pylist()
        parquet.write(shard(run, label), [row for row in rows if row["index"] in first], known)
    counts = {"cifar10": dict(zip(("intrain", "params"), kept, strict=True))}
    record(run, rows=counts, scores_sha256=digest(run))
    verified = verify(run, "--no-scores")
    assert verified.code == 0
    assert "2 with smaller samples (3, 7 cells): intrain on cifar10," in verified.checks["complete"][1]
    assert verified.checks["complete"][1].endswith("; 2 of these begun for more")


def test_images_must_be_there_and_those_of_the_run(
    tmp_path: Path, verify: Verify, noise_images: Path
) -> None:
    run = tmp_path / "imaged"
    scored(run, "proxy=[snip,params]", "n=2", f"data={noise_images}")
    verified = verify(run)
    assert verified.code == 0
    assert verified.checks["scores snip"][0] == "skip"
    assert "reads images of cifar10: no ground truth" in verified.checks["scores snip"][1]
    assert verify(run, "--data", noise_images).checks["scores snip"][0] == "ok"
    record(run, images={"cifar10": "0" * 64})
    verified = verify(run, "--data", noise_images)
    assert verified.checks["scores snip"][0] == "skip"
    assert "holds others than the run read" in verified.checks["scores snip"][1]


def test_several_runs_are_one_verdict(run: Path, made: Path, verify: Verify) -> None:
    duplicate(run)
    assert verify(run.parent, "--no-scores").out == verify(run, "--no-scores").out
    verified = verify(run, made, "--no-scores")
    assert verified.code == 1
    assert [line for line in verified.out.splitlines()[:-1] if line[0] != " "] == [str(run), str(made)]
    assert verified.out.splitlines()[-1].startswith("2 runs: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the following arguments are required: run"),
        (("RUN", "--foo"), "unrecognized arguments: --foo"),
        (("RUN", "--cells", "0"), "should be at least 1"),
        (("RUN", "--rtol", "x"), "x is no number from 0 to 1"),
        (("RUN", "--skip", "intrian"), "did you mean intrain"),
        (("RUN", "--data", "nowhere"), "there is no data folder nowhere"),
        (("RUN/scores",), "is no run's folder: there is no run.json in it"),
        (("nowhere",), "is no run's folder"),
    ],
)
def test_wrong_usage_is_told_in_a_line(
    arguments: tuple[str, ...], said: str, run: Path, verify: Verify
) -> None:
    verified = verify(*(word.replace("RUN", str(run)) for word in arguments))
    assert verified.code == 2
    assert said in verified.err
    assert not verified.out


def test_a_record_gives_back_the_job(run: Path) -> None:
    job = job_of(record(run))
    assert job.proxies == {"intrain": InTrain(batch_size=4, resolution=8), "params": Params()}
    assert (job.seed, job.precision, list(job.datasets)) == (0, "float32", ["cifar10"])
    assert job_of(record(run), ["params"]).proxies.keys() == {"params"}
    known = record(run)
    known["proxies"]["intrain"]["colour"] = "red"
    with pytest.raises(UsageError, match="unknown option of intrain 'colour'"):
        job_of(known)


def test_a_run_without_a_name_bears_the_fingerprint_of_its_record(tmp_path: Path, verify: Verify) -> None:
    scored(tmp_path / "x", "n=2", "run=null")
    [folder] = tmp_path.glob("nasbench201-*")
    assert folder.name.endswith(fingerprint(record(folder)))
    assert verify(folder, "--no-scores").code == 0
    assert verify(folder.rename(f"{folder.parent / folder.name[:-8]}00000000"), "--no-scores").failed() == {
        "config"
    }


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_the_committed_runs_are_whole(folder: Path, verify: Verify) -> None:
    verified = verify(folder, "--no-scores")
    assert not verified.failed(), verified.out


def test_cells_named_by_a_range_are_known_by_the_record(tmp_path: Path, verify: Verify) -> None:
    run = tmp_path / "run"
    scored(run, "indices=[9,range(3,6)]")
    assert "with all 4 cells that were asked for last" in verify(run, "--cells", 1).out
    record = json.loads((run / "run.json").read_text())
    for wrong in ("", "9,3-", "9,5-3", "x", "0-999999999999", 7):
        (run / "run.json").write_text(json.dumps({**record, "indices": wrong}))
        assert "the record does not tell which cells were given" in verify(run, "--cells", 1).out
