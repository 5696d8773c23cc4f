"""The page for people: what it says, what it never says, and what it does when the database is away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from sqlalchemy import insert, text, update
from starlette.applications import Starlette
from starlette.testclient import TestClient

from selo_dagster.operations.alerts.tables import alerts
from selo_dagster.operations.http.page import routes
from selo_dagster.operations.http.page.runbook import runbook
from selo_dagster.operations.readiness import Component
from selo_dagster.people.tables import users
from selo_dagster.reflections.claim import ledger
from selo_dagster.store.engine import Store, normalised_url
from selo_dagster.store.schema import HEAD, VERSION_TABLE
from tests.support.nights import NOW, TONIGHT, Page, enter, fortnight, furnish, row, series

PEOPLE = 25
SILENT = Component("sensors", ok=False, reason="silent: saga_runs for 70 s", what_to_do="look at `selo up`")


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    """A browser without a screen, in front of a store that has nothing in it yet."""
    with _client(Page(store)) as opened:
        yield opened


def _client(page: Page) -> TestClient:
    return TestClient(Starlette(routes=routes(page)))


def seen(html: str) -> str:
    """Return what a person reads."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def headline(html: str) -> str:
    """Return the sentence that says whether all is well."""
    found = re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)
    assert found is not None
    return unescape(found[1])


def tile(html: str, name: str) -> str:
    """Return the number and the note of one tile."""
    found = re.search(rf'data-tile="{name}">(.*?)</li>', html, re.DOTALL)
    assert found is not None
    return seen(found[1]).removeprefix(f"{name} ")


def test_with_nothing_to_complain_of_it_says_all_well(client: TestClient, store: Store) -> None:
    enter(store, [row("ana", "daily", TONIGHT, "done")])
    answer = client.get("/")
    assert answer.status_code == 200
    assert headline(answer.text) == "All well"
    assert "Needs a person" not in answer.text
    assert tile(answer.text, "done") == "1 made and kept"


def test_tonight_is_told_by_outcome_and_by_reason(client: TestClient, store: Store) -> None:
    enter(
        store,
        [
            *(row(f"a{n}", "daily", TONIGHT, "done") for n in range(1_200)),
            row("ben", "daily", TONIGHT, "due"),
            row("ben", "mantra", TONIGHT, "deferred", "waiting_for_daily"),
            row("cleo", "daily", TONIGHT, "skipped", "paused"),
            row("dan", "daily", TONIGHT, "skipped", "paused"),
            row("dan", "mantra", TONIGHT, "skipped", "superseded"),
            row("eve", "daily", TONIGHT, "failed", "RateLimitError"),
        ],
    )
    page = client.get("/").text
    assert tile(page, "done") == "1 200 made and kept"
    assert tile(page, "due") == "2 ready or at work 1, waiting for daily 1"
    assert tile(page, "skipped") == "3 paused 2, superseded 1"
    assert tile(page, "failed") == "1 to be tried again 1"
    assert tile(page, "unchanged") == "0"
    assert "failed: RateLimitError 1" in seen(page)


def test_every_problem_is_counted_and_comes_with_what_to_do(client: TestClient, store: Store) -> None:
    enter(
        store,
        [
            row("ana", "daily", TONIGHT, "dead", "TimeoutError"),
            row("ana", "mantra", TONIGHT, "dead", "TimeoutError"),
            row("ben", "daily", TONIGHT, "due"),
        ],
    )
    page = client.get("/").text
    assert headline(page) == "3 things need a person"
    # Two kinds have dead obligations: what to do is said once.
    assert page.count('href="runbook#dead"') == 1
    assert "daily: 1 obligation without an attempt left" in seen(page)
    assert "mantra: 1 obligation without an attempt left" in seen(page)
    first = runbook()["dead"].blocks[0]
    assert " ".join("".join(piece.text for piece in first.pieces).split()) in re.sub(r" ([,.);:])", r"\1", seen(page))
    assert "overdue: waits 6 h 40 min" in seen(page)
    assert 'id="dead"' in client.get("/runbook").text


def test_a_part_that_is_not_ready_needs_a_person_while_the_database_is_well(store: Store) -> None:
    with _client(Page(store, NOW, SILENT)) as client:
        answer = client.get("/")
    assert answer.status_code == 200
    assert headline(answer.text) == "1 thing needs a person"
    assert "silent: saga_runs for 70 s" in answer.text
    assert "Look at selo up" in seen(answer.text)


def test_it_says_since_when_somebody_was_told_and_names_alerts_that_close_by_themselves_apart(
    client: TestClient, store: Store
) -> None:
    enter(store, [row("ana", "daily", TONIGHT, "dead", "TimeoutError")])
    with store.write() as connection:
        for code, subject, over in (("dead", "daily", None), ("saga_failed", "goal_creation", None), ("x", "y", NOW)):
            connection.execute(
                insert(alerts).values(
                    code=code, subject=subject, message=f"{subject}: so it is", opened_at=NOW, resolved_at=over
                )
            )
    page = client.get("/").text
    assert headline(page) == "1 thing needs a person"
    assert "without an attempt left alert since 27 Nov 06:40 UTC" in seen(page)
    _, others = page.split('id="others"')
    assert "goal_creation: so it is alert since 27 Nov 06:40 UTC" in seen(others)
    assert page.count("so it is") == 1


