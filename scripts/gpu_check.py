"""Try everything on a GPU: the tests for CUDA, the golden records, costs, and InTrain on all cells.

    scripts/gpu_check.sh                  12 minutes; results/gpu_check
    scripts/gpu_check.sh --minutes 5      less; the same command again continues the scoring
    scripts/gpu_check.sh --dry-run        the same steps on the CPU with a few cells, to try this script

Each result is on the disk as soon as it is there, and README.md beside it sums up what is there, also when
the command is cut off.  Needs no data: inputs are Gaussian or images of noise.

Exit code: 0 if every part that ran did what it should; 1 if not; 2 where PyTorch finds no GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "results" / "gpu_check"
GOLDEN = ROOT / "tests" / "golden"
# How far a score may be from the CPU's, relatively; a record may state a looser tolerance.  cuDNN sums in
# another order than the CPU's libraries, and what is within rounding of a threshold falls on its other side.
RTOL = 1e-3
BENCHED = {"intrain": "InTrain alone", "table1_few_pass": "the few-pass group in one run"}
DATASETS = ("cifar10", "cifar100", "imagenet16_120")
PARTS = ("tests", "golden", "bench", "score")
# The share of the time that a part may take at most; scoring gets what is left.
SHARES = {"tests": 0.25, "golden": 0.2, "bench": 0.2}
# Seconds that a part has for its last rows once it is asked to stop.
GRACE = 20
_SCORE = (sys.executable, "-c", "import sys; from nasbench_eval.cli import score; sys.exit(score())")


@dataclass(frozen=True)
class Check:
    """What is asked for.

    Attributes:
        device: cuda, or cpu in a dry run.
        out: the folder of the results.
        minutes: for everything together.
        proxies: whose golden records are compared.
        cells: how many InTrain scores; `all`, or a number.
    """

    device: str
    out: Path
    minutes: float
    proxies: tuple[str, ...]
    cells: str

    @property
    def dry(self) -> bool:
        return self.device == "cpu"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.  Returns its exit code."""
    options = _parser().parse_args(arguments)
    if not options.dry_run and not torch.cuda.is_available():
        print("gpu_check: PyTorch finds no GPU here; --dry-run tries the script on the CPU", file=sys.stderr)
        return 2
    check = _check_of(options)
    check.out.mkdir(parents=True, exist_ok=True)
    if options.part == "golden":
        return golden(check)
    if options.part == "bench":
        return bench(check)
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        run(check, options.parts or PARTS)
    except KeyboardInterrupt:
        print("gpu_check: interrupted; what was there is kept", file=sys.stderr)
        return 130
    finally:
        good = summarise(check)
        print((check.out / "README.md").read_text(encoding="utf-8"))
    return 0 if good else 1


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="gpu_check.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--dry-run", action="store_true", help="on the CPU, with a few cells")
    made.add_argument("--minutes", type=float, default=12, help="for everything together (12)")
    made.add_argument("--parts", nargs="+", choices=PARTS, metavar="PART", help=f"some of {', '.join(PARTS)}")
    made.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (results/gpu_check)")
    made.add_argument("--part", choices=("golden", "bench"), help=argparse.SUPPRESS)  # a process of its own
    return made


def _check_of(options: argparse.Namespace) -> Check:
    from nasbench_eval import registry

    dry = options.dry_run
    out = options.out or (FOLDER.with_name("gpu_check_dry_run") if dry else FOLDER)
    proxies = ("params", "naswot", "intrain") if dry else tuple(registry.own("proxies"))
    return Check("cpu" if dry else "cuda", out.resolve(), options.minutes, proxies, "2" if dry else "all")


