"""Forgetting a person: whatever is under way for them is ended, everything about them deleted, proved and signed."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from selo_dagster.people.footprint import Footprint
from selo_dagster.sagas.definition import Retry, Saga, Step
from selo_dagster.sagas.erasure.compacting import compact, compacted_before
from selo_dagster.sagas.erasure.ending import (
    ObstacleError,
    end_work,
    hand_over,
    require_free,
    tombstone,
)
from selo_dagster.sagas.erasure.forgetting import keep_report, key_for, renew_report, take_away, transaction_id
from selo_dagster.sagas.erasure.models import (
    Certified,
    Certifying,
    Compacted,
    Compacting,
    Ended,
    Erasure,
    Forgetting,
    Forgotten,
    Removed,
    Removing,
    Rows,
)
from selo_dagster.sagas.erasure.removing import (
    OWN_SAGA,
    RowsLeftError,
    drain,
    is_tombstoned,
    remove,
    rows_left,
)
from selo_dagster.sagas.erasure.report import FORM, signed
from selo_dagster.sagas.given import Done, Effect, Given, Probed
from selo_dagster.sagas.handed import all_of
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store
from selo_dagster.store.types import database_now

NO_WAY_BACK: Final = "what is erased is gone: nothing of it is kept that could bring it back"


def fence(given: Given, asked: Erasure) -> Done:
    """Shut the door, end what is under way and queued, count what there is. Raises ObstacleError, SeloError."""
    # Looked for here, where there is a way back: without it nobody could be told from somebody new.
    secret = key_for(given.connection, asked.key_id)
    before = end_work(given.connection, given.user_id, given.saga_id, given.now)
    key = tombstone(given.connection, given.user_id)
    # What somebody began who had not seen the tombstone yet: their transaction was waited for.
    late = end_work(given.connection, given.user_id, given.saga_id, given.now)
    handed_over = hand_over(given.connection, given.user_id)
    footprint = Footprint.of(given.connection, OWN_SAGA)
    require_free(given.connection, footprint, given.user_id)
    ended = Ended(
        counted=footprint.count(given.connection, given.user_id, spared=given.saga_id),
        sagas=before.sagas + late.sagas,
        reflections=before.reflections + late.reflections,
        one_offs=before.one_offs + late.one_offs,
        handed_over=handed_over,
        key_is_id=key == given.user_id,
        key_id=secret.id,
    )
    return Done(ended, effects=(Effect("users", "active", "tombstoned"),))


def remove_rows(given: Given, wanted: Removing) -> Done:
    """Delete everything but the person's own row, in bounded transactions. Raises ObstacleError."""
    with open_store(process_settings()) as store:
        drain(store)
        gone = remove(store, given.user_id, given.saga_id)
    return _removed(wanted.counted, gone)


def look_for_rows(given: Given, wanted: Removing | None) -> Probed:
    """Look whether anything is left to delete."""
    with open_store(process_settings()) as store, store.write() as connection:
        left = is_tombstoned(connection, given.user_id) and rows_left(connection, given.user_id, given.saga_id)
    if left or wanted is None:
        return Probed("absent")
    return Probed("there", _removed(wanted.counted, {}))


def forget(given: Given, wanted: Forgetting) -> Done:
    """Delete the person, prove that nothing is left and keep the signed report. Raises SeloError, RowsLeftError."""
    connection = given.connection
    key = key_for(connection, wanted.key_id)
    late = take_away(connection, given.user_id, given.saga_id)
    deleted = _added(wanted.deleted, late)
    report: dict[str, Any] = {
        "form": FORM,
        "person": key.digest(given.user_id),
        "key_id": key.id,
        "saga": given.saga_id,
        "erased_at": given.now.isoformat(),
        "deleted": deleted,
        "rows_left": 0,
        "ended": {"sagas": wanted.sagas, "reflections": wanted.reflections, "one_offs": wanted.one_offs},
        "conversations_handed_over": wanted.handed_over,
        "id_is_partition_key": wanted.key_is_id,
        "compacted": None,
    }
    keep_report(connection, key, given.user_id, given.saga_id, signed(key, report), given.now)
    forgotten = Forgotten(
        deleted=deleted,
        report=report,
        at=connection.execute(select(database_now())).scalar_one(),
        transaction=transaction_id(connection),
    )
    return Done(forgotten, effects=(Effect("users", "tombstoned", "gone"),))


