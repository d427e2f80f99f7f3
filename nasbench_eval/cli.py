"""`nasbench-score`: a Hydra application with one-line errors, whose runs continue where they stopped."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import fields, replace
from datetime import datetime, timezone

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasbench_eval import provenance, registry
from nasbench_eval.config import Run, resolve, unknown
from nasbench_eval.errors import UsageError, guard
from nasbench_eval.paths import config_folder
from nasbench_eval.runner import run_job
from nasbench_eval.store import Store
from nasbench_eval.truth.folder import data_folder

GROUPS = {"space": "search space", "dataset": "data set", "proxy": "proxy"}


def score() -> int:
    """Entry point of `nasbench-score`.  Returns 0; 2 on a request that cannot be met; 130 if interrupted."""
    flags = [a for a in sys.argv[1:] if a.startswith("-")]
    overrides = [_shared_option(a) for a in sys.argv[1:] if not a.startswith("-")]
    _offer_plugins()
    sys.argv[1:] = [*flags, *overrides]
    if not {"--help", "-h", "--hydra-help", "--version"} & set(flags):
        code = guard(lambda: _validate(overrides, multirun=bool({"-m", "--multirun"} & set(flags))))
        if code:
            return code
    main = hydra.main(config_path=str(config_folder()), config_name="config", version_base="1.3")(_job)
    main()
    return 0


def _shared_option(argument: str) -> str:
    """`proxy.X=v` speaks to every chosen proxy that has an option X; Hydra needs a place to put it."""
    return re.sub(r"^\+{0,2}proxy\.(\w+)=", r"++options.\1=", argument)


def _offer_plugins() -> None:
    """Proxies that other packages bring have no YAML here: their fields are offered as the group's choice."""
    for name in registry.names("proxies"):
        if not (config_folder() / "proxy" / f"{name}.yaml").exists():
            defaults = {f.name: f.default for f in fields(registry.find("proxies", name))}
            ConfigStore.instance().store(
                name=name, node={"name": name, **defaults}, group="proxy", package=f"proxy.{name}"
            )


def _choices(group: str) -> set[str]:
    own = {file.stem for file in (config_folder() / group).glob("*.yaml")}
    return own | (set(registry.names("proxies")) if group == "proxy" else set())


def _validate(arguments: Sequence[str], *, multirun: bool) -> int:
    """Compose and check every job of the command before the first one runs."""
    try:
        overrides = OverridesParser.create().parse_overrides(list(arguments))
        _check_names(overrides)
        jobs = BasicSweeper.split_arguments(overrides, None)[0] if multirun else [list(arguments)]
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            for job in jobs:
                resolve(compose("config", overrides=list(job)))
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(str(error).splitlines()[0]) from error
    return 0


def _check_names(overrides: Sequence[Override]) -> None:
    groups = [o for o in overrides if o.key_or_group in GROUPS]
    for override in groups:
        for name in _names_in(override):
            if name not in _choices(override.key_or_group):
                raise unknown(GROUPS[override.key_or_group], name, _choices(override.key_or_group))
    # Whatever a sweep chooses, its first choice shows which keys there are; labels are checked on their own.
    first = [f"{o.key_or_group}=[{','.join(_names_in(o))}]" for o in groups if o.key_or_group != "space"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        known = set(_keys(compose("config", overrides=first)))
    for override in overrides:
        key = override.key_or_group
        if key in GROUPS or key.startswith(("hydra", "options.")) or override.is_add():
            continue
        if key not in known:
            raise unknown("option", key, known)


def _names_in(override: Override) -> list[str]:
    value = override.value()
    parts: list[object] = [value]
    if override.is_sweep_override():
        parts = [text for text in override.sweep_string_iterator() if isinstance(text, str)]
    return [name for part in parts for name in re.split(r"[\[\],\s]+", str(part).replace("'", "")) if name]


def _keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in config:
        name = f"{prefix}{key}"
        yield name
        node = config.get(key)
        if OmegaConf.is_dict(node):
            yield from _keys(node, f"{name}.")


def _job(config: DictConfig) -> None:
    run = resolve(config)
    if HydraConfig.get().mode == RunMode.MULTIRUN and config.run is not None:
        unnamed = resolve(OmegaConf.merge(config, {"run": None}))  # type: ignore[arg-type]
        run = replace(run, folder=run.folder / unnamed.folder.name)
    code = guard(lambda: _execute(run))
    if code:
        sys.exit(code)


def _execute(run: Run) -> int:
    needs_images = any(
        spec.forward.source == "images" for task in run.job.tasks() for spec, _ in run.job.passes(task)
    )
    data = data_folder(run.options.data) if needs_images else None
    started = time.perf_counter()
    record = {
        "command": " ".join(["nasbench-score", *sys.argv[1:]]),
        "n": len(run.indices),
        "sample": "given" if run.options.indices else run.options.n,
        "sample_seed": run.options.sample_seed,
        "workers": run.workers,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        **provenance.hardware(run.device),
    }
    print(
        f"{run.job.space.name}: {len(run.indices)} cells, {len(run.job.proxies)} proxies on "
        f"{', '.join(run.job.datasets)}; {run.workers} workers on {run.device.type}; into {run.folder}",
        file=sys.stderr,
    )
    with closing(Store(run.folder, run.job.space.name, run.identity(), record)) as store:
        counts = run_job(run.job, run.indices, store, data=data, device=run.device, workers=run.workers)
        finished = datetime.now(timezone.utc).isoformat(timespec="seconds")
        store.finish({"finished": finished, "seconds_last_session": round(time.perf_counter() - started, 1)})
    print(
        f"{counts['cells']} cells scored now; "
        f"{counts['failed']} of {counts['rows']} scores not finite or failed; "
        f"next: nasbench-report {run.folder}",
        file=sys.stderr,
    )
    return 0
