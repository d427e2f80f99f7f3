"""What a report says and makes of scores that were copied from an isomorphic architecture."""

from __future__ import annotations

import numpy as np
from made_up import N, WriteRun

from nasbench_eval.report.figure.cost import median_seconds
from nasbench_eval.report.scores import read_runs
from nasbench_eval.report.spec import RowSpec, load_table_spec
from nasbench_eval.report.tables import Reporter, Settings, Truth
from nasbench_eval.report.write import record

NAN = float("nan")
SCORES = np.arange(N, dtype=float)


def copied(*origins: float) -> dict[str, np.ndarray]:
    """Scores, the first few of which are copies of others."""
    return {"score": SCORES, "copied_from": np.array([*origins, *[NAN] * (N - len(origins))])}


def test_copies_are_counted_in_a_note(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    parts = {
        ("snip", "cifar10"): copied(7, 7, N + 3),  # one of the class stands at 7, of the other none
        ("zen", "cifar10"): copied(7),
        ("synflow", "cifar10"): {"score": SCORES},
    }
    scores = read_runs([write_run(parts, name="d", config={"dedupe": "isomorphic"})])
    table = Reporter(scores, truths, Settings(resamples=0)).table("t", load_table_spec("table1")[1])
    said = f"d: {3 * N} scores, of which 4 copied from an isomorphic architecture; {3 * N - 3} were computed"
    assert said in table.notes
    assert record([table], scores)["runs"][0]["dedupe"] == "isomorphic"


def test_without_copies_there_is_no_note(write_run: WriteRun, truths: dict[str, Truth]) -> None:
    parts = {("snip", "cifar10"): copied(), ("zen", "cifar10"): {"score": SCORES}}
    scores = read_runs([write_run(parts)])
    notes = Reporter(scores, truths, Settings(resamples=0)).table("t", load_table_spec("table1")[1]).notes
    assert not any("copied" in note for note in notes)


def test_a_copy_that_took_no_time_is_left_out_of_the_seconds(write_run: WriteRun) -> None:
    columns = {
        "score": [1.0] * 5,
        "seconds": [4.0, 0.0, 0.0, 2.0, 9.0],
        "copied_from": [NAN, 0, 0, 70, NAN],  # the fourth bears the time that its representative took
    }
    scores = read_runs([write_run({("a", "cifar10"): columns})])
    assert median_seconds(scores, "nasbench201", RowSpec("a"), "cifar10") == 4
