"""`selo persona`, and what `selo show` and `selo reflect --evolve` say of a mind, typed as an operator types them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

# Before any test changes what there is: the code location of this process keeps the sagas that are ours.
import selo_dagster.definitions
from selo_dagster.clock import SystemClock
from selo_dagster.people.goals import goals
from selo_dagster.store.engine import Store
from tests.people.evolving import INITIAL, evolved, values
from tests.sagas.evolutions import asked
from tests.sagas.kit_cases import add_reflection
from tests.sagas.test_persona_evolution import add_episode
from tests.support.command import Selo, selo_with_sagas
from tests.support.fakes import NOW, add_person, remember, say

assert selo_dagster.definitions.defs is not None
WHY = ("--by", "olga", "--because", "she asked")
NOW_TEXT = NOW.isoformat()


@pytest.fixture
def selo(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Selo]:
    """The command on a database with Ana and Ben."""
    for user in ("ana", "ben"):
        add_person(store, user)
    with selo_with_sagas(store_url, monkeypatch, capsys, most_runs=40) as command:
        yield command


def direct(store: Store, evolution_id: str = "e1", **more: Any) -> None:
    """Let Ana's persona evolve by the direct path."""
    evolved(store, evolution_id, ("empathy", 0.1, "a reason"), ("wit", 0.3), **more)


def refused(selo: Selo, *arguments: str) -> str:
    """Return the code of a refusal."""
    status, told = selo.json("persona", *arguments)
    assert (status, set(told)) == (2, {"error"})
    assert told["error"]["message"]
    return str(told["error"]["code"])


def traits(selo: Selo, user: str = "ana") -> dict[str, float]:
    """Return a persona's values as `selo persona show` tells them."""
    _, told = selo.json("persona", "show", user)
    return {one["name"]: one["value"] for one in told["traits"]}


class TestShow:
    def test_it_tells_traits_homes_locks_health_and_what_came_to_an_end(self, selo: Selo, store: Store) -> None:
        status, told = selo.json("persona", "show", "ana")
        assert (status, set(told)) == (0, {"user", "traits", "health", "saturated"})
        assert {one["name"]: one["value"] for one in told["traits"]} == INITIAL
        evolved(store, "e1", ("helpfulness", 0.2))
        _, told = selo.json("persona", "show", "ana")
        assert (told["health"], told["saturated"]) == ("monitoring", ["helpfulness"])
        assert told["traits"][6] == {
            "name": "helpfulness",
            "category": "social",
            "value": 1.0,
            "home": 0.75,
            "locked": False,
            "version": 2,
        }

    def test_for_people_it_is_a_table(self, selo: Selo, store: Store) -> None:
        direct(store)
        status, printed = selo("persona", "show", "ana")
        assert (status, "persona towards ana: healthy" in printed, "0.900" in printed) == (0, True, True)

    def test_nobody_else_is_known(self, selo: Selo) -> None:
        for command in ("show", "history"):
            assert refused(selo, command, "nobody") == "unknown_user"
        assert refused(selo, "evolutions", "--user", "nobody") == "unknown_user"
        assert refused(selo, "lock", "nobody", "empathy") == "unknown_user"


class TestHistory:
    def test_it_tells_every_point_of_every_trait_or_of_one(self, selo: Selo, store: Store) -> None:
        assert selo("persona", "history", "ana") == (0, "nothing has changed yet\n")
        direct(store)
        direct(store, "e2", now=NOW + timedelta(hours=1))
        _, told = selo.json("persona", "history", "ana", "--trait", "empathy")
        assert told == {
            "user": "ana",
            "points": [
                {"trait": "empathy", "at": "2026-11-23T12:00:00Z", "value": 0.9, "evolution": "e1"},
                {"trait": "empathy", "at": "2026-11-23T13:00:00Z", "value": 1.0, "evolution": "e2"},
            ],
        }
        assert len(selo.json("persona", "history", "ana")[1]["points"]) == 4
        assert selo.json("persona", "history", "ana", "--trait", "calm")[1]["points"] == []
        assert selo.json("persona", "history", "ben")[1]["points"] == []
        assert "4 changes" in selo("persona", "history", "ana")[1]


