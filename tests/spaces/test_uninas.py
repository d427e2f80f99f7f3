"""The UniNAS space: texts, the rules that they keep to, the authors' JSON, samples and mutations."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from nasbench_eval import spaces
from nasbench_eval.errors import UsageError
from nasbench_eval.spaces import _uninas_moves as moves
from nasbench_eval.spaces._uninas_graph import (
    BLOCKS,
    KINDS,
    NETWORKS,
    Architecture,
    Body,
    Node,
    Place,
    bodies_of,
    changed,
    nodes_in,
)
from nasbench_eval.spaces.open import known
from nasbench_eval.spaces.uninas import UniNAS

SPACE = UniNAS()
THIN = UniNAS(resolution=32, widths=(32, 64, 32, 64), depths=(1, 1, 1, 1), stem=(8, 16))
seeds = st.integers(0, 2**32 - 1)


def text_of(half: Any, other: Any = ()) -> str:
    """An architecture whose first block has a half of one's own."""
    return json.dumps([[[half, list(other)]], ["R"], ["R"], ["R"]])


def attention(**bodies: Any) -> dict[str, Any]:
    return {"attention": bodies}


# Texts


def test_known_networks_are_named_and_written_with_letters() -> None:
    assert SPACE.format(SPACE.parse("CoAtNet")) == (
        '{"blocks":[["E","E"],["E","E","E"],["T","T","T","T","T"],["T","T"]],"stem":[32,64],'
        '"widths":[96,192,384,768]}'
    )
    assert SPACE.parse("resnet").widths == (64, 128, 384, 512)
    assert THIN.parse("resnet").widths == THIN.widths


def test_a_letter_and_what_it_stands_for_are_the_same() -> None:
    written = [["conv3", "batch_norm", "gelu", "conv3", "batch_norm", "gelu"], ["zero"]]
    assert SPACE.parse(json.dumps([[written], ["R"], ["R"], ["R"]])) == SPACE.parse(
        '[["R"],["R"],["R"],["R"]]'
    )


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_texts_are_read_back_and_so_are_those_of_canonical_forms(seed: int) -> None:
    arch = THIN.sample(np.random.default_rng(seed))
    assert THIN.parse(THIN.format(arch)) == arch
    canonical = THIN.canonical(arch)
    assert THIN.canonical(canonical) == canonical
    assert THIN.parse(THIN.format(canonical)) == canonical
    assert THIN.params(canonical, num_classes=10) == THIN.params(arch, num_classes=10)


def test_what_certainly_computes_the_same_has_one_canonical_form() -> None:
    def canonical(half: Any) -> str:
        return THIN.format(THIN.canonical(THIN.parse(text_of(half))))

    same = canonical([{"add": [["gelu"], ["conv1"]]}])
    assert canonical([{"add": [["conv1", "identity"], ["gelu"]]}]) == same
    assert canonical([{"gate": [["gelu"], ["conv1"]]}]) != canonical([{"gate": [["conv1"], ["gelu"]]}])
    heads = [{"map": ["softmax"]}, {"map": ["softmax", "identity"]}]
    wide = json.dumps({"blocks": [["R"], [[[{"attention": heads}], []]], ["R"], ["R"]]})
    one = json.dumps({"blocks": [["R"], [[[{"attention": heads[0]}], []]], ["R"], ["R"]]})
    assert THIN.canonical(THIN.parse(wide)) == THIN.parse(one)
    assert THIN.parse(wide) != THIN.parse(one)


