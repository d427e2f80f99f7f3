"""Checks that every proxy and every search space has to pass, for the tests of the package that brings it.

    from nasbench_eval import testing

    def test_my_proxy() -> None:
        testing.check_proxy("my_proxy")
        testing.check_golden(Path(__file__).with_name("my_proxy.json"))

    def test_my_space() -> None:
        testing.check_space("my_space")

Names are those of `proxy=` and `space=`: modules of this package, or entry points of another one. A check
raises AssertionError, which says what is wrong. Everything runs on the CPU, on images of noise; a golden
record can be computed on another device, to be compared with the one on file.
"""

from __future__ import annotations

import json
import math
import random
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import nn

from nasbench_eval import registry
from nasbench_eval.data.batches import Batches
from nasbench_eval.data.datasets import DataSet
from nasbench_eval.data.images import FORMATS, images_path
from nasbench_eval.errors import UsageError
from nasbench_eval.networks.adapted import Adapted, checked
from nasbench_eval.passes import Observer, PassSpec
from nasbench_eval.paths import config_folder
from nasbench_eval.proxies.base import Proxy, ProxyInfo
from nasbench_eval.runs.parquet import column_fault, schema
from nasbench_eval.runs.rows import Row
from nasbench_eval.scoring.job import Job
from nasbench_eval.scoring.worker import score_architecture
from nasbench_eval.search.moves import digits_of
from nasbench_eval.spaces.base import CellSpace, DigitSpace, Network, SearchSpace
from nasbench_eval.spaces.nasbench101 import NASBench101
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.spaces.open import METHODS, ByChoices, Known, OpenSpace, is_open, known
from nasbench_eval.work.compute import configure_process

SPACE = NASBench201(channels=4, cells_per_stage=1)
DATASETS = ("cifar10", "imagenet16_120")
CELLS = (
    # every operation but none
    "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    # a zero in the middle
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|nor_conv_3x3~2|",
    # a convolution that nothing reads, and one that reads nothing but zeros
    "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
    # no signal at all
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
)
# Of the other space: one cell with every operation, one without any.
SPACE101 = NASBench101(channels=8, cells_per_stack=1)
CELLS101 = ("|conv3x3~0|maxpool3x3~0~1|conv1x1~1|conv3x3~2~3|output~0~3~4|", "|output~0|")
SEED = 0
CPU = torch.device("cpu")
# Kernels of different CPUs sum in different orders, which moves single-precision scores by some 1e-6; a
# changed formula moves them by far more.  A record may state a looser tolerance, which `write_golden` keeps.
RTOL = 1e-4


# What both kinds of checks are made of


def dataset(name: str) -> DataSet:
    """A data set as its YAML file describes it."""
    options: Any = OmegaConf.to_container(OmegaConf.load(config_folder() / "dataset" / f"{name}.yaml"))
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return DataSet(name, **values)


def write_images(folder: Path, name: str, count: int = 64) -> None:
    """Put images of uniform noise with random labels where a data set's images are looked for."""
    rng = np.random.default_rng(list(FORMATS).index(name))
    form = FORMATS[name]
    path = images_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        x_train=rng.integers(0, 256, (count, form.side, form.side, 3), dtype=np.uint8),
        y_train=rng.integers(0, form.num_classes, count).astype(np.uint8),
        classes=np.array([f"class {k}" for k in range(form.num_classes)]),
    )


def small(proxy: Proxy) -> Proxy:
    """The proxy with small inputs: at most 8 samples, at most 16 pixels where it sets a resolution itself.

    One that has no score for so few samples names its least number in a class variable, `least_samples`.
    One that trains its networks does so on at most 32 images.
    """
    limits = {"batch_size": getattr(proxy, "least_samples", 8), "resolution": 16}
    if getattr(proxy, "epochs", 0):
        limits["training_images"] = 32
    options: dict[str, int] = {}
    for name, most in limits.items():
        value = getattr(proxy, name, None)
        if value is not None:
            options[name] = min(value, most)
    return replace(proxy, **options)  # type: ignore[type-var]


