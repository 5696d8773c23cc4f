"""Many evolutions at once: chosen by person, time, model and wording; counted first, and taken back once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import select

# Before any test changes what there is: the code location of this process keeps the sagas that are ours.
import selo_dagster.definitions
from selo_dagster.errors import SeloError
from selo_dagster.sagas import bulk_undo
from selo_dagster.sagas.assets import persona_undo
from selo_dagster.sagas.bulk_undo import Undone, Wish, undo_evolutions
from selo_dagster.sagas.catalogue.persona_evolution import PERSONA_EVOLUTION
from selo_dagster.sagas.launch import work_off_in
from selo_dagster.sagas.persona_undo import PersonaUndoConfig
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.tables import saga_interventions, sagas
from selo_dagster.settings import process_settings
from selo_dagster.store.engine import Store
from tests.people.evolving import INITIAL, evolved, values
from tests.sagas.evolutions import asked, by_saga, states, undo_all
from tests.sagas.minds import rows
from tests.support.dagster import instance_of, statuses
from tests.support.fakes import NOW, add_person

assert selo_dagster.definitions.defs is not None
HOUR = timedelta(hours=1)


@pytest.fixture
def store(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with three people, that the settings name too."""
    monkeypatch.setenv("DATABASE_URL", store_url)
    process_settings.cache_clear()
    registry.cache_clear()
    for user in ("ana", "ben", "cy"):
        add_person(store, user)
    yield store
    registry.cache_clear()


def wish(**changes: Any) -> Wish:
    """Return a wish for everything, in earnest."""
    values_: dict[str, Any] = {"since": None, "until": None, "model": None, "prompt_version": None}
    return Wish(**values_ | {"dry_run": False, "because": "a bad model", "now": NOW + 9 * HOUR} | changes)


def undo(store: Store, *keys: str, **changes: Any) -> dict[str, Undone]:
    """Take back what matches of these partitions."""
    return undo_evolutions(store, registry(), keys or ("ana", "ben", "cy"), wish(**changes), actor="run 1")


def turned(store: Store, *keys: str, **changes: Any) -> set[str]:
    """Take back what matches, carry it out; returns the evolutions that are reversed."""
    undo(store, *keys, **changes)
    undo_all(store, NOW + 9 * HOUR)
    return {one for one, state in states(store).items() if state == "reversed"}


class TestWhatMatches:
    @pytest.fixture
    def four(self, store: Store) -> list[str]:
        """Three evolutions of Ana by the saga, an hour apart, by two models and two wordings; and one of Ben's."""
        return [
            by_saga(store, "ana", NOW, model="old", prompt_version="v1"),
            by_saga(store, "ana", NOW + HOUR, model="new", prompt_version="v1"),
            by_saga(store, "ana", NOW + 2 * HOUR, model="new", prompt_version="v2"),
            by_saga(store, "ben", NOW + HOUR, model="old", prompt_version="v2"),
        ]

    @pytest.mark.parametrize(
        ("keys", "changes", "expected"),
        [
            ((), {}, {0, 1, 2, 3}),
            (("ana",), {}, {0, 1, 2}),
            (("ben", "cy"), {}, {3}),
            (("cy",), {}, set()),
            ((), {"since": NOW + HOUR}, {1, 2, 3}),
            ((), {"until": NOW + HOUR}, {0}),
            ((), {"since": NOW + HOUR, "until": NOW + 2 * HOUR}, {1, 3}),
            ((), {"model": "old"}, {0, 3}),
            ((), {"model": "nothing"}, set()),
            ((), {"prompt_version": "v2"}, {2, 3}),
            (("ana",), {"model": "new", "prompt_version": "v2", "since": NOW}, {2}),
        ],
    )
    def test_only_what_was_chosen_is_taken_back(
        self, store: Store, four: list[str], keys: tuple[str, ...], changes: dict[str, Any], expected: set[int]
    ) -> None:
        assert turned(store, *keys, **changes) == {four[number] for number in expected}

    def test_it_is_told_for_each_partition_that_was_asked_for(self, store: Store, four: list[str]) -> None:
        found = undo(store, "ana", "ben", "cy", model="new")
        assert found == {"ana": Undone(2, 2, 0), "ben": Undone(), "cy": Undone()}
        assert set(states(store)) == set(four)

    def test_a_dry_run_counts_and_changes_nothing(self, store: Store, four: list[str]) -> None:
        before = rows(store, sagas, by="id")
        found = undo(store, dry_run=True)
        assert found == {"ana": Undone(3), "ben": Undone(1), "cy": Undone()}
        assert rows(store, sagas, by="id") == before
        assert (set(states(store).values()), rows(store, saga_interventions)) == ({"applied"}, [])
        assert len(states(store)) == len(four)

    def test_a_time_that_ends_before_it_begins_is_wrong_use(self, store: Store) -> None:
        for until in (NOW, NOW - HOUR):
            with pytest.raises(SeloError) as refused:
                undo(store, since=NOW, until=until)
            assert refused.value.code == "wrong_use"


