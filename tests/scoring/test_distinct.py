"""A sample of one architecture of each class of isomorphic ones."""

from __future__ import annotations

from types import SimpleNamespace

from nasbench_eval.spaces import get
from nasbench_eval.work.subject import Subject


def test_of_a_class_whose_own_is_not_there_the_first_stands() -> None:
    space = get("nasbench201")
    by_class: dict[int, list[int]] = {}
    for index in range(2000):
        by_class.setdefault(space.index(space.canonical(space.arch(index))), []).append(index)
    stands, members = next(item for item in by_class.items() if len(item[1]) > 2 and item[0] in item[1])
    others = [index for index in members if index != stands]
    found = Subject(space, {}, "some", SimpleNamespace(indices=others)).sampled("distinct")  # type: ignore[arg-type]
    assert found == others[:1]


def test_each_class_is_there_once() -> None:
    space = get("nasbench201")
    found = Subject(space, {}).sampled("distinct")
    classes = {space.index(space.canonical(space.arch(index))) for index in range(len(space))}
    assert set(found) == classes
    assert len(found) == len(classes) < len(space)
