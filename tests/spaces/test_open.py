"""Spaces without a length: their architectures get an index, and the checks find what is wrong with one."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_chains import WIDTHS, Chain, Numbered, OpenChains

from nasbench_eval import registry, testing
from nasbench_eval.errors import UsageError
from nasbench_eval.spaces import open as open_module
from nasbench_eval.spaces.base import Names
from nasbench_eval.spaces.nasbench201 import NASBench201
from nasbench_eval.spaces.open import Known, index_of, is_open, known, space_of
from nasbench_eval.testing import _spaces

CHAINS = st.lists(st.sampled_from((0, *WIDTHS)), min_size=1, max_size=12).map(tuple)
SEEDS = st.integers(0, 2**32 - 1)


def test_an_index_is_that_of_the_text_alone() -> None:
    # A number on file: it may not change with Python, PyTorch or the machine.
    assert index_of("open_chains", "c8-p") == 1257605379290495370
    space = known(OpenChains(), ["c8-p", "p"])
    other = known(OpenChains(), ["p", "c4", "c8-p"])
    assert space.index((8, 0)) == other.index((8, 0)) == index_of("open_chains", "c8-p")
    assert space.arch(index_of("open_chains", "p")) == (0,)
    assert Names(space)[index_of("open_chains", "p")] == "p"


def test_what_is_not_known_has_no_architecture() -> None:
    space = known(OpenChains(), ["p"])
    with pytest.raises(IndexError, match="knows no architecture of the index 7"):
        space.arch(7)
    assert not Names(space).holds(7)
    with pytest.raises(ValueError, match="no chain such as"):
        known(OpenChains(), ["q"])
    with pytest.raises(UsageError, match="open_chains has no length"):
        len(space)


def test_the_texts_are_no_part_of_what_a_space_is() -> None:
    few, many = known(OpenChains(), ["p"]), known(OpenChains(), ["p", "c8"])
    assert few == many
    assert hash(few) == hash(many)
    assert repr(few) == repr(OpenChains())
    assert asdict(few) == asdict(OpenChains()) == {"mean_length": 3.0}
    assert few != known(OpenChains(2.0), ["p"])
    assert is_open(few)
    assert is_open(OpenChains())
    assert not is_open(NASBench201())


def test_they_go_along_to_another_process_and_into_a_longer_list() -> None:
    space = known(OpenChains(2.0), ["p", "c8"])
    for sent in (pickle.loads(pickle.dumps(space)), copy.deepcopy(space)):
        assert sent == space
        assert dict(sent.texts) == dict(space.texts)
    longer = known(space, ["c4"])
    assert isinstance(longer, Known)
    assert list(longer.texts.values()) == ["p", "c8", "c4"]
    assert len(space.texts) == 2
    assert replace(space, mean_length=5.0).texts == {}


def test_two_texts_of_one_index_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_module, "index_of", lambda space, text: len(text))
    with pytest.raises(UsageError, match=r"'c4' and 'c8' have the same index 2"):
        known(OpenChains(), ["c4", "c8"])


@given(SEEDS)
def test_a_smaller_sample_is_a_prefix(seed: int) -> None:
    space = known(OpenChains(), ())
    assert isinstance(space, Known)
    few, many = space.drawn(4, seed), space.drawn(12, seed)
    assert few == many[:4]
    assert len(set(many)) == 12
    assert known(OpenChains(), ()).drawn(12, seed) == many  # type: ignore[attr-defined]


def test_a_space_that_gives_no_more_is_told() -> None:
    @dataclass(frozen=True)
    class Few(OpenChains):
        def sample(self, rng: np.random.Generator) -> Chain:
            return (int(rng.choice(WIDTHS)),)

    with pytest.raises(
        UsageError, match="n=4: 3 different architectures of open_chains were drawn, and 1,000"
    ):
        known(Few(), ()).drawn(4, 0)  # type: ignore[attr-defined]


def test_a_space_without_mutate_is_refused(open_spaces: None) -> None:
    with pytest.raises(
        UsageError, match="numbered has no length, so it counts as an open one, but it lacks mutate"
    ):
        space_of({"name": "numbered"})
    with pytest.raises(UsageError, match="it lacks mutate"):
        known(Numbered(), ())


def test_the_module_is_no_search_space() -> None:
    assert "open" not in registry.own("spaces")


# The toy space


@given(CHAINS)
def test_texts_are_read_back_and_representatives_stay(chain: Chain) -> None:
    space = OpenChains()
    assert space.parse(space.format(chain)) == chain
    canonical = space.canonical(chain)
    assert space.canonical(canonical) == canonical
    assert space.parse(space.format(canonical)) == canonical


@given(CHAINS, SEEDS)
def test_a_mutation_is_another_chain_by_the_generator_alone(chain: Chain, seed: int) -> None:
    space = OpenChains()
    found = space.mutate(chain, np.random.default_rng(seed))
    assert found == space.mutate(chain, np.random.default_rng(seed))
    assert found != chain
    assert space.parse(space.format(found)) == found
    assert sum(a != b for a, b in zip(found, chain, strict=False)) + len(found) - len(chain) == 1


@given(CHAINS, SEEDS)
def test_mutations_lead_on(chain: Chain, seed: int) -> None:
    space, rng, visited = OpenChains(), np.random.default_rng(seed), {chain}
    for _ in range(10):
        chain = space.mutate(chain, rng)
        visited.add(chain)
    assert len(visited) > 2


# The checks


def test_the_toy_space_passes_the_checks(open_spaces: None) -> None:
    testing.check_space("open_chains", cells=2)


@dataclass(frozen=True)
class Stays(OpenChains):
    def mutate(self, arch: Chain, rng: np.random.Generator) -> Chain:
        return arch


@dataclass(frozen=True)
class ToAndFro(OpenChains):
    def mutate(self, arch: Chain, rng: np.random.Generator) -> Chain:
        return (4,) if arch == (8,) else (8,)


@dataclass(frozen=True)
class Leaves(OpenChains):
    def mutate(self, arch: Chain, rng: np.random.Generator) -> Chain:
        return (*arch, 7)


@dataclass(frozen=True)
class Unseeded(OpenChains):
    def sample(self, rng: np.random.Generator) -> Chain:
        return super().sample(np.random.default_rng())


@dataclass(frozen=True)
class UnseededMutation(OpenChains):
    def mutate(self, arch: Chain, rng: np.random.Generator) -> Chain:
        return super().mutate(arch, np.random.default_rng())


@dataclass(frozen=True)
class NotIdempotent(OpenChains):
    def canonical(self, arch: Chain) -> Chain:
        return (*arch, 0)


@dataclass(frozen=True)
class TwoLines(OpenChains):
    def format(self, arch: Chain) -> str:
        return super().format(arch).replace("-", "\n")

    def parse(self, text: str) -> Chain:
        return super().parse(text.replace("\n", "-"))


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Stays, "mutate gives it back"),
        (ToAndFro, "20 changes in a row lead to"),
        (Leaves, "mutate leads out of the space: .* has a convolution of 7 channels"),
        (Unseeded, "the same generator draws"),
        (UnseededMutation, "the same generator leads to"),
        (NotIdempotent, "its representative has another representative"),
        (TwoLines, "its text is not one line"),
    ],
)
def test_the_checks_find_what_is_wrong(
    cls: type, said: str, open_spaces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_spaces, "check_class", lambda kind, name: cls)
    with pytest.raises(AssertionError, match=said):
        testing.check_space("open_chains")


def test_the_checks_name_a_method_that_is_missing(open_spaces: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spaces, "check_class", lambda kind, name: Numbered)
    with pytest.raises(AssertionError, match="numbered: it has no length, and no method mutate"):
        testing.check_space("numbered")
