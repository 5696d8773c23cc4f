"""Two small sagas for the tests in Dagster; their input says where they break, and how. For SELO_SAGA_MODULES too."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, insert, update
from sqlalchemy.exc import OperationalError

from selo_dagster.people.goals import ACTIVE, CANCELLED, PENDING, goal_steps, goals
from selo_dagster.sagas.definition import Compensation, Retry, Saga, Step
from selo_dagster.sagas.given import Done, Given, Probed, RefusedError, TransientError

SLOWEST_S: Final = 300.0
QUICKLY: Final = Retry(attempts=3, base_s=0.05, cap_s=0.1)
AFTER_HOURS: Final = Retry(attempts=3, base_s=86_400, cap_s=86_400)
"""A wait that lasts longer than a run waits, but for one time in 17 280."""

How = Literal[
    "",
    "permanent",
    "programming",
    "rejected",
    "refused",
    "passing",
    "twice",
    "stubborn",
    "unwritable",
    "crooked",
    "slow",
    "kept",
    "crooked_undo",
]
"""programming: an error of a program. rejected: by the database. passing: once, then fine. twice: two times, then
fine. stubborn: for a passing reason, every time. unwritable, crooked: by an error that the engine does not expect, of
no class that is a program's, and of one that is. slow: lasts until a file appears; beside it, `.inside` says that it
has begun. kept: its undo is refused. crooked_undo: its undo is crooked."""

tries: Counter[str] = Counter()
"""Tries in this process, by token."""


class Model(BaseModel):
    """Frozen, nothing unknown, no value in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Behaviour(Model):
    """Where a saga breaks, and how. gate: the file for which what is slow waits."""

    fail_at: str = ""
    how: How = ""
    gate: str = ""


class Wanted(Model):
    """A text of somebody, and what happens with it."""

    text: str
    behaviour: Behaviour = Behaviour()


class OfGoal(Model):
    """A goal that an earlier step made."""

    goal_id: str
    text: str
    behaviour: Behaviour


class Left(Model):
    """What is undone, and how the undo behaves."""

    goal_id: str
    how: How = ""


class Thought(Model):
    """What came of thinking."""

    goal_id: str
    words: int


class OfThought(Model):
    """A thought that an earlier step had."""

    goal_id: str
    text: str
    words: int
    behaviour: Behaviour


class CrookedError(OperationalError):
    """An error that breaks whoever looks at it."""

    def __init__(self, text: str) -> None:
        Exception.__init__(self, text)

    @property
    def connection_invalidated(self) -> bool:  # type: ignore[override]
        """Break."""
        raise TypeError(str(self.args))


def remember(given: Given, wanted: Wanted) -> Done:
    """Insert a goal."""
    goal_id = hashlib.sha256(given.token.encode()).hexdigest()[:32]
    given.connection.execute(
        insert(goals).values(
            id=goal_id,
            user_id=given.user_id,
            title=wanted.text,
            description=wanted.text,
            origin="a test",
            priority=0.5,
            state=ACTIVE,
            created_at=given.now,
        )
    )
    return _done(given, wanted.text, wanted.behaviour, goal_id)


def forget(given: Given, left: Left) -> None:
    """Cancel the goal."""
    _undo(left)
    given.connection.execute(update(goals).where(goals.c.id == left.goal_id).values(state=CANCELLED))


def plan(given: Given, wanted: OfGoal) -> Done:
    """Insert a step to the goal."""
    given.connection.execute(
        insert(goal_steps).values(goal_id=wanted.goal_id, place=1, description=wanted.text, state=PENDING)
    )
    return _done(given, wanted.text, wanted.behaviour, wanted.goal_id)


def drop_plan(given: Given, left: Left) -> None:
    """Delete the step."""
    _undo(left)
    given.connection.execute(delete(goal_steps).where(goal_steps.c.goal_id == left.goal_id, goal_steps.c.place == 1))