def score(
    space: SearchSpace,
    index: int,
    proxies: Mapping[str, Proxy],
    *,
    folder: Path,
    datasets: Sequence[str] = DATASETS,
    seed: int = SEED,
    device: torch.device = CPU,
) -> list[Row]:
    """Rows of one architecture, a data set after the other: what `nasbench-score` would write.

    Args:
        space: the search space.
        index: the architecture's.
        proxies: by label.
        folder: a data folder with images (see `write_images`).
        datasets: names.
        seed: of weights, inputs and labels.
        device: where the passes run; on CUDA with the settings of a scoring process.
    """
    chosen = {name: dataset(name) for name in datasets}
    job = Job(space, chosen, proxies, seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a scoring process does: several only slow small layers down
    if device.type == "cuda":
        configure_process(device)  # cuDNN would otherwise round to TF32, and choose other kernels each time
    try:
        return score_architecture(job, index, job.tasks(), Batches(seed, chosen, folder, device), device)
    finally:
        torch.set_num_threads(threads)


def index_of(space: SearchSpace, text: str) -> int:
    """The index of the architecture that a text names."""
    return space.index(space.parse(text))


def _noise(temporary: str) -> Path:
    for name in DATASETS:
        write_images(Path(temporary), name)
    return Path(temporary)


def _bits(rows: Iterable[Row], label: str) -> list[tuple[str, ...]]:
    """All digits of a label's rows, NaN and infinities included."""
    fixed = {*schema(()).names, "label", "traceback"} - {"score"}
    return [
        (row["dataset"], *(float(v).hex() for k, v in row.items() if k not in fixed and k != "dataset"))
        for row in rows
        if row["label"] == label
    ]


def _check_class(kind: str, name: str) -> Any:
    """The class behind a name, once it is a frozen dataclass that another process can be sent."""
    cls: Any = registry.find(kind, name)
    parameters = getattr(cls, "__dataclass_params__", None)
    assert parameters is not None, f"{name}: no dataclass"
    assert parameters.frozen, f"{name}: the dataclass is not frozen"
    made = cls()  # every option has a default
    assert made == cls(), f"{name}: two of it with the same options are not equal"
    assert hash(made) == hash(cls()), f"{name}: equal ones have different hashes"
    ForkingPickler.dumps(made)  # as a worker process is sent it
    documented = "\n".join(base.__doc__ or "" for base in cls.__mro__ if base is not object)
    for field in fields(cls):
        described = re.search(rf"^ +(\w+, )*{field.name}(, \w+)*: \S", documented, re.M)
        assert described, f"{name}: no docstring describes the option {field.name}"
    return cls


# Proxies


def check_proxy(name: str) -> None:
    """Check a proxy: what it says of itself, the passes it asks for, and the scores it gives.

    It has to give a finite score for a live cell of either space, a row without an error for cells with
    little or no signal, and the same bits whatever is scored beside it, in any order. What it knows from the
    size of a network (`from_size`) has to be what the passes give. It may neither read nor move the global
    random generators. It is checked on 8 samples, or on as many as its class variable `least_samples` says
    that it needs.

    Raises:
        AssertionError: if something is wrong; the message names it.
        UnknownName: if there is no such proxy.
    """
    cls = _check_class("proxies", name)
    _check_info(name, cls)
    proxy = small(cls())
    _check_passes(name, proxy)
    with tempfile.TemporaryDirectory() as temporary:
        _check_scores(name, proxy, _noise(temporary))
        for space, cells in ((SPACE, CELLS), (SPACE101, CELLS101)):
            _check_closed_form(
                space, [index_of(space, text) for text in cells], {name: proxy}, Path(temporary)
            )


def _check_info(name: str, cls: Any) -> None:
    info = cls.info
    assert isinstance(info, ProxyInfo), f"{name}: `info` is no ProxyInfo"
    assert info.name == name, f"{name}: it calls itself {info.name}"
    assert isinstance(info.version, int), f"{name}: the version is no whole number"
    assert info.version >= 1, f"{name}: the version is below 1"
    assert re.search(r"\d{4}", info.reference), f"{name}: the reference has no year"
    fault = column_fault(info.columns)
    assert fault is None, f"{name}: {fault}"
    assert isinstance(cls(), Proxy), f"{name}: passes, observe or score is missing"
    assert "info" not in {field.name for field in fields(cls)}, (
        f"{name}: `info` is an option; declare it ClassVar"
    )


def _check_passes(name: str, proxy: Proxy) -> None:
    passes = proxy.passes()
    assert passes, f"{name}: it asks for no pass"
    assert all(isinstance(spec, PassSpec) for spec in passes), f"{name}: a pass is no PassSpec"
    assert passes == proxy.passes(), f"{name}: it asks for other passes the second time"
    network = SPACE.build(SPACE.parse(CELLS[0]), num_classes=10)
    for spec in passes:
        assert isinstance(proxy.observe(network, spec), Observer), f"{name}: observe gives no Observer"


class _ByPasses(Job):
    """Runs the passes of proxies that need none as well."""

    of_size = {}  # noqa: RUF012


def _check_closed_form(
    space: SearchSpace, indices: Sequence[int], proxies: Mapping[str, Proxy], folder: Path
) -> None:
    """Scores that come from the size of a network have to be those of the network that is built."""
    chosen = {DATASETS[0]: dataset(DATASETS[0])}
    told = Job(space, chosen, proxies, SEED).of_size
    for index in indices if told else ():
        found = []
        for kind in (Job, _ByPasses):
            job = kind(space, chosen, {label: proxies[label] for label in told}, SEED)
            batches = Batches(SEED, chosen, folder, torch.device("cpu"))
            found.append(score_architecture(job, index, job.tasks(), batches, torch.device("cpu")))
        for row, built in zip(*found, strict=True):
            scores = f"{row['score']} of its size, {built['score']} of the network"
            assert close(row["score"], built["score"], 0.0), f"{row['label']} on {row['arch']}: {scores}"


def _check_scores(name: str, proxy: Proxy, folder: Path) -> None:
    for space, cells, datasets in ((SPACE, CELLS, DATASETS), (SPACE101, CELLS101, DATASETS[:1])):
        for text in cells:
            before = _generators()
            rows = score(space, index_of(space, text), {name: proxy}, folder=folder, datasets=datasets)
            assert _generators() == before, f"{name}: it moves a global random generator"
            for row in rows:
                failed = f"{name} on {text}: {row['error']}"
                assert row["status"] in ("ok", "nan", "inf", "undefined"), failed
                assert text != cells[0] or row["status"] == "ok", f"{name} on {text}: {row['score']}"
    live = index_of(SPACE, CELLS[0])
    alone = _bits(score(SPACE, live, {name: proxy}, folder=folder), name)
    other = {"": small(registry.find("proxies", "snip")())}
    state = torch.get_rng_state()
    torch.manual_seed(12345)
    try:
        for proxies in ({name: proxy, **other}, {**other, name: proxy}):
            among = _bits(score(SPACE, live, proxies, folder=folder), name)
            assert among == alone, f"{name}: its score depends on what is scored beside it"
    finally:
        torch.set_rng_state(state)


def _generators() -> tuple[object, ...]:
    _, keys, *rest = np.random.get_state()
    return torch.get_rng_state().tolist(), np.asarray(keys).tolist(), rest, random.getstate()


# Golden records


def golden_record(name: str, folder: Path | None = None, device: torch.device = CPU) -> dict[str, Any]:
    """A proxy's scores on four small cells and two data sets, to the last digit, and what they depend on.

    Args:
        name: the proxy's.
        folder: a data folder with images; None makes one with noise.
        device: where to compute it; records on file are the CPU's.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return golden_record(name, _noise(temporary), device)
    proxy = small(registry.find("proxies", name)())
    rows = []
    for text in CELLS:
        for row in score(SPACE, index_of(SPACE, text), {name: proxy}, folder=folder, device=device):
            columns = {column: repr(float(row[column])) for column in (*proxy.info.columns, "score")}
            rows.append({"arch": text, "dataset": row["dataset"], "status": row["status"], **columns})
    return {
        "proxy": name,
        "version": proxy.info.version,
        "options": {field.name: getattr(proxy, field.name) for field in fields(proxy)},  # type: ignore[arg-type]
        "space": {"name": SPACE.name, **asdict(SPACE)},
        "seed": SEED,
        "torch": torch.__version__.split("+")[0],
        "rtol": RTOL,
        "rows": rows,
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What tells a computed record from the one on file, a line each; `rtol` is the one on file."""
    found = [
        f"{key}: {old.get(key)} on file, {new[key]} now"
        for key in ("proxy", "version", "options", "space", "seed")
        if old.get(key) != json.loads(json.dumps(new[key]))
    ]
    if len(old["rows"]) != len(new["rows"]):
        found.append(f"{len(old['rows'])} rows on file, {len(new['rows'])} now")
    for before, now in zip(old["rows"], new["rows"], strict=False):
        place = f"{now['arch']} {now['dataset']}"
        if before.keys() != now.keys():
            found.append(f"{place}: columns {list(before)} on file, {list(now)} now")
            continue
        for key in now:
            same = before[key] == now[key]
            if not same and key not in ("arch", "dataset", "status"):
                same = close(float(before[key]), float(now[key]), old["rtol"])
            if not same:
                found.append(f"{place}: {key} {before[key]} on file, {now[key]} now")
    return found


def close(a: float, b: float, rtol: float) -> bool:
    """Whether two scores agree; NaN agrees with NaN, an infinity with itself."""
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=rtol, abs_tol=1e-12)


