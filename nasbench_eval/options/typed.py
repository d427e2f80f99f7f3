"""The options of the commands: names and types; their defaults and help are in configs/.

An error names the option that is wrong and what it should be.  Nothing here needs PyTorch, so that a wrong
value is told before it is imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, TypeAdapter, ValidationError

from nasbench_eval import registry
from nasbench_eval.errors import UsageError
from nasbench_eval.registry import UnknownName
from nasbench_eval.wording import first_line, shown

T = TypeVar("T")
Seed = Annotated[int, Field(ge=0, lt=2**63)]
# The parts of a configuration that are no options of the run.
_PARTS = {"space", "dataset", "proxy", "algorithm", "recipe", "options"}


@dataclass(frozen=True)
class Placed:
    """What all commands that compute have in common: where (see configs/)."""

    device: Literal["auto", "cpu", "cuda"]
    workers: Annotated[int, Field(ge=0)] | None
    data: Path | None
    results: Path
    run: str | int | None


@dataclass(frozen=True)
class Execution(Placed):
    """What those have in common besides whose work is many small pieces: how."""

    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    save_every: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    allow_changed_code: bool


@dataclass(frozen=True)
class Sampled(Execution):
    """What scoring and training have in common besides: which architectures."""

    n: int | str
    sample_seed: Annotated[int, Field(ge=0)]
    indices: tuple[int | str, ...] | None
    archs: tuple[str, ...] | Path | None
    shard: int | str | None
    shards: Annotated[int, Field(ge=1)] | None
    retry_failed: bool


@dataclass(frozen=True)
class RunOptions(Sampled):
    """Options of a run beside those of its space, data sets and proxies (see configs/config.yaml)."""

    truth: str | None
    n: Annotated[int, Field(ge=1)] | Literal["all", "auto"]
    cpu_sample: Annotated[int, Field(ge=1)]
    sampling: Literal["uniform", "live", "distinct", "stratified"]
    dedupe: Literal["none", "isomorphic"]
    precision: Literal["float32", "tf32", "bf16"]
    seed: Seed
    missing_images: Literal["refuse", "skip"]
    reuse: Literal["none", "results"]


@dataclass(frozen=True)
class TrainOptions(Sampled):
    """Options of trainings beside those of the space (see configs/train.yaml)."""

    images: str
    name: str | None
    resolution: Annotated[int, Field(ge=4)] | None
    train_images: Annotated[int, Field(ge=2)] | None
    val_images: Annotated[int, Field(ge=1)] | None
    test_images: Annotated[int, Field(ge=1)] | None
    split_seed: Annotated[int, Field(ge=0)]
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    copies: Annotated[int, Field(ge=1)]
    n: Annotated[int, Field(ge=1)] | Literal["all"]
    seeds: tuple[Seed, ...]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    optimizer: Literal["sgd", "adamw"]
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    flips: bool | None


@dataclass(frozen=True)
class RetrainOptions(Placed):
    """Options of the training of one network beside those of space and recipe (see configs/retrain.yaml)."""

    arch: str | None
    images: str
    name: str | None
    resolution: Annotated[int, Field(ge=4)] | None
    train_images: Annotated[int, Field(ge=2)] | None
    val_images: Annotated[int, Field(ge=0)] | None
    test_images: Annotated[int, Field(ge=0)] | None
    split_seed: Annotated[int, Field(ge=0)]
    seed: Seed
    teacher: str | None
    precision: Literal["float32", "bf16"]
    sync_batch_norm: bool
    threads: Annotated[int, Field(ge=1)] | None
    export: Literal["onnx"] | None
    tensorboard: bool


@dataclass(frozen=True)
class SearchOptions(Execution):
    """Options of a search beside those of its space, data set and algorithm (see configs/search.yaml)."""

    guide: str | tuple[str, ...]
    options_from: Path | None
    ranks: Literal["rank", "log"] | None
    truth: str | None
    seeds: Annotated[int, Field(ge=1)] | tuple[Seed, ...]
    steps: Annotated[int, Field(ge=1)]
    proxy_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    simulated_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    wall_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    lag: Annotated[int, Field(ge=1)]
    mutation: Literal["uniform", "node"]
    n: Annotated[int, Field(ge=1)] | Literal["all"]
    sample_seed: Annotated[int, Field(ge=0)]
    fork: Path | None
    fork_step: Annotated[int, Field(ge=1)] | None
    seed: Seed
    reuse: Literal["none", "results", "only"]
    ray: str | None
    ray_gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None


def plain(config: DictConfig) -> dict[str, Any]:
    """A composed configuration as plain data.

    Raises:
        UsageError: if an option refers to nothing.
    """
    try:
        values: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise UsageError(first_line(error)) from error
    return values


def options_of(config: DictConfig) -> RunOptions:
    """The options of the run that a composed configuration names.

    Raises:
        UsageError: on an option that is unknown or of the wrong kind.
    """
    return typed(RunOptions, _own(config))


def train_options_of(config: DictConfig) -> TrainOptions:
    """The options of the trainings that a composed configuration names.

    Raises:
        UsageError: on an option that is unknown or of the wrong kind.
    """
    return typed(TrainOptions, _own(config))


def retrain_options_of(config: DictConfig) -> RetrainOptions:
    """The options of the training of one network that a composed configuration names.

    Raises:
        UsageError: on an option that is unknown or of the wrong kind.
    """
    return typed(RetrainOptions, _own(config))


def search_options_of(config: DictConfig) -> SearchOptions:
    """The options of the search that a composed configuration names.

    Raises:
        UsageError: on an option that is unknown or of the wrong kind.
    """
    return typed(SearchOptions, _own(config))


def _own(config: DictConfig) -> dict[str, Any]:
    return {key: value for key, value in plain(config).items() if key not in _PARTS}


def typed(cls: type[T], values: Mapping[str, Any], what: str | None = None) -> T:
    """A dataclass from plain values, checked against its annotations.

    Args:
        cls: the dataclass.
        values: its fields by name.
        what: whose options they are in errors; None for those of the command itself.

    Raises:
        UsageError: on an unknown field (naming the nearest), a missing one, or a value of the wrong kind.
    """
    for key in values:
        if key not in fields_of(cls):
            raise UnknownName(f"option of {what}" if what else "option", key, fields_of(cls))
    try:
        # As JSON, because pydantic's strict mode then takes lists for tuples and texts for paths,
        # but still no truth value, text or fraction for a whole number.
        return TypeAdapter(cls).validate_json(json.dumps(dict(values), default=str), strict=True)
    except ValidationError as error:
        raise UsageError(f"{what}: {_explained(error)}" if what else _explained(error)) from error


def made(kind: str, node: Any, what: str | None = None) -> Any:
    """A search space or a proxy from plain data: the name of its class, and its options.

    Args:
        kind: `spaces` or `proxies`, as in the registry.
        node: `{"name": ..., option: value, ...}`.
        what: whose options they are in errors; None for the name.

    Raises:
        UsageError: if there is no such class, or an option of it will not do.
    """
    options = dict(node)
    name = options.pop("name")
    return typed(registry.find(kind, name), options, what or name)


def _explained(error: ValidationError) -> str:
    """The first field that is wrong, with all that it might have been."""
    first, *rest = error.errors()
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ")
    field = first["loc"][0]
    if first["type"] == "missing":
        return f"the option {field} has no value"
    kinds = [_in_words(e["msg"]) for e in (first, *rest) if e["loc"][:1] == (field,)]
    should = ", or ".join(dict.fromkeys(kinds))
    value = first["input"]
    return f"{field}={_written(value)} will not do; it should be {should}"


# What pydantic says, as a person would.
_WORDS = (
    (r"^Input should be ", ""),
    (r"\bgreater than or equal to (\S+)", r"at least \1"),
    (r"\bless than or equal to (\S+)", r"at most \1"),
    (r"\bgreater than (\S+)", r"more than \1"),
    (r"\ba valid integer\b", "a whole number"),
    (r"\ba valid number\b", "a number"),
    (r"\ba valid (string|path)\b", "a name"),
    (r"\ba valid boolean\b", "true or false"),
    (r"\ba valid (array|tuple|list)\b", "a list in brackets"),
    (r"'([A-Za-z0-9_]+)'", r"\1"),
)


def _in_words(said: str) -> str:
    for pattern, instead in _WORDS:
        said = re.sub(pattern, instead, said)
    return said


def _written(value: object) -> str:
    """A value as it is written on the command line, short."""
    return shown(value)[1:-1] if isinstance(value, str) else shown(value)


def fields_of(cls: Any) -> set[str]:
    """The names of a dataclass's fields, which are its options."""
    return {f.name for f in fields(cls)}


def written(thing: Any) -> dict[str, Any]:
    """A dataclass as plain data; a field that was added `later` is left out where it changes nothing.

    So runs keep the names that they had before there was such an option.
    """
    later = {f.name: f.default for f in fields(thing) if f.metadata.get("later")}
    return {name: v for name, v in asdict(thing).items() if name not in later or v != later[name]}