class TestTakenBack:
    def test_who_and_why_is_kept_beside_each_saga(self, store: Store) -> None:
        by_saga(store, "ana")
        by_saga(store, "ben")
        undo(store)
        acts = {(act["action"], act["actor"], act["because"]) for act in rows(store, saga_interventions)}
        assert (len(rows(store, saga_interventions)), acts) == (2, {("compensate", "run 1", "a bad model")})

    def test_both_paths_are_taken_back_and_what_others_did_stays(self, store: Store) -> None:
        by_saga(store, "ana", deltas={"empathy": 0.05, "wit": 0.1})
        evolved(store, "direct", ("empathy", 0.03), ("grit", 0.1), now=NOW + HOUR)
        by_saga(store, "ana", NOW + 2 * HOUR, model="good", deltas={"empathy": 0.02, "wit": 0.01})
        assert undo(store, model="fake")["ana"] == Undone(2, 2, 0)
        undo_all(store, NOW + 9 * HOUR)
        assert values(store) == INITIAL | {"empathy": 0.82, "wit": 0.51}

    def test_asked_again_nothing_more_is_turned(self, store: Store) -> None:
        by_saga(store, "ana")
        evolved(store, "direct", ("wit", 0.1), user="ben")
        assert undo(store) == {"ana": Undone(1, 1, 0), "ben": Undone(1, 1, 0), "cy": Undone()}
        # On its way back, it matches no more; nor does it once it is back.
        assert undo(store) == {"ana": Undone(), "ben": Undone(), "cy": Undone()}
        assert undo_all(store, NOW + 9 * HOUR) == {"compensated": 1}
        assert undo(store) == {"ana": Undone(), "ben": Undone(), "cy": Undone()}
        assert (values(store), values(store, "ben")) == (INITIAL, INITIAL)

    def test_one_that_is_still_under_way_is_left_to_its_end(self, store: Store) -> None:
        asked(store, "ana")
        assert undo(store)["ana"] == Undone()
        with store.read() as connection:
            assert connection.execute(select(sagas.c.state)).scalar_one() == "pending"

    def test_what_cannot_be_taken_back_any_more_is_counted_and_keeps_nothing_else(self, store: Store) -> None:
        old = by_saga(store, "ana")
        new = by_saga(store, "ana", NOW + 10 * HOUR)
        after = NOW + timedelta(days=PERSONA_EVOLUTION.undo_days) + HOUR
        assert undo(store, now=after)["ana"] == Undone(2, 1, 1)
        undo_all(store, after)
        assert states(store) == {old: "applied", new: "reversed"}

    def test_more_than_fit_into_one_transaction_are_taken_back_too(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk_undo, "AT_ONCE", 3)
        for number in range(8):
            evolved(store, f"e{number}", ("wit", 0.01), user=("ana", "ben")[number % 2])
        assert undo(store) == {"ana": Undone(4, 4, 0), "ben": Undone(4, 4, 0), "cy": Undone()}
        assert set(states(store).values()) == {"reversed"}


@pytest.fixture
def instance(store: Store) -> Iterator[dg.DagsterInstance]:
    """An instance with a partition for each of the three."""
    with instance_of(store) as made:
        yield made


def materialized(instance: dg.DagsterInstance, *partitions: str, **config: Any) -> dg.ExecuteInProcessResult:
    """Materialise the asset for one partition, or for a range of them."""
    first, last = partitions[0], partitions[-1]
    chosen: dict[str, Any] = {"partition_key": first}
    if first != last:
        chosen = {"tags": {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}}
    return dg.materialize(
        [persona_undo],
        instance=instance,
        run_config={"ops": {"persona_undo_of_users": {"config": config}}},
        raise_on_error=False,
        **chosen,
    )