def check_golden(file: Path) -> None:
    """Check that a proxy's scores are those of the record on file, within its `rtol`.

    A failure means that scores moved. If they should, raise `info.version` and call `write_golden`.

    Raises:
        AssertionError: if a score, the version or an option is another.
    """
    old = json.loads(file.read_text(encoding="utf-8"))
    moved = differences(old, golden_record(old["proxy"]))
    assert not moved, f"{file.name}: " + "; ".join(moved)


def write_golden(name: str, file: Path) -> None:
    """Write a proxy's record; a tolerance that stands in the file stays."""
    record = golden_record(name)
    with suppress(FileNotFoundError):
        record["rtol"] = json.loads(file.read_text(encoding="utf-8"))["rtol"]
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


# Search spaces


def check_space(name: str, cells: int = 4, networks: bool = True, **options: Any) -> None:
    """Check a search space, and score a few of its networks with every proxy of this package.

    Looks at the first, the last and some architectures between: their texts and indices are read back, edits
    lead to other members of the space, networks are cut into body and head, and other sizes of them can be
    built. No proxy may raise on them.

    Of an open space, which has no length, it looks at some that are drawn: their texts are read back, the
    same generator draws and changes them in the same way, and changes lead to other members of the space.

    Args:
        name: the space's.
        cells: how many architectures to look at.
        networks: whether networks are built and scored, too; False where they are too large for that.
        options: the space's own, such as a width that makes its networks small.

    Raises:
        AssertionError: if something is wrong; the message names it.
        UnknownName: if there is no such space.
    """
    space: SearchSpace = _check_class("spaces", name)(**options)
    assert space.name == name, f"{name}: it calls itself {space.name}"
    if is_open(space):
        _check_open(space, cells, networks)
        return
    assert len(space) > 0, f"{name}: it has no architectures"
    chosen = sorted({round(i * (len(space) - 1) / max(cells - 1, 1)) for i in range(cells)})
    for outside in (-1, len(space)):
        assert _raises(IndexError, space.arch, outside), f"{name}: arch({outside}) raises no IndexError"
    _check_nonsense(space)
    if digits_of(space) or (isinstance(space, DigitSpace) and not isinstance(space, ByChoices)):
        _check_digits(space)
    for index in chosen:
        assert space.index(space.arch(index)) == index, f"{name}: index(arch({index})) is another index"
        _check_arch(space, space.arch(index))
    if networks:
        _check_networks(space, chosen)


