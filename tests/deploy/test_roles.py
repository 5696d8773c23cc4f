"""The roles of the database: each can do its work, and nothing else, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import ProgrammingError

# Before any test changes what there is: the code location of this process keeps the sagas that are ours.
import selo_dagster.definitions
from selo_dagster.errors import SeloError
from selo_dagster.memory.client import write
from selo_dagster.memory.tables import events, memories, messages
from selo_dagster.sagas.tables import sagas
from selo_dagster.store.engine import Store, normalised_url
from selo_dagster.store.schema import HEAD, current_revision, upgrade
from tests.deploy.files import DEPLOY
from tests.deploy.roles import ADMINISTRATOR, COMPANION, MIGRATE, READ, RUN, Roles, run_file, set_up
from tests.support.command import Selo, selo_with_sagas
from tests.support.dagster import NOW_TEXT
from tests.support.fakes import add_person, remember, say

pytestmark = pytest.mark.postgres

assert selo_dagster.definitions.defs is not None

NAME = "as_in_production"
INSUFFICIENT_PRIVILEGE = "42501"
KEY = "a key that all machines of one database share"
MEMORY = {
    "type": "memory",
    "id": "m9",
    "user": "ana",
    "kind": "fact",
    "content": "Ana plays the cello",
    "importance": 0.4,
    "confidence": 0.9,
    "at": "2026-11-22T10:00:00Z",
}


@pytest.fixture(autouse=True)
def shared_erasure_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key under which people are erased comes from the environment, as on more than one machine."""
    monkeypatch.setenv("SELO_ERASURE_KEY", KEY)


@pytest.fixture(scope="module")
def roles(postgres_server: str) -> Iterator[Roles]:
    """One database for this file, with Ana in it; what a test changes, the others do not look at."""
    administrator = create_engine(normalised_url(f"{postgres_server}/postgres"), isolation_level="AUTOCOMMIT")
    with administrator.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {NAME}")
    with set_up(f"{postgres_server}/{NAME}") as made:
        add_person(made.stores[RUN], "ana")
        say(made.stores[RUN], "ana", "2026-11-22T09:00:00Z", "I am so sad, I cried about my sister all day")
        remember(made.stores[RUN], "ana", "m1", "2026-11-22T09:05:00Z", "Ana cried because her sister is ill", 0.9)
        yield made
    with administrator.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {NAME} WITH (FORCE)")
    administrator.dispose()


def refused(store: Store, statement: str) -> bool:
    """Return whether the database refuses a statement for want of a right; what it does is rolled back."""
    with store.engine.connect() as connection, connection.begin() as transaction:
        # A role that reads only could ask for more.
        connection.execute(text("SET TRANSACTION READ WRITE"))
        try:
            connection.execute(text(statement))
        except ProgrammingError as error:
            if getattr(error.orig, "pgcode", None) != INSUFFICIENT_PRIVILEGE:
                raise
            return True
        transaction.rollback()
    return False


def test_the_migration_makes_the_schema_and_may_repeat_it(roles: Roles) -> None:
    assert current_revision(roles.stores[MIGRATE]) == HEAD
    assert upgrade(roles.stores[MIGRATE]) == (HEAD, HEAD)
    run_file(roles.urls[ADMINISTRATOR], "roles.sql")
    run_file(roles.urls[MIGRATE], "grants.sql")


def test_rights_are_given_anew_in_one_transaction_so_that_nobody_is_ever_without() -> None:
    lines = [line for line in (DEPLOY / "postgres" / "grants.sql").read_text().splitlines() if line]
    statements = [line for line in lines if not line.startswith("--")]
    assert (statements[0], statements[-1]) == ("BEGIN;", "COMMIT;")


@pytest.mark.parametrize("role", [MIGRATE, RUN, COMPANION, READ])
def test_no_role_has_power_over_the_server(roles: Roles, role: str) -> None:
    store = roles.stores[role]
    assert refused(store, "CREATE ROLE another")
    assert refused(store, "SELECT pg_read_file('/etc/hostname')")
    assert refused(store, "ALTER DATABASE as_in_production RENAME TO another")


@pytest.mark.parametrize("role", [RUN, COMPANION, READ])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE another (id int)",
        "CREATE TEMPORARY TABLE another (id int)",
        "DROP TABLE reflections",
        "ALTER TABLE reflections ADD COLUMN another int",
        "CREATE INDEX another ON reflections (kind)",
        "TRUNCATE reflections CASCADE",
        "ALTER TABLE messages DISABLE TRIGGER ALL",
        "DROP FUNCTION selo_messages_stream() CASCADE",
        "UPDATE selo_schema_version SET version_num = '0001'",
    ],
)
def test_only_the_migration_changes_what_tables_there_are(roles: Roles, role: str, statement: str) -> None:
    assert refused(roles.stores[role], statement)


