"""A goal, the steps to it, and a question about it: all three, or none of them. A similar goal takes it in instead."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from difflib import SequenceMatcher
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints
from sqlalchemy import delete, insert, select, update

from selo_dagster.people.goals import ACTIVE, CANCELLED, DONE, PENDING, goal_steps, goals
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.sagas.definition import Compensation, Saga, Step
from selo_dagster.sagas.given import Done, Effect, Given, RefusedError, id_from
from selo_dagster.sagas.handed import Handed, all_of
from selo_dagster.sagas.taint import is_tainted

ASK_AFTER: Final = timedelta(days=7)
EXPIRES_AFTER: Final = timedelta(days=60)
"""A week until it is asked about, as the predecessor's questions; given up after two months."""

SIMILAR: Final = 0.85
COMPARED: Final = 20
"""A goal whose title is as much alike as this to one of the last twenty is the same goal (the predecessor's)."""

Title = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=1_000, pattern=r"\S")]


class GoalInput(Handed):
    """What a goal is made of.

    origin: where it comes from, such as `reflection:ID`; priority: 0-1; question: to be asked about it, one made from
    the title if it is None; ask: False for a goal that the person does not know of.
    """

    title: Title
    description: Line
    origin: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    priority: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.5
    steps: Annotated[list[Line], Field(min_length=1, max_length=12)]
    question: Annotated[str, StringConstraints(min_length=8, max_length=300)] | None = None
    ask: bool = True


class GoalMade(Handed):
    """The goal that was made; merged: it was there, and only got another origin."""

    goal_id: str
    merged: bool = False


class GoalKept(GoalMade):
    """What an undo needs of it. origin: what asked for it."""

    origin: str


class PlanInput(Handed):
    """A goal and the descriptions of the steps to it."""

    goal_id: str
    merged: bool
    steps: list[str]


class PlanMade(Handed):
    """How many steps there are."""

    count: int


class AskInput(Handed):
    """A goal and the question about it; without one, its title makes one; ask: whether there is to be one at all."""

    goal_id: str
    merged: bool
    title: str
    question: str | None
    ask: bool


class Asked(Handed):
    """The question that was queued; None where the goal was there already."""

    question_id: str | None


class AskedOf(Asked):
    """What an undo needs of a question: whose goal it is about."""

    goal_id: str


def make_goal(given: Given, wanted: GoalInput) -> Done:
    """Insert the goal, or add its origin to a similar one that is open. Its id comes from the token."""
    there = _similar(given, wanted)
    if there is not None:
        given.connection.execute(
            update(goals).where(goals.c.id == there.id).values(evidence=[*there.evidence, wanted.origin])
        )
        merged = GoalMade(goal_id=there.id, merged=True)
        kept = GoalKept(goal_id=there.id, merged=True, origin=wanted.origin)
        return Done(merged, undo=kept, effects=(Effect(f"goals:{there.id}", "open", "asked for again"),))
    goal_id = id_from(given.token)
    given.connection.execute(
        insert(goals).values(
            id=goal_id,
            user_id=given.user_id,
            title=wanted.title,
            description=wanted.description,
            origin=wanted.origin,
            priority=wanted.priority,
            state=ACTIVE,
            tainted=is_tainted(given.connection, given.user_id, wanted.origin),
            created_at=given.now,
        )
    )
    return Done(
        GoalMade(goal_id=goal_id),
        undo=GoalKept(goal_id=goal_id, origin=wanted.origin),
        effects=(Effect(f"goals:{goal_id}", None, 1),),
    )


def _similar(given: Given, wanted: GoalInput) -> Any:
    rows: Iterable[Any] = given.connection.execute(
        select(goals.c.id, goals.c.title, goals.c.origin, goals.c.evidence)
        .where(goals.c.user_id == given.user_id, goals.c.state == ACTIVE)
        .order_by(goals.c.created_at.desc(), goals.c.id)
        .limit(COMPARED)
        .with_for_update()
    )
    title = wanted.title.casefold()
    for row in rows:
        alike = SequenceMatcher(None, title, row.title.casefold(), autojunk=False)
        if alike.quick_ratio() >= SIMILAR and alike.ratio() >= SIMILAR:
            return row
    return None


def cancel_goal(given: Given, kept: GoalKept) -> None:
    """Cancel the goal, unless somebody has worked on it since. Raises RefusedError then: a person decides.

    A goal for which others have asked as well stays, and loses this origin only.
    """
    row = given.connection.execute(
        select(goals.c.state, goals.c.progress, goals.c.version, goals.c.origin, goals.c.evidence)
        .where(goals.c.id == kept.goal_id)
        .with_for_update()
    ).one_or_none()
    if row is None or row.state == CANCELLED:
        return
    others = _without(kept, [row.origin, *row.evidence])
    if others:
        given.connection.execute(
            update(goals).where(goals.c.id == kept.goal_id).values(origin=others[0], evidence=others[1:])
        )
        return
    if _worked_on(row):
        raise RefusedError("worked on")
    given.connection.execute(
        update(goals).where(goals.c.id == kept.goal_id).values(state=CANCELLED, version=goals.c.version + 1)
    )
    # Its own saga may have left its steps and its question to whoever asked for the goal as well.
    given.connection.execute(
        update(goal_steps)
        .where(goal_steps.c.goal_id == kept.goal_id, goal_steps.c.state == PENDING)
        .values(state=CANCELLED)
    )
    given.connection.execute(
        delete(relationship_questions).where(
            relationship_questions.c.user_id == given.user_id,
            relationship_questions.c.state == "pending",
            relationship_questions.c.evidence == [_source(kept.goal_id)],
        )
    )