def weigh(given: Given, wanted: OfGoal) -> Done:
    """Make the goal important."""
    given.connection.execute(update(goals).where(goals.c.id == wanted.goal_id).values(priority=0.9))
    return _done(given, wanted.text, wanted.behaviour, wanted.goal_id)


def make_light(given: Given, left: Left) -> None:
    """Make it as important as before."""
    _undo(left)
    given.connection.execute(update(goals).where(goals.c.id == left.goal_id).values(priority=0.5))


def promise(given: Given, wanted: OfGoal) -> Done:
    """Insert a second step."""
    given.connection.execute(
        insert(goal_steps).values(goal_id=wanted.goal_id, place=2, description=wanted.text, state=PENDING)
    )
    return _done(given, wanted.text, wanted.behaviour, wanted.goal_id)


def break_promise(given: Given, left: Left) -> None:
    """Delete the second step."""
    _undo(left)
    given.connection.execute(delete(goal_steps).where(goal_steps.c.goal_id == left.goal_id, goal_steps.c.place == 2))


def ponder(given: Given, wanted: OfGoal) -> Thought:
    """Think, with no transaction open."""
    _misbehave(given, wanted.text, wanted.behaviour)
    return Thought(goal_id=wanted.goal_id, words=len(wanted.text.split()))


def seal(given: Given, wanted: OfThought) -> Done:
    """Say how far it has come: from here on there is no way back."""
    given.connection.execute(update(goals).where(goals.c.id == wanted.goal_id).values(progress=0.5))
    _misbehave(given, wanted.text, wanted.behaviour)
    return Done(Left(goal_id=wanted.goal_id))


def deliver(given: Given, wanted: OfGoal) -> Done:
    """Write a line into a file: an effect outside."""
    _misbehave(given, wanted.text, wanted.behaviour)
    with _letters(wanted.behaviour).open("a", encoding="utf-8") as letters:
        letters.write(f"{given.token}\n")
    return Done(Left(goal_id=wanted.goal_id))


def delivered(given: Given, wanted: OfGoal) -> Probed:
    """Look whether the line is there."""
    letters = _letters(wanted.behaviour)
    if letters.exists() and given.token in letters.read_text(encoding="utf-8").splitlines():
        return Probed("there", Done(Left(goal_id=wanted.goal_id)))
    return Probed("absent")


def _letters(behaviour: Behaviour) -> Path:
    return Path(f"{behaviour.gate}.letters")


def _done(given: Given, text: str, behaviour: Behaviour, goal_id: str) -> Done:
    _misbehave(given, text, behaviour)
    here = behaviour.fail_at == given.step
    if here and behaviour.how == "unwritable":
        # Nothing of the transaction can be written after this, not even that the step failed.
        given.connection.close()
    if here and behaviour.how == "rejected":
        # PostgreSQL shows the whole row that it did not take.
        rejected = {"goal_id": goal_id, "place": 9, "description": text, "state": "unheard of"}
        given.connection.execute(insert(goal_steps).values(rejected))
    left = Left(goal_id=goal_id, how=behaviour.how if here else "")
    return Done(left, undo=left)


def _misbehave(given: Given, text: str, behaviour: Behaviour) -> None:
    if behaviour.fail_at != given.step:
        return
    tries[given.token] += 1
    if behaviour.how == "permanent":
        raise RuntimeError(text) from LookupError(text)
    if behaviour.how == "programming":
        raise TypeError(text)
    if behaviour.how == "refused":
        raise RefusedError(text)
    if behaviour.how == "stubborn" or tries[given.token] <= {"passing": 1, "twice": 2}.get(behaviour.how, 0):
        raise TransientError(text) from ConnectionError(text)
    if behaviour.how == "crooked":
        raise CrookedError(text)
    if behaviour.how == "slow":
        _wait_for(Path(behaviour.gate), text)


def _wait_for(gate: Path, text: str) -> None:
    gate.with_suffix(".inside").touch()
    end = time.monotonic() + SLOWEST_S
    while not gate.exists() and time.monotonic() < end:
        if _run_is_ending():
            raise ConnectionError(text)
        time.sleep(0.05)