@pytest.fixture
def selo(roles: Roles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Selo]:
    """The command, as the runs' role."""
    with selo_with_sagas(roles.urls[RUN], monkeypatch, capsys, most_runs=40) as command:
        yield command


def test_a_night_and_what_follows_from_it_need_no_more_than_the_runs_role(selo: Selo, roles: Roles) -> None:
    status, night = selo.json("night", "--now", NOW_TEXT)
    assert status == 0
    assert night["kinds"]["daily"]["done"] == 1
    with roles.stores[RUN].read() as connection:
        assert set(connection.execute(select(sagas.c.state)).scalars()) == {"completed"}


def test_an_erasure_needs_no_more_either_and_the_companion_brings_nobody_back(selo: Selo, roles: Roles) -> None:
    add_person(roles.stores[RUN], "ben")
    say(roles.stores[RUN], "ben", "2026-11-22T09:00:00Z", "hello from ben", prefix="b")
    status, erased = selo.json("erase", "ben")
    assert (status, erased["verified"]) == (0, True)
    line = {"type": "user", "id": "ben", "name": "Ben", "timezone": "Europe/Lisbon", "at": "2026-01-01T00:00:00Z"}
    with roles.stores[COMPANION].write() as connection, pytest.raises(SeloError) as told:
        write(connection, line)
    assert told.value.code == "erased"


def test_the_runs_role_sees_what_transactions_of_others_an_erasure_has_to_wait_for(roles: Roles) -> None:
    seen = text("SELECT count(*) FROM pg_stat_activity WHERE usename = :name AND xact_start IS NOT NULL")
    with roles.stores[COMPANION].write() as other, roles.stores[RUN].read() as connection:
        other.execute(text("SELECT count(*) FROM messages"))
        assert connection.execute(seen, {"name": COMPANION}).scalar_one() == 1


def test_what_a_later_migration_makes_is_usable_by_the_runs_at_once_and_by_nobody_else(roles: Roles) -> None:
    with roles.stores[MIGRATE].write() as connection:
        connection.execute(text("CREATE TABLE later (id bigserial PRIMARY KEY, words text)"))
    try:
        for statement in (
            "INSERT INTO later (words) VALUES ('a')",
            "SELECT words FROM later",
            "DELETE FROM later",
        ):
            assert not refused(roles.stores[RUN], statement)
            assert refused(roles.stores[COMPANION], statement)
            assert refused(roles.stores[READ], statement)
    finally:
        with roles.stores[MIGRATE].write() as connection:
            connection.execute(text("DROP TABLE later"))


def test_the_companion_writes_by_plain_sql_and_the_database_makes_the_events(roles: Roles) -> None:
    with roles.stores[COMPANION].write() as connection:
        for statement in (
            "INSERT INTO users (id, key, name, zone, created_at) VALUES ('cy', 'cy', 'Cy', 'Asia/Tokyo', now())",
            "INSERT INTO user_statements (user_id, since, name, zone) VALUES ('cy', now(), 'Cy', 'Asia/Tokyo')",
            "INSERT INTO conversations (id, user_id) VALUES ('cy-1', 'cy')",
            (
                "INSERT INTO messages (id, user_id, conversation_id, role, content, at)"
                " VALUES ('cy-1-1', 'cy', 'cy-1', 'user', 'hello', now())"
            ),
            (
                "INSERT INTO memories (id, user_id, kind, content, importance, at)"
                " VALUES ('cy-m1', 'cy', 'fact', 'Cy said hello', 0.5, now())"
            ),
        ):
            connection.execute(text(statement))
    with roles.stores[RUN].read() as connection:
        seen = connection.execute(select(events.c.type).where(events.c.user_id == "cy").order_by(events.c.id))
        assert list(seen.scalars()) == ["user_stated", "message_created", "memory_created"]


