"""Stating people: history is append-only, names can be corrected."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count

import pytest
from sqlalchemy import insert, select, update

from selo_dagster.clock import BEGINNING, parse_instant
from selo_dagster.errors import SeloError
from selo_dagster.memory.tables import events
from selo_dagster.people.registry import Registry, Statement, Verdict, checked_name
from selo_dagster.people.tables import user_statements, users
from selo_dagster.store.engine import Store

JANUARY = parse_instant("2026-01-01T00:00:00Z")
MAY = parse_instant("2026-05-01T00:00:00Z")

_tokens = count()


def say(
    store: Store,
    name: str,
    zone: str,
    since: datetime | None = None,
    user: str = "ana",
    *,
    pseudonymous: bool = False,
    tenant: str | None = None,
) -> Verdict:
    """State one person in a transaction of its own."""
    registry = Registry(pseudonymous=pseudonymous, token=lambda: f"u_{next(_tokens)}")
    with store.write() as connection:
        registry.load(connection, [], [user])
        verdict = registry.state(Statement(user, name, zone, since, tenant))
        registry.flush(connection)
    return verdict


def refused(store: Store, *said: object) -> str:
    """State one person, expecting a refusal; returns its code."""
    with pytest.raises(SeloError) as caught:
        say(store, *said)  # type: ignore[arg-type]
    return caught.value.code


def history(store: Store) -> list[tuple[datetime, str, str]]:
    with store.read() as connection:
        rows = connection.execute(select(user_statements).order_by(user_statements.c.since))
        return [(row.since, row.name, row.zone) for row in rows]


def current(store: Store) -> tuple[str, str, int]:
    with store.read() as connection:
        row = connection.execute(select(users)).one()
    return row.name, row.zone, row.moves


def test_a_new_person_is_accepted_from_the_beginning(store: Store) -> None:
    assert say(store, "Ana", "UTC") == "accepted"
    assert history(store) == [(BEGINNING, "Ana", "UTC")]
    assert current(store) == ("Ana", "UTC", 0)


def test_a_new_person_can_begin_at_an_instant(store: Store) -> None:
    assert say(store, "Ana", "UTC", JANUARY) == "accepted"
    assert history(store) == [(JANUARY, "Ana", "UTC")]
    assert current(store) == ("Ana", "UTC", 0)


@pytest.mark.parametrize("since", [None, JANUARY])
def test_the_same_statement_again_changes_nothing(store: Store, since: datetime | None) -> None:
    say(store, "Ana", "UTC", since)
    assert say(store, "Ana", "UTC", since) == "unchanged"
    with store.read() as connection:
        assert len(connection.execute(select(events)).all()) == 1


@pytest.mark.parametrize("since", [None, JANUARY])
def test_another_zone_for_the_same_instant_is_a_conflict(store: Store, since: datetime | None) -> None:
    say(store, "Ana", "UTC", since)
    assert refused(store, "Ana", "Asia/Tokyo", since) == "conflict"


def test_another_name_without_an_instant_corrects_the_name(store: Store) -> None:
    say(store, "Ana", "UTC")
    assert say(store, "Anna", "UTC") == "updated"
    assert history(store) == [(BEGINNING, "Anna", "UTC")]
    assert current(store) == ("Anna", "UTC", 0)


def test_a_corrected_first_name_leaves_the_newer_one(store: Store) -> None:
    say(store, "Ana", "UTC")
    say(store, "Ana Silva", "UTC", MAY)
    assert say(store, "Anna", "UTC") == "updated"
    assert history(store) == [(BEGINNING, "Anna", "UTC"), (MAY, "Ana Silva", "UTC")]
    assert current(store) == ("Ana Silva", "UTC", 1)


def test_another_name_for_the_same_instant_is_a_conflict(store: Store) -> None:
    say(store, "Ana", "UTC", JANUARY)
    assert refused(store, "Anna", "UTC", JANUARY) == "conflict"


@pytest.mark.parametrize(("name", "zone"), [("Ana", "Asia/Tokyo"), ("Anna", "UTC"), ("Ana", "UTC")])
def test_a_later_statement_is_appended_even_if_nothing_differs(store: Store, name: str, zone: str) -> None:
    say(store, "Ana", "UTC")
    assert say(store, name, zone, JANUARY) == "updated"
    assert history(store) == [(BEGINNING, "Ana", "UTC"), (JANUARY, name, zone)]
    assert current(store) == (name, zone, 1)
    assert say(store, name, zone, JANUARY) == "unchanged"
    assert say(store, "Ana", "UTC") == "unchanged"


def test_an_earlier_statement_is_a_conflict_that_names_the_newest_instant(store: Store) -> None:
    say(store, "Ana", "UTC")
    say(store, "Ana", "Asia/Tokyo", MAY)
    with pytest.raises(SeloError, match=r"append-only and already reaches 2026-05-01T00:00:00\+00:00") as caught:
        say(store, "Ana", "Europe/Lisbon", JANUARY)
    assert caught.value.code == "conflict"


def test_without_an_instant_the_first_statement_is_compared(store: Store) -> None:
    say(store, "Ana", "UTC", JANUARY)
    say(store, "Ana", "Asia/Tokyo", MAY)
    assert say(store, "Ana", "UTC") == "unchanged"
    assert refused(store, "Ana", "Asia/Tokyo") == "conflict"
    assert say(store, "Anna", "UTC") == "updated"
    assert history(store) == [(JANUARY, "Ana", "UTC"), (MAY, "Anna", "Asia/Tokyo")]
    assert current(store) == ("Anna", "Asia/Tokyo", 1)
    assert say(store, "Anna", "UTC") == "unchanged"


def test_a_tenant_is_what_was_stated_last_and_stays_where_none_is_stated(store: Store) -> None:
    def tenant() -> str | None:
        with store.read() as connection:
            found: str | None = connection.execute(select(users.c.tenant)).scalar_one()
            return found

    assert (say(store, "Ana", "UTC", tenant="acme"), tenant()) == ("accepted", "acme")
    assert (say(store, "Ana", "UTC"), tenant()) == ("unchanged", "acme")
    assert (say(store, "Ana", "UTC", tenant="acme"), tenant()) == ("unchanged", "acme")
    assert (say(store, "Ana", "UTC", tenant="globex"), tenant()) == ("updated", "globex")
    assert (say(store, "Ana", "Asia/Tokyo", MAY), tenant()) == ("updated", "globex")
    assert len(history(store)) == 2


def test_a_refused_statement_changes_no_tenant(store: Store) -> None:
    say(store, "Ana", "UTC", tenant="acme")
    with pytest.raises(SeloError):
        say(store, "Ana", "Asia/Tokyo", tenant="globex")
    with store.read() as connection:
        assert connection.execute(select(users.c.tenant)).scalar_one() == "acme"


def test_an_erased_person_is_refused(store: Store) -> None:
    say(store, "Ana", "UTC")
    with store.write() as connection:
        connection.execute(update(users).values(state="tombstoned"))
    assert refused(store, "Ana", "UTC") == "erased"
    with store.write() as connection, pytest.raises(SeloError, match="erased"):
        registry = Registry()
        registry.load(connection, ["ana"], [])
        registry.require("ana")


def test_one_transaction_can_state_a_person_several_times(store: Store) -> None:
    registry = Registry()
    with store.write() as connection:
        registry.load(connection, [], ["ana"])
        verdicts = [
            registry.state(Statement("ana", *said))
            for said in (("Ana", "UTC"), ("Ana", "UTC"), ("Anna", "UTC"), ("Anna", "Asia/Tokyo", MAY))
        ]
        registry.flush(connection)
    assert verdicts == ["accepted", "unchanged", "updated", "updated"]
    assert history(store) == [(BEGINNING, "Anna", "UTC"), (MAY, "Anna", "Asia/Tokyo")]
    assert current(store) == ("Anna", "Asia/Tokyo", 1)


def test_a_row_that_others_wrote_without_a_statement_counts_as_the_first(store: Store) -> None:
    with store.write() as connection:
        connection.execute(insert(users).values(id="ana", key="ana", name="Ana", zone="UTC"))
    assert say(store, "Ana", "UTC") == "unchanged"
    assert refused(store, "Ana", "Asia/Tokyo") == "conflict"
    assert say(store, "Ana", "Asia/Tokyo", MAY) == "updated"
    assert history(store) == [(BEGINNING, "Ana", "UTC"), (MAY, "Ana", "Asia/Tokyo")]
    assert current(store) == ("Ana", "Asia/Tokyo", 1)


def test_ids_that_are_no_plain_token_and_pseudonymous_ones_get_a_random_key(store: Store) -> None:
    say(store, "A", "UTC", user="ana")
    say(store, "B", "UTC", user="josé")
    say(store, "C", "UTC", user="carl", pseudonymous=True)
    with store.read() as connection:
        keys = {row.id: row.key for row in connection.execute(select(users))}
    assert keys["ana"] == "ana"
    assert keys["josé"].startswith("u_")
    assert keys["carl"].startswith("u_")


def test_a_key_stays_when_a_person_is_stated_again(store: Store) -> None:
    say(store, "C", "UTC", user="carl", pseudonymous=True)
    with store.read() as connection:
        before = connection.execute(select(users.c.key)).scalar()
    say(store, "C", "UTC", JANUARY, user="carl", pseudonymous=True)
    with store.read() as connection:
        assert connection.execute(select(users.c.key)).scalar() == before


def test_the_database_writes_an_event_for_every_statement_that_is_added(store: Store) -> None:
    say(store, "Ana", "UTC")
    say(store, "Anna", "UTC")
    say(store, "Anna", "Asia/Tokyo", MAY)
    with store.read() as connection:
        found = connection.execute(select(events).order_by(events.c.id)).all()
    assert [(event.type, event.at, event.payload) for event in found] == [
        ("user_stated", BEGINNING, {"zone": "UTC"}),
        ("user_stated", MAY, {"zone": "Asia/Tokyo"}),
    ]


def test_many_people_are_stated_at_once(store: Store) -> None:
    people = [f"user{number}" for number in range(1_200)]
    for verdict in ("accepted", "unchanged"):
        registry = Registry()
        with store.write() as connection:
            registry.load(connection, [], people)
            assert {registry.state(Statement(person, "A", "UTC")) for person in people} == {verdict}
            registry.flush(connection)
    registry = Registry()
    with store.write() as connection:
        registry.load(connection, [], people)
        assert {registry.state(Statement(person, "A", "UTC", JANUARY)) for person in people} == {"updated"}
        registry.flush(connection)
    assert len(history(store)) == 2_400


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb", "a\0", "\ud800"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(SeloError, match="name must be 1 to 200 characters"):
        checked_name(name)


def test_a_name_is_kept_without_the_space_around_it_and_in_one_form() -> None:
    assert checked_name(" Ana ") == "Ana"
    assert checked_name("Jose\u0301") == "José"
    assert checked_name("👩\u200d🚀") == "👩\u200d🚀"


def test_instants_of_a_history_keep_their_microseconds(store: Store) -> None:
    exact = MAY + timedelta(microseconds=123_456)
    say(store, "Ana", "UTC", exact)
    assert say(store, "Ana", "UTC", exact) == "unchanged"
    assert say(store, "Ana", "UTC", exact + timedelta(microseconds=1)) == "updated"
