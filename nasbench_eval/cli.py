"""`nasbench-score`: a Hydra application with one-line errors, whose runs continue where they stopped.

Nothing is imported before it is needed.  Hydra reads and checks a command in a fraction of the time that
PyTorch takes to be imported, so help, the version and most mistakes are told without it; and every worker
process imports this module once more, to which Hydra means nothing.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from nasbench_eval import __version__
from nasbench_eval.errors import UsageError, guard
from nasbench_eval.paths import config_folder

if TYPE_CHECKING:
    from omegaconf import DictConfig


def score() -> int:
    """Entry point of `nasbench-score`.  Returns 0; 2 on a request that cannot be met; 130 if interrupted."""
    return guard(_score)


def _score() -> int:
    if "--version" in sys.argv[1:]:
        print(f"nasbench-score {__version__}")
        return 0
    import hydra
    from omegaconf import OmegaConf

    from nasbench_eval import overrides

    OmegaConf.register_new_resolver("choices", overrides.listed, replace=True)
    line = overrides.read(sys.argv[1:])
    if line.overrides or not line.shows:  # else our own defaults are shown: there is nothing to check
        _check(overrides.jobs(line), images=not line.shows)
    sys.argv[1:] = line.for_hydra()
    os.environ.setdefault(
        "HYDRA_FULL_ERROR", "1"
    )  # else Hydra prints stack traces and ends the process itself
    try:
        hydra.main(config_path=str(config_folder()), config_name="config", version_base="1.3")(_job)()
    except OSError as error:
        if error.filename is None:
            raise
        raise UsageError(f"cannot write {error.filename}: {error.strerror}") from error  # a sweep's folder
    return 0


def _check(configs: list[DictConfig], *, images: bool) -> None:
    from nasbench_eval import options, processes

    workers = [options.options_of(config).workers for config in configs]
    if images and any(number != 0 for number in workers):
        processes.prepare()  # imports PyTorch beside this process
    from nasbench_eval import scoring  # only now: it brings PyTorch, which no option of the run needs

    scoring.check(configs, images=images)


def _job(config: DictConfig) -> None:
    from nasbench_eval import scoring

    code = guard(lambda: scoring.execute(config))
    if code:
        sys.exit(code)  # ends a sweep as well
