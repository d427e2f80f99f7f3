"""The DARTS supernet: texts, networks against genotypes and removed modules, counts, and choices."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nasbench_eval.spaces._darts_genotype import EDGES, OPERATIONS, MalformedGenotype
from nasbench_eval.spaces._darts_masks import Mask, mask_of
from nasbench_eval.spaces.darts import DARTS
from nasbench_eval.spaces.darts_supernet import DARTSSupernet

SPACE = DARTSSupernet()
WIDE = DARTSSupernet(channels=4, layers=3, stem_multiplier=2)
ALL = (OPERATIONS,) * len(EDGES)
FULL = Mask(ALL, ALL)


def filled(network: nn.Module, seed: int = 0) -> nn.Module:
    """A network whose tensors are drawn from their names, so that networks share what they have in common."""
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        rng = np.random.default_rng([seed, *name.encode()])
        if tensor.dtype.is_floating_point:
            drawn = torch.tensor(rng.normal(size=tuple(tensor.shape)), dtype=tensor.dtype)
            tensor.data = drawn.abs() + 0.1 if "running_var" in name else drawn
        else:
            tensor.data = torch.zeros_like(tensor)
    return network


def genotypes(n: int) -> list[Any]:
    rng = np.random.default_rng(1)
    return [DARTS().sample(rng) for _ in range(n)]


def images(seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=(3, 3, 8, 8)), dtype=torch.float64)


class TestTexts:
    def test_round_trips(self) -> None:
        rng = np.random.default_rng(0)
        for mask in (FULL, *(SPACE.sample(rng) for _ in range(200))):
            assert SPACE.parse(SPACE.format(mask)) == mask
            np.testing.assert_array_equal(SPACE.has(SPACE.of(SPACE.has(mask))), SPACE.has(mask))

    def test_a_genotype_is_a_mask_in_all_three_texts(self) -> None:
        for genotype in genotypes(50):
            mask = mask_of(genotype)
            assert SPACE.parse(str(genotype)) == mask == SPACE.parse(DARTS().published(genotype))
            assert mask.genotype is not None
            assert mask_of(mask.genotype) == mask
            assert DARTS().canonical(mask.genotype) == DARTS().canonical(genotype)

    def test_an_edge_may_be_missing(self) -> None:
        mask = SPACE.parse("skip~1|||/|||none,max~4")
        assert mask.normal[1] == ("skip_connect",)
        assert sum(map(len, mask.normal)) == 1
        assert mask.reduce[13] == ("none", "max_pool_3x3")
        assert mask.genotype is None

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("skip~0|||", "of the form"),
            ("skip~0|||/||", "the reduce cell has 3 nodes of its own; it has 4"),
            ("skip~2|||/|||", "node 2 of the normal cell: 'skip~2' comes from no earlier node, 0 to 1"),
            ("skip~0|||/|conv~1||", "node 3 of the reduce cell: 'conv' is no operation of DARTS: none, skip"),
            ("sep3,skip~0|||/|||", "'sep3,skip' are not in the order none, skip, sep3"),
            ("skip,skip~0|||/|||", "not in the order"),
            (
                "skip~0+max~0|||/|||",
                "node 2 of the normal cell has two edges from node 0; a supernet has one",
            ),
            ("skip|||/|||", "comes from no earlier node"),
            ("a" * 3000, "too long for a mask: 3,000 characters"),
        ],
    )
    def test_other_texts_are_refused(self, text: str, why: str) -> None:
        with pytest.raises(ValueError, match=why.replace("(", r"\(")) as told:
            SPACE.parse(text)
        assert "\n" not in str(told.value)

    def test_a_genotype_that_is_none_is_refused_in_its_words(self) -> None:
        with pytest.raises(MalformedGenotype, match="of the form Genotype"):
            SPACE.parse("Genotype(normal=[])")

    def test_single_masks_are_genotypes(self) -> None:
        single = DARTSSupernet(masks="single")
        for genotype in genotypes(3):
            assert single.parse(str(genotype)).genotype is not None
        with pytest.raises(ValueError, match="masks=single"):
            single.parse(str(FULL))


class TestNetworks:
    def test_one_operation_an_edge_is_the_discrete_network(self) -> None:
        """With copied weights, for outputs and gradients."""
        for genotype, train in itertools.product(genotypes(4), (True, False)):
            mask = mask_of(genotype)
            assert mask.genotype is not None
            mixed = filled(WIDE.build(mask, num_classes=5)).double().train(train)
            discrete = WIDE.genotypes.build(mask.genotype, num_classes=5).double().train(train)
            theirs = dict(itertools.chain(mixed.named_parameters(), mixed.named_buffers()))
            names: dict[str, str] = {}
            for mine in itertools.chain(discrete.named_parameters(), discrete.named_buffers()):
                names[mine[0]] = other = _in_supernet(mine[0], mask)
                mine[1].data = theirs[other].data.clone()
            assert sorted(names.values()) == sorted(theirs)
            y_mixed, y_discrete = mixed(images()), discrete(images())
            torch.testing.assert_close(y_mixed, y_discrete, rtol=1e-12, atol=1e-12)
            for y in (y_mixed, y_discrete):
                (y**2).sum().backward()  # type: ignore[no-untyped-call]
            for name, parameter in discrete.named_parameters():
                gradient = dict(mixed.named_parameters())[names[name]].grad
                torch.testing.assert_close(gradient, parameter.grad, rtol=1e-9, atol=1e-9)

    def test_a_mask_equals_the_whole_supernet_with_modules_taken_out(self) -> None:
        """What is masked is as if it were removed from the largest network: its terms, and its share."""
        rng = np.random.default_rng(3)
        for mask in (WIDE.sample(rng), WIDE.sample(rng)):
            small = filled(WIDE.build(mask, num_classes=5)).double()
            whole = filled(WIDE.build(FULL, num_classes=5)).double()
            for cell in whole.get_submodule("cells").children():
                sets = mask.cells[cell.site.reduction]  # type: ignore[union-attr]
                for (source, node), names in zip(EDGES, sets, strict=True):
                    edge = cell.get_submodule(f"edges.{node}_{source}")
                    edge.share = 1 / len(names)  # type: ignore[assignment]
                    for name in set(OPERATIONS) - set(names) - {"none"}:
                        edge.get_submodule("operations")[name] = _Nothing()  # type: ignore[operator]
                    if names == ("none",):
                        for name in OPERATIONS[1:]:
                            edge.get_submodule("operations")[name] = _Nothing()  # type: ignore[operator]
            with torch.no_grad():
                torch.testing.assert_close(small(images()), whole(images()), rtol=1e-9, atol=1e-9)

    def test_none_counts_in_the_mean(self) -> None:
        alone = SPACE.parse("skip~0|||/skip~0|||")
        beside = SPACE.parse("none,skip~0|||/skip~0|||")
        for mask, share in ((alone, 1.0), (beside, 0.5)):
            cell = SPACE.build(mask, num_classes=2).get_submodule("cells.0")
            inputs = images()[:, :1].float()
            for module in (cell.two_before, cell.before):  # type: ignore[union-attr]
                module.forward = lambda x: x  # type: ignore[union-attr]
            found = cell(inputs, inputs)
            torch.testing.assert_close(found[:, :1], share * inputs)
            assert not found[:, 1:].any()

    def test_parameters_and_flops_are_those_of_the_network(self) -> None:
        rng = np.random.default_rng(4)
        for space in (SPACE, WIDE):
            for mask in (FULL, space.sample(rng), mask_of(genotypes(1)[0])):
                network = space.build(mask, num_classes=7)
                assert space.params(mask, num_classes=7) == sum(p.numel() for p in network.parameters())
                if mask.genotype is not None:
                    own = space.genotypes
                    for size in (8, 11):
                        mine = space.flops(mask, resolution=size, num_classes=7)
                        assert mine == own.flops(mask.genotype, resolution=size, num_classes=7)
        with pytest.raises(ValueError, match="at least 1 pixel"):
            SPACE.flops(FULL, resolution=0, num_classes=2)

    def test_own_weights_make_a_genotype_that_of_darts(self) -> None:
        space = DARTSSupernet(weights="own")
        mask = mask_of(genotypes(1)[0])
        assert mask.genotype is not None
        assert space.weight_key(mask) == str(mask.genotype)
        for build in ("build", "build_cell"):
            mine = getattr(space, build)(mask, num_classes=10)
            other = getattr(space.genotypes, build)(mask.genotype, num_classes=10)
            assert list(mine.state_dict()) == list(other.state_dict())
        assert SPACE.weight_key(mask) == SPACE.weight_key(FULL)

    def test_sizes(self) -> None:
        assert SPACE.resized(channels=4, cells=None) == DARTSSupernet(channels=4)
        assert SPACE.resized(channels=None, cells=2) == DARTSSupernet(layers=8)
        assert WIDE.resized(channels=1, cells=0) == SPACE
        assert DARTS().resized(channels=1, cells=0) == SPACE.genotypes
        assert DARTS("imagenet").resized(channels=1, cells=0) == SPACE.genotypes
        with pytest.raises(ValueError, match="at least 1"):
            DARTSSupernet(channels=0)


class _Nothing(nn.Module):
    def forward(self, x: torch.Tensor) -> float:
        return 0.0


def _in_supernet(name: str, mask: Mask) -> str:
    """The name in a supernet of a tensor of a discrete network."""
    parts = name.split(".")
    if "edges" not in parts:
        return name
    assert mask.genotype is not None
    at = parts.index("edges") + 1
    node, slot = map(int, parts[at].split("_"))
    cell = mask.genotype.cells[int(parts[1]) in WIDE.skeleton.reductions]
    edge = cell[node - 2][slot]
    return ".".join([*parts[:at], f"{node}_{edge.source}", "operations", edge.operation, *parts[at + 1 :]])


class TestMoves:
    def test_an_edit_is_one_operation(self) -> None:
        rng = np.random.default_rng(5)
        mask = SPACE.sample(rng)
        for _ in range(200):
            other = SPACE.mutate(mask, rng)
            assert (SPACE.has(mask) != SPACE.has(other)).sum() == 1
            assert SPACE.has(other).any(-1).all()
            mask = other
        near = SPACE.neighbours(mask)
        assert len(set(near)) == len(near)
        assert mask not in near
        bare = SPACE.parse("|||/|||")
        assert SPACE.mutate(bare, rng) == bare
        assert SPACE.neighbours(bare) == []

    def test_single_masks_move_as_genotypes(self) -> None:
        single, rng = DARTSSupernet(masks="single"), np.random.default_rng(6)
        mask = single.sample(rng)
        for _ in range(50):
            mask = single.mutate(mask, rng)
            assert mask.genotype is not None
        assert mask.genotype is not None
        assert len(single.neighbours(mask)) == len(single.genotypes.neighbours(mask.genotype))

    @pytest.mark.parametrize("space", [DARTS(), DARTS(mutation="teg"), DARTSSupernet(masks="single")])
    def test_architectures_are_lists_of_choices(self, space: Any) -> None:
        rng = np.random.default_rng(7)
        for _ in range(100):
            chosen = [int(rng.integers(count)) for count in space.choices]
            arch = space.decode(chosen)
            shown = space.encode(arch)
            assert shown.count(-1) == 2 * (14 - 8)
            assert all(a in (b, -1) for a, b in zip(shown, chosen, strict=True))
            assert space.decode([max(c, 0) for c in shown]) == arch
        assert [space.choices[at] for at in range(5)][:4] == [1, 3, 6, 10]

    def test_what_is_no_list_of_choices_is_refused(self) -> None:
        twice = DARTS().parse("/".join(["skip~0+max~0|skip~0+max~1|skip~0+max~1|skip~0+max~1"] * 2))
        with pytest.raises(ValueError, match="reads the same node twice"):
            DARTS().encode(twice)
        nothing = DARTS().parse("/".join(["none~0+max~1|skip~0+max~1|skip~0+max~1|skip~0+max~1"] * 2))
        with pytest.raises(ValueError, match="none"):
            DARTS().encode(nothing)
        assert DARTS(mutation="teg").encode(nothing)
        assert SPACE.choices == ()
        with pytest.raises(ValueError, match="is no genotype"):
            SPACE.encode(FULL)

    def test_live_masks(self) -> None:
        assert SPACE.live(FULL)
        assert SPACE.live(SPACE.parse("skip~0|none~2|||/|||".replace("|||/", "||/")))
        assert not SPACE.live(SPACE.parse("|skip~2||/|||"))

    def test_groups_are_the_edges_into_each_node(self) -> None:
        assert [len(group) for group in SPACE.groups] == [2, 3, 4, 5] * 2
        assert sorted(edge for group in SPACE.groups for edge in group) == list(range(28))

    def test_the_representative_of_a_genotype(self) -> None:
        for genotype in genotypes(20):
            assert SPACE.canonical(mask_of(genotype)) == mask_of(DARTS().canonical(genotype))
        assert SPACE.canonical(FULL) == FULL