def shown(instance: dg.DagsterInstance) -> dict[str, list[dict[str, Any]]]:
    """Return the metadata of every materialisation, by partition, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in instance.fetch_materializations(dg.AssetKey("persona_undo"), limit=100, ascending=True).records:
        made = record.asset_materialization
        assert made is not None
        found.setdefault(str(made.partition), []).append({name: one.value for name, one in made.metadata.items()})
    return found


def failure(result: dg.ExecuteInProcessResult) -> str:
    """Return the message of a failed run."""
    (event,) = result.get_step_failure_events()
    assert event.step_failure_data.error is not None
    return event.step_failure_data.error.message


class TestTheAsset:
    def test_by_default_it_only_counts(self, store: Store, instance: dg.DagsterInstance) -> None:
        by_saga(store, "ana")
        assert materialized(instance, "ana").success
        assert shown(instance) == {"ana": [{"dry_run": True, "matching": 1, "turned": 0, "refused": 0}]}
        assert set(states(store).values()) == {"applied"}

    def test_a_range_is_taken_back_partition_by_partition_and_the_runs_of_the_saga_do_it(
        self, store: Store, instance: dg.DagsterInstance
    ) -> None:
        for user in ("ana", "ben", "ben", "cy"):
            by_saga(store, user)
        assert materialized(instance, "ana", "ben", dry_run=False, because="a bad model").success
        assert shown(instance) == {
            "ana": [{"dry_run": False, "matching": 1, "turned": 1, "refused": 0}],
            "ben": [{"dry_run": False, "matching": 2, "turned": 2, "refused": 0}],
        }
        assert statuses(instance, "persona_undo") == {"ana": "MATERIALIZED", "ben": "MATERIALIZED"}
        assert work_off_in(store, instance).counts == {"compensated": 3}
        assert (values(store), values(store, "ben")) == (INITIAL, INITIAL)
        assert values(store, "cy")["empathy"] == 0.9

    def test_what_it_is_told_decides_what_is_taken_back(self, store: Store, instance: dg.DagsterInstance) -> None:
        old = by_saga(store, "ana", NOW, model="old")
        new = by_saga(store, "ana", NOW + HOUR, model="new", prompt_version="v2")
        given = {"dry_run": False, "because": "why", "until": "2026-11-23T12:30:00Z", "model": "old"}
        assert materialized(instance, "ana", **given).success
        assert materialized(instance, "ana", **given | {"until": "", "prompt_version": "v2"}).success
        work_off_in(store, instance)
        assert states(store) == {old: "reversed", new: "applied"}
        since = {"dry_run": False, "because": "why", "since": "2026-11-23T13:00:00+00:00", "prompt_version": "v2"}
        assert materialized(instance, "ana", **since).success
        work_off_in(store, instance)
        assert states(store) == {old: "reversed", new: "reversed"}

    def test_run_again_it_turns_nothing_more(self, store: Store, instance: dg.DagsterInstance) -> None:
        by_saga(store, "ana")
        for _ in range(3):
            assert materialized(instance, "ana", dry_run=False, because="why").success
            work_off_in(store, instance)
        assert [(one["matching"], one["turned"]) for one in shown(instance)["ana"]] == [(1, 1), (0, 0), (0, 0)]
        assert values(store) == INITIAL

    @pytest.mark.parametrize(
        ("config", "code"),
        [
            ({"dry_run": False}, "wrong_use"),
            ({"dry_run": False, "because": "  "}, "wrong_use"),
            ({"since": "yesterday"}, "bad_time"),
            ({"until": "2026-11-23T12:00:00"}, "naive_time"),
            ({"since": "2026-11-23T12:00:00Z", "until": "2026-11-23T12:00:00Z"}, "wrong_use"),
        ],
    )
    def test_what_makes_no_sense_is_red_and_changes_nothing(
        self, store: Store, instance: dg.DagsterInstance, config: dict[str, Any], code: str
    ) -> None:
        by_saga(store, "ana")
        result = materialized(instance, "ana", **config)
        assert not result.success
        assert code in failure(result)
        assert (shown(instance), set(states(store).values())) == ({}, {"applied"})

    def test_it_names_the_run_that_took_back(self, store: Store, instance: dg.DagsterInstance) -> None:
        by_saga(store, "ana")
        result = materialized(instance, "ana", dry_run=False, because="why")
        (act,) = rows(store, saga_interventions)
        assert act["actor"] == f"run {result.run_id}"

    def test_no_field_of_its_config_has_a_name_that_yaml_reads_otherwise(self) -> None:
        import yaml

        assert all(yaml.safe_load(name) == name for name in PersonaUndoConfig.model_fields)
