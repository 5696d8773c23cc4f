"""The page for people in a real browser: light, dark, on a phone, and while the database is away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from selo_dagster.operations.http.page.runbook import runbook
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import HEAD, VERSION_TABLE
from tests.support.nights import NIGHTS, OUTAGE, Page, enter, fortnight, furnish, series, serving

PEOPLE = 212
PHONE = {"width": 380, "height": 800}
DESK = {"width": 1280, "height": 900}
SERIES = ("done", "unchanged", "skipped", "due", "failed")


@pytest.fixture
def installation(sqlite_url: str) -> Iterator[tuple[Store, str]]:
    """A store with a fortnight in it, and the address at which its page is served."""
    store = Store(sqlite_url)
    enter(store, fortnight(PEOPLE))
    furnish(store)
    with serving(Page(store)) as address:
        yield store, address
    store.close()


@pytest.fixture
def opened(browser: Any, installation: tuple[Store, str]) -> Iterator[Callable[..., Any]]:
    """Open the page in a window of a size, in the light or in the dark; what the browser complains of fails a test."""
    contexts, complaints = [], list[str]()

    def open_page(size: dict[str, int], scheme: str = "light", path: str = "/?still") -> Any:
        context = browser.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        # A 503 is logged as an error by the browser, and meant.
        page.on("console", lambda said: complaints.append(said.text) if "503" not in said.text else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(installation[1] + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def brightness(page: Any, selector: str, what: str) -> float:
    """Return 0 for black, 1 for white."""
    colour = page.locator(selector).first.evaluate(f"one => getComputedStyle(one)['{what}']")
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def test_it_is_bright_in_the_light_and_dark_in_the_dark(opened: Callable[..., Any]) -> None:
    light, dark = opened(DESK, "light"), opened(DESK, "dark")
    for place in ("body", ".card"):
        assert brightness(light, place, "backgroundColor") > 0.9
        assert brightness(dark, place, "backgroundColor") < 0.15
    assert brightness(light, "h1", "color") < 0.2
    assert brightness(dark, "h1", "color") > 0.8


CONTRAST = """() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const ground = parts(getComputedStyle(one).backgroundColor);
      if (ground.length === 3 || ground[3] === 1) return ground;
    }
  };
  return [...document.querySelectorAll('body *')]
    .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
    .filter(one => one.checkVisibility() && !['title', 'desc'].includes(one.tagName))
    .map(one => {
      const style = getComputedStyle(one);
      const [a, b] = [light(parts(one.closest('svg') ? style.fill : style.color)), light(behind(one))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.className.baseVal ?? one.className, one.tagName];
    });
}"""
"""For each element with words of its own: contrast with its ground, class, tag."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out_from_its_ground(opened: Callable[..., Any], scheme: str) -> None:
    page = opened(DESK, scheme)
    page.get_by_text("The numbers as a table").click()
    found = page.evaluate(CONTRAST)
    assert len(found) > 100
    # What the accessibility guidelines ask for at level AA.
    assert [one for one in found if one[0] < 4.5] == []


@pytest.mark.parametrize("size", [PHONE, DESK])
def test_nothing_is_cut_off_at_either_side(opened: Callable[..., Any], size: dict[str, int]) -> None:
    assert opened(size, path="/runbook").evaluate("document.documentElement.scrollWidth") == size["width"]
    page = opened(size)
    page.get_by_text("The numbers as a table").click()
    assert page.get_by_role("table").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    # The days below the bars are as large as on a desk, and none runs into its neighbour.
    days = [one.bounding_box() for one in page.locator(".plot .day").all()]
    assert len(days) == len(NIGHTS)
    assert all(one["x"] + one["width"] < following["x"] for one, following in pairwise(days))
    assert {page.locator(".plot .day").first.evaluate("one => getComputedStyle(one).fontSize")} == {"12px"}


def test_the_bars_are_as_high_as_the_ledger_says(opened: Callable[..., Any]) -> None:
    page = opened(DESK)
    expected = series(fortnight(PEOPLE))
    pixels = page.locator(f'[data-on="{NIGHTS[0]}"] .s-done').bounding_box()["height"] / expected[NIGHTS[0]]["done"]
    for on, numbers in expected.items():
        for name in SERIES:
            part = page.locator(f'[data-on="{on}"] .s-{name}')
            assert part.count() == bool(numbers[name]), (on, name)
            if numbers[name] * pixels > 10:
                assert part.bounding_box()["height"] == pytest.approx(numbers[name] * pixels, abs=3), (on, name)
    assert page.locator(f'[data-on="{OUTAGE}"] .failed').text_content() == str(expected[OUTAGE]["failed"])
    page.get_by_text("The numbers as a table").click()
    cells = [row.locator("td").all_inner_texts() for row in page.locator("tbody tr").all()]
    assert cells == [[str(numbers[name]) for name in SERIES] for numbers in reversed(expected.values())]


def test_an_alert_says_what_to_do_and_leads_to_the_runbook(opened: Callable[..., Any]) -> None:
    page = opened(DESK)
    assert page.get_by_role("heading", level=1).inner_text() == "3 things need a person"
    alert = page.locator(".alert", has_text="obligations without an attempt left")
    told = "".join(piece.text for piece in runbook()["dead"].blocks[0].pieces)
    assert told in alert.inner_text()
    alert.get_by_role("link", name="dead in the runbook").click()
    page.wait_for_url("**/runbook#dead")
    assert page.locator("#dead").get_by_role("heading").is_visible()


def test_it_tells_of_a_fault_and_recovers_by_itself(
    opened: Callable[..., Any], installation: tuple[Store, str]
) -> None:
    store, _ = installation
    page = opened(DESK, path="/")
    headline = page.get_by_role("heading", level=1)
    assert headline.inner_text() == "3 things need a person"
    _set_version(store, "0001")
    # Nobody touches it: within a minute it has looked again.
    page.get_by_role("heading", name="Nothing can be read: schema not ready").wait_for(timeout=60_000)
    assert page.get_by_text("selo db upgrade").first.is_visible()
    _set_version(store, HEAD)
    page.get_by_role("heading", name="3 things need a person").wait_for(timeout=60_000)


def _set_version(store: Store, version: str) -> None:
    with store.write() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :version"), {"version": version})


def test_it_can_be_read_without_seeing_it(opened: Callable[..., Any]) -> None:
    page = opened(DESK)
    plot = page.get_by_role("img", name="The last 14 nights")
    assert plot.locator("desc").text_content().startswith("14 nights, Fri 13 Nov to Thu 26 Nov: ")
    regions = ("Needs a person", "Tonight", "The last 14 nights", "Waiting longest", "Sagas", "On hold", "Parts")
    for name in regions:
        assert page.get_by_role("region", name=name).first.is_visible(), name


def test_pictures(opened: Callable[..., Any], picture: Callable[[Any, str], None]) -> None:
    for name, scheme in (("page-light", "light"), ("page-dark", "dark")):
        picture(opened({"width": 1180, "height": 1790}, scheme), name)
    phone = opened({"width": 380, "height": 1560})
    phone.locator("#tonight").evaluate("one => one.parentElement.scrollIntoView()")
    picture(phone, "page-phone")
