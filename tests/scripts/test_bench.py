"""The benchmark suite around its clocks: what is measured, what is kept and shown.  Nothing here is timed."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))

from benchmark import cli, costs, memory, networks, operators, readings, record, render, throughput
from benchmark.processes import Processes
from benchmark.suite import SECTIONS, Suite
from benchmark.targets import TARGETS, Target, each_alone
from benchmark.unit import Size, bare_pass, counted, own_size

from nasbench_eval import registry
from nasbench_eval.data.batches import Batches
from nasbench_eval.errors import UsageError
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture

CPU = torch.device("cpu")
# A cell whose convolutions all lie on a way to the output, and one that costs next to nothing.
LIVE, CHEAP = 1462, 8177


def cost(together: float, **changed: Any) -> dict[str, Any]:
    spread = {"together": together, "median": together, "low": together / 2, "high": 2 * together}
    return {
        "labels": ["p"],
        "alike": [],
        "size": {"batch_size": 64, "resolution": 32, "channels": None, "cells": None},
        "own": spread,
        "reference": spread,
        "cells_per_second": 2.0,
        "gflop_per_cell": 30.0,
        "gflops": 60.0,
        "unit_gflops": 90.0,
        "reference_gflops": 91.0,
        "matmul_gflops": 80.0,
        "peak_bytes": 1_234_000_000,
        "device_peak_bytes": None,
        **changed,
    }


def everything() -> dict[str, Any]:
    """Made-up figures of all sections."""
    judged = {title: cost(3.0) for title in (*readings.JUDGED, *readings.FEW_PASS)}
    thin = {"batch_size": 1000, "resolution": 4, "channels": 3, "cells": 1}
    return {
        "proxies": {"snip": cost(1.25), "lga": cost(33.3, alike=["ntk_mean"]), "thin": cost(0.5, size=thin)},
        "targets": judged,
        "throughput": {
            "labels": ["intrain"],
            "cells": 12,
            "rounds": 2,
            "cores": 2,
            "default_threads": 2,
            "cells_per_second": 3.0,
            "default_cells_per_second": 1.5,
            "ratio": 2.0,
        },
        "training": {
            "cells": 30,
            "seeds": 3,
            "epochs": 5,
            "images": 900,
            "workers": 2,
            "cells_per_hour": 2000.0,
            "seconds_a_training": 1.2,
        },
        "networks": {
            network: {
                "costs": {what: {"seconds": 3.0, "bare_seconds": 2.0, "ratio": 1.5} for what in asked},
                "bare_peak_bytes": 800_000_000,
                "peak_ratios": {what: 1.1 if what == "intrain" else 1.9 for what in asked},
            }
            for network, asked in networks.ASKED.items()
        },
        "retraining": {
            "batch": 64,
            "bare_seconds": 0.2,
            "seconds": 0.21,
            "ratio": 1.05,
            "waited": 0.02,
            "speedup": 1.8,
        },
        "startup": {"repeats": 3, "help_seconds": 0.5, "first_score_seconds": 6.5},
        "memory": {
            "flat": {
                "labels": ["snip"],
                "cells": [100, 2000],
                "peak_bytes": [600_000_000, 640_000_000],
                "growth_bytes": 40_000_000,
                "seconds": 200.0,
            },
            "peak": {"cell": 1462, "labels": ["intrain"], "peak_bytes": 1_900_000_000},
        },
        "operators": {"A bare pass": [{"operator": "aten::add", "share": 0.25, "calls": 1234}]},
    }


def entry(sections: Mapping[str, Any], device: str = "cpu", day: int = 1) -> record.Entry:
    return {
        "date": f"2026-01-{day:02}T00:00:00+00:00",
        "commit": "0123456789abcdef+changes",
        "versions": {"torch": "2.9.0"},
        "device": device,
        "device_name": "x86_64 AVX512",
        "cores": 2,
        "load": 0.25,
        "cells": [5, 12],
        "sections": dict(sections),
    }


# ---- targets


def test_a_bound_is_held_by_the_bound_itself() -> None:
    most = Target("a", "s", ("startup", "help_seconds"), 1.0)
    least = Target("b", "times", ("throughput", "ratio"), 1.9, at_least=True)
    assert [most.met(v) for v in (0.9, 1.0, 1.1)] == [True, True, False]
    assert [least.met(v) for v in (1.8, 1.9, 2.0)] == [False, True, True]


def test_every_target_finds_its_figure_in_its_unit() -> None:
    found = {target.what: target.value(everything()) for target in TARGETS}
    assert None not in found.values()
    assert found["growth of a worker over a run"] == 40.0, "in MB"
    assert found["peak of a worker on the largest cell"] == 1.9e9 / 2**30, "in GiB"
    assert all(target.value({}) is None for target in TARGETS)
    assert all(target.value({"targets": {}}) is None for target in TARGETS)


def test_what_the_targets_name_is_measured() -> None:
    titles = {target.path[1] for target in TARGETS if target.path[0] == "targets"}
    assert titles == set(readings.JUDGED)
    assert {target.path[0] for target in TARGETS} <= set(SECTIONS)


def test_the_sum_of_each_alone_wants_all_of_them() -> None:
    figures = everything()
    assert each_alone(figures) == pytest.approx(3.0 * len(readings.FEW_PASS))
    del figures["targets"]["grasp"]
    assert each_alone(figures) is None
    assert each_alone({}) is None


# ---- what is shown


def test_the_page_tells_pass_from_miss() -> None:
    before = record.sections_of(entry({"startup": {"repeats": 1, "help_seconds": 0.75}}))
    page = render.page({"cpu": record.sections_of(entry(everything(), day=2))}, {"cpu": before})
    rows = {row[0]: row[1:] for row in cells_of(page)}
    assert "| `nasbench-score --help` | s | ≤ 1 | 0.50 | pass | 0.75 |" in page
    assert rows["a command's first score"] == ["s", "≤ 6", "6.50", "**miss**", "–"]
    assert rows["two workers against one process of defaults"] == ["times", "≥ 1.9", "2.00", "pass", "–"]
    assert rows["gradsign, 10 classes"][2:4] == ["3.00", "**miss**"]
    assert "summed: 42.0 bare passes" in page
    assert "2026-01-02, commit 0123456789ab with changes, PyTorch 2.9.0; x86_64 AVX512, 2 cores, load" in page
    assert page.count("2026-01-02") == 1, "one run, told once"


def test_the_page_shows_every_section() -> None:
    page = render.page({"cpu": record.sections_of(entry(everything()))}, {})
    rows = {row[0]: row[1:] for row in cells_of(page)}
    assert rows["snip"][2] == "1.25 (0.62 – 2.50)"
    assert rows["lga; ntk_mean"][2] == "33.3 (16.6 – 66.6)"
    assert rows["thin (C = 3, N = 1)"][:2] == ["1000", "4"]
    assert rows["snip"][-4:] == ["60", "75%", "90", "1.23"]
    assert rows["`aten::add`"] == ["25.0%", "1,234"]
    assert rows["up to 2,000 different cells, small batches of snip"] == ["0.64"]
    assert "What the targets are judged by" not in page, "the other table has them"


def test_tables_have_as_many_columns_in_every_row() -> None:
    on_gpu = {"proxies": {"snip": cost(1.0, device_peak_bytes=5_000_000_000)}}
    newest = {"cpu": entry(everything()), "cuda": entry(on_gpu, device="cuda")}
    page = render.page({device: record.sections_of(run) for device, run in newest.items()}, {})
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        assert len({row.count("|") for row in block.splitlines()}) == 1, block
    assert page.count("### Targets") == 1, "targets are those of the CPU"
    assert "on the device, GB" in page


def test_sections_of_several_runs_name_their_runs() -> None:
    runs = [entry(everything(), day=1), entry({"startup": everything()["startup"]}, day=9)]
    page = render.page({"cpu": record.latest(runs, "cpu")}, {})
    assert "### Start-up\n\n2026-01-09" in page
    assert "### Memory\n\n2026-01-01" in page
    assert "**miss**" in page


def test_what_was_not_measured_is_no_verdict() -> None:
    page = render.page({"cpu": record.sections_of(entry({"startup": everything()["startup"]}))}, {})
    assert page.count("not measured") == len(TARGETS) - 2


def cells_of(page: str) -> list[list[str]]:
    """The cells of every table's rows; of rows with the same first cell the last counts in a dict."""
    return [[c.strip() for c in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]


# ---- what is kept


def test_history_grows_by_a_line_a_run(tmp_path: Path) -> None:
    record.add(tmp_path, entry(everything(), day=1))
    first = (tmp_path / "history.jsonl").read_text()
    record.add(tmp_path, entry({"startup": everything()["startup"]}, day=2))
    assert (tmp_path / "history.jsonl").read_text().startswith(first)
    assert [run["date"][:10] for run in record.read(tmp_path)] == ["2026-01-01", "2026-01-02"]
    newest = json.loads((tmp_path / "latest-cpu.json").read_text())
    dates = {name: section["made"]["date"][:10] for name, section in newest.items()}
    assert dates.pop("startup") == "2026-01-02"
    assert set(dates.values()) == {"2026-01-01"}, "a partial run leaves the other sections as they were"
    assert (
        "| `nasbench-score --help` | s | ≤ 1 | 0.50 | pass | 0.50 |" in (tmp_path / "README.md").read_text()
    )
    record.add(tmp_path, entry({"proxies": {"snip": cost(1.0)}}, device="cuda", day=3))
    assert json.loads((tmp_path / "latest-cpu.json").read_text()) == newest
    assert (tmp_path / "latest-cuda.json").exists()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_fractions_are_kept_to_five_digits(tmp_path: Path) -> None:
    startup = {"repeats": 1234567, "help_seconds": 1 / 3, "first_score_seconds": 123456.7}
    record.add(tmp_path, entry({"startup": startup}))
    [run] = record.read(tmp_path)
    kept = {"repeats": 1234567, "help_seconds": 0.33333, "first_score_seconds": 123460.0}
    assert run["sections"]["startup"] == kept


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"sections": 3, "device": "cpu"}'])
def test_a_damaged_history_is_left_alone(tmp_path: Path, line: str) -> None:
    record.add(tmp_path, entry(everything()))
    path = tmp_path / "history.jsonl"
    path.write_text(damaged := path.read_text() + line + "\n")
    with pytest.raises(UsageError, match=r"line 2 of .*history\.jsonl is no record"):
        record.add(tmp_path, entry(everything()))
    assert path.read_text() == damaged