# Each text is wrong in one way; the error names the way there and the rule.
WRONG = {
    "no architecture": ("is no JSON",),
    "coatnt": ("did you mean coatnet",),
    "17": ("is no architecture",),
    "{}": ("has no blocks",),
    '{"":1,"blocks":[["R"],["R"],["R"],["R"]]}': ("an architecture has blocks, stem and widths alone",),
    text_of([{"conv1": None}]): ("conv1 holds no sequences",),
    '{"stem":[8,8],"stem":[16,16],"blocks":[]}': ("stem", "stands twice in one object"),
    '{"blocks":[["R"]],"depths":[1]}': (
        "depths",
        "an architecture has blocks, stem and widths alone",
    ),
    '[["R"],["R"]]': ("blocks: 2 stages, but 4 widths",),
    '[["R"],["R"],["R"],[]]': ("blocks[3]: a stage has a block at least",),
    '[["R"],["X"],["R"],["R"]]': ("blocks[1][0]", "is no block; letters are R, E, T"),
    '[["R"],[[["gelu"]]],["R"],["R"]]': ("blocks[1][0]: a block has two halves, and this has 1",),
    text_of(["conv2"]): ("blocks[0][0][0][0]", "no kind of node", "did you mean conv3 or conv1"),
    text_of([["gelu"]]): ("blocks[0][0][0][0]", "a node is a name"),
    text_of(["add"]): ("blocks[0][0][0][0]", "add is an object with its sequences"),
    text_of([{"gelu": []}]): ("blocks[0][0][0][0]", "gelu holds no sequences"),
    text_of([{"add": [[]]}]): ("blocks[0][0][0][0].add", "add holds 2 sequences, and this 1"),
    text_of([{"pool": [["batch_norm"]]}]): ("blocks[0][0][0][0].pool[0][0]", "one value an image"),
    text_of([{"pool": [[attention()]]}]): ("blocks[0][0][0][0].pool[0][0]", "this is a pool"),
    text_of([attention(map=[attention()])]): ("attention.map[0]", "this is a map"),
    text_of([attention(map=[{"reduce": [[]]}])]): ("attention.map[0]", "here are 1"),
    text_of([{"reduce": [[attention()]]}]): ("reduce[0][0]", "32 channels a head, and here are 8"),
    text_of(["position_bias"]): ("blocks[0][0][0][0]", "is for maps of attention"),
    text_of(["softmax"]): ("blocks[0][0][0][0]", "strict=false"),
    text_of([attention(w=[])]): ("blocks[0][0][0][0].attention", "q, k, v, map, out"),
    text_of([{"attention": [{}, {}, {}]}]): ("attention: 1 heads here, and sequences for 3",),
    '{"blocks":[["R"],["R"],["R"],["R"]],"widths":[32,64,0,64]}': ("widths: a list of whole numbers",),
    '{"blocks":[["R"],["R"],["R"],["R"]],"stem":[32]}': ("stem: it has two convolutions",),
    '{"blocks":[["R"],["R"],["R"],["T"]],"widths":[32,64,64,50]}': ("blocks[3][0]", "here are 50"),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_in_one_line_with_the_way_to_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as error:
        THIN.parse(text)
    told = str(error.value)
    assert len(told.splitlines()) == 1
    for part in WRONG[text]:
        assert part in told


def test_what_is_nested_too_deeply_or_has_too_many_operations_is_refused() -> None:
    deep: Any = ["gelu"]
    for _ in range(5):
        deep = [{"add": [deep, []]}]
    with pytest.raises(ValueError, match=r"add\[0\]\[0\].add\[0\]\[0\].*nested 4 deep.*max_depth=4"):
        THIN.parse(text_of(deep))
    UniNAS(max_depth=5).parse(text_of(deep))
    with pytest.raises(ValueError, match="more nodes than max_nodes=400"):
        THIN.parse(text_of(["gelu"] * 401))
    with pytest.raises(ValueError, match=r"nested too deeply|no JSON|more nodes|max_depth"):
        THIN.parse("[" * 100_000 + "]" * 100_000)


def test_options_that_contradict_each_other_are_refused() -> None:
    for options, part in (
        ({"max_params": 1e6}, "beyond a limit: it has 26,871,124 parameters"),
        ({"max_flops": 1e9}, "FLOPs, max_flops=1,000,000,000"),
        ({"widths": (32, 50, 64, 64)}, "multiples of 32"),
        ({"depths": (1, 1)}, "four stages"),
        ({"max_params": float("nan")}, "max_params is above 0"),
        ({"max_flops": -1.0}, "max_flops is above 0"),
        ({"max_depth": 3}, "max_depth 4"),
        ({"max_nodes": 100}, "109 operations, max_nodes=100"),
        ({"resolution": 0}, "1 to 4,096"),
    ):
        with pytest.raises(Exception, match=part):
            spaces.get("uninas", **options)


# The authors' JSON


def node(name: str, **params: Any) -> dict[str, Any]:
    return {"class": name, "shape": [1, 2, 3], "params": params}


def sequence(*nodes: Any) -> dict[str, Any]:
    return node("SequentialModule", modules=list(nodes))


def authors(block: Any) -> str:
    described = [[block, "R"], ["E", "E", "E"], ["T"], ["T"]]
    return json.dumps(
        {
            "img_size": 224,
            "num_classes": 1000,
            "embed_dim": [64, 64, 64, 64],
            "stem_width": [32, 64],
            "model_str": json.dumps(described),
        }
    )


def test_the_authors_json_is_read() -> None:
    heads = {
        "branches": [sequence(node("GELU")) if n % 3 == 0 else sequence() for n in range(6)],
        "connections": [sequence(node("RelPosBias"), node("Softmax"))] * 2,
        "post_branches": [sequence()] * 2,
    }
    squeeze = node("ReduceAndExpand", sequential=sequence(node("GELU")), factor=4)
    first = sequence(
        node("ForkMergeAttention", **heads),
        node("Conv1"),
        node(
            "ForkMerge",
            fork_merge_tuple=["copy", "multiply"],
            branches=[sequence(), sequence(node("AvgAndUpsample", sequential=sequence(squeeze)))],
        ),
    )
    found = SPACE.parse(authors({"subblock1": first, "subblock2": node("Zero")}))
    ours = [
        attention(q=["gelu"], map=["position_bias", "softmax"]),
        "conv1",
        {"gate": [[], [{"pool": [[{"reduce": [["gelu"]]}]]}]]},
    ]
    expected = {
        "blocks": [[[ours, ["zero"]], "R"], ["E", "E", "E"], ["T"], ["T"]],
        "widths": [64, 64, 64, 64],
        "stem": [32, 64],
    }
    assert found == SPACE.parse(json.dumps(expected))


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"subblock1": sequence()}, "model_str[0][0]: a letter, or an object"),
        ({"subblock1": sequence(node("Conv7")), "subblock2": sequence()}, "subblock1[0]: `Conv7` is no node"),
        (
            {"subblock1": node("ExpandAndReduce", sequential=sequence(), factor=2), "subblock2": sequence()},
            "the factor of ExpandAndReduce is 4",
        ),
        ({"subblock1": [], "subblock2": sequence()}, "subblock1: an object with the class"),
    ],
)
def test_what_is_wrong_in_the_authors_json_is_told(block: Any, part: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as error:
        SPACE.parse(authors(block))
    assert part.replace("`", "") in str(error.value).replace("`", "").replace("'", "")


# Mutations


@settings(max_examples=80, deadline=None)
@given(seeds)
def test_a_mutation_is_one_operation_more_or_less(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arch = THIN.sample(rng)
    other = THIN.mutate(arch, rng)
    halves = [
        (one, two)
        for (*_, one, _), (*_, two, _) in zip(arch.halves(), other.halves(), strict=True)
        if one != two
    ]
    assert len(halves) == 1
    before, after = (Counter(_kinds(body)) for body in halves[0])
    added, removed = after - before, before - after
    if added:
        assert sum(added.values()) == 1
        assert not removed
    assert THIN.parse(THIN.format(other)) == other  # every rule is kept


def _kinds(body: Body) -> list[str]:
    return [kind for node in body for kind in (node.kind, *(k for b in node.bodies for k in _kinds(b)))]


def test_stage_block_half_sequence_and_removal_are_drawn_as_published() -> None:
    arch = SPACE.parse("coatnet")
    whole, halves, removed, trials = Counter[tuple[int, int]](), Counter[int](), 0, 3000
    rng = np.random.default_rng(1)
    fits: moves.Fits = lambda node, place: True  # noqa: E731
    done = 0
    while done < trials:
        other = moves.step(arch, rng, SPACE.rules, fits, adds_zero=False)
        if other is None:
            continue
        done += 1
        for (stage, block, half, one, _), (*_, two, _) in zip(arch.halves(), other.halves(), strict=True):
            if one != two:
                whole[stage, block] += 1
                halves[half] += 1
                removed += nodes_in(two) < nodes_in(one)
    stages = Counter[int]()
    for (stage, _), n in whole.items():
        stages[stage] += n
    # Removals fail where the sequence drawn is empty, so that fewer than 0.3 succeed.
    assert 0.15 < removed / trials < 0.3
    assert chisquare([stages[n] for n in range(4)]).pvalue > 1e-3 or min(stages.values()) > 600
    assert set(whole) == {(s, b) for s, depth in enumerate(SPACE.depths) for b in range(depth)}
    assert set(halves) == {0, 1}


def test_twenty_kinds_are_added_and_each_where_it_is_legal() -> None:
    assert len(KINDS) == 20
    rng, seen = np.random.default_rng(0), Counter[str]()
    arch = THIN.start
    for step in range(3000):
        if step % 40 == 0:
            arch = THIN.start
        other = THIN.mutate(arch, rng)
        before, after = (Counter(k for *_, b, _ in a.halves() for k in _kinds(b)) for a in (arch, other))
        seen += after - before
        arch = other
    assert set(KINDS) <= set(seen)
    assert seen["identity"] == 0


def test_attention_shares_what_is_counted_by_its_heads() -> None:
    body = THIN.parse(text_of([attention(v=[attention(q=["conv1"])])])).blocks[0][0][0]
    ways = {way: place.groups for way, _, place in bodies_of(body, Place(64))}
    assert ways[()] == 1
    assert ways[((0, 2),)] == 2
    assert ways[((0, 2), (0, 0))] == 2


def test_samples_and_mutations_keep_within_limits() -> None:
    space = UniNAS(resolution=64, max_params=28e6, max_flops=1e9)
    rng = np.random.default_rng(0)
    arch = space.start
    for step in range(300):
        arch = space.mutate(arch, rng) if step % 30 else space.sample(rng)
        assert space.params(arch, num_classes=1000) <= 28e6
        assert 2 * space.flops(arch, resolution=64, num_classes=1000) <= 1e9
    told = UniNAS(max_flops=18e9).beyond(SPACE.parse("vit"))
    assert told == "it has 18,338,555,904 FLOPs, max_flops=18,000,000,000"


def test_limits_that_nothing_meets_are_told_of_and_not_waited_for() -> None:
    # CoAtNet fits both limits, and hardly anything else of blocks does.
    tight = UniNAS(max_params=27e6, max_flops=8.5e9)
    with pytest.raises(UsageError, match="draws gave no network of uninas within its limits"):
        tight.sample(np.random.default_rng(0))
    space = UniNAS(max_params=30e6, adds_zero=False)
    empty = json.dumps({"widths": [8192, 4096, 8192, 4096], "blocks": [[[[], []]]] * 4})
    with pytest.raises(UsageError, match="edits of a network of uninas"):
        space.mutate(space.parse(empty), np.random.default_rng(0))


def test_a_network_of_too_many_operations_loses_some() -> None:
    space, rng = UniNAS(max_nodes=110), np.random.default_rng(0)
    arch = SPACE.parse("efficientnet")
    with pytest.raises(ValueError, match="efficientnet has 144 operations, max_nodes=110"):
        space.parse("efficientnet")
    for _ in range(5):
        other = space.mutate(arch, rng)
        assert _operations(other) <= _operations(arch)
        arch = other


def _operations(arch: Architecture) -> int:
    return sum(nodes_in(body) for *_, body, _ in arch.halves())


def test_what_is_beyond_a_limit_goes_no_further() -> None:
    space, rng = UniNAS(resolution=64, max_params=26.83e6), np.random.default_rng(0)
    arch = UniNAS(resolution=64).parse('[["E","E"],["E","R","R"],["T","T","T","T","T"],["E","R"]]')
    for _ in range(20):
        other = space.mutate(arch, rng)
        most = max(26.83e6, space.params(arch, num_classes=1000))
        assert space.params(other, num_classes=1000) <= most
        arch = other


@pytest.mark.parametrize("letters", ["RE", "RT", "ER", "ET", "TR", "TE"])
def test_edits_lead_from_each_known_block_to_each_other(letters: str) -> None:
    """Taken apart node by node and built up again: every step is one that a mutation can make."""
    start, goal = (BLOCKS[letter] for letter in letters)
    for half in range(2):
        way = [*_built(start[half])[::-1], *_built(goal[half])[1:]]
        assert (way[0], way[-1]) == (start[half], goal[half])
        for here, there in pairwise(way):
            assert there in _steps(here), f"no mutation of {here} gives {there}"


def _steps(whole: Body) -> set[Body]:
    """All that one step can make of a half of a block."""
    found = set()
    for way, body, place in bodies_of(whole, Place(64)):
        kinds = [kind for kind in KINDS if THIN.rules.broken(kind, place) is None]
        kinds += ["zero"] * (not way and not body)
        for at in range(len(body) + 1):
            found |= {changed(whole, way, (*body[:at], moves.fresh(kind), *body[at:])) for kind in kinds}
        found |= {changed(whole, way, (*body[:at], *body[at + 1 :])) for at in range(len(body))}
    return found


def test_steps_are_those_that_were_listed() -> None:
    arch = THIN.parse("vit")
    listed = [{body: _steps(body) for body in block} for (block,) in arch.blocks]
    for seed in range(400):
        other = moves.step(arch, np.random.default_rng(seed), THIN.rules, lambda *_: True, adds_zero=True)
        for (stage, _, half, one, _), (*_, two, _) in zip(
            arch.halves(), (other or arch).halves(), strict=True
        ):
            assert one == two or two in listed[stage][arch.blocks[stage][0][half]]


def _built(body: Body) -> list[Body]:
    """Sequences from nothing to a whole one, each with one node more than the one before."""
    found: list[Body] = [()]
    for node in body:
        so_far = found[-1]
        inner: list[list[Body]] = [_built(b) for b in node.bodies]
        now = [b[0] for b in inner]
        found.append((*so_far, Node(node.kind, tuple(now))))
        for which, bodies in enumerate(inner):
            for step in bodies[1:]:
                now[which] = step
                found.append((*so_far, Node(node.kind, tuple(now))))
    return found


def test_without_zero_no_edit_leads_back_to_a_network_of_one_half() -> None:
    space, rng = (
        UniNAS(resolution=32, widths=(32,) * 4, depths=(1,) * 4, adds_zero=False),
        np.random.default_rng(0),
    )
    arch: Architecture = space.parse("vit")
    for _ in range(500):
        arch = space.mutate(arch, rng)
    assert all("zero" not in _kinds(body) for *_, body, _ in arch.halves())


def test_an_index_stands_for_a_text_as_in_every_open_space() -> None:
    numbered: Any = known(THIN, [])
    index = numbered.index(THIN.parse("vit"))
    assert THIN.format(numbered.arch(index)) == THIN.format(THIN.parse("vit"))
    assert set(dict(THIN.known_networks())) == set(NETWORKS)


def test_sizes_take_less_than_a_millisecond() -> None:
    import time

    arch = SPACE.sample(np.random.default_rng(0))
    SPACE.params(arch, num_classes=1000)
    start = time.perf_counter()
    for _ in range(20):
        SPACE.params(arch, num_classes=1000)
        SPACE.flops(arch, resolution=224, num_classes=1000)
    assert (time.perf_counter() - start) / 40 < 1e-3
