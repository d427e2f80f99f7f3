"""`nasbench_eval.run`: the command `nasbench-score` from a script or a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from nasbench_eval.errors import UsageError
from nasbench_eval.options import overrides
from nasbench_eval.paths import config_folder
from nasbench_eval.report.frames import load_scores
from nasbench_eval.scoring import command
from nasbench_eval.scoring.config import resolve


@dataclass(frozen=True)
class Finished:
    """A run that has been scored.

    Attributes:
        folder: where it lies.
    """

    folder: Path

    def scores(self, **options: Any) -> pd.DataFrame:
        """Its scores, an architecture a row: `nasbench_eval.load_scores` of its folder, with its options."""
        return load_scores(self.folder, **options)

    def report(self, *arguments: str) -> dict[str, pd.DataFrame]:
        """Report it as `nasbench-report` does, and read the tables that this writes.

        Args:
            arguments: of `nasbench-report`, such as `--figures` and `none`.

        Returns:
            The tables by name, as in the folder's `tables/*.csv`.

        Raises:
            UsageError: as the command, such as without accuracies of the search space.
        """
        from nasbench_eval.report.cli import parsed
        from nasbench_eval.report.command import report

        asked = parsed([str(self.folder), *arguments])
        report(asked)
        tables = (asked.out or self.folder / "tables").glob("*.csv")
        return {file.stem: pd.read_csv(file) for file in sorted(tables)}


def run(*words: str, quiet: bool = False, **options: Any) -> Finished:
    """Score architectures of a search space: `nasbench-score` with the same options.

        run("proxy=[intrain,snip]", n=50, results="results")

    A run of the same configuration continues where it was stopped, and costs nothing once it is complete.
    Worker processes import the package alone, never the script or the notebook that calls this.

    Args:
        words: options as on the command line, such as `proxy=[intrain,snip]` or `proxy.batch_size=32`.
        quiet: leave out what the command prints, its progress too.
        options: options by name, where the name is a word of Python: `n=50`, `run="first"`.

    Raises:
        UsageError: on an option that will not do, as the command says it.
    """
    given = [*words, *(f"{name}={_said(value)}" for name, value in options.items())]
    line = overrides.read(given)
    if line.flags or line.multirun:
        raise UsageError(
            f"{line.flags[0]}: run() takes options, no flags; call it once for each run of a sweep"
        )
    overrides.jobs(line)  # checks every word
    with _composed(line) as config:
        work = resolve(config)
        command.check([config], images=True)
        with _silent() if quiet else nullcontext():
            command.execute(config)
    return Finished(work.folder)


@contextmanager
def _composed(line: overrides.CommandLine) -> Iterator[DictConfig]:
    """The configuration of a command line; nothing of Hydra's is left behind."""
    told = HydraConfig.instance().cfg
    within = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            overrides.offer_plugins()
            config = compose("config", overrides=line.for_hydra(), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        yield config
    finally:
        GlobalHydra.instance().hydra = within
        HydraConfig.instance().cfg = told


@contextmanager
def _silent() -> Iterator[None]:
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


def _said(value: object) -> str:
    """A value as a word of the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        text = str(value)
        return (
            text if text.replace("_", "").replace("-", "").isalnum() else "'" + text.replace("'", r"\'") + "'"
        )
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_said(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Sequence):
        return f"[{','.join(_said(each) for each in value)}]"
    return str(value)
