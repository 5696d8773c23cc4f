"""An event that a rule cannot judge is put aside alone, with a reason that tells nothing, and can be seen again."""

from __future__ import annotations

import pytest
from pydantic import Field
from sqlalchemy import update

from selo_dagster.memory.event_types import EventType, Payload
from selo_dagster.memory.tables import events
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from selo_dagster.triggers.conditions import Compound, Custom, Simple
from selo_dagster.triggers.happening import Happening
from selo_dagster.triggers.parked import DROPPED, settle_parked
from selo_dagster.triggers.replay import replay_parked
from selo_dagster.triggers.rule import Rule
from tests.support.command import Selo
from tests.support.fakes import NOW, add_person
from tests.triggers.arrivals import (
    SECRET,
    after,
    counts,
    happen,
    known,
    look,
    number_of,
    parked_rows,
    refs,
    requests,
    rules_of,
    spike,
    strong,
)

AT = NOW.isoformat()


class Score(Payload):
    """A score that some writers send as a text."""

    score: int | str = Field(description="must be a number or a text")


SCORED = EventType("scored", "event", "these tests", Score)
AT_LEAST_TEN = Simple(field="score", operator="gte", value=10)


def score_rule(name: str, condition: Simple | Custom | Compound) -> Rule:
    return Rule(name=name, says="a high score", events=("scored",), condition=condition, cooldown_s=60)


def in_words(one: Happening) -> bool:
    """Fail with the payload in the exception, as careless code does."""
    raise ValueError(f"what is {one.fields['score']}?")


STRICT = score_rule("strict", AT_LEAST_TEN)
ANY = score_rule("any_score", Simple(field="score", operator="any"))
MENDED = score_rule("strict", Custom(evaluator=lambda one: str(one.fields["score"]).startswith("12")))


@pytest.fixture
def store(store: Store) -> Store:
    """A store with Ana and Ben, who said something yesterday."""
    for user in ("ana", "ben"):
        add_person(store, user)
    known(store, "ana", "ben")
    return store


