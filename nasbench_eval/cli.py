"""The commands that are Hydra applications, with one-line errors, and runs that continue.

Nothing is imported before it is needed.  Hydra reads and checks a command in a fraction of the time that
PyTorch takes to be imported, so help, the version and most mistakes are told without it; and every worker
process imports this module once more, to which Hydra means nothing.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from nasbench_eval import __version__
from nasbench_eval.errors import UsageError, guard
from nasbench_eval.paths import config_folder
from nasbench_eval.wording import first_line

if TYPE_CHECKING:
    from omegaconf import DictConfig

# What runs the jobs of Hydra's launchers, and tells in its own errors that one died.
_SCHEDULERS = ("submitit", "ray")
# The process that reads the command line; the jobs of Hydra's launchers run in others.
_command: int | None = None


@dataclass(frozen=True)
class App:
    """A Hydra application.

    Attributes:
        name: of the command.
        config: name of its configuration.
        options: name of the function in `options` that checks its options.
        body: module with `check` and `execute`; it brings PyTorch.
        worker: module of what a worker process does; None where there are no worker processes.
    """

    name: str
    config: str
    options: str
    body: str
    worker: str | None


SCORE = App(
    "nasbench-score",
    config="config",
    options="options_of",
    body="nasbench_eval.scoring.command",
    worker="nasbench_eval.scoring.process",
)
TRAIN = App(
    "nasbench-train",
    config="train",
    options="train_options_of",
    body="nasbench_eval.benchmark.command",
    worker="nasbench_eval.benchmark.trainer",
)

RETRAIN = App(
    "nasbench-retrain",
    config="retrain",
    options="retrain_options_of",
    body="nasbench_eval.retrain.command",
    worker=None,
)
SEARCH = App(
    "nasbench-search",
    config="search",
    options="search_options_of",
    body="nasbench_eval.search.command",
    worker="nasbench_eval.scoring.process",
)


def score() -> int:
    """Entry point of `nasbench-score`.  Returns its exit code (see `errors.guard`)."""
    return guard(lambda: _main(SCORE))


def train() -> int:
    """Entry point of `nasbench-train`.  Returns its exit code (see `errors.guard`)."""
    return guard(lambda: _main(TRAIN))


def retrain() -> int:
    """Entry point of `nasbench-retrain`.  Returns its exit code (see `errors.guard`)."""
    return guard(lambda: _main(RETRAIN))


def search() -> int:
    """Entry point of `nasbench-search`.  Returns its exit code (see `errors.guard`)."""
    return guard(lambda: _main(SEARCH))


def _main(app: App) -> int:
    if "--version" in sys.argv[1:]:
        print(f"{app.name} {__version__}")
        return 0
    global _command
    _command = os.getpid()
    import hydra
    from omegaconf import OmegaConf

    from nasbench_eval.options import overrides

    OmegaConf.register_new_resolver("choices", lambda g: overrides.listed(g, app.config), replace=True)
    line = overrides.read(sys.argv[1:], app.config)
    if line.overrides or not line.shows:  # else our own defaults are shown: there is nothing to check
        _check(app, overrides.jobs(line, app.config), images=not line.shows)
    sys.argv[1:] = line.for_hydra()
    if "hydra/launcher=slurm" in sys.argv:
        from nasbench_eval.work.slurm import watch_tasks

        watch_tasks()
    os.environ.setdefault(
        "HYDRA_FULL_ERROR", "1"
    )  # else Hydra prints stack traces and ends the process itself
    try:
        main = hydra.main(config_path=str(config_folder()), config_name=app.config, version_base="1.3")
        main(lambda config: _job(app, config))()
    except BrokenPipeError:
        raise
    except ConnectionError as error:  # no Ray cluster
        raise UsageError(f"hydra/launcher: {first_line(error)}") from error
    except OSError as error:
        if error.filename is None:
            raise
        raise UsageError(f"cannot write {error.filename}: {error.strerror}") from error  # a sweep's folder
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _SCHEDULERS:
            raise
        raise UsageError(
            f"a run of the sweep came to no end ({first_line(error)}); finished rows are kept: "
            "the same command continues where it stopped"
        ) from error
    return 0


def _check(app: App, configs: list[DictConfig], *, images: bool) -> None:
    from nasbench_eval.options import typed as options
    from nasbench_eval.work import processes

    workers = [getattr(options, app.options)(config).workers for config in configs]
    if images and app.worker is not None and any(number != 0 for number in workers):
        processes.prepare(app.worker)  # imports PyTorch beside this process
    body = import_module(app.body)  # only now: it brings PyTorch, which no option of the run needs
    body.check(configs, images=images)


def _job(app: App, config: DictConfig) -> None:
    body = import_module(app.body)
    if os.getpid() == _command:
        code = guard(lambda: body.execute(config))
        if code:
            sys.exit(code)  # ends a sweep as well
        return
    # A launcher's process, maybe on another machine: signals are the scheduler's, errors the command's.
    from hydra.core.hydra_config import HydraConfig

    os.chdir(HydraConfig.get().runtime.cwd)  # relative folders are those of the command
    try:
        body.execute(config)
    except UsageError as error:
        raise UsageError(str(error)) from error  # kinds of it with other arguments cannot be sent back