def test_the_companion_writes_through_the_client_and_a_repetition_or_a_move_is_known(roles: Roles) -> None:
    said = {"type": "message", "id": "d-1", "user": "dee", "conversation": "d", "role": "user"}
    lines = (
        {"type": "user", "id": "dee", "name": "Dee", "timezone": "Europe/Lisbon", "at": "2026-01-01T00:00:00Z"},
        said | {"content": "hello", "at": "2026-11-22T10:00:00Z"},
        MEMORY | {"id": "d-m", "user": "dee", "message": "d-1"},
        {"type": "event", "id": "d-e", "user": "dee", "event": "conversation_ended", "at": "2026-11-22T10:01:00Z"}
        | {"payload": {"conversation": "d"}},
    )
    moved = lines[0] | {"timezone": "Asia/Tokyo", "at": "2026-06-01T00:00:00Z"}
    with roles.stores[COMPANION].write() as connection:
        assert write(connection, *lines) == ["accepted"] * 4
        assert write(connection, *lines) == ["unchanged"] * 4
        assert write(connection, moved) == ["updated"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT content FROM reflections",
        "INSERT INTO reflections SELECT * FROM reflections",
        "DELETE FROM reflections",
        "SELECT answer FROM reflection_attempts",
        "SELECT text FROM mantras",
        "SELECT question FROM relationship_questions",
        "SELECT value FROM persona_traits",
        "UPDATE persona_traits SET value = 1",
        "SELECT input FROM sagas",
        "UPDATE reflection_ledger SET state = 'done'",
        "SELECT report FROM erased_people",
        "DELETE FROM erased_people",
        "UPDATE messages SET content = ''",
        "DELETE FROM memories",
        "UPDATE users SET state = 'tombstoned'",
        "UPDATE events SET seq = 1",
        (
            "INSERT INTO events (seq, origin, ref, type, user_id, at, payload)"
            " VALUES (1, 'event', 'x', 'x', 'ana', now(), '{}')"
        ),
        "UPDATE stream_positions SET seq = 0",
    ],
)
def test_the_companion_can_do_nothing_to_what_is_made_of_its_words(roles: Roles, statement: str) -> None:
    assert refused(roles.stores[COMPANION], statement)


def test_the_reader_sees_how_much_and_when_but_no_word_of_anybody(roles: Roles) -> None:
    reader = roles.stores[READ]
    for statement in (
        "SELECT kind, state, count(*) FROM reflection_ledger GROUP BY kind, state",
        "SELECT type, state, ended_at FROM sagas",
        "SELECT user_id, at FROM messages",
        "SELECT name, at FROM heartbeats",
        "SELECT code, opened_at, resolved_at FROM alerts",
        "SELECT job, finished_at, failed FROM job_runs",
        "SELECT version_num FROM selo_schema_version",
    ):
        assert not refused(reader, statement)
    with reader.read() as connection:
        readable = connection.execute(
            text(
                "SELECT table_name || '.' || column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = 'public' AND has_column_privilege(format('%I', table_name)::regclass, "
                "column_name, 'SELECT')"
            )
        ).all()
    assert readable
    assert {kind for _, kind in readable}.isdisjoint({"text", "json", "jsonb", "bytea", "ARRAY"})
    assert refused(reader, "SELECT content FROM messages")
    assert refused(reader, "SELECT name FROM users")
    assert refused(reader, "SELECT * FROM episode_terms")


@pytest.mark.parametrize("table", ["messages", "reflection_ledger", "heartbeats", "sagas"])
def test_the_reader_writes_nothing_even_where_it_asks_for_a_writable_transaction(roles: Roles, table: str) -> None:
    with roles.stores[READ].engine.connect() as connection:
        assert connection.execute(text("SHOW default_transaction_read_only")).scalar() == "on"
    assert refused(roles.stores[READ], f"DELETE FROM {table}")


def test_dagsters_role_and_the_projects_roles_do_not_see_each_others_database(
    roles: Roles, postgres_server: str
) -> None:
    administrator = create_engine(normalised_url(f"{postgres_server}/postgres"), isolation_level="AUTOCOMMIT")
    with administrator.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE dagster_apart")
    try:
        run_file(f"{postgres_server}/dagster_apart", "dagster.sql")
        allowed = text("SELECT has_database_privilege(:role, :database, 'CONNECT')")
        with roles.stores[ADMINISTRATOR].read() as connection:
            for role in (RUN, COMPANION, READ, MIGRATE):
                assert not connection.execute(allowed, {"role": role, "database": "dagster_apart"}).scalar_one()
            assert not connection.execute(allowed, {"role": "dagster", "database": NAME}).scalar_one()
            assert connection.execute(allowed, {"role": "dagster", "database": "dagster_apart"}).scalar_one()
    finally:
        with administrator.connect() as connection:
            connection.exec_driver_sql("DROP DATABASE dagster_apart")
        administrator.dispose()


def test_messages_and_memories_written_before_are_still_there(roles: Roles) -> None:
    with roles.stores[RUN].read() as connection:
        assert connection.execute(select(messages.c.id).where(messages.c.user_id == "ana")).first()
        assert connection.execute(select(memories.c.id).where(memories.c.user_id == "ana")).first()