@pytest.fixture
def selo(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Selo:
    """The command on a database with a spike of Ana's whose intensity is a word."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    happen(store, "ana", "bad", "emotional_spike", {"emotion": "grief", "intensity": SECRET})
    look(store)
    return Selo(capsys)


def mend(store: Store) -> None:
    """Put right what the writer of the bad event got wrong."""
    with store.write() as connection:
        payload = {"emotion": "grief", "intensity": 0.9}
        connection.execute(update(events).where(events.c.ref == "bad").values(payload=payload))


def test_a_type_mismatch_parks_that_event_alone(store: Store) -> None:
    happen(store, "ana", "s1", "scored", {"score": f"12 {SECRET}"})
    happen(store, "ana", "s2", "scored", {"score": 12})
    happen(store, "ben", "s3", "scored", {"score": 15})
    looked = look(store, rules=rules_of(STRICT, types=[SCORED]))
    assert (looked.parked, looked.drained) == (1, True)
    assert [(row.user_id, refs(row)) for row in requests(store)] == [("ana", ["s2"]), ("ben", ["s3"])]
    (row,) = parked_rows(store)
    assert (row.seq, row.user_id, row.ref, row.type) == (number_of(store, "s1"), "ana", "s1", "scored")
    assert (row.code, row.rules, row.state, row.parked_at) == (
        "type_mismatch: payload.score",
        ["strict"],
        "parked",
        NOW,
    )
    assert counts(store)["strict"] == {"accepted": 2, "parked": 1}


def test_another_rule_judges_the_event_that_one_could_not(store: Store) -> None:
    happen(store, "ana", "s1", "scored", {"score": "twelve"})
    look(store, rules=rules_of(STRICT, ANY, types=[SCORED]))
    assert [row.cause["trigger"] for row in requests(store)] == ["any_score"]
    assert [row.rules for row in parked_rows(store)] == [["strict"]]


def test_an_event_that_several_rules_could_not_judge_is_one_row(store: Store) -> None:
    happen(store, "ana", "s1", "scored", {"score": "twelve"})
    look(store, rules=rules_of(STRICT, score_rule("broken", Custom(evaluator=in_words)), types=[SCORED]))
    assert [row.rules for row in parked_rows(store)] == [["broken", "strict"]]


def test_a_mismatch_hides_behind_no_other_condition(store: Store) -> None:
    either = Compound(operator="or", conditions=(Simple(field="score", operator="any"), AT_LEAST_TEN))
    happen(store, "ana", "s1", "scored", {"score": "twelve"})
    look(store, rules=rules_of(score_rule("either", either), types=[SCORED]))
    assert requests(store) == []
    assert [row.code for row in parked_rows(store)] == ["type_mismatch: payload.score"]


def test_a_condition_of_somebody_elses_that_fails_tells_its_class_alone(store: Store) -> None:
    happen(store, "ana", "s1", "scored", {"score": SECRET})
    look(store, rules=rules_of(score_rule("broken", Custom(evaluator=in_words)), types=[SCORED]))
    assert [row.code for row in parked_rows(store)] == ["condition_failed: ValueError"]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"emotion": "grief"}, "missing_field: payload.intensity is required"),
        ({"emotion": "grief", "intensity": SECRET}, "missing_field: payload.intensity is required"),
        ({"emotion": "grief", "intensity": True}, "missing_field: payload.intensity is required"),
        ({"emotion": "grief", "intensity": 7}, "missing_field: payload.intensity is required"),
        ({"emotion": "grief", "intensity": 0.9, "context": [SECRET]}, "bad_payload: payload.context must be text"),
        ([SECRET], "bad_payload: payload is no JSON object"),
        (SECRET, "bad_payload: payload is no JSON object"),
    ],
)
def test_a_payload_that_is_not_as_declared_parks_its_event_and_the_stream_goes_on(
    store: Store, payload: object, code: str
) -> None:
    happen(store, "ana", "bad", "emotional_spike", payload)
    spike(store, "ana", "good")
    looked = look(store)
    (row,) = parked_rows(store)
    assert row.code.startswith(code)
    assert SECRET not in repr(tuple(row))
    assert (row.rules, looked.drained, looked.seq) == (["emotional_spike"], True, number_of(store, "good"))
    assert [refs(one) for one in requests(store)] == [["good"]]


def test_once_the_rule_is_mended_the_event_is_seen_again_and_once_only(store: Store) -> None:
    happen(store, "ana", "s1", "scored", {"score": "12 points"})
    look(store, rules=rules_of(STRICT, ANY, types=[SCORED]))
    mended = rules_of(MENDED, ANY, types=[SCORED])
    for expected in ({"replayed": 1, "still_parked": 0}, {"replayed": 0, "still_parked": 0}):
        with store.write() as connection:
            assert replay_parked(connection, mended, after(days=5)) == expected
    # However long it took, and the rule that had judged it is not asked again.
    assert [(row.cause["trigger"], refs(row)) for row in requests(store)] == [("any_score", ["s1"]), ("strict", ["s1"])]
    (row,) = parked_rows(store)
    assert (row.state, row.settled_at) == ("replayed", after(days=5))


def test_what_still_cannot_be_judged_stays_parked(store: Store) -> None:
    rules = rules_of(STRICT, types=[SCORED])
    happen(store, "ana", "s1", "scored", {"score": "twelve"})
    look(store, rules=rules)
    with store.write() as connection:
        assert replay_parked(connection, rules, after(days=1)) == {"replayed": 0, "still_parked": 1}
    assert [(row.state, row.settled_at) for row in parked_rows(store)] == [("parked", None)]


def test_a_rule_that_has_judged_it_at_last_is_not_asked_again_for_the_sake_of_another(store: Store) -> None:
    broken = score_rule("broken", Custom(evaluator=in_words))
    happen(store, "ana", "s1", "scored", {"score": "12 points"})
    look(store, rules=rules_of(STRICT, broken, types=[SCORED]))
    half_mended = rules_of(MENDED, broken, types=[SCORED])
    for _ in range(2):
        with store.write() as connection:
            assert replay_parked(connection, half_mended, NOW) == {"replayed": 0, "still_parked": 1}
    assert [row.rules for row in parked_rows(store)] == [["broken"]]
    assert [(row.cause["trigger"], row.cause["count"]) for row in requests(store)] == [("strict", 1)]


def test_only_the_chosen_events_are_seen_again(store: Store) -> None:
    for user in ("ana", "ben"):
        happen(store, user, f"s-{user}", "scored", {"score": "12 points"})
    look(store, rules=rules_of(STRICT, types=[SCORED]))
    chosen = number_of(store, "s-ben")
    with store.write() as connection:
        replay_parked(connection, rules_of(MENDED, types=[SCORED]), NOW, {chosen})
    assert {row.seq: row.state for row in parked_rows(store)} == {
        chosen: "replayed",
        number_of(store, "s-ana"): "parked",
    }
    assert [row.user_id for row in requests(store)] == ["ben"]


def test_what_was_given_up_stays_so_when_its_rule_is_mended_and_the_sensor_looks_again(store: Store) -> None:
    rules = rules_of(STRICT, types=[SCORED])
    happen(store, "ana", "s1", "scored", {"score": "12 points"})
    look(store, rules=rules)
    with store.write() as connection:
        settle_parked(connection, [number_of(store, "s1")], DROPPED, NOW)
    look(store, rules=rules)
    look(store, rules=rules_of(MENDED, types=[SCORED]))
    assert [row.state for row in parked_rows(store)] == ["dropped"]
    assert requests(store) == []


def test_the_command_lists_what_is_parked_and_nothing_of_the_payload(selo: Selo, store: Store) -> None:
    status, told = selo.json("triggers", "parked")
    number = number_of(store, "bad")
    code = "missing_field: payload.intensity is required and must be a number from 0 to 1"
    rules = ["emotional_spike"]
    one = {"event": number, "user": "ana", "type": "emotional_spike", "id": "bad", "code": code, "rules": rules}
    assert (status, told) == (1, {"replayed": 0, "dropped": 0, "parked": [one]})
    status, printed = selo("triggers", "parked")
    assert status == 1
    assert "1 parked events" in printed
    assert SECRET not in printed + selo.error + str(told)


def test_the_command_replays_what_was_mended(selo: Selo, store: Store) -> None:
    status, told = selo.json("triggers", "parked", "--replay", "--now", AT)
    assert (status, told["replayed"], len(told["parked"])) == (1, 0, 1)
    mend(store)
    status, told = selo.json("triggers", "parked", str(number_of(store, "bad")), "--replay", "--now", AT)
    assert (status, told) == (0, {"replayed": 1, "dropped": 0, "parked": []})
    assert [refs(row) for row in requests(store)] == [["bad"]]
    assert selo("triggers", "parked")[0] == 0


def test_the_command_gives_up_what_nobody_wants(selo: Selo, store: Store) -> None:
    status, printed = selo("triggers", "parked", "--drop", "--now", AT)
    assert (status, printed.split("\n")[:2]) == (0, ["1 dropped", "no event is parked"])
    mend(store)
    assert selo.json("triggers", "parked", "--replay")[1] == {"replayed": 0, "dropped": 0, "parked": []}
    assert requests(store) == []
    assert [row.state for row in parked_rows(store)] == ["dropped"]


def test_an_event_beyond_the_first_thousand_can_be_given_up(selo: Selo, store: Store) -> None:
    for number in range(1_000):
        happen(store, "ben", f"more-{number}", "emotional_spike", {})
    look(store)
    last = number_of(store, "more-999")
    status, told = selo.json("triggers", "parked", str(last), "--drop")
    assert (status, told["dropped"]) == (0, 1)


def test_parked_events_are_a_problem_in_the_status_until_somebody_has_dealt_with_them(selo: Selo) -> None:
    status, told = selo.json("status")
    (problem,) = [one for one in told["problems"] if one["code"] == "events_parked"]
    assert (status, told["triggers"]["parked"], problem["runbook"]) == (1, 1, "docs/runbook.md#events_parked")
    assert SECRET not in str(told)
    selo("triggers", "parked", "--drop")
    status, told = selo.json("status")
    assert told["triggers"]["parked"] == 0
    assert "events_parked" not in {one["code"] for one in told["problems"]}


def test_a_parked_event_does_not_keep_the_same_persons_memory_waiting(store: Store) -> None:
    happen(store, "ana", "bad", "emotional_spike", {})
    strong(store, "ana", "m1")
    look(store, batch=1)
    assert [refs(row) for row in requests(store)] == [["m1"]]
