"""A sample of one architecture of each class of isomorphic ones."""

from __future__ import annotations

from nasbench_eval.spaces import get
from nasbench_eval.work.subject import Subject


def test_each_class_is_there_once() -> None:
    space = get("nasbench201")
    found = Subject(space, {}).sampled("distinct")
    classes = {space.index(space.canonical(space.arch(index))) for index in range(len(space))}
    assert set(found) == classes
    assert len(found) == len(classes) < len(space)
