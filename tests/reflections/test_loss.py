"""What counts as lost when a reflection is made again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, update

from selo_dagster.memory.tables import memories
from selo_dagster.reflections.audits.tables import answer_audits, memory_retirements
from selo_dagster.reflections.loss import Compared, compared
from selo_dagster.store.engine import Store
from tests.support.fakes import NOW, add_person, remember, say


@pytest.fixture
def store(store: Store) -> Store:
    """Ana, with four memories, the first of which was taken from a message; and Ben, with one."""
    add_person(store, "ana")
    add_person(store, "ben")
    say(store, "ana", "2026-11-22T10:00:00Z", "a message", prefix="c1")
    for number in range(1, 5):
        remember(store, "ana", f"m{number}", "2026-11-22T10:00:00Z", f"memory {number}")
    remember(store, "ben", "b1", "2026-11-22T10:00:00Z", "of Ben")
    with store.write() as connection:
        connection.execute(update(memories).where(memories.c.id == "m1").values(message_id="c1-0"))
    return store


def insight(*evidence: str, text: str | None = None) -> dict[str, Any]:
    """Return an insight; without `text` it says something of its own."""
    sources = [one if ":" in one else f"memory:{one}" for one in evidence]
    return {"text": text or f"Of {' and '.join(reversed(evidence))} there is this.", "evidence": sources}


def held_against(store: Store, former: list[dict[str, Any]], new: list[dict[str, Any]]) -> Compared:
    """Compare, each new insight in words of its own unless it says otherwise."""
    with store.read() as connection:
        return compared(connection, "ana", former, new)


def other(*evidence: str) -> dict[str, Any]:
    """Return an insight in quite different words."""
    return insight(*evidence, text=f"Completely different here, number {len(evidence)}, {evidence[0]}!")


def test_an_insight_is_kept_by_one_that_cites_one_of_its_sources(store: Store) -> None:
    found = held_against(store, [insight("m1", "m2"), insight("m3")], [other("m2", "m4"), other("m3")])
    assert ([was["evidence"] for was, _ in found.kept], found.lost) == ([["memory:m1", "memory:m2"], ["memory:m3"]], ())
    assert not found.too_much


def test_a_quarter_may_be_lost_so_of_three_none(store: Store) -> None:
    for live, lost, too_much in (
        (1, 0, 0),
        (1, 1, 1),
        (2, 1, 1),
        (3, 0, 0),
        (3, 1, 1),
        (4, 0, 0),
        (4, 1, 0),
        (4, 2, 1),
    ):
        former = [insight(f"m{number}") for number in range(1, live + 1)]
        new = [other(f"m{number}") for number in range(lost + 1, live + 1)]
        found = held_against(store, former, new)
        assert (found.live, len(found.lost), found.too_much) == (live, lost, bool(too_much))


def test_one_citation_stands_for_one_insight(store: Store) -> None:
    former = [insight("m1", text="She swims."), insight("m1", text="They met in May."), insight("m2")]
    assert len(held_against(store, former, [other("m1"), other("m2")]).lost) == 1
    # One that cites both keeps two; one more that cites the same keeps the third.
    assert len(held_against(store, former, [other("m1", "m2")]).lost) == 1
    assert held_against(store, former, [other("m1", "m2"), other("m1", "m3")]).lost == ()


def test_an_insight_that_is_repeated_stands_for_no_other(store: Store) -> None:
    swims = insight("m2", text="Ana swims in the lake every morning.")
    met = insight("m2", text="Ana and Ben met in May at the wedding of her aunt.")
    assert held_against(store, [swims, met], [swims]).lost == (met,)
    assert held_against(store, [met, swims], [swims]).lost == (met,)
    # One more of its sources is no second citation of the one that both rest on.
    more = insight("m2", "m3", text=swims["text"])
    assert held_against(store, [swims, met], [more]).lost == (met,)
    assert held_against(store, [swims, met], [swims, other("m2")]).lost == ()
    assert held_against(store, [swims, insight("m3")], [more]).lost == ()


def test_the_same_words_on_another_source_use_up_its_citation(store: Store) -> None:
    was = insight("m1", text="Ana swims in the lake every morning.")
    now = insight("m2", text="Ana swims in the lake every morning!")
    assert held_against(store, [was, insight("m2")], [now]).lost == (insight("m2"),)
    assert held_against(store, [was, insight("m2")], [now, other("m2")]).lost == ()
    nowhere = insight("never", text=now["text"])
    assert held_against(store, [was, insight("m2")], [nowhere, other("m2")]).lost == ()


def test_whichever_way_they_are_paired_as_many_as_possible_are_kept(store: Store) -> None:
    former = [insight("m1", "m2", "m3"), insight("m1", "m2"), insight("m1")]
    for new in ([other("m1"), other("m2"), other("m3")], [other("m3"), other("m2"), other("m1")]):
        assert held_against(store, former, new).lost == ()


def test_a_memory_and_the_message_it_was_taken_from_are_one_source(store: Store) -> None:
    assert held_against(store, [insight("m1")], [other("message:c1-0")]).lost == ()
    assert held_against(store, [insight("message:c1-0")], [other("m1")]).lost == ()
    assert len(held_against(store, [insight("message:c1-0")], [other("m2")]).lost) == 1


def test_a_memory_and_its_message_that_are_cited_together_are_one_citation(store: Store) -> None:
    former = [insight("m1", text="She swims."), insight("m1", text="They met in May.")]
    assert len(held_against(store, former, [other("m1", "message:c1-0")]).lost) == 1
    assert held_against(store, former, [other("m1"), other("message:c1-0")]).lost == ()
    # Another memory of the same message is another source, and the message is one with each.
    remember(store, "ana", "m9", "2026-11-22T10:00:00Z", "memory 9")
    with store.write() as connection:
        connection.execute(update(memories).where(memories.c.id == "m9").values(message_id="c1-0"))
    both = [insight("m1"), insight("m9")]
    assert held_against(store, both, [other("m1", "m9", "message:c1-0")]).lost == ()
    assert held_against(store, both[1:], [other("m1", "message:c1-0")]).lost == ()
    assert len(held_against(store, both[1:], [other("m1")]).lost) == 1


def test_the_same_words_keep_an_insight_whatever_they_rest_on(store: Store) -> None:
    was = insight("m1", text="Ana has been swimming in the lake every morning since the beginning of May.")
    now = insight("m2", text="Ana has been swimming in the lake every morning, since the beginning of May!")
    assert held_against(store, [was], [now]).lost == ()
    apart = insight("m2", text="Ana has been avoiding the lake every evening since the end of last June.")
    assert len(held_against(store, [was], [apart]).lost) == 1


@pytest.mark.parametrize(("was", "now"), [("🎉🎉🎉", "😢😢"), ("❤️", "☀️"), ("…", "!")])
def test_texts_without_a_word_are_the_same_only_if_they_are_equal(store: Store, was: str, now: str) -> None:
    assert len(held_against(store, [insight("m2", text=was)], [insight("m3", text=now)]).lost) == 1
    assert held_against(store, [insight("m2", text=was)], [insight("m3", text=was)]).lost == ()


def test_what_is_gone_or_retired_or_somebody_elses_is_no_source(store: Store) -> None:
    with store.write() as connection:
        audit = {"id": "a1", "user_id": "ana", "on": NOW.date(), "version": 1, "answers": 1, "tags": {}, "merges": []}
        connection.execute(insert(answer_audits).values(**audit, created_at=NOW))
        merged = {"memory_id": "m2", "merged_into": "m3", "audit_id": "a1", "because": "the same", "at": NOW}
        connection.execute(insert(memory_retirements).values(merged))
    former = [insight("never"), insight("m2"), insight("b1"), insight("reflection:none"), insight("m2", "m4")]
    found = held_against(store, former, [other("m3")])
    assert [one["evidence"][0] for one in found.gone] == ["memory:never", "memory:m2", "memory:b1", "reflection:none"]
    assert [one["evidence"] for one in found.lost] == [["memory:m2", "memory:m4"]]


def test_what_stands_for_nothing_is_new(store: Store) -> None:
    found = held_against(store, [insight("m1")], [other("m1"), other("m2")])
    assert [one["evidence"] for one in found.new] == [["memory:m2"]]


def test_nothing_is_lost_of_nothing(store: Store) -> None:
    assert not held_against(store, [], []).too_much
    assert not held_against(store, [insight("never")], []).too_much