class TestEvolutions:
    def test_they_are_told_with_what_was_wished_for_and_applied(self, selo: Selo, store: Store) -> None:
        assert selo("persona", "evolutions") == (0, "there is no evolution like that\n")
        direct(store)
        evolved(store, "e2", ("empathy", 0.1), user="ben", now=NOW + timedelta(hours=1))
        _, told = selo.json("persona", "evolutions")
        assert [(one["id"], one["user"]) for one in told["evolutions"]] == [("e2", "ben"), ("e1", "ana")]
        first = told["evolutions"][1]
        assert first["changes"] == [
            {
                "trait": "empathy",
                "category": "emotional",
                "before": 0.8,
                "requested": 0.1,
                "applied": 0.1,
                "after": 0.9,
                "made": False,
                "locked": False,
                "reason": "a reason",
            },
            {
                "trait": "wit",
                "category": "general",
                "before": None,
                "requested": 0.3,
                "applied": 0.2,
                "after": 0.7,
                "made": True,
                "locked": False,
                "reason": "",
            },
        ]
        assert (first["state"], first["review"], first["evidence"]) == ("applied", "unreviewed", ["memory:m1"])
        assert [one["id"] for one in selo.json("persona", "evolutions", "--user", "ana")[1]["evolutions"]] == ["e1"]
        assert [one["id"] for one in selo.json("persona", "evolutions", "--limit", "1")[1]["evolutions"]] == ["e2"]
        assert refused(selo, "evolutions", "--limit", "0") == "wrong_use"
        _, printed = selo("persona", "evolutions", "--user", "ana")
        assert "empathy +0.100, wit +0.200" in printed

    def test_those_that_somebody_has_judged_are_left_out_when_asked(self, selo: Selo, store: Store) -> None:
        direct(store)
        direct(store, "e2", now=NOW + timedelta(hours=1))
        assert selo.json("persona", "approve", "e1", *WHY)[0] == 0
        assert [one["id"] for one in selo.json("persona", "evolutions", "--unreviewed")[1]["evolutions"]] == ["e2"]


