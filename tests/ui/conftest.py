"""Fixtures: a browser, a page of the size of the pictures, and where pictures go."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.opt_in import inside, mark

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SIZE = {"width": 1400, "height": 820}
PATIENCE_MS = 90_000
"""The UI shows statuses seconds after they exist, later still on a busy machine."""

# Read when collected: a test sees none of the caller's settings.
ASKED_FOR = os.environ.get("SELO_TEST_UI") == "1"
FOR_THE_DOCUMENTATION = os.environ.get("SELO_TEST_PICTURES") == "1"
CHROMIUM = os.environ.get("SELO_TEST_BROWSER", "/usr/bin/chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder; it runs only when asked for."""
    why_not = None if ASKED_FOR else "needs a browser: set SELO_TEST_UI=1"
    mark(inside(items, Path(__file__).parent), pytest.mark.ui, 600, why_not)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium: the one SELO_TEST_BROWSER names, else Debian's, else playwright's own."""
    playwright = pytest.importorskip("playwright.sync_api")
    options: dict[str, Any] = {"executable_path": CHROMIUM} if Path(CHROMIUM).exists() else {}
    if os.geteuid() == 0:
        options["args"] = ["--no-sandbox"]
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(**options)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page in a browser profile of its own."""
    context = browser.new_context(viewport=SIZE)
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    yield opened
    context.close()


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[Any, str], None]:
    """Take a picture of a page: for the documentation with SELO_TEST_PICTURES=1, else into the test's folder."""
    folder = PICTURES if FOR_THE_DOCUMENTATION else tmp_path

    def take(shown: Any, name: str) -> None:
        # Nothing half faded in or out.
        shown.wait_for_timeout(1_500)
        shown.screenshot(path=folder / f"{name}.png")

    return take