def _check_digits(space: Any) -> None:
    """The last choice is the last digit: the first indices differ in it alone."""
    name, last = space.name, space.choices[-1]
    size = math.prod(space.choices)
    assert size == len(space), f"{name}: its choices make {size} architectures; it has {len(space)}"
    near = {space.index(other) for other in space.neighbours(space.arch(0))}
    assert near >= set(range(1, last)), f"{name}: architectures 0 to {last - 1} are no neighbours"


def _check_networks(space: SearchSpace, chosen: Sequence[int]) -> None:
    for index in chosen:
        _check_network(space, space.arch(index))
    _check_scored(space, chosen)


def _check_scored(space: SearchSpace, chosen: Sequence[int]) -> None:
    """Score architectures with every proxy, and compare what the space tells of sizes."""
    with tempfile.TemporaryDirectory() as temporary:
        _check_every_proxy(space, chosen, _noise(temporary))
        counts = {name: small(registry.find("proxies", name)()) for name in ("flops", "params")}
        for sized in _sizes(space, channels=4):
            _check_closed_form(sized, chosen, counts, Path(temporary))


def _sizes(space: SearchSpace, channels: int) -> list[SearchSpace]:
    """The space and, if it has other sizes, one of a cell a stage; both know the same texts."""
    if not callable(getattr(space, "resized", None)):
        return [space]
    thin = space.resized(channels=channels, cells=1)
    return [space, known(thin, space.texts.values()) if isinstance(space, Known) else thin]


