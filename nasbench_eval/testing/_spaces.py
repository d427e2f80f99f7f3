"""What every search space owes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from nasbench_eval import registry
from nasbench_eval.errors import UsageError
from nasbench_eval.networks.adapted import Adapted, checked
from nasbench_eval.proxies.base import Proxy
from nasbench_eval.search.moves import digits_of
from nasbench_eval.spaces.base import CellSpace, ComparedSpace, DigitSpace, Network, SearchSpace
from nasbench_eval.spaces.open import METHODS, ByChoices, Known, OpenSpace, is_open, known
from nasbench_eval.testing._common import (
    DATASETS,
    SEED,
    check_class,
    check_closed_form,
    generators,
    noise,
    score,
    small,
)


def check_space(
    name: str, cells: int = 4, networks: bool = True, options: Mapping[str, Any] | None = None
) -> None:
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
        options: the space's own by name, such as a width that makes its networks small.

    Raises:
        AssertionError: if something is wrong; the message names it.
        UnknownName: if there is no such space.
    """
    space: SearchSpace = check_class("spaces", name)(**(options or {}))
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
    if isinstance(space, ComparedSpace):
        _check_traits(space, [space.arch(index) for index in chosen])
    if networks:
        _check_networks(space, chosen)


def _check_digits(space: Any) -> None:
    """The last choice is the last digit: the first indices differ in it alone."""
    name, last = space.name, space.choices[-1]
    size = math.prod(space.choices)
    assert size == len(space), f"{name}: its choices make {size} architectures; it has {len(space)}"
    near = {space.index(other) for other in space.neighbours(space.arch(0))}
    assert near >= set(range(1, last)), f"{name}: architectures 0 to {last - 1} are no neighbours"


def _check_traits(space: Any, archs: Sequence[Any]) -> None:
    """Whole numbers, as many for each architecture, and the same for no two."""
    name, told = space.name, [tuple(space.traits(arch)) for arch in archs]
    assert all(isinstance(trait, int | np.integer) for traits in told for trait in traits), (
        f"{name}: traits are no whole numbers"
    )
    assert len({len(traits) for traits in told}) == 1, (
        f"{name}: architectures differ in how many traits they have"
    )
    assert len(set(told)) == len(archs), f"{name}: different architectures have the same traits"


def _check_networks(space: SearchSpace, chosen: Sequence[int]) -> None:
    for index in chosen:
        _check_network(space, space.arch(index))
    _check_scored(space, chosen)


def _check_scored(space: SearchSpace, chosen: Sequence[int]) -> None:
    """Score architectures with every proxy, and compare what the space tells of sizes."""
    with tempfile.TemporaryDirectory() as temporary:
        _check_every_proxy(space, chosen, noise(temporary))
        counts = {name: small(registry.find("proxies", name)()) for name in ("flops", "params")}
        for sized in _sizes(space, channels=4):
            check_closed_form(sized, chosen, counts, Path(temporary))


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
    before = generators()
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
    assert generators() == before, f"{name}: it moves a global random generator"
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