def _run_is_ending() -> bool:
    """Tell whether the run was interrupted, so that its main thread only waits for the call that this one makes."""
    main = threading.main_thread()
    frame = None if main is threading.current_thread() else sys._current_frames().get(main.ident or 0)
    while frame is not None:
        if frame.f_code.co_name == "shutdown" and frame.f_code.co_filename.endswith("thread.py"):
            return True
        frame = frame.f_back
    return False


def _undo(left: Left) -> None:
    if left.how == "kept":
        raise RefusedError(left.goal_id)
    if left.how == "crooked_undo":
        raise CrookedError(left.goal_id)


_OF_GOAL: Final = {"goal_id": "remember.goal_id", "text": "input.text", "behaviour": "input.behaviour"}

KEEPSAKE: Final = Saga(
    name="keepsake",
    version=1,
    says="Remembers something, plans and weighs it, and promises it.",
    input=Wanted,
    steps=(
        Step(
            name="remember",
            says="inserts a goal",
            kind="effect",
            action=remember,
            input=Wanted,
            output=Left,
            takes={"text": "input.text", "behaviour": "input.behaviour"},
            records=Left,
            compensation=Compensation(handler=forget, accepts=Left),
            retry=QUICKLY,
        ),
        Step(
            name="plan",
            says="inserts a step to it",
            kind="effect",
            action=plan,
            input=OfGoal,
            output=Left,
            takes=_OF_GOAL,
            records=Left,
            compensation=Compensation(handler=drop_plan, accepts=Left),
            retry=QUICKLY,
        ),
        Step(
            name="weigh",
            says="makes it important",
            kind="effect",
            action=weigh,
            input=OfGoal,
            output=Left,
            takes=_OF_GOAL,
            records=Left,
            compensation=Compensation(handler=make_light, accepts=Left),
            retry=QUICKLY,
        ),
        Step(
            name="promise",
            says="inserts a second step to it",
            kind="effect",
            action=promise,
            input=OfGoal,
            output=Left,
            takes=_OF_GOAL,
            after=("plan", "weigh"),
            records=Left,
            compensation=Compensation(handler=break_promise, accepts=Left),
            retry=AFTER_HOURS,
        ),
    ),
)
"""A diamond: two steps rest on the first, and the last rests on both."""

LETTER: Final = Saga(
    name="letter",
    version=1,
    says="Drafts a letter, ponders it, seals it and delivers it.",
    input=Wanted,
    steps=(
        Step(
            name="remember",
            says="inserts a goal",
            kind="effect",
            action=remember,
            input=Wanted,
            output=Left,
            takes={"text": "input.text", "behaviour": "input.behaviour"},
            records=Left,
            compensation=Compensation(handler=forget, accepts=Left),
            retry=QUICKLY,
        ),
        Step(
            name="ponder",
            says="thinks about it",
            kind="generate",
            action=ponder,
            input=OfGoal,
            output=Thought,
            takes=_OF_GOAL,
            retry=QUICKLY,
            timeout_s=SLOWEST_S,
        ),
        Step(
            name="seal",
            says="says how far it has come",
            kind="pivot",
            action=seal,
            input=OfThought,
            output=Left,
            takes={
                "goal_id": "ponder.goal_id",
                "words": "ponder.words",
                "text": "input.text",
                "behaviour": "input.behaviour",
            },
            irreversible="what is sealed cannot be unsealed",
            retry=QUICKLY,
        ),
        Step(
            name="deliver",
            says="writes a line into a file",
            kind="retriable",
            action=deliver,
            input=OfGoal,
            output=Left,
            takes={"goal_id": "seal.goal_id", "text": "input.text", "behaviour": "input.behaviour"},
            irreversible="what is delivered cannot be called back",
            outside=True,
            probe=delivered,
            transient=(ConnectionError,),
            retry=QUICKLY,
            timeout_s=SLOWEST_S,
        ),
    ),
)
"""A line with a point from which there is no way back, and an effect outside the database after it."""
