"""The command line of the Hydra commands, read and checked before Hydra gets it: every mistake is one line.

Nothing here needs PyTorch, so that a wrong name is told before it is imported.
"""

from __future__ import annotations

import math
import re
import shlex
import shutil
import textwrap
from argparse import ArgumentError
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import metadata
from itertools import pairwise
from typing import Any, NoReturn

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString, RangeSweep
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasbench_eval import registry
from nasbench_eval.errors import UsageError
from nasbench_eval.options.hydra_compat import accept_late_help
from nasbench_eval.options.quoting import CELLS, SEEDS, quoted, several
from nasbench_eval.options.typed import RetrainOptions, RunOptions, SearchOptions, TrainOptions, fields_of
from nasbench_eval.paths import config_folder, configured
from nasbench_eval.registry import UnknownName
from nasbench_eval.wording import first_line, shown

# The groups of choices, with the word for one of them in errors; those of which a run takes several; and
# those to which other packages add, with the registry's name for them.
GROUPS = {
    "space": "search space",
    "dataset": "data set",
    "proxy": "proxy",
    "algorithm": "algorithm",
    "recipe": "recipe",
    "experiment": "experiment",
}
_SEVERAL = {"dataset", "proxy"}
_PLUGGED = {"space": "spaces", "proxy": "proxies", "algorithm": "algorithms"}
# The groups that each configuration has.
_HAS = {
    "config": ("space", "dataset", "proxy", "experiment"),
    "train": ("space",),
    "retrain": ("space", "recipe"),
    "search": ("space", "dataset", "algorithm", "experiment"),
}
# The commands that have experiments, by their configuration.
_COMMANDS = {"config": "nasbench-score", "search": "nasbench-search"}
# Runs that a command may name: each is composed before the first begins.
_MOST_RUNS = 10_000
# Launchers of configs/hydra/launcher: the extra that each needs, and the package this brings.
_LAUNCHERS = {
    "local": ("slurm", "hydra-submitit-launcher"),
    "slurm": ("slurm", "hydra-submitit-launcher"),
    "ray_cluster": ("ray", "hydra-ray-launcher"),
}
# Hydra's flags that would swap the configuration which this command checks.
_REFUSED = ("config_name", "config_path", "config_dir", "experimental_rerun")


@dataclass(frozen=True)
class CommandLine:
    """Hydra's flags and the overrides, told apart.

    Attributes:
        flags: `--help`, `-m` and the like, with their values.
        overrides: `option=value`, with quotes where Hydra's grammar would misread a value.
        multirun: whether the overrides name several runs.
        shows: whether the flags ask for something to be shown in place of a run, such as `--help`.
        config: name of the command's configuration.
    """

    flags: tuple[str, ...]
    overrides: tuple[str, ...]
    multirun: bool
    shows: bool
    config: str = "config"

    def for_hydra(self) -> list[str]:
        """Arguments as Hydra takes them: flags first, since it knows none between overrides."""
        return [*self.flags, *(_shared_option(o, self.config) for o in self.overrides)]