def compact_files(_given: Given, wanted: Compacting) -> Done:
    """Take what was deleted out of the files. Raises TransientError while others are in the way."""
    with open_store(process_settings()) as store:
        return Done(compact(store, wanted))


def look_for_compaction(_given: Given, wanted: Compacting | None) -> Probed:
    """Look whether this process remembers to have done it; twice does no harm."""
    with open_store(process_settings()) as store:
        found = None if wanted is None else compacted_before(store, wanted)
    return Probed("absent") if found is None else Probed("there", Done(found))


def certify(given: Given, wanted: Certifying) -> Done:
    """Sign the report once more, with what became of the files. Raises SeloError `erasure_key`."""
    compacted = {
        "database": wanted.database,
        "at": wanted.at.isoformat(),
        "free_pages": wanted.free_pages,
        "tables": wanted.tables,
    }
    known = {name: value for name, value in compacted.items() if value is not None}
    text = signed(key_for(given.connection, wanted.report["key_id"]), wanted.report | {"compacted": known})
    renew_report(given.connection, given.saga_id, text)
    return Done(Certified(report=text), effects=(Effect("erased_people", None, "certified"),))


def _removed(counted: Rows, gone: Rows) -> Done:
    # An earlier try may have deleted some; what came after the count is only known to whoever deleted it.
    deleted = {table: max(counted.get(table, 0), gone.get(table, 0)) for table in sorted(counted.keys() | gone.keys())}
    return Done(Removed(deleted=deleted), effects=(Effect("rows", sum(deleted.values()), 0),))


def _added(one: Rows, other: Rows) -> Rows:
    return {table: one.get(table, 0) + other.get(table, 0) for table in sorted(one.keys() | other.keys())}


USER_ERASURE: Final = Saga(
    name="user_erasure",
    version=1,
    says="Forgets a person: everything about them, with a signed report.",
    input=Erasure,
    goes_first=True,
    undo_days=0,
    steps=(
        Step(
            name="fence",
            says="shuts the door, ends what is under way and queued, counts what there is",
            kind="pivot",
            action=fence,
            input=Erasure,
            output=Ended,
            takes=all_of("input", Erasure),
            irreversible=NO_WAY_BACK,
            retry=Retry(attempts=6, base_s=1.0, cap_s=30.0),
            timeout_s=120.0,
        ),
        Step(
            name="remove",
            says="deletes the person's rows, a bounded part at a time",
            kind="retriable",
            action=remove_rows,
            input=Removing,
            output=Removed,
            takes={"counted": "fence.counted"},
            irreversible=NO_WAY_BACK,
            outside=True,
            probe=look_for_rows,
            refused=(ObstacleError,),
            transient=(DBAPIError, RowsLeftError),
            retry=Retry(attempts=10, base_s=1.0, cap_s=60.0),
            timeout_s=3_600.0,
        ),
        Step(
            name="forget",
            says="deletes the person, proves that nothing is left, signs the report",
            kind="retriable",
            action=forget,
            input=Forgetting,
            output=Forgotten,
            takes=all_of("fence", Ended) | {"deleted": "remove.deleted"},
            irreversible=NO_WAY_BACK,
            transient=(RowsLeftError,),
            retry=Retry(attempts=10, base_s=1.0, cap_s=60.0),
            timeout_s=600.0,
        ),
        Step(
            name="compact",
            says="takes what was deleted out of the database's files",
            kind="retriable",
            action=compact_files,
            input=Compacting,
            output=Compacted,
            takes=all_of("forget", Compacting),
            irreversible=NO_WAY_BACK,
            outside=True,
            probe=look_for_compaction,
            transient=(DBAPIError,),
            retry=Retry(attempts=20, base_s=1.0, cap_s=300.0),
            timeout_s=7_200.0,
        ),
        Step(
            name="certify",
            says="signs the report once more, with what became of the files",
            kind="retriable",
            action=certify,
            input=Certifying,
            output=Certified,
            takes={"report": "forget.report"} | all_of("compact", Compacted),
            irreversible=NO_WAY_BACK,
            retry=Retry(attempts=10, base_s=1.0, cap_s=60.0),
        ),
    ),
)
