"""What a folder's record says of the code that its rows come from."""

from __future__ import annotations

from typing import Any

import pytest

from nasbench_eval.runs.record import changed_code

KNOWN: dict[str, Any] = {
    "proxies": {"mine": {"name": "snip"}, "other": {"name": "zen"}},
    "sources": {"shared": "s2", "snip": "n2"},
    "earlier": [{"sources": {"shared": "s1", "snip": "n1", "zen": "z1"}}],
}


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        ({"shared": "s2", "snip": "n2"}, []),
        ({"shared": "s2", "snip": "n3"}, ["snip"]),
        ({"shared": "s3", "snip": "n3"}, ["shared", "snip"]),
        ({"shared": "s2", "zen": "z2"}, ["zen"]),
        ({"shared": "s3", "zen": "z1"}, ["shared"]),
        ({"shared": "s3", "naswot": "w"}, []),  # a proxy that the folder has no rows of
        ({"snip": "n2"}, []),
        ({}, []),
        (None, []),
    ],
)
def test_code_is_compared_with_the_latest_that_made_rows(now: Any, changed: list[str]) -> None:
    assert changed_code(KNOWN, {"sources": now}) == changed


def test_a_record_without_digests_is_not_compared() -> None:
    known = {"proxies": KNOWN["proxies"]}
    assert changed_code(known, {"sources": {"shared": "s", "snip": "n"}}) == []
