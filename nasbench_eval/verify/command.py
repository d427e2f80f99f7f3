"""What `nasbench-verify` does: checks the folders of runs one after the other and says what came of it."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from nasbench_eval.data.folder import data_folder
from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.runs.record import read_record
from nasbench_eval.runs.split import shard_folders
from nasbench_eval.verify.checks import structure
from nasbench_eval.verify.held import Check, read
from nasbench_eval.verify.rescoring import Settings, rescore
from nasbench_eval.verify.searches import searched
from nasbench_eval.wording import counted, printable


def verify(arguments: argparse.Namespace) -> int:
    """Check and print.  Returns 0 if no check failed, else 1.

    Raises:
        UsageError: before anything is checked, if a folder is no run's or an option will not do.
    """
    settings = _settings(arguments)
    folders = list(dict.fromkeys(folder for given in arguments.run for folder in _runs(given)))
    _require_known(settings.skip, folders)
    totals = Counter[str]()
    for folder in folders:
        print(folder, flush=True)
        for check in checks(folder, settings if arguments.scores else None):
            totals[check.status] += 1
            print(f"  {check.status:<4}  {check.name:<10}  {printable(check.text)}", flush=True)
    runs = counted(len(folders), "run")
    print(f"{runs}: {totals['ok']} ok, {totals['FAIL']} failed, {totals['skip']} skipped")
    return 1 if totals["FAIL"] else 0


def _settings(arguments: argparse.Namespace) -> Settings:
    """How cells are scored again."""
    if arguments.data is not None:
        data_folder(arguments.data)
    return Settings(
        cells=arguments.cells,
        seed=arguments.seed,
        skip=tuple(label for text in arguments.skip for label in text.split(",") if label),
        rtol=arguments.rtol,
        near=arguments.near,
        data=arguments.data,
    )


def checks(folder: Path, settings: Settings | None) -> Iterator[Check]:
    """All checks of a run's folder; without settings none of its cells is scored again."""
    try:
        record = read_record(folder)
    except UsageError as error:
        yield Check("FAIL", "record", str(error))
        return
    held = read(folder, record)
    yield from structure(held)
    if "search" in record:
        yield from searched(held)
    if settings is not None:
        yield from rescore(held, settings)


def _runs(folder: Path) -> list[Path]:
    """The folder itself if it is a run's, else those of the runs in it, of sweeps as well.

    Of a run whose shards are not merged these are the folders of its shards.

    Raises:
        UsageError: if there are none.
    """
    if (folder / "run.json").exists() or any((folder / "scores").glob("*/*/*/part-*.parquet")):
        return [folder]
    inside = [file.parent for pattern in ("*/run.json", "*/*/run.json") for file in folder.glob(pattern)]
    split = [
        place
        for pattern in ("shards", "*/shards", "*/*/shards")
        for shards in folder.glob(pattern)
        if not (shards.parent / "run.json").exists()
        for place in shard_folders(shards.parent).values()
        if (place / "run.json").exists()
    ]
    if not (runs := sorted({*inside, *split})):
        raise UsageError(f"{folder} is no run's folder: there is no run.json in it")
    return runs


def _require_known(labels: Sequence[str], folders: Sequence[Path]) -> None:
    """Raises UnknownName if none of the runs has a proxy of that label."""
    known: set[str] = set()
    for folder in folders if labels else ():
        try:
            known.update(read_record(folder)["proxies"])
        except UsageError:  # told by the checks
            return
    for label in labels:
        if label not in known:
            raise UnknownName("proxy of these runs", label, known)