def test_the_heading_names_no_place_and_no_person() -> None:
    heading = record.heading(CPU, (5, 12), 2)
    assert heading["cells"] == [5, 12]
    text = json.dumps(heading)
    for private in (os.uname().nodename, str(Path.home()), str(Path.cwd())):
        assert len(private) < 3 or private not in text


# ---- the command


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A suite that measures nothing on an idle machine, and an empty folder in place of results/bench."""
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(Suite, "run", lambda suite, section: everything()[section])
    monkeypatch.setattr(Suite, "costs", lambda suite, asked: {r.title: cost(1.5) for r in asked})
    monkeypatch.setattr(cli, "FOLDER", tmp_path / "bench")
    return tmp_path / "bench"


WRONG = [
    (["intrian"], "error: unknown proxy 'intrian'; did you mean intrain"),
    (["snip", "--only", "memory"], "error: proxies are measured alone"),
    (["--cells", "0"], "error: --cells 0: between 1 and 15625 can be drawn"),
    (["--indices", "3", "15625"], "error: --indices 15625: the space has architectures 0 to 15624"),
    (["--device", "cuda"], "error: --device cuda: PyTorch finds no GPU"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_mistakes_are_told_in_one_line(
    arguments: list[str],
    said: str,
    stub: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if "--only" in arguments:  # which takes all that follows
        arguments = ["--only", "memory", "--", "snip"]
    assert cli.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(said)
    assert shown.err.count("\n") == 1
    assert not shown.out
    assert not stub.exists()


@pytest.mark.parametrize(
    "arguments", [["--only", "speed"], ["--cells", "x"], ["--cells", "1", "--indices", "2"]]
)
def test_what_the_parser_refuses_ends_with_2(
    arguments: list[str], stub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert "error: argument --" in capsys.readouterr().err


def test_a_gpu_has_no_targets_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = cli.parser().parse_args(["--device", "cuda", "--only", "proxies", "memory"])
    with pytest.raises(UsageError, match="measured on the CPU alone: memory"):
        cli.sections_of(parsed)
    assert "memory" not in cli.sections_of(cli.parser().parse_args(["--device", "cuda"]))


def test_help_lists_the_sections(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"  {section} " in shown for section in SECTIONS)


def test_sections_come_in_their_order_and_once() -> None:
    assert cli.sections_of(cli.parser().parse_args([])) == SECTIONS
    asked = cli.parser().parse_args(["--only", "memory", "startup", "memory"])
    assert cli.sections_of(asked) == ("startup", "memory")


def test_a_busy_machine_is_told(
    stub: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (3.14, 0.0, 0.0))
    assert cli.main(["--quick"]) == 0
    assert capsys.readouterr().err.startswith("the machine is busy (load 3.1)")


def test_a_whole_run_is_kept(stub: Path) -> None:
    assert cli.main([]) == 0
    [run] = record.read(stub)
    assert set(run["sections"]) == set(SECTIONS)
    assert len(run["cells"]) == cli.CELLS


@pytest.mark.parametrize("arguments", [["--quick"], ["snip", "te_nas, bn=eval"]])
def test_smoke_runs_and_single_proxies_are_only_printed(
    arguments: list[str], stub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 0
    assert "| snip | 64 | 32 |" in capsys.readouterr().out
    assert not stub.exists()


def test_a_smoke_run_is_kept_where_it_is_told_to(stub: Path, tmp_path: Path) -> None:
    assert cli.main(["--quick", "--out", str(tmp_path / "here")]) == 0
    assert len(record.read(tmp_path / "here")[0]["cells"]) == 1
    assert not stub.exists()


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (UsageError("broke"), 2)])
def test_what_was_finished_is_kept(
    raised: BaseException, code: int, stub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(suite: Suite, section: str) -> Any:
        if section == SECTIONS[2]:
            raise raised
        return everything()[section]

    monkeypatch.setattr(Suite, "run", broken)
    assert cli.main([]) == code
    [run] = record.read(stub)
    assert set(run["sections"]) == set(SECTIONS[:2])


def test_a_run_that_finished_nothing_leaves_nothing(stub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(suite: Suite, section: str) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Suite, "run", broken)
    assert cli.main([]) == 130
    assert not stub.exists()


# ---- what is measured


def test_every_proxy_is_measured_once() -> None:
    found = readings.alone()
    named = [name for reading in found for name in (reading.title, *reading.alike)]
    assert sorted(named) == sorted(registry.names("proxies"))
    [kernel] = [reading for reading in found if reading.title == "ntk_condition"]
    assert {"ntk_frobenius", "ntk_mean"} <= set(kernel.alike)
    assert {"intrain", "vkdnw", "gradsign"} <= {reading.title for reading in found}


def test_groups_need_no_images() -> None:
    groups = {reading.title: reading.job for reading in readings.named(readings.GROUPS)}
    assert not any(job.imaged() for job in groups.values())
    assert tuple(groups[readings.FEW_PASS_TITLE].proxies) == readings.FEW_PASS
    kernels = {
        title: job.proxies["ntk_condition"]
        for title, job in groups.items()
        if title[:6] == "te_nas" and "thin" not in title
    }
    assert [kernel.bn for kernel in kernels.values()] == ["train", "eval", "alone"]
    assert {"intrain", "intrain_cell", "vkdnw_single_16"} <= set(groups["table1"].proxies)


def test_the_unit_has_the_size_of_the_largest_pass() -> None:
    sizes = {
        r.title: own_size(r.job) for r in readings.named(["intrain", "flops", "te_nas", "table1", "ntk_mse"])
    }
    assert sizes["intrain"] == sizes["table1"] == Size(64, 64)
    assert sizes["flops"] == Size(1, 32)
    assert sizes["te_nas"] == Size(64, 32), "of the whole network, though the thin one has more images"
    assert sizes["ntk_mse"] == Size(64, 32, 3, 1)


def test_a_bare_pass_is_three_forward_passes_but_for_the_image() -> None:
    """Of the network's multiply-accumulates, by the proxy that counts them."""
    size = Size(2, 16, 4, 1)
    flops: Job = readings.compose(
        "proxy=flops", "proxy.resolution=16", "space.channels=4", "space.cells_per_stage=1"
    ).job
    [row] = score_architecture(flops, LIVE, flops.tasks(), Batches(0, flops.datasets, None, CPU), CPU)
    by_image = 2 * size.batch_size * 4 * 3 * 9 * size.resolution**2
    assert counted(bare_pass(LIVE, size)) == 2 * 3 * row["score"] * size.batch_size - by_image


