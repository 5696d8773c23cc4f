"""The upgrade that brought versions: what everybody read before it is what holds after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select, text

from selo_dagster.reflections.tables import reflection_head_moves, reflections
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import upgrade
from selo_dagster.store.types import instant_text
from tests.store.test_schema import DIALECTS
from tests.support.fakes import NOW, add_person

BEFORE = "0011"


@pytest.fixture
def upgraded(request: pytest.FixtureRequest, empty_store_url: Callable[[str], str]) -> Iterator[Store]:
    """A store in which Ana's Sunday had three versions and her Monday one, when versions came."""
    from alembic import command
    from alembic.config import Config

    opened = Store(empty_store_url(request.param))
    config = Config()
    config.set_main_option("script_location", "selo_dagster:store/migrations")
    config.attributes["store"] = opened
    command.upgrade(config, BEFORE)
    add_person(opened, "ana")
    add_person(opened, "ben")
    with opened.write() as connection:
        for user, key, version in (
            ("ana", "2026-11-22", 1),
            ("ana", "2026-11-22", 2),
            ("ana", "2026-11-22", 3),
            ("ana", "2026-11-23", 1),
            ("ben", "2026-11-22", 1),
        ):
            at = instant_text(NOW)
            connection.execute(
                text(
                    'INSERT INTO reflections (id, user_id, kind, "on", key, version, content, themes, insights, '
                    "actions, emotional_state, trait_changes, model, zone, zone_rules, window_start, window_end, "
                    "input_hash, created_at) VALUES (:id, :user, 'daily', :key, :key, :version, 'x', '[]', '[]', "
                    "'[]', '{}', '[]', 'x', 'UTC', 'x', :at, :at, 'x', :at)"
                ),
                {"id": f"{user}-{key}-{version}", "user": user, "key": key, "version": version, "at": at},
            )
    upgrade(opened)
    yield opened
    opened.close()


@pytest.mark.parametrize("upgraded", DIALECTS, indirect=True)
def test_the_highest_version_of_each_holds_and_replaced_the_one_before_it(upgraded: Store) -> None:
    with upgraded.read() as connection:
        rows = connection.execute(select(reflections).order_by(reflections.c.id)).all()
        decided = connection.execute(select(reflection_head_moves)).all()
    assert {row.id: (row.head, row.parents) for row in rows} == {
        "ana-2026-11-22-1": (False, []),
        "ana-2026-11-22-2": (False, ["ana-2026-11-22-1"]),
        "ana-2026-11-22-3": (True, ["ana-2026-11-22-2"]),
        "ana-2026-11-23-1": (True, []),
        "ben-2026-11-22-1": (True, []),
    }
    assert decided == []