def _check_open(space: SearchSpace, cells: int, networks: bool) -> None:
    name, drawing = space.name, cast(OpenSpace, space)
    for method in METHODS:
        assert callable(getattr(space, method, None)), f"{name}: it has no length, and no method {method}"
    _check_nonsense(space)
    before = _generators()
    for seed in range(cells):
        drawn, again = (drawing.sample(np.random.default_rng(seed)) for _ in range(2))
        assert drawn == again, f"{name}: the same generator draws {drawn} and {again}"
    numbered = known(space, ())
    assert isinstance(numbered, Known)
    try:
        chosen = numbered.drawn(cells, SEED)
    except UsageError as error:
        raise AssertionError(f"{name}: {error}") from error
    for index in chosen:
        arch = numbered.arch(index)
        _check_text(space, arch)
        _check_mutations(drawing, arch)
    _check_choices(space, cells)
    assert _generators() == before, f"{name}: it moves a global random generator"
    if networks:
        _check_networks(numbered, chosen)


def _check_choices(space: SearchSpace, cells: int) -> None:
    """Choices lead to an architecture, which shows the same or none, and comes of what it shows."""
    if not isinstance(space, ByChoices) or not space.choices:
        return
    for seed in range(cells):
        chosen = np.random.default_rng(seed).integers(space.choices).tolist()
        arch = space.decode(chosen)
        shown, text = space.encode(arch), space.format(arch)
        assert len(shown) == len(chosen), f"{text}: it shows {len(shown)} of {len(chosen)} choices"
        kept = all(mine in (-1, given) for mine, given in zip(shown, chosen, strict=True))
        assert kept, f"{text}: of the choices {chosen} it shows {shown}"
        again = space.decode([max(choice, 0) for choice in shown])
        assert again == arch, f"{text}: what it shows leads to {space.format(again)}"


# Changes, one after the other, and how many architectures they have to come by.
_STEPS, _VISITED = 20, 4


def _check_mutations(space: OpenSpace, start: Any) -> None:
    """Changes lead to other architectures of the space, by the generator alone, and on to further ones."""
    arch, visited = start, {space.format(start)}
    for step in range(_STEPS):
        text = space.format(arch)
        other, again = (space.mutate(arch, np.random.default_rng(step)) for _ in range(2))
        assert space.format(arch) == text, f"{text}: mutate changes the architecture that it is given"
        assert other == again, f"{text}: the same generator leads to {other} and {again}"
        found = space.format(other)
        assert found != text, f"{text}: mutate gives it back"
        try:
            _check_text(space, other)
        except ValueError as error:
            raise AssertionError(f"{text}: mutate leads out of the space: {error}") from error
        visited.add(found)
        arch = other
    less = f"{_STEPS} changes in a row lead to {len(visited)} architectures"
    assert len(visited) >= _VISITED, f"{space.format(start)}: {less}"


def _check_nonsense(space: SearchSpace) -> None:
    for text in ("", "no architecture", "\n"):
        assert _raises(ValueError, space.parse, text), f"{space.name}: parse({text!r}) raises no ValueError"


