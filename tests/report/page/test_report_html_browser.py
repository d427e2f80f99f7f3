"""The interactive page in a browser: opened from its file, without a network. All data are made up."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up_page import CELLS_101, CELLS_201, EVIL, N, compute, made_up_scores, made_up_truth, spec_of

from nasbench_eval.report.html import write_html
from nasbench_eval.report.scores import Part, Scores

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with two search spaces, the second with a failed score and hostile names."""
    folder = tmp_path_factory.mktemp("page")
    archs = CELLS_201[-N:]
    first = made_up_scores(["snip", "zen"], archs, ["cifar10", "cifar100"])
    second = made_up_scores(["snip", EVIL], CELLS_101, ["cifar10"], space="nasbench101")
    second.frames[Part("nasbench101", "cifar10", "snip")].loc[1, "score"] = np.nan
    frames = first.frames | second.frames
    both = Scores(first.runs, frames, dict.fromkeys(frames, first.runs[0]))
    truths = {"nasbench201": made_up_truth(archs), "nasbench101": made_up_truth(CELLS_101)}
    tables = [compute(both, truths, spec_of(space), space) for space in ("nasbench201", "nasbench101")]
    section = ("Pairs", "", pd.DataFrame({"a": ["x", "y", "z"], "p": [0.5, np.nan, 1e-9]}))
    return write_html(
        folder, tables=tables, scores=both, truths=truths, record={}, sections=[section], command=EVIL
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    flags = "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-sync"
    with playwright.sync_playwright() as session:
        chromium = session.chromium.launch(
            executable_path=CHROMIUM, args=[*flags.split(), "--disable-component-update"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    """The page opened from its file and drawn; fails the test if the browser complains or asks for more."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme="light", offline=True)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:80]}"))
    opened.on(
        "request",
        lambda r: (
            None if r.url.startswith(("file:", "data:", "blob:")) else complaints.append(f"asked: {r.url}")
        ),
    )
    opened.goto(report.as_uri())
    opened.wait_for_function("document.documentElement.dataset.ready", timeout=60_000)
    yield opened
    assert opened.title() == "Zero-cost proxies: made_up"
    context.close()
    assert complaints == []


def texts(page: Any, selector: str) -> list[str]:
    found: list[str] = page.locator(selector).all_inner_texts()
    return found


def point_at(page: Any, number: int) -> dict[str, Any]:
    """Put the pointer on a point of the first trace; returns its place on the axes."""
    place: dict[str, Any] = page.evaluate(
        """(number) => {
          const plot = document.getElementById("plot"), box = plot.getBoundingClientRect();
          const { xaxis, yaxis } = plot._fullLayout, { x, y } = plot.data[0];
          return { x: x[number], y: y[number], left: box.left + xaxis._offset + xaxis.l2p(x[number]),
                   top: box.top + yaxis._offset + yaxis.l2p(y[number]) };
        }""",
        number,
    )
    page.mouse.move(place["left"] - 40, place["top"] - 30)
    page.mouse.move(place["left"], place["top"], steps=4)
    return place


def test_the_page_opens_soon(page: Any, record_property: Any) -> None:
    ready = page.evaluate("Number(document.documentElement.dataset.ready)")
    record_property("ready_ms", ready)
    assert 0 < ready < 20_000  # under 2 s where nothing else runs; a busy machine must not fail the test
    assert page.locator("#plot .main-svg").count() > 0
    titles = page.evaluate("[...document.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title)")
    assert titles
    assert not [title for title in titles if re.search("share|cloud|send|edit", title, re.IGNORECASE)]


def test_columns_sort(page: Any) -> None:
    def column(number: int) -> list[str]:
        return texts(page, f"#table-0-rows tbody tr:not([hidden]) > :nth-child({number})")

    page.select_option("#table-0 [name=dataset]", "")
    heads = page.locator("#table-0-rows thead th")
    by_tau = heads.nth(1).get_by_role("button")
    by_tau.focus()
    page.keyboard.press("Enter")
    assert heads.nth(1).get_attribute("aria-sort") == "descending"
    figures = [cell.split()[0] for cell in column(2)]
    known = [float(figure) for figure in figures if figure != "–"]
    assert known == sorted(known, reverse=True)
    assert figures[len(known) :] == ["–"] * (len(figures) - len(known))
    by_tau.click()
    assert heads.nth(1).get_attribute("aria-sort") == "ascending"
    assert [float(cell.split()[0]) for cell in column(2)[: len(known)]] == sorted(known)
    heads.nth(0).get_by_role("button").click()
    assert heads.nth(1).get_attribute("aria-sort") is None
    assert column(1) == sorted(column(1), key=str.lower)
    page.locator("#section-0-rows thead button").nth(1).click()
    assert texts(page, "#section-0-rows tbody th") == ["x", "z", "y"]


def test_rows_filter(page: Any) -> None:
    def shown() -> list[tuple[str, ...]]:
        rows = page.locator("#table-0-rows tbody tr:not([hidden])")
        found = rows.evaluate_all(
            "(rows) => rows.map((r) => [r.cells[0].textContent, r.dataset.dataset, r.dataset.split])"
        )
        return [tuple(row) for row in found]

    first = shown()
    assert {row[1:] for row in first} == {("cifar10", "test")}
    page.select_option("#table-0 [name=dataset]", "cifar100")
    page.select_option("#table-0 [name=split]", "")
    assert {row[1:] for row in shown()} == {("cifar100", "test"), ("cifar100", "val")}
    page.fill("#table-0 [name=proxy]", "SNIP")
    names = [row[0] for row in shown()]
    assert len(names) == 4
    assert all("snip" in name for name in names)
    assert texts(page, "#table-0 output") == ["4 of 16 rows"]


def test_a_point_shows_its_cell(page: Any) -> None:
    page.select_option("#scatter-form [name=proxy]", "snip")
    page.locator("#plot").scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('#cell-card dt')?.textContent === 'snip'")
    for number in (5, 20):
        arch = CELLS_201[-N:][number]
        place = point_at(page, number)
        page.wait_for_function(
            "(arch) => document.querySelector('#cell-card code').textContent === arch",
            arg=arch,
            timeout=10_000,
        )
        card = texts(page, "#cell-card")[0]
        assert f"Cell {number}" in card
        truth = made_up_truth(CELLS_201[-N:])
        for dataset, split in itertools.product(("cifar10", "cifar100"), ("test", "val")):
            assert f"{truth.accuracy(dataset, split)[number]:.2f}" in card
        assert place["y"] == pytest.approx(truth.accuracy("cifar10", "test")[number], rel=1e-6)
        assert page.locator("#cell-card path.edge").count() == 6 - arch.count("none")
        assert page.locator("#cell-card rect.vertex").count() == 4


def test_axes_and_colours_change(page: Any) -> None:
    page.select_option("#scatter-form [name=proxy]", "zen")
    page.select_option("#scatter-form [name=y]", "rank")
    page.select_option("#scatter-form [name=colour]", "nor_conv_3x3")
    page.wait_for_function("Array.isArray(document.getElementById('plot').data[0].marker.color)")
    trace = page.evaluate("(({ x, y, marker }) => ({ x, y, colour: marker.color }))(plot.data[0])")
    scores = made_up_scores(["snip", "zen"], CELLS_201[-N:], ["cifar10", "cifar100"])
    score = scores.frames[Part("nasbench201", "cifar10", "zen")]["score"]
    accuracy = pd.Series(made_up_truth(CELLS_201[-N:]).accuracy("cifar10", "test"))
    assert trace["x"] == score.rank().tolist()
    assert trace["y"] == accuracy.rank().tolist()
    assert trace["colour"] == [arch.count("nor_conv_3x3") for arch in CELLS_201[-N:]]
    assert "Kendall τ" in texts(page, "#scatter-figures")[0]


def test_another_space_and_its_failures(page: Any) -> None:
    page.select_option("#scatter-form [name=space]", "nasbench101")
    page.wait_for_function(
        "(known) => known.includes(document.querySelector('#cell-card code').textContent)", arg=CELLS_101
    )
    page.select_option("#scatter-form [name=proxy]", "snip")
    page.fill("#scatter-form [name=find]", CELLS_101[2])
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#cell-card h3').textContent === 'Cell 2 (pinned)'")
    assert page.locator("#cell-card path.edge").count() == CELLS_101[2].count("~")
    assert page.locator("#cell-card rect.vertex").count() == 7
    assert "1 failed" in texts(page, "#scatter-figures")[0]
    assert page.evaluate("plot.data[1].x") == [1]
    page.fill("#scatter-form [name=find]", "99")
    page.keyboard.press("Enter")
    assert not page.evaluate("document.querySelector('[name=find]').checkValidity()")
    page.select_option("#scatter-form [name=proxy]", EVIL)
    page.wait_for_function("(evil) => document.querySelector('#cell-card dt').textContent === evil", arg=EVIL)


@pytest.mark.parametrize("width", [1400, 400])
def test_it_fits_both_widths_and_themes(page: Any, width: int, tmp_path: Path) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    backgrounds = []
    for theme in ("light", "dark"):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        backgrounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.screenshot(path=tmp_path / f"{width}-{theme}.png", full_page=True)
        assert (tmp_path / f"{width}-{theme}.png").stat().st_size > 10_000
        page.click("#theme")
    assert len(set(backgrounds)) == 2
    assert page.get_attribute("#theme", "aria-pressed") == "false"


def test_commands_can_be_copied(page: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("button[data-source=commands]")
    page.wait_for_function("document.querySelector('[data-source=commands]').textContent !== 'Copy'")
    assert page.evaluate("navigator.clipboard.readText()") == EVIL
