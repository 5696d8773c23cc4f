"""DBOS Transact doing what `goal_creation` does: three transactions of one workflow, the same SQL, one after another.

    python -m bench.dbos_baseline SERVER NUMBER

Prints workflows a second. Used by `bench.sagas` as its baseline, in a process of its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from uuid import uuid4

from dbos import DBOS, SQLAlchemyDatasource
from sqlalchemy import create_engine, text

from selo_dagster.store.engine import normalised_url

GOAL = (
    "INSERT INTO goals (id, user_id, title, description, origin, priority, state, created_at) "
    "VALUES (:id, :user, 'Learn to swim', 'By the sea, before the summer.', 'bench', 0.5, 'active', now())"
)
STEP = "INSERT INTO goal_steps (goal_id, place, description, state) VALUES (:id, :place, :text, 'pending')"
ASK = (
    "INSERT INTO questions (id, user_id, question, topic, created_at) "
    "VALUES (:id, :user, 'How is it going: Learn to swim?', 'Learn to swim', now())"
)
GOALS = (
    "CREATE TABLE goals (id text PRIMARY KEY, user_id text, title text, description text, origin text, priority float, "
    "state text, created_at timestamptz)"
)
STEPS = (
    "CREATE TABLE goal_steps (goal_id text REFERENCES goals, place int, description text, state text, "
    "PRIMARY KEY (goal_id, place))"
)
QUESTIONS = (
    "CREATE TABLE questions (id text PRIMARY KEY, user_id text, question text, topic text, created_at timestamptz)"
)
WARMING = 20


def workflow_on(address: str) -> Callable[[str], None]:
    """Return the workflow, its three transactions recorded beside their effects in one database."""
    source = SQLAlchemyDatasource.create(database_url=address)

    def make_goal(goal_id: str, user: str) -> str:
        source.sql_session().execute(text(GOAL), {"id": goal_id, "user": user})
        return goal_id

    def plan(goal_id: str) -> int:
        texts = ("Buy goggles", "Go to the pool", "Ask a friend")
        rows = [{"id": goal_id, "place": place, "text": one} for place, one in enumerate(texts, 1)]
        source.sql_session().execute(text(STEP), rows)
        return len(rows)

    def ask(user: str) -> str:
        question_id = uuid4().hex
        source.sql_session().execute(text(ASK), {"id": question_id, "user": user})
        return question_id

    # The same isolation as ours: their default, SERIALIZABLE, would cost them more.
    stepped = [source.transaction(isolation_level="READ COMMITTED")(one) for one in (make_goal, plan, ask)]

    def goal_creation(user: str) -> None:
        goal_id = stepped[0](uuid4().hex, user)
        stepped[1](goal_id)
        stepped[2](user)

    carried: Callable[[str], None] = DBOS.workflow()(goal_creation)
    return carried


def main() -> None:
    """Measure and print."""
    server, number = sys.argv[1], int(sys.argv[2])
    name = f"dbos_{uuid4().hex[:8]}"
    engine = create_engine(normalised_url(f"{server}/postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    address = f"{server}/{name}".replace("postgresql://", "postgresql+psycopg://")
    tables = create_engine(normalised_url(f"{server}/{name}"))
    with tables.begin() as connection:
        for statement in (GOALS, STEPS, QUESTIONS):
            connection.execute(text(statement))
    DBOS(config={"name": "bench", "system_database_url": address, "log_level": "ERROR"})
    goal_creation = workflow_on(address)
    DBOS.launch()
    for warm in range(WARMING):
        goal_creation(f"w{warm}")
    started = time.perf_counter()
    for one in range(number):
        goal_creation(f"u{one}")
    seconds = time.perf_counter() - started
    with tables.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM questions")).scalar_one() == number + WARMING
    tables.dispose()
    DBOS.destroy()
    print(number / seconds)


if __name__ == "__main__":
    main()
