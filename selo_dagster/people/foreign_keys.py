"""The foreign keys that a database has, as it says itself: also those of tables that are not this project's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, text

_POSTGRESQL: Final = """
SELECT c.oid, c.conrelid::regclass::text, quote_ident(child.attname), c.confrelid::regclass::text,
       quote_ident(parent.attname), c.confdeltype::text
FROM pg_constraint AS c
CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS pair (child, parent, place)
JOIN pg_attribute AS child ON child.attrelid = c.conrelid AND child.attnum = pair.child
JOIN pg_attribute AS parent ON parent.attrelid = c.confrelid AND parent.attnum = pair.parent
WHERE c.contype = 'f' AND c.conparentid = 0
ORDER BY 2, c.oid, pair.place"""

_SQLITE: Final = """
SELECT t.name || '/' || f.id, t.name, f."from", f."table",
       coalesce(f."to", (SELECT i.name FROM pragma_table_info(f."table") AS i WHERE i.pk = f.seq + 1)), f.on_delete
FROM sqlite_master AS t JOIN pragma_foreign_key_list(t.name) AS f
WHERE t.type = 'table'
ORDER BY 2, f.id, f.seq"""

_ACTIONS: Final = {"c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT", "r": "RESTRICT", "a": "NO ACTION"}


@dataclass(frozen=True)
class ForeignKey:
    """Rows of one table that rest on rows of another. Names are quoted as SQL needs them.

    action: what becomes of them when the other row is deleted, `CASCADE`, `SET NULL`, …
    """

    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    action: str

    def resting_on(self, condition: str) -> str:
        """Return the condition on rows of `table` that their parent meets `condition`."""
        ours, theirs = ", ".join(self.columns), ", ".join(self.parent_columns)
        ours = ours if len(self.columns) == 1 else f"({ours})"
        return f"{ours} IN (SELECT {theirs} FROM {self.parent} WHERE {condition})"


def foreign_keys(connection: Connection) -> list[ForeignKey]:
    """Return every foreign key of the database, ordered by table and columns."""
    if connection.dialect.name == "postgresql":
        found = _read(connection.execute(text(_POSTGRESQL)), str)
    else:
        found = _read(connection.execute(text(_SQLITE)), connection.dialect.identifier_preparer.quote)
    return sorted(found, key=lambda key: (key.table, key.columns))


def _read(rows: Iterable[Any], quote: Any) -> Iterator[ForeignKey]:
    for _, group in groupby(rows, key=lambda row: row[0]):
        pairs = list(group)
        _, table, _, parent, _, action = pairs[0]
        yield ForeignKey(
            quote(table),
            tuple(quote(row[2]) for row in pairs),
            quote(parent),
            tuple(quote(row[4]) for row in pairs),
            _ACTIONS.get(action, action),
        )
