"""What a folder's record says of the code that its rows come from."""

from __future__ import annotations

from typing import Any

import pytest

from nasbench_eval.runs.record import changed_code, completed

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


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            {"batch_size": 64},
            {"batch_size": 64, "stage_weights": None},
            {"batch_size": 64, "stage_weights": None},
        ),
        ({"batch_size": 64, "stage_weights": None}, {"batch_size": 64}, {"batch_size": 64}),
        (
            {"batch_size": 64, "stage_weights": [1.0, 2.0]},
            {"batch_size": 64},
            {"batch_size": 64, "stage_weights": [1.0, 2.0]},
        ),
    ],
    ids=["older than the option", "spelt out at its default", "another value is another configuration"],
)
def test_an_option_at_its_default_may_be_spelt_out_or_left_out(
    old: dict[str, Any], new: dict[str, Any], told: dict[str, Any]
) -> None:
    name = {"name": "intrain"}
    assert completed({**name, **old}, {**name, **new}) == {**name, **told}


def test_options_of_an_unknown_proxy_are_left_as_they_were() -> None:
    assert completed({"name": "gone", "a": 1}, {"name": "gone"}) == {"name": "gone", "a": 1}