def _interrupted(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


# The parts, each in a process of its own: a fault of the GPU ends that process alone.


def run(check: Check, parts: Iterable[str]) -> None:
    """Run the parts one after the other, and sum up after each."""
    end = time.monotonic() + 60 * check.minutes - GRACE
    for part in (part for part in PARTS if part in parts):
        left = end - time.monotonic()
        seconds = min(left, SHARES.get(part, 1) * 60 * check.minutes)
        if seconds < 5:
            _note(check, part, "no time left")
            continue
        print(f"gpu_check: {part}, at most {seconds:.0f} s", flush=True)
        _note(check, part, _ran(_command(check, part), check.out / f"{part}.log", seconds))
        summarise(check)  # after each, so that it is there whatever happens next


def _command(check: Check, part: str) -> list[str]:
    if part == "tests":
        tests = "tests/passes/test_weights.py" if check.dry else "tests"
        return [sys.executable, "-m", "pytest", "-m", "cuda", "-rs", "-p", "no:cacheprovider", tests]
    if part == "score":
        what = ["proxy=intrain", f"dataset=[{','.join(DATASETS)}]", f"n={check.cells}", "reuse=none"]
        small = ["space.channels=4", "space.cells_per_stage=1", "workers=0"] if check.dry else []
        where = [f"device={check.device}", f"results={check.out}", "run=intrain"]
        return [*_SCORE, *what, *small, *where]
    again = ["--dry-run"] if check.dry else []
    return [sys.executable, __file__, "--part", part, "--out", str(check.out), *again]


def _ran(command: list[str], log: Path, seconds: float) -> str:
    """How a command ended: `done`, `cut off`, or its exit code.  What it says goes to a log as it says it."""
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, start_new_session=True)
        try:
            code = process.wait(seconds)
            return "done" if code == 0 else f"exit code {code}"
        except subprocess.TimeoutExpired:
            return "cut off"
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does, so that rows are written; then without notice, with all that it started."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(GRACE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def golden(check: Check) -> int:
    """Compare every proxy's record with the CPU's, a line of golden.jsonl each."""
    from nasbench_eval import testing

    device = torch.device(check.device)
    with tempfile.TemporaryDirectory() as folder, (check.out / "golden.jsonl").open("w") as file:
        for name in testing.DATASETS:
            testing.write_images(Path(folder), name)
        good = True
        for name in check.proxies:
            old = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
            compared = compare(old, _computed(lambda n=name: testing.golden_record(n, Path(folder), device)))  # type: ignore[misc]
            good &= compared["good"]
            file.write(json.dumps(compared) + "\n")
            file.flush()
            print(compared, flush=True)
    return 0 if good else 1


