"""A notice to the companion's own server that a reflection is there: told once, or taken back."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import StringConstraints, model_validator
from sqlalchemy import delete, insert, select
from typing_extensions import Self

from selo_dagster.errors import SeloError
from selo_dagster.reflections.tables import reflections
from selo_dagster.sagas.definition import Compensation, Retry, Saga, Step
from selo_dagster.sagas.given import Done, Effect, Given, Probed, RefusedError, TransientError
from selo_dagster.sagas.handed import Handed
from selo_dagster.sagas.notice_calls import NoNoticeUrlError, NotReachedError, companion_server
from selo_dagster.sagas.notices import companion_notices

THERE: Final = frozenset({200, 201, 202, 204})
GONE: Final = frozenset({204, 404})
LATER: Final = frozenset({429, 503})
"""The server did nothing, and may do it another time."""

UNHEARD: Final = frozenset({408, 425})
"""Of the 4xx those that say nothing about the notice itself."""

ReflectionId = Annotated[str, StringConstraints(min_length=1, max_length=32)]


class NoticeRefusedError(RefusedError):
    """The server does not take this notice and never will. Its status is all that is said of it."""


class NoticeUnknownError(Exception):
    """The server answered, and nobody can tell from it whether the notice is there."""


class NoticeNotTakenBackError(Exception):
    """The server did not take the notice back."""


class NoticeInput(Handed):
    """The reflection of which the companion is told."""

    reflection_id: ReflectionId

    @model_validator(mode="after")
    def _somebody_to_tell(self) -> Self:
        # Asked when one is started, so that nothing is queued that could only fail. Raises NoNoticeUrlError.
        companion_server()
        return self


class Wanted(Handed):
    """A reflection by its id."""

    reflection_id: str


class Found(Handed):
    """What is told of a reflection: no word of its text."""

    reflection_id: str
    kind: str
    on: str


class Posted(Handed):
    """The notice, by the token under which the server knows it."""

    notice: str


class Noted(Handed):
    """The notice and its reflection."""

    notice: str
    reflection_id: str


def read_reflection(given: Given, wanted: Wanted) -> Found:
    """Return what is told. Raises SeloError `unknown_reflection`, also for somebody else's; NoNoticeUrlError."""
    companion_server()
    row = given.connection.execute(
        select(reflections.c.kind, reflections.c.on).where(
            reflections.c.id == wanted.reflection_id, reflections.c.user_id == given.user_id
        )
    ).one_or_none()
    if row is None:
        raise SeloError("unknown_reflection", f"this person has no reflection {wanted.reflection_id!r}")
    return Found(reflection_id=wanted.reflection_id, kind=row.kind, on=row.on.isoformat())


def post_notice(given: Given, found: Found) -> Done:
    """Tell the companion's server, under this step's token. Raises as the server answered."""
    body = {"user_id": given.user_id, **found.model_dump()}
    try:
        status = companion_server().post(given.token, body)
    except NotReachedError:
        raise TransientError("not reached") from None
    if status in THERE:
        return _posted(given)
    if status in LATER:
        raise TransientError(f"status {status}")
    if 400 <= status < 500 and status not in UNHEARD:
        raise NoticeRefusedError(f"status {status}")
    raise NoticeUnknownError(f"status {status}")


def find_notice(given: Given, _found: Found | None) -> Probed:
    """Ask the server whether this step's notice is there."""
    status = companion_server().get(given.token)
    if status == 200:
        return Probed("there", _posted(given))
    return Probed("absent" if status == 404 else "unknown")


def take_notice_back(given: Given, _posted_before: Posted | None) -> None:
    """Take the notice back by the token of its post, known or not. Raises NoticeNotTakenBackError."""
    status = companion_server().delete(str(given.forward_token))
    if status not in GONE:
        raise NoticeNotTakenBackError(f"status {status}")


def note_it(given: Given, noted: Noted) -> Done:
    """Keep that and when the companion was told."""
    given.connection.execute(
        insert(companion_notices).values(
            notice=noted.notice, user_id=given.user_id, reflection_id=noted.reflection_id, told_at=given.now
        )
    )
    posted = Posted(notice=noted.notice)
    return Done(posted, undo=posted, effects=(Effect(f"companion_notices:{noted.notice}", None, "told"),))


def forget_it(given: Given, posted: Posted) -> None:
    """Delete the row: the companion counts as not told."""
    given.connection.execute(delete(companion_notices).where(companion_notices.c.notice == posted.notice))


def _posted(given: Given) -> Done:
    # The same for the call and the probe, which may not know more than the token.
    posted = Posted(notice=given.token)
    return Done(posted, undo=posted, effects=(Effect(f"notices:{given.token}", None, "posted"),))


COMPANION_NOTICE: Final = Saga(
    name="companion_notice",
    version=1,
    says="Tells the companion's own server that a reflection is there.",
    input=NoticeInput,
    steps=(
        Step(
            name="read_reflection",
            says="looks whether the reflection is there and is this person's",
            kind="read",
            action=read_reflection,
            input=Wanted,
            output=Found,
            takes={"reflection_id": "input.reflection_id"},
        ),
        Step(
            name="post_notice",
            says="tells the companion's server",
            kind="effect",
            action=post_notice,
            input=Found,
            output=Posted,
            takes={name: f"read_reflection.{name}" for name in Found.model_fields},
            records=Posted,
            compensation=Compensation(handler=take_notice_back, accepts=Posted),
            outside=True,
            probe=find_notice,
            refused=(NoticeRefusedError, NoNoticeUrlError),
            retry=Retry(attempts=5, base_s=2.0, cap_s=120.0),
            timeout_s=20.0,
        ),
        Step(
            name="note_it",
            says="keeps that and when the companion was told",
            kind="effect",
            action=note_it,
            input=Noted,
            output=Posted,
            takes={"notice": "post_notice.notice", "reflection_id": "read_reflection.reflection_id"},
            records=Posted,
            compensation=Compensation(handler=forget_it, accepts=Posted),
        ),
    ),
)
