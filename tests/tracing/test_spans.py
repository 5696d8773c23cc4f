"""A span says what happened and nothing of what anybody wrote; what was rolled back says so."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from selo_dagster.people.tables import users
from selo_dagster.store.engine import Store
from selo_dagster.tracing.places import of_saga
from selo_dagster.tracing.spans import opening, span
from selo_dagster.tracing.switch import flush
from tests.tracing.collector import Collector

PLACE = of_saga("a" * 32)


def test_a_span_stands_under_the_one_that_is_carried_out(collector: Collector) -> None:
    with opening("outer", PLACE), span("inner", PLACE), span("innermost"):
        pass
    assert flush()
    outer, inner, innermost = collector.spans
    assert (outer.parent, inner.parent, innermost.parent) == ("", outer.id, inner.id)


def test_a_span_of_another_trace_stands_under_its_own_place(collector: Collector) -> None:
    other = of_saga("b" * 32)
    with opening("one", PLACE):
        span("two", other).end()
    assert flush()
    one, two = collector.spans
    assert (two.trace, two.parent) == (other.trace, f"{other.span_id:016x}")
    assert one.trace == PLACE.trace


def test_without_a_place_there_is_nothing_to_tell(collector: Collector) -> None:
    span("lost").end()
    assert flush()
    assert collector.spans == []


def test_an_error_is_its_class_alone(collector: Collector) -> None:
    with pytest.raises(ValueError, match="secret"), opening("broken", PLACE):
        raise ValueError("a secret")
    assert flush()
    (broken,) = collector.spans
    assert (broken.error, broken.attributes) == (True, {"error.type": "ValueError"})
    assert b"secret" not in b"".join(collector.bodies)


def test_what_is_none_is_left_out(collector: Collector) -> None:
    opening("told", PLACE, count=0, reason=None, events=(1, 2)).end()
    assert flush()
    (told,) = collector.spans
    assert told.attributes == {"selo.count": 0, "selo.events": [1, 2]}


def test_what_a_transaction_tells_is_told_when_it_is_committed(store: Store, collector: Collector) -> None:
    with store.write():
        opening("asked", PLACE).end()
        assert flush()
        assert collector.spans == []
    assert flush()
    assert [one.name for one in collector.spans] == ["asked"]


def test_what_was_rolled_back_says_so_and_opens_nothing(store: Store, collector: Collector) -> None:
    with pytest.raises(LookupError), store.write() as connection:
        connection.execute(insert(users).values(id="ana", key="ana", name="Ana", zone="UTC"))
        opening("asked", PLACE).end()
        span("turned", PLACE).end()
        raise LookupError
    with store.read() as connection:
        assert connection.execute(select(users.c.id)).all() == []
    assert flush()
    (turned,) = collector.spans
    assert (turned.name, turned["rolled_back"], turned.error) == ("turned", True, True)
