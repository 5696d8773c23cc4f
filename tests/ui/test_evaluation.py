"""Evaluations in a real browser: the page of ours, and the checks in Dagster's web UI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from selo_dagster.evaluation.accepting import accept_report, compared, store_report
from selo_dagster.evaluation.evaluate import evaluate
from selo_dagster.evaluation.measures import MEASURES
from selo_dagster.settings import load_settings
from selo_dagster.store.engine import Store
from tests.evaluation.reports import report
from tests.support.nights import NOW, Page, serving
from tests.ui.screens import seen
from tests.ui.server import running_server, until
from tests.ui.test_page import CONTRAST, DESK, PHONE

LOWER = {"citation_recall": 0.71, "citation_precision": 0.83, "injection": 0.7, "update_propagation": 0.86}


@pytest.fixture
def address(sqlite_url: str) -> Iterator[str]:
    """The embedded model in use and accepted, and another one that scored lower."""
    store = Store(sqlite_url)
    with store.write() as connection:
        mine = evaluate(load_settings({}))
        other = report("made-up-model", "b" * 64, **LOWER).model_copy(
            update={"digest": mine.digest, "number": mine.number}
        )
        for name, made in (("mine", mine), ("other", other)):
            at = NOW - timedelta(hours=3 if name == "mine" else 1)
            found = compared(connection, made)
            store_report(connection, made, at, name)
            assert name == "other" or accept_report(connection, name, found, at)
    with serving(Page(store)) as served:
        yield f"{served}/evaluation"
    store.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK])
def test_every_word_stands_out_and_nothing_is_cut_off(
    browser: Any, address: str, size: dict[str, int], scheme: str, picture: Callable[[Any, str], None]
) -> None:
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    assert page.get_by_role("heading", level=1).inner_text() == "The model in use is the accepted one"
    for summary in page.locator("summary").all():
        summary.click()
    assert [one for one in page.evaluate(CONTRAST) if one[0] < 4.5] == []
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    if (size, scheme) == (DESK, "light"):
        for summary in page.locator("summary").all():
            summary.click()
        page.evaluate("scrollTo(0, 0)")
        picture(page, "evaluation")
    context.close()


def test_dagsters_ui_shows_a_check_for_each_measure_with_its_score(
    tmp_path_factory: pytest.TempPathFactory, page: Any, picture: Callable[[Any, str], None]
) -> None:
    with running_server(tmp_path_factory.mktemp("evaluation")) as server:
        server.stop_automation()
        for _ in range(2):
            run_id = server.launch("evaluate")
            assert until(f"run {run_id} ends", partial(server.ended, run_id), 180) == "SUCCESS"
        page.goto(f"{server.address}/assets/evaluation?view=checks")
        for name in MEASURES:
            seen(page, name)
        seen(page, "citation_recall").click()
        seen(page, "score")
        picture(page, "evaluation-checks")
        page.goto(f"{server.page}/evaluation")
        assert page.get_by_role("heading", level=1).inner_text() == "Nothing was accepted yet"
