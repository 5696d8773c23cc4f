"""`selo versions`, `selo show --diff` and what `selo why` says of them, typed as an operator types them."""

from __future__ import annotations

import pytest

from selo_dagster.reflections.heads import roll_back
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.reflections.remaking import ALL, ON, TWO, a_day, again, reflect, saying, versions
from tests.support.command import Selo
from tests.support.fakes import NOW

AT = "2026-11-23T12:00:00Z"


@pytest.fixture
def selo(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Selo:
    """The command, beside Ana, whose Sunday was made again once, well."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("COLUMNS", "250")
    process_settings.cache_clear()
    a_day(store)
    reflect(store, saying(*ALL, content="I think of the lake. She swims." + " word" * 80))
    again(store, saying(*ALL, content="I think of the exam. She swims." + " word" * 80))
    return Selo(capsys)


def losing(store: Store) -> None:
    """Make a version that loses too much."""
    again(store, saying(*TWO))


def test_show_gives_the_version_that_holds_and_any_other_when_asked(selo: Selo, store: Store) -> None:
    losing(store)
    _, shown = selo.json("show", "ana", "--kind", "daily")
    assert [(one["version"], one["head"]) for one in shown["reflections"]] == [(2, True)]
    one, two, _ = versions(store)
    assert (shown["reflections"][0]["parents"], shown["reflections"][0]["input_hash"]) == ([one.id], two.input_hash)
    _, shown = selo.json("show", "ana", "--on", "2026-11-22", "--version", "1", "--version", "3")
    assert [(one["version"], one["head"]) for one in shown["reflections"]] == [(3, False), (1, False)]
    assert "version 3 (does not hold)" in selo("show", "ana", "--version", "3")[1]
    assert selo.json("show", "ana", "--on", "2026-11-21")[1]["reflections"] == []


def test_versions_lists_what_each_was_made_of_which_holds_and_why_not(selo: Selo, store: Store) -> None:
    losing(store)
    status, told = selo.json("versions", "ana")
    assert (status, told["user"]) == (0, "ana")
    one, two, three = versions(store)
    assert [(each["version"], each["head"], each["parents"]) for each in told["versions"]] == [
        (3, False, [two.id]),
        (2, True, [one.id]),
        (1, False, []),
    ]
    assert {each["input_hash"] for each in told["versions"]} == {one.input_hash}
    assert [(each["model"], each["insights"]) for each in told["versions"]] == [("fake", 2), ("fake", 3), ("fake", 3)]
    (held,), (moved,), nothing = (each["moves"] for each in told["versions"])
    assert (held["moved"], held["reason"], held["live"], held["lost"]) == (False, "loss_guard", 3, 1)
    assert (moved["moved"], moved["reason"], moved["former"], nothing) == (True, "new_version", one.id, [])
    _, printed = selo("versions", "ana", "--kind", "daily", "--on", "2026-11-22")
    assert "held back: loses 1 of 3 insights" in printed
    assert "took its place, 3 of 3 insights kept" in printed
    assert three.input_hash[:12] in printed
    assert len(selo.json("versions", "ana", "--limit", "1")[1]["versions"]) == 1
    assert "there is no reflection like that" in selo("versions", "ana", "--kind", "weekly")[1]


def test_without_somebody_it_lists_what_waits_for_a_decision_of_anybody(selo: Selo, store: Store) -> None:
    assert selo.json("versions") == (0, {"held": []})
    assert selo("versions")[1] == "no new version is held back\n"
    losing(store)
    losing(store)
    a_day(store, "ben")
    _, told = selo.json("versions")
    assert [(one["user"], one["kind"], one["on"], one["version"]) for one in told["held"]] == [
        ("ana", "daily", "2026-11-22", 4)
    ]
    assert (told["held"][0]["lost"], told["held"][0]["live"]) == (1, 3)
    assert "1 of 3 insights" in selo("versions")[1]
    with store.write() as connection:
        roll_back(connection, user_id="ana", kind="daily", on=ON, version=4, actor="ben", because="so", now=NOW)
    assert selo.json("versions")[1] == {"held": []}


def test_the_difference_is_of_the_text_and_of_the_insights(selo: Selo, store: Store) -> None:
    losing(store)
    status, told = selo.json("show", "ana", "--diff")
    assert (status, told["kind"], told["on"]) == (0, "daily", "2026-11-22")
    assert (told["from"]["version"], told["from"]["head"]) == (2, True)
    assert (told["to"]["version"], told["to"]["head"]) == (3, False)
    assert [pair["from"]["text"] for pair in told["insights"]["kept"]] == [text for text, _ in TWO]
    assert told["insights"]["lost"] == [{"text": ALL[2][0], "evidence": ["memory:m3"]}]
    assert (told["insights"]["new"], told["insights"]["gone"]) == ([], [])
    assert (told["loses_too_much"], told["same_input"]) == (True, True)
    _, printed = selo("show", "ana", "--diff")
    assert "version 2 (fake, holds), version 3 (fake)" in printed
    assert "lost insight: She has a cat.  [memory:m3]" in printed
    assert "it loses more" in printed


def test_without_a_newer_one_the_head_is_compared_with_what_it_replaced(selo: Selo) -> None:
    _, told = selo.json("show", "ana", "--diff", "--kind", "daily")
    assert (told["from"]["version"], told["to"]["version"], told["loses_too_much"]) == (1, 2, False)
    assert told["content"][:4] == ["--- version 1", "+++ version 2", "@@ -1,2 +1,2 @@", "-I think of the lake."]
    assert "+I think of the exam." in told["content"]
    assert "-I think of the lake." in selo("show", "ana", "--diff")[1]


def test_any_two_can_be_compared_in_either_direction(selo: Selo, store: Store) -> None:
    losing(store)
    for asked, seen in ((("1",), (2, 1)), (("3", "1"), (3, 1)), (("1", "3"), (1, 3))):
        options = [part for number in asked for part in ("--version", number)]
        _, told = selo.json("show", "ana", "--diff", "--on", "2026-11-22", *options)
        assert (told["from"]["version"], told["to"]["version"]) == seen
    _, told = selo.json("show", "ana", "--diff", "--version", "3", "--version", "1")
    assert [one["text"] for one in told["insights"]["new"]] == [ALL[2][0]]


WRONG: list[tuple[tuple[str, ...], str]] = [
    (("show", "ana", "--diff", "--version", "9"), "unknown_version"),
    (("show", "ana", "--diff", "--kind", "weekly"), "no_versions"),
    (("show", "ana", "--diff", "--on", "2026-11-21"), "no_versions"),
    (("show", "ana", "--diff", "--version", "1", "--version", "2", "--version", "1"), "wrong_use"),
    (("show", "ana", "--diff", "--kind", "hourly"), "unknown_kind"),
    (("show", "nobody", "--diff"), "unknown_user"),
    (("show", "ana", "--diff", "--on", "tomorrow"), "bad_date"),
    (("versions", "nobody"), "unknown_user"),
    (("versions", "--kind", "daily"), "wrong_use"),
    (("versions", "ana", "--kind", "hourly"), "unknown_kind"),
]


def test_what_is_not_there_is_one_clear_error(selo: Selo) -> None:
    for arguments, code in WRONG:
        status, told = selo.json(*arguments)
        assert (status, told["error"]["code"]) == (2, code), arguments


def test_a_first_version_that_holds_again_has_nothing_that_it_replaced(selo: Selo, store: Store) -> None:
    with store.write() as connection:
        roll_back(connection, user_id="ana", kind="daily", on=ON, version=1, actor="ben", because="so", now=NOW)
    assert selo.json("show", "ana", "--diff", "--version", "1")[1]["error"]["code"] == "wrong_use"
    _, told = selo.json("show", "ana", "--diff")
    assert (told["from"]["version"], told["to"]["version"]) == (1, 2)


def test_why_says_that_a_version_was_held_back_and_how_to_let_it_hold(selo: Selo, store: Store) -> None:
    losing(store)
    daily = selo.json("why", "ana", "--now", AT)[1]["kinds"]["daily"]
    assert (daily["outcome"], daily["reason"]) == ("unchanged", "loss_guard")
    assert daily["detail"] == (
        "Version 3 was made and is kept, but says nothing of 1 of the 3 insights of version 2 that still rest on "
        "something: version 2 holds. `selo show ana --diff` compares them, `selo rollback` lets the new one hold."
    )


def test_why_says_who_let_a_version_hold_again(selo: Selo, store: Store) -> None:
    with store.write() as connection:
        roll_back(connection, user_id="ana", kind="daily", on=ON, version=1, actor="ben", because="better", now=NOW)
    daily = selo.json("why", "ana", "--now", AT)[1]["kinds"]["daily"]
    assert daily["outcome"] == "done"
    assert daily["detail"] == "Version 1 holds since 2026-11-23 12:00Z, as ben decided: better."


def test_why_says_that_a_version_holds_on_when_no_new_one_came_about(selo: Selo, store: Store) -> None:
    again(store, saying(*ALL, themes=[]))
    daily = selo.json("why", "ana", "--now", AT)[1]["kinds"]["daily"]
    assert daily["outcome"] == "rejected"
    assert daily["detail"].endswith("Version 2 holds on.")


def test_what_a_version_says_is_shown_by_a_terminal_and_never_obeyed(selo: Selo, store: Store) -> None:
    again(store, saying(("red \x1b[31m alert", "m1"), *ALL, content="calm \x1b[2J again." + " word" * 80))
    assert "\x1b" not in selo("show", "ana", "--diff")[1]
