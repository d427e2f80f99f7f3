"""The command line of the benchmark suite."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmark import readings, record, render
from benchmark.suite import FULL, ON_ANY_DEVICE, QUICK, SECTIONS, Suite, cores, say
from benchmark.unit import SPACE
from nasbench_eval.errors import UsageError, guard
from nasbench_eval.sampling import uniform

FOLDER = Path(__file__).resolve().parents[2] / "results" / "bench"
CELLS = 4
# Load average above which something else is running.
BUSY = 0.5
_ABOUT = """\
What scoring costs: proxies and groups in units of a bare forward-backward pass, throughput, start-up, memory.

  python scripts/bench.py                     everything, about 12 minutes on two idle cores
  python scripts/bench.py --quick             the same in a minute or two, over one cell; writes nothing
  python scripts/bench.py --only memory       some sections; the newest figures of the others stay
  python scripts/bench.py snip table1         proxies or groups of them alone; writes nothing

Writes history.jsonl, latest-<device>.json and README.md.  Nothing else should run on the machine
meanwhile."""
_SECTIONS = """\
sections to measure, by default all that the device has:
  proxies     every proxy alone, and the groups
  targets     the costs that targets are set for
  operators   the operators with the largest share of the time
  throughput  a run of two workers against one process with PyTorch's defaults (CPU)
  networks    ResNet-18, MobileNetV2 and CoAtNet scored by nasbench_eval.score (CPU; needs timm)
  training    networks trained in an hour by the recipe of the embedded benchmark (CPU)
  retraining  a step of nasbench-retrain against a bare loop, and in two processes (CPU; needs timm)
  startup     seconds until a command has done something (CPU)
  memory      whether a worker's memory stays flat, and its peak (CPU)"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.  Returns 0; 2 on a request that cannot be met; 130 if interrupted."""
    options = parser().parse_args(arguments)
    return guard(lambda: run(options), "sections that were finished are kept")


def parser() -> argparse.ArgumentParser:
    """The options, with what holds if they are left out."""
    made = argparse.ArgumentParser(
        prog="bench.py", description=_ABOUT, formatter_class=argparse.RawTextHelpFormatter
    )
    made.add_argument("proxies", nargs="*", metavar="PROXY", help="measure these alone, a row each")
    made.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=_SECTIONS)
    made.add_argument("--quick", action="store_true", help="a smoke test: one cell, short runs")
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where passes run (cpu)")
    cells = made.add_mutually_exclusive_group()
    cells.add_argument("--cells", type=int, metavar="N", help=f"cells drawn at random for costs ({CELLS})")
    cells.add_argument("--indices", type=int, nargs="+", metavar="I", help="these cells instead, by index")
    made.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (results/bench)")
    return made


def run(options: argparse.Namespace) -> int:
    """Measure what is asked for, and print it or add it to the history.

    Raises:
        UsageError: if it cannot be measured, or a record cannot be read or written.
    """
    device, cells = device_of(options.device), cells_of(options)
    if options.proxies and options.only:
        raise UsageError("proxies are measured alone; leave them out or --only")
    chosen = sections_of(options)
    asked = readings.named(options.proxies)
    writes = options.out is not None or not (options.quick or asked)
    folder = options.out or FOLDER
    if writes:
        record.read(folder)  # so that a damaged one is told now, not when all is measured
    heading = record.heading(device, cells, cores())
    if heading["load"] > BUSY:
        say(f"the machine is busy (load {heading['load']:.1f}): ratios are worth something, the rest little")
    suite = Suite(options.device, cells, QUICK if options.quick else FULL, quick=options.quick)
    sections = {}
    try:
        if asked:
            sections["proxies"] = suite.costs(asked)
            return 0
        for section in chosen:
            say(f"[{section}]")
            sections[section] = suite.run(section)
    finally:
        suite.close()
        if sections:
            keep({**heading, "sections": sections}, folder if writes else None, alone=bool(asked))
    return 0


def keep(entry: record.Entry, folder: Path | None, *, alone: bool) -> None:
    """Add a run to a folder's history; print it if there is none.  `alone` is a table and nothing else."""
    if folder is not None:
        record.add(folder, entry)
        say(f"added to {folder}")
    elif alone:
        print(render.costs(entry["sections"]["proxies"]))
    else:
        print("\n".join(render.device_parts(record.sections_of(entry), {})))


def sections_of(options: argparse.Namespace) -> tuple[str, ...]:
    """The sections to measure, in their order.

    Raises:
        UsageError: on one that the device does not have.
    """
    offered = SECTIONS if options.device == "cpu" else ON_ANY_DEVICE
    absent = [section for section in options.only or () if section not in offered]
    if absent:
        raise UsageError(
            f"measured on the CPU alone: {', '.join(absent)}; leave out --device {options.device}"
        )
    return tuple(section for section in offered if section in (options.only or offered))


def device_of(name: str) -> torch.device:
    """The device.

    Raises:
        UsageError: if there is none of the kind.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch finds no GPU")
    return torch.device(name)


def cells_of(options: argparse.Namespace) -> tuple[int, ...]:
    """The cells that costs are measured over, by index.

    Raises:
        UsageError: on an index outside the space, or no cell at all.
    """
    size = len(SPACE)
    if options.indices:
        outside = [index for index in options.indices if not 0 <= index < size]
        if outside:
            raise UsageError(f"--indices {outside[0]}: the space has architectures 0 to {size - 1}")
        return tuple(dict.fromkeys(options.indices))
    n = options.cells if options.cells is not None else 1 if options.quick else CELLS
    if not 1 <= n <= size:
        raise UsageError(f"--cells {n}: between 1 and {size} can be drawn")
    return uniform(size, n, 0)