def test_the_plot_has_the_numbers_of_the_ledger(client: TestClient, store: Store) -> None:
    rows = list(fortnight(PEOPLE))
    enter(store, rows)
    page = client.get("/").text
    expected = series(rows)
    bars = dict(re.findall(r'data-on="(\S+)">\s*<title>\w+ \d+ \w+: (.*?)</title>', page))
    assert list(bars) == [on.isoformat() for on in expected]
    for on, numbers in expected.items():
        said = {name: int(number) for number, name in re.findall(r"(\d+) (\w+)", bars[on.isoformat()])}
        assert said == {name: number for name, number in numbers.items() if number}
    table = re.findall(r'<th scope="row">.*?</th>(.*?)</tr>', page)
    newest_first = list(reversed(expected.values()))
    order = ("done", "unchanged", "skipped", "due", "failed")
    assert [re.findall(r">(\d+)<", cells) for cells in table] == [
        [str(numbers[name]) for name in order] for numbers in newest_first
    ]


def test_nobody_is_named_and_nothing_that_anybody_wrote_is_shown(client: TestClient, store: Store) -> None:
    enter(store, fortnight(PEOPLE))
    furnish(store)
    with store.write() as connection:
        connection.execute(update(users).values(name="PRIVATE-name"))
        connection.execute(update(ledger).values(codes=["PRIVATE-codes"], cause={"context": "PRIVATE-cause"}))
    page = client.get("/").text
    assert "PRIVATE" not in page
    assert not re.search(r"u0000\d\d", page)
    assert "1 person alone" in seen(page)
    assert "1 parked 118 completed" in seen(page)
    assert "27 Nov 06:28 UTC · took 31 s · 196 succeeded, 8 skipped, 8 failed" in seen(page)


def test_what_looks_like_markup_is_shown_and_not_obeyed(client: TestClient, store: Store) -> None:
    zone = "<script>alert(1)</script>"
    enter(store, [row("ana", "daily", TONIGHT, "done")])
    with store.write() as connection:
        connection.execute(update(users).values(zone=zone))
        connection.execute(text("INSERT INTO user_statements SELECT id, created_at, name, zone FROM users"))
    page = client.get("/").text
    assert "bad zone" in seen(page).lower()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_nothing_on_it_comes_from_elsewhere_and_nothing_in_it_may_run(sqlite_url: str) -> None:
    store = Store(sqlite_url)
    enter(store, fortnight(3))
    client = _client(Page(store))
    for path in ("/", "/page.css", "/runbook"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'; style-src 'self'; img-src 'self' data:" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        # Only the namespace of the icon, which nobody fetches.
        assert set(re.findall(r"https?://[^'\"\s)]*", answer.text)) <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r'<script|style="|\son\w+=|@import', answer.text)
    page = client.get("/")
    assert page.headers["cache-control"] == "no-store"
    (style,) = re.findall(r'<link rel="stylesheet" href="([^"]+)">', page.text)
    assert client.get(f"/{style}").headers["content-type"].startswith("text/css")
    store.close()


def test_it_looks_again_by_itself_unless_told_to_hold_still(sqlite_url: str) -> None:
    store = Store(sqlite_url)
    client = _client(Page(store))
    assert '<meta http-equiv="refresh" content="30">' in client.get("/").text
    assert "http-equiv" not in client.get("/?still").text
    store.close()


def test_a_schema_that_is_behind_is_named_with_what_to_do_and_the_page_recovers(
    client: TestClient, store: Store
) -> None:
    _set_version(store, "0001")
    answer = client.get("/")
    assert answer.status_code == 503
    assert headline(answer.text) == "Nothing can be read: schema not ready"
    assert "Run selo db upgrade ." in seen(answer.text)
    assert answer.headers["cache-control"] == "no-store"
    _set_version(store, HEAD)
    assert client.get("/").status_code == 200


def _set_version(store: Store, version: str) -> None:
    with store.write() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :version"), {"version": version})


def test_a_table_that_cannot_be_read_is_told_by_its_class_alone(client: TestClient, store: Store) -> None:
    with store.write() as connection:
        connection.execute(text("ALTER TABLE reflection_ledger RENAME TO put_aside"))
    answer = client.get("/")
    assert answer.status_code == 503
    assert "status not ready" in headline(answer.text)
    assert re.search(r"(OperationalError|ProgrammingError)", answer.text)
    assert "reflection_ledger" not in answer.text


@pytest.mark.postgres
def test_a_database_that_is_away_is_named_without_its_password(postgres_url: str) -> None:
    address = normalised_url(postgres_url).set(port=1, host="127.0.0.1", password="PRIVATE-password")
    store = Store(address.render_as_string(hide_password=False))
    with _client(Page(store)) as client:
        answer = client.get("/")
    store.close()
    assert answer.status_code == 503
    assert headline(answer.text) == "Nothing can be read: database not ready"
    assert "PRIVATE" not in answer.text
    assert "127.0.0.1:1" in answer.text