def test_what_failed_has_no_cost() -> None:
    good = {"label": "a", "index": 3, "error": None}
    costs.check([good])
    with pytest.raises(UsageError, match="b failed on cell 3: ValueError: no"):
        costs.check([good, {**good, "label": "b", "error": "ValueError: no"}])


def test_cores_are_given_back() -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not tell")
    before = os.sched_getaffinity(0)
    with throughput.on_two_cores() as cores:
        assert cores == min(2, len(before))
    assert os.sched_getaffinity(0) == before


def test_a_measuring_process_that_dies_is_told() -> None:
    with pytest.raises(UsageError, match="a measuring process was killed"):
        Processes()(os._exit, 1)


def test_real_figures_of_a_small_proxy() -> None:
    """All in one process that is started for it, since measuring changes a process's settings."""
    job = readings.compose("proxy=ntk_mse", "proxy.batch_size=4", "proxy.resolution=8").job
    processes = Processes(shared=True)
    try:
        figures = processes(costs.measure, job, (CHEAP,), "cpu")
        flat = processes(memory.flatness, job, 1, 2)
        peak = processes(memory.peak, job, CHEAP)
        found = processes(operators.profile_job, job, (CHEAP,), "cpu")
    finally:
        processes.close()
    assert figures.keys() | {"alike"} == cost(1.0).keys()
    assert figures["size"] == {"batch_size": 4, "resolution": 8, "channels": 3, "cells": 1}
    assert figures["own"]["together"] > figures["reference"]["together"] > 0
    assert figures["matmul_gflops"] > 0
    assert figures["peak_bytes"] > 1e8
    assert flat["cells"] == [1, 2]
    assert flat["growth_bytes"] == flat["peak_bytes"][1] - flat["peak_bytes"][0] >= 0
    assert peak["peak_bytes"] >= figures["peak_bytes"]
    assert 0 < sum(o["share"] for o in found) <= 1.000001
    shares = [o["share"] for o in found]
    assert shares == sorted(shares, reverse=True)
    assert render.costs({"ntk_mse": {**figures, "alike": []}}).startswith("| reading |")