def _without(kept: GoalKept, origins: list[str]) -> list[str]:
    """Return the origins of a goal without one of that name: the last one, if it was added later."""
    places = [place for place, origin in enumerate(origins) if origin == kept.origin]
    if not places:
        return origins
    gone = places[-1] if kept.merged else places[0]
    return [origin for place, origin in enumerate(origins) if place != gone]


def plan(given: Given, wanted: PlanInput) -> Done:
    """Insert the steps, all of them in one statement; none for a goal that was there."""
    if wanted.merged:
        return Done(PlanMade(count=0), undo=GoalMade(goal_id=wanted.goal_id, merged=True))
    rows = [
        {"goal_id": wanted.goal_id, "place": place, "description": text, "state": PENDING}
        for place, text in enumerate(wanted.steps, start=1)
    ]
    given.connection.execute(insert(goal_steps), rows)
    return Done(
        PlanMade(count=len(rows)),
        undo=GoalMade(goal_id=wanted.goal_id),
        effects=(Effect(f"goal_steps:{wanted.goal_id}", 0, len(rows)),),
    )


def cancel_plan(given: Given, made: GoalMade) -> None:
    """Cancel the steps, unless somebody has done one or worked on the goal. Raises RefusedError then.

    Those of a goal for which others have asked as well stay.
    """
    goal = given.connection.execute(
        select(goals.c.progress, goals.c.version, goals.c.evidence).where(goals.c.id == made.goal_id)
    ).one_or_none()
    if made.merged or (goal is not None and goal.evidence):
        return
    states = list(
        given.connection.execute(
            select(goal_steps.c.state).where(goal_steps.c.goal_id == made.goal_id).with_for_update()
        ).scalars()
    )
    if DONE in states or (goal is not None and _worked_on(goal)):
        raise RefusedError("worked on")
    given.connection.execute(update(goal_steps).where(goal_steps.c.goal_id == made.goal_id).values(state=CANCELLED))


def ask(given: Given, wanted: AskInput) -> Done:
    """Queue a question about the goal; none for a goal that was there, or if nobody wants one."""
    if wanted.merged or not wanted.ask:
        return Done(Asked(question_id=None), undo=AskedOf(question_id=None, goal_id=wanted.goal_id))
    question_id = id_from(given.token)
    given.connection.execute(
        insert(relationship_questions).values(
            id=question_id,
            user_id=given.user_id,
            on=given.now.date(),
            question=wanted.question or f"How is it going: {wanted.title}?",
            topic=wanted.title[:80],
            priority=3,
            evidence=[_source(wanted.goal_id)],
            state="pending",
            available_at=given.now + ASK_AFTER,
            expires_at=given.now + EXPIRES_AFTER,
            created_at=given.now,
            model="goal_creation",
            tainted=is_tainted(given.connection, given.user_id, _source(wanted.goal_id)),
        )
    )
    return Done(
        Asked(question_id=question_id),
        undo=AskedOf(question_id=question_id, goal_id=wanted.goal_id),
        effects=(Effect(f"relationship_questions:{question_id}", None, "pending"),),
    )


def take_back(given: Given, asked: AskedOf) -> None:
    """Take the question back, unless it was asked already, or others want the goal: then it stays."""
    others = given.connection.execute(select(goals.c.evidence).where(goals.c.id == asked.goal_id)).scalar()
    if asked.question_id is None or others:
        return
    given.connection.execute(
        delete(relationship_questions).where(
            relationship_questions.c.id == asked.question_id, relationship_questions.c.state == "pending"
        )
    )


def _source(goal_id: str) -> str:
    return f"goal:{goal_id}"


def _worked_on(goal: Any) -> bool:
    return bool(goal.progress > 0 or goal.version != 1)


GOAL_CREATION: Final = Saga(
    name="goal_creation",
    version=2,
    says="Makes a goal, the steps to it and a question about it.",
    input=GoalInput,
    steps=(
        Step(
            name="make_goal",
            says="inserts the goal",
            kind="effect",
            action=make_goal,
            input=GoalInput,
            output=GoalMade,
            takes=all_of("input", GoalInput),
            records=GoalKept,
            compensation=Compensation(handler=cancel_goal, accepts=GoalKept),
        ),
        Step(
            name="plan",
            says="inserts the steps to it",
            kind="effect",
            action=plan,
            input=PlanInput,
            output=PlanMade,
            takes={"goal_id": "make_goal.goal_id", "merged": "make_goal.merged", "steps": "input.steps"},
            records=GoalMade,
            compensation=Compensation(handler=cancel_plan, accepts=GoalMade),
        ),
        Step(
            name="ask",
            says="queues a question about it",
            kind="effect",
            action=ask,
            input=AskInput,
            output=Asked,
            takes={
                "goal_id": "make_goal.goal_id",
                "merged": "make_goal.merged",
                "title": "input.title",
                "question": "input.question",
                "ask": "input.ask",
            },
            after=("plan",),
            records=AskedOf,
            compensation=Compensation(handler=take_back, accepts=AskedOf),
        ),
    ),
)