class TestActs:
    def test_an_approval_changes_nothing_but_the_review(self, selo: Selo, store: Store) -> None:
        direct(store)
        assert selo.json("persona", "approve", "e1", *WHY) == (
            0,
            {"id": "e1", "what": "approved", "state": "applied"},
        )
        (one,) = selo.json("persona", "evolutions")[1]["evolutions"]
        assert (one["review"], one["reviewed_by"], one["state"]) == ("approved", "olga", "applied")
        assert selo("persona", "approve", "e1", *WHY) == (0, "evolution e1: approved, applied\n")

    @pytest.mark.parametrize(
        ("act", "what", "review"), [("revert", "taken back", "unreviewed"), ("reject", "rejected", "rejected")]
    )
    def test_of_the_direct_path_it_is_undone_at_once(
        self, selo: Selo, store: Store, act: str, what: str, review: str
    ) -> None:
        direct(store)
        assert selo.json("persona", act, "e1", *WHY) == (0, {"id": "e1", "what": what, "state": "reversed"})
        assert traits(selo) == INITIAL
        (one,) = selo.json("persona", "evolutions")[1]["evolutions"]
        assert (one["state"], one["review"]) == ("reversed", review)
        assert datetime.fromisoformat(one["reversed_at"].replace("Z", "+00:00")) <= SystemClock().now()

    @pytest.mark.parametrize(("act", "review"), [("revert", "unreviewed"), ("reject", "rejected")])
    def test_of_the_saga_the_next_run_undoes_it(self, selo: Selo, store: Store, act: str, review: str) -> None:
        saga_id = asked(store, "ana", SystemClock().now(), deltas={"empathy": 0.1, "wit": 0.3})
        assert selo.json("saga", "run") == (0, {"counts": {"completed": 1}, "runs": 1})
        (one,) = selo.json("persona", "evolutions")[1]["evolutions"]
        assert one["saga"] == saga_id
        status, printed = selo("persona", act, one["id"], *WHY)
        assert (status, printed.endswith(", compensating: the next run undoes it, or `selo saga run` here\n")) == (
            0,
            True,
        )
        assert traits(selo)["wit"] == 0.7
        assert selo.json("saga", "run") == (0, {"counts": {"compensated": 1}, "runs": 1})
        assert traits(selo) == INITIAL
        (one,) = selo.json("persona", "evolutions")[1]["evolutions"]
        assert (one["state"], one["review"]) == ("reversed", review)

    @pytest.mark.parametrize("act", ["approve", "reject", "revert"])
    def test_an_act_on_nothing_or_without_a_reason_is_refused(self, selo: Selo, store: Store, act: str) -> None:
        assert refused(selo, act, "nothing", *WHY) == "unknown_evolution"
        assert refused(selo, act) == "wrong_use"
        direct(store)
        assert refused(selo, act, "e1", "--because", " ") == "wrong_use"
        assert (selo("persona", act, "nothing"), selo.error.count("\n")) == ((2, ""), 1)
        assert values(store)["wit"] == 0.7

    def test_who_does_not_say_who_they_are_is_the_account(
        self, selo: Selo, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        direct(store)
        monkeypatch.setenv("LOGNAME", "operator-7")
        selo.json("persona", "approve", "e1")
        (one,) = selo.json("persona", "evolutions")[1]["evolutions"]
        assert one["reviewed_by"] == "operator-7"

    def test_a_locked_trait_is_moved_by_nothing_until_it_is_let_go(self, selo: Selo, store: Store) -> None:
        assert selo.json("persona", "lock", "ana", "empathy") == (
            0,
            {"user": "ana", "trait": "empathy", "locked": True},
        )
        direct(store)
        assert traits(selo) == INITIAL | {"wit": 0.7}
        _, printed = selo("persona", "show", "ana")
        assert "yes" in printed
        assert selo("persona", "lock", "ana", "empathy", "--off") == (0, "empathy of ana may change again\n")
        direct(store, "e2")
        assert traits(selo)["empathy"] == 0.9
        assert refused(selo, "lock", "ana", "nothing") == "unknown_trait"
        assert selo("persona", "lock", "ana", "wit") == (0, "wit of ana is locked\n")


class TestAMind:
    def test_show_tells_goals_episodes_learnings_and_what_is_stale(self, selo: Selo, store: Store) -> None:
        now = SystemClock().now()
        say(store, "ana", now - timedelta(days=1), "My sister lives in Porto and I love her.", prefix="c1")
        insights = [{"text": "Ana said “My sister lives in Porto and I love her.”", "evidence": ["message:c1-0"]}]
        add_reflection(store, "ana", "r1", insights=insights, created_at=now - timedelta(days=1))
        asked(store, "ana", now, reflection="r1", source="reflection:r1", deltas={"empathy": 0.1})
        selo.json("saga", "run")
        add_episode(store, "told", "ana", SystemClock().now() + timedelta(seconds=1))
        with store.write() as connection:
            connection.execute(
                goals.insert(),
                [
                    {
                        "id": f"g-{state}",
                        "user_id": "ana",
                        "title": f"{state} goal",
                        "description": "d",
                        "origin": "reflection:r1",
                        "evidence": ["reflection:r2"],
                        "priority": 0.5,
                        "state": state,
                        "created_at": NOW,
                    }
                    for state in ("active", "cancelled")
                ],
            )
        status, told = selo.json("show", "ana")
        assert (status, told["stale"]) == (0, [])
        (learned,) = told["learnings"]
        assert (learned["source"], learned["evidence"], learned["model"]) == (
            "reflection:r1",
            ["message:c1-0"],
            "extractive",
        )
        assert "sister lives in Porto" in learned["content"]
        (goal,) = told["goals"]
        assert (goal["id"], goal["state"], goal["evidence"]) == (
            "g-active",
            "active",
            ["reflection:r1", "reflection:r2"],
        )
        (episode,) = told["episodes"]
        assert (episode["id"], episode["title"]) == ("told", "t")
        assert told["persona"]["health"] == "healthy"
        (one,) = selo.json("persona", "evolutions")[1]["evolutions"]
        selo.json("persona", "revert", one["id"], *WHY)
        selo.json("saga", "run")
        _, told = selo.json("show", "ana")
        assert (told["learnings"], len(told["persona"]["traits"])) == ([], 9)
        assert [(mark["derived"], mark["because"]) for mark in told["stale"]] == [
            ("episode:told", f"evolution:{one['id']}")
        ]
        assert selo.json("show", "ben")[1]["goals"] == []

    def test_evolve_without_force_is_wrong_use(self, selo: Selo) -> None:
        status, told = selo.json("reflect", "daily", "--user", "ana", "--evolve")
        assert (status, told["error"]["code"]) == (2, "wrong_use")
        assert "--force" in told["error"]["message"]

    def test_a_forced_new_version_moves_nothing_twice_and_with_evolve_its_own_share_stands_alone(
        self, selo: Selo, store: Store
    ) -> None:
        say(store, "ana", "2026-11-22T10:00:00Z", "Thank you, I am so afraid and I cried about my sister", prefix="c1")
        remember(store, "ana", "m1", "2026-11-22T10:05:00Z", "Ana cried because her sister is very ill", 0.9)
        day = ("reflect", "daily", "--user", "ana", "--on", "2026-11-22", "--now", NOW_TEXT)
        assert selo.json(*day)[1]["counts"]["done"] == 1
        assert selo.json("saga", "run", "--now", NOW_TEXT)[0] == 0
        first = traits(selo)
        assert first != INITIAL
        selo.json(*day, "--force")
        assert selo.json("saga", "run", "--now", NOW_TEXT) == (0, {"counts": {}, "runs": 0})
        assert traits(selo) == first
        later = (NOW + timedelta(hours=1)).isoformat()
        selo.json(*day[:-1], later, "--force", "--evolve")
        status, done = selo.json("saga", "run", "--now", later)
        assert (status, done["counts"]) == (0, {"compensated": 2, "completed": 2})
        # The same rules say the same of the same day: applied once, not twice.
        assert traits(selo) == first
        _, told = selo.json("persona", "evolutions", "--user", "ana")
        assert [one["state"] for one in told["evolutions"]] == ["applied", "reversed"]
        _, shown = selo.json("show", "ana")
        assert [one["version"] for one in shown["reflections"]] == [3]
        _, kept = selo.json("versions", "ana", "--kind", "daily")
        assert sorted(one["version"] for one in kept["versions"]) == [1, 2, 3]
        assert len(shown["goals"]) == 1

    def test_a_persona_that_came_to_too_many_ends_is_a_problem_in_the_status(self, selo: Selo, store: Store) -> None:
        evolved(store, "e1", *[(f"t{number}", 0.2) for number in range(4)])
        evolved(store, "e2", *[(f"t{number}", 0.2) for number in range(4)])
        codes = {one["code"] for one in selo.json("status")[1]["problems"]}
        assert "persona_saturated" not in codes
        evolved(store, "e3", *[(f"t{number}", 0.2) for number in range(4)])
        codes = {one["code"] for one in selo.json("status")[1]["problems"]}
        assert "persona_saturated" in codes