def _computed(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return make()
    except Exception as error:  # one proxy, or all that are left: each has its line
        return {"rows": [], "error": f"{type(error).__name__}: {error}".splitlines()[0]}


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The largest relative difference of two records and where it is, and whether it is within tolerance."""
    tolerance = max(RTOL, old["rtol"])
    found = {
        "proxy": old["proxy"],
        "difference": math.inf,
        "tolerance": tolerance,
        "where": new.get("error", ""),
    }
    if len(old["rows"]) != len(new["rows"]):
        return {**found, "good": False}
    differences = [
        (relative(float(a[column]), float(b[column])), f"{column} on {b['dataset']}, {b['arch']}")
        for a, b in zip(old["rows"], new["rows"], strict=True)
        for column in a
        if column not in ("arch", "dataset", "status")
    ]
    largest, where = max(differences)
    return {**found, "difference": largest, "where": where if largest else "", "good": largest <= tolerance}


def relative(a: float, b: float) -> float:
    """|a − b| as a share of the larger; 0 between NaNs and equal infinities, ∞ where one alone is finite."""
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return 0.0 if abs(a - b) <= 1e-12 else abs(a - b) / max(abs(a), abs(b))


def bench(check: Check) -> int:
    """What InTrain and the few-pass group cost, into bench.json after each.  Returns 0 whatever it is."""
    from benchmark import readings, record
    from benchmark.cli import CELLS
    from benchmark.suite import QUICK, Suite, cores
    from benchmark.unit import SPACE

    from nasbench_eval.sampling import uniform

    cells = (8177,) if check.dry else uniform(len(SPACE), CELLS, 0)  # in a dry run the cheapest there is
    titles = ["params"] if check.dry else list(BENCHED)
    heading = record.heading(torch.device(check.device), cells, cores())
    suite = Suite(check.device, cells, QUICK, quick=True)
    figures: dict[str, Any] = {}
    try:
        for reading in readings.named(titles):
            figures |= suite.costs([reading])
            _write(check.out / "bench.json", {**heading, "figures": figures})
    finally:
        suite.close()
    return 0


# The summary, from what is on the disk


def _note(check: Check, part: str, how: str) -> None:
    path = check.out / "parts.json"
    _write(path, {**_read(path), part: how})


def summarise(check: Check) -> bool:
    """Write README.md from what the folder holds.  Returns whether nothing went wrong so far."""
    parts = _read(check.out / "parts.json")
    device = torch.cuda.get_device_name() if check.device == "cuda" else "the CPU (a dry run)"
    text = [
        "# What a GPU has shown\n",
        f"Made by `make gpu-check` on {device}, PyTorch {torch.__version__}.\n",
        *(f"* {part}: {parts.get(part, 'not run')}{_last_line(check, part)}" for part in PARTS),
    ]
    makers = (_golden_table, _bench_table, _score_lines)
    text += [line for make in makers for line in make(check)]
    (check.out / "README.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    wrong = [how for part, how in parts.items() if how.startswith("exit code")]
    return bool(parts) and not wrong


def _last_line(check: Check, part: str) -> str:
    log = check.out / f"{part}.log"
    if part not in ("tests", "score") or not log.exists():
        return ""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f" ({lines[-1].strip()[-150:]})" if lines else ""


def _golden_table(check: Check) -> list[str]:
    path = check.out / "golden.jsonl"
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    head = ["", "## Golden records", "", "| proxy | largest relative difference | allowed | | where |"]
    return [*head, "|---|---:|---:|---|---|"] + [
        f"| {r['proxy']} | {r['difference']:.1e} | {r['tolerance']:g} | {'ok' if r['good'] else '**off**'} "
        f"| {r['where'].replace('|', ' ')} |"
        for r in rows
    ]


def _bench_table(check: Check) -> list[str]:
    path = check.out / "bench.json"
    if not path.exists():
        return []
    from benchmark.targets import TARGETS

    figures = _read(path)["figures"]
    limits = {target.what: target for target in TARGETS}
    lines = ["", "## Costs", "", "| | bare passes | bound (set for the CPU) | cells a second, one process |"]
    lines.append("|---|---:|---:|---:|")
    for title, each in figures.items():
        target = limits.get(BENCHED.get(title, ""))
        own = each[target.path[2] if target else "reference"]["together"]
        bound = f"{target.limit:g}" if target else "–"
        lines.append(
            f"| {BENCHED.get(title, title)} | {own:.2f} | {bound} | {each['cells_per_second']:.2f} |"
        )
    return lines


def _score_lines(check: Check) -> list[str]:
    """How far the scoring is, and how its scores compare with the CPU's committed ones."""
    from nasbench_eval.errors import UsageError
    from nasbench_eval.runs.store import read_scores

    try:
        rows = read_scores(check.out / "intrain", proxy="intrain")
    except (UsageError, OSError, KeyError):
        return []
    counts = rows.groupby("dataset").size().to_dict()
    lines = [
        "",
        "## InTrain on all cells",
        "",
        ", ".join(f"{name}: {n:,} cells" for name, n in counts.items()),
    ]
    lines.append(f"{rows['seconds'].mean():.4f} s a row and worker; {(rows['status'] != 'ok').sum()} failed.")
    if check.dry:
        return lines
    ours = read_scores(ROOT / "results" / "table1", proxy="intrain").set_index(["dataset", "index"])["score"]
    both = rows.set_index(["dataset", "index"])[["score"]].join(ours.rename("cpu"), how="inner")
    if len(both) > 1:
        off = (both["score"] / both["cpu"] - 1).abs()
        tau = both["score"].corr(both["cpu"], method="kendall")
        lines.append(
            f"Beside results/table1 (CPU) on {len(both):,} rows: relative difference {off.median():.1e} in "
            f"the median, {off.max():.1e} at most; τ between the two {tau:.4f}."
        )
    return lines


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _write(path: Path, what: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(what, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