def _check_text(space: SearchSpace | OpenSpace, arch: Any) -> None:
    """What every architecture owes, in either kind of space."""
    text = space.format(arch)
    assert text == text.strip(), f"{text!r}: blanks at an end of its text"
    assert len(text.splitlines()) == 1, f"{text!r}: its text is not one line"
    assert not text.startswith("#"), f"{text!r}: its text looks like a comment in a file of archs="
    assert space.parse(text) == arch, f"{text}: read back it is another architecture"
    canonical = space.canonical(arch)
    assert space.canonical(canonical) == canonical, f"{text}: its representative has another representative"
    assert space.parse(space.format(canonical)) == canonical, (
        f"{text}: its representative is not of the space"
    )


def _raises(kind: type[Exception], function: Any, argument: object) -> bool:
    try:
        function(argument)
    except kind:
        return True
    return False


def _check_arch(space: SearchSpace, arch: Any) -> None:
    text = space.format(arch)
    _check_text(space, arch)
    assert isinstance(space.live(arch), bool), f"{text}: live gives no truth value"
    around = [space.format(each) for each in space.neighbours(arch)]
    assert text not in around, f"{text}: it is its own neighbour"
    assert len(set(around)) == len(around), f"{text}: a neighbour is there twice"
    for other in around:
        assert space.format(space.parse(other)) == other, f"{text}: its neighbour {other} has two names"


def _check_network(space: SearchSpace, arch: Any) -> None:
    text = space.format(arch)
    for resized in _sizes(space, channels=3):
        assert resized.format(arch) == text, f"{text}: in other sizes it has another name"
        network: nn.Module = resized.build(arch, num_classes=7)
        if not isinstance(network, Network):
            _check_module(network, text)
            continue
        assert isinstance(network.cells, nn.ModuleList), f"{text}: `cells` is no ModuleList"
        network.eval()
        for parameter in network.parameters():
            nn.init.constant_(parameter, 0.01)
        images = torch.ones(2, 3, 16, 16)
        with torch.no_grad():
            features = network.features(images)
            logits = network.head(features)
            same = torch.equal(logits, network(images))
        assert features.ndim == 4, f"{text}: the features are no maps (B, C, h, w)"
        assert logits.shape == (2, 7), f"{text}: the logits have the shape {tuple(logits.shape)}"
        assert same, f"{text}: forward is not the head of the features"
        width = network.classifier.in_features
        assert features.shape[1] == width, f"{text}: {features.shape[1]} channels, classifier of {width}"
    thin = _sizes(space, channels=1)[-1]
    if isinstance(thin, CellSpace):
        logits = thin.build_cell(arch, num_classes=7)(torch.ones(2, 1, 3, 3))
        assert logits.shape == (2, 7), f"{text}: the cell's logits have the shape {tuple(logits.shape)}"


def _check_module(module: nn.Module, text: str) -> None:
    """Check a network that is a plain module: it has to give logits, and weights that it was built with."""
    assert isinstance(module, nn.Module), f"{text}: build gives no network"
    checked(module)
    look = Adapted(module, (3, 32, 32)).look
    assert look.classes == 7, f"{text}: it gives {look.classes} logits for 7 classes"


def _runs(proxy: Proxy, space: SearchSpace) -> bool:
    """Whether the space builds the networks that a proxy asks for."""
    forwards = [spec.forward for spec in proxy.passes()]
    sized = all(forward.channels is None and forward.cells is None for forward in forwards)
    if not sized and not callable(getattr(space, "resized", None)):
        return False
    return isinstance(space, CellSpace) or all(forward.body == "whole" for forward in forwards)


def _check_every_proxy(space: SearchSpace, indices: Sequence[int], folder: Path) -> None:
    thin = _sizes(space, channels=4)[-1]
    every = {name: small(registry.find("proxies", name)()) for name in registry.own("proxies")}
    proxies = {name: proxy for name, proxy in every.items() if _runs(proxy, space)}
    for index in indices:
        for row in score(thin, index, proxies, folder=folder, datasets=DATASETS[1:]):
            failed = f"{row['label']} on {row['arch']}: {row['error']}"
            assert row["status"] in ("ok", "nan", "inf", "undefined"), failed
