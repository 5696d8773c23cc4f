"""Alembic's entry: runs on the store that selo_dagster.store.schema hands over."""

from __future__ import annotations

from alembic import context

import selo_dagster.memory.tables
import selo_dagster.people.tables
import selo_dagster.reflections.audits.tables
import selo_dagster.reflections.questions.tables
import selo_dagster.reflections.tables
import selo_dagster.resources.tables
import selo_dagster.store.heartbeats  # noqa: F401 - each room registers its tables
from selo_dagster.store.base import metadata
from selo_dagster.store.engine import Store
from selo_dagster.store.schema import VERSION_TABLE

store: Store = context.config.attributes["store"]

with store.engine.connect() as connection, connection.begin():
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        render_as_batch=store.dialect == "sqlite",
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