def read(arguments: Sequence[str], config: str = "config") -> CommandLine:
    """Tell flags from overrides.

    Args:
        arguments: of the process.
        config: name of the command's configuration.

    Raises:
        UsageError: on an unknown flag or a flag's wrong value.
    """
    accept_late_help()  # here, and for the parser that Hydra makes later in this process
    parser = get_args_parser()
    parser.exit_on_error = False
    # Some mistakes, such as a flag cut too short, end the process all the same before Python 3.12.
    parser.error = _refuse  # type: ignore[method-assign]
    try:
        parsed, unread = parser.parse_known_intermixed_args(list(arguments))
    except ArgumentError as error:
        raise UsageError(str(error)) from error
    for name in _REFUSED:
        if getattr(parsed, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is not offered; options are given as option=value")
    if unread:
        _refuse_flagged_option(unread[0], arguments)
        raise UnknownName("flag", unread[0], (f for action in parser._actions for f in action.option_strings))
    overrides = list(parsed.overrides)
    _refuse_blanks(overrides)
    flags = tuple(argument for argument in arguments if argument not in overrides)
    shows = bool(parsed.help or parsed.hydra_help or parsed.cfg or parsed.info)
    multirun = bool(parsed.multirun)
    counted = config == "search"
    told = tuple(quoted(o, multirun=multirun, seeds_counted=counted) for o in overrides)
    return CommandLine(flags, told, multirun, shows, config)


def _refuse_flagged_option(flag: str, arguments: Sequence[str]) -> None:
    """Say how an option is written that was given as a flag, such as `--proxy snip`."""
    name, equals, value = flag.lstrip("-").partition("=")
    if name.partition(".")[0] not in {
        *GROUPS,
        *fields_of(RunOptions),
        *fields_of(TrainOptions),
        *fields_of(RetrainOptions),
        *fields_of(SearchOptions),
    }:
        return
    following = arguments[arguments.index(flag) + 1 :][:1] if flag in arguments else []
    value = value if equals else next((word for word in following if word[0:1] != "-"), "VALUE")
    raise UsageError(f"{flag}: options are written without dashes, {shlex.quote(f'{name}={value}')}")


def _refuse_blanks(words: Sequence[str]) -> None:
    """Say how an option is written that was given in several words, as `n = 5` or `proxy=[intrain, snip]`."""
    for place, (word, following) in enumerate(pairwise(words)):
        meant = None
        if following == "=" or (following.startswith("=") and "=" not in word):
            meant = words[place : place + (3 if following == "=" else 2)]
        elif word.endswith("=") and "=" not in following:
            meant = words[place : place + 2]
        elif "=[" in word and word.count("[") > word.count("]"):
            end = next((i for i, w in enumerate(words) if i > place and "]" in w), place + 1)
            meant = words[place : end + 1]
        if meant:
            said, instead = shown(" ".join(meant)), shlex.quote("".join(meant))
            raise UsageError(f"cannot read {said}: write it without blanks, {instead}")


def _refuse(message: str) -> NoReturn:
    raise UsageError(message)


def jobs(line: CommandLine, name: str = "config") -> list[DictConfig]:
    """The configuration of every run that the command names, made from that of a name.

    Raises:
        UsageError: on an unknown name or option, naming the nearest ones, and on what Hydra cannot read.
    """
    try:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
            overrides = [_parsed(parser, argument, line.multirun) for argument in line.overrides]
            _check_number(overrides)
            _check_launcher(overrides, line.multirun)
            _check_subject(overrides)
            chosen = _chosen(overrides, name)
            offer_plugins()  # only now: it imports other packages, of which a misspelt name needs none
            _check_options(overrides, chosen, name)
            translated = parser.parse_overrides([_shared_option(a, name) for a in line.overrides])
            return [
                compose(name, overrides=list(job))
                for job in BasicSweeper.split_arguments(translated, None)[0]
            ]
    except UsageError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # Hydra raises bare ones as well
        raise UsageError(" ".join(str(error).split()) or type(error).__name__) from error


def nodes_of(proxies: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The options of proxies by label, as `proxy=[...]` composes them for `nasbench-score`.

    Raises:
        UsageError: on what Hydra cannot compose.
    """
    return deepcopy(_composed(f"[{','.join(proxies)}]"))


@cache
def _composed(proxies: str) -> dict[str, dict[str, Any]]:
    inside: AbstractContextManager[Any] = nullcontext()
    if not GlobalHydra.instance().is_initialized():
        inside = initialize_config_dir(str(config_folder()), version_base="1.3")
    try:
        with inside:
            offer_plugins()
            composed = compose("config", overrides=[f"proxy={proxies}"])
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(f"guide={proxies}: {first_line(error)}") from error
    nodes: dict[str, dict[str, Any]] = OmegaConf.to_container(composed.proxy)  # type: ignore[assignment]
    return nodes


def offer_plugins() -> None:
    """Proxies and spaces of other packages have no YAML here: their fields are offered as a choice."""
    for group, kind in _PLUGGED.items():
        for name in registry.plugins(kind):
            try:
                options = _defaults(registry.find(kind, name))
            except UsageError:
                continue  # told to whoever asks for it, not to everybody
            package = f"{group}.{name}" if group in _SEVERAL else group
            ConfigStore.instance().store(
                name=name, node={"name": name, **options}, group=group, package=package
            )


def choices(group: str, name: str = "config") -> list[str]:
    """The names that a group of `GROUPS` offers to the command of a configuration, sorted."""
    if group == "experiment":
        return [each for each in configured(group) if _command_of(each) == name]
    return sorted({*configured(group), *(registry.plugins(_PLUGGED[group]) if group in _PLUGGED else ())})


def _command_of(experiment: str) -> str:
    """The configuration that an experiment is for, by what it chooses."""
    text = (config_folder() / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8")
    return "search" if "override /algorithm:" in text else "config"


def listed(group: str, name: str = "config") -> str:
    """The choices of a group, wrapped for the help text."""
    return textwrap.fill(", ".join(choices(group, name)), 80).replace("\n", "\n" + " " * 15)


def _defaults(cls: Any) -> dict[str, Any]:
    made = {f.name: f.default_factory() for f in fields(cls) if f.default_factory is not MISSING}
    return {**{f.name: f.default for f in fields(cls) if f.default is not MISSING}, **made}


def _shared_option(argument: str, config: str) -> str:
    """`proxy.X=v` speaks to every chosen proxy that has an option X; Hydra needs a place to put it.

    A search's proxies are chosen by its guide: what is for one of them, `proxy.NAME.X=v`, needs one as well.
    """
    if config == "search":
        return re.sub(r"^proxy\.([\w.]+)=", r"++options.\1=", argument)
    return re.sub(r"^proxy\.(\w+)=", r"++options.\1=", argument)


def _parsed(parser: OverridesParser, argument: str, multirun: bool) -> Override:
    equals = "=" in argument
    try:
        [override] = parser.parse_overrides([argument])
    except OverrideParseException as error:
        reason = f" ({first_line(error.__cause__)})" if equals and error.__cause__ else ""
        raise UsageError(f"cannot read {shown(argument)}: write option=value{reason}") from error
    if not override.key_or_group:
        raise UsageError(f"cannot read {shown(argument)}: write option=value")
    if override.is_sweep_override() and not multirun:
        raise several(argument)
    items = override.value()
    if isinstance(items, list) and any(isinstance(item, RangeSweep) for item in items):
        lists = f"{CELLS}= and {SEEDS}="
        raise UsageError(f"{shown(argument)} holds a range; only {lists} take ranges inside a list")
    return override


def _check_number(overrides: Sequence[Override]) -> None:
    """Refuse a sweep of so many runs that to list them would take the machine's memory."""
    runs = 1.0
    for override in overrides:
        value = override.value() if override.is_sweep_override() else None
        if isinstance(value, ChoiceSweep):
            runs *= max(len(value.list), 1)
        elif isinstance(value, RangeSweep):
            steps = ((value.stop or 0) - (value.start or 0)) / value.step if value.step else math.inf
            if steps <= 0:
                raise UsageError(f"{shown(override.input_line)} names no value: it ends before it begins")
            runs *= steps
        if not runs <= _MOST_RUNS:
            raise UsageError(f"{shown(override.input_line)} names more than {_MOST_RUNS} runs; name fewer")


def _check_subject(overrides: Sequence[Override]) -> None:
    """Refuse a data set beside a benchmark that brings its own, which would be passed over."""
    typed = {o.key_or_group: o for o in overrides if not o.is_delete()}
    truth = typed.get("truth")
    if truth is None or "dataset" not in typed:
        return
    if truth.is_sweep_override() or (truth.value() is not None and _brings_images(str(truth.value()))):
        given = shown(truth.input_line)[1:-1]
        raise UsageError(f"{given} brings its own images; leave {typed['dataset'].input_line} out")


def _brings_images(truth: str) -> bool:
    """Whether ground truth of a name is a benchmark with images, and no table of accuracies."""
    return not truth.lower().endswith((".csv", ".parquet")) and truth not in registry.names("truths")


def _check_launcher(overrides: Sequence[Override], multirun: bool) -> None:
    """Refuse a launcher that is not installed, or has nothing to launch or no place to."""
    for override in overrides:
        name = str(override.value()) if override.key_or_group == "hydra/launcher" else ""
        if name not in _LAUNCHERS:
            continue
        extra, package = _LAUNCHERS[name]
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError as error:
            needs = f"hydra/launcher={name} needs the extra: pip install 'nasbench_eval[{extra}]'"
            raise UsageError(needs) from error
        if not multirun:
            raise UsageError(f"hydra/launcher={name} runs the jobs of a sweep: add -m")
        if name == "slurm" and shutil.which("srun") is None:
            raise UsageError(
                "hydra/launcher=slurm finds no srun here: give the command on a machine of the cluster"
            )


def _chosen(overrides: Sequence[Override], config: str) -> list[str]:
    """What a command chooses from the groups; of a sweep the first choice, which shows the options there are.

    Raises:
        UsageError: on an unknown name, also in a later choice.
    """
    chosen = []
    for override in overrides:
        group = override.key_or_group
        if group in GROUPS:
            named = _names_in(override)
            if group != "experiment" and not all(named):
                raise UsageError(f"no {GROUPS[group]} is chosen; choose one with {group}=NAME")
            for name in {name for several in named for name in several}:
                _check_choice(group, name, config)
            first = ",".join(named[0])
            if first:  # an experiment may be left out
                chosen.append(f"{group}={f'[{first}]' if group in _SEVERAL else first}")
    return chosen


def _check_options(overrides: Sequence[Override], chosen: Sequence[str], name: str) -> None:
    groups = _HAS[name]
    known = set(_options(compose(name, overrides=[c for c in chosen if c.partition("=")[0] in groups])))
    for override in overrides:
        key = override.key_or_group
        if name == "search" and key.startswith("proxy."):
            continue  # the guide's proxies, which are asked when they are made
        if not (key in known or key in groups or key.startswith("hydra") or override.is_add()):
            raise UnknownName("option", key, known | set(groups))


def _check_choice(group: str, name: str, config: str) -> None:
    if name not in choices(group, config):
        for other, command in _COMMANDS.items():
            if other != config and name in choices(group, other):
                raise UsageError(f"{group}={name} is one of {command}")
        raise UnknownName(GROUPS[group], name, choices(group, config))
    if group in _PLUGGED and name in registry.plugins(_PLUGGED[group]):
        registry.find(_PLUGGED[group], name)  # tells why it cannot be loaded


def _names_in(override: Override) -> list[list[str]]:
    """The names that each run of a command chooses from a group."""
    swept = override.sweep_iterator() if override.is_sweep_override() else [override.value()]
    several = [value if isinstance(value, list) else [value] for value in swept]
    return [[n.text if isinstance(n, QuotedString) else str(n) for n in names if n] for names in several]


def _options(config: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every option of a configuration as it is written on the command line."""
    for key in map(str, config):
        name = f"{prefix}{key}"
        node = config.get(key)
        if OmegaConf.is_dict(node):
            yield from _options(node, f"{name}.")
        elif key != "name" or not prefix:  # that of a space or a proxy is chosen, not set
            yield name
            if prefix.startswith("proxy."):
                yield f"proxy.{key}"
