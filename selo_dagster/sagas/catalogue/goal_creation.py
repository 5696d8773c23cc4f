"""A goal, the steps to it, and a question about it: all three, or none of them."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import delete, insert, select, update

from selo_dagster.people.goals import ACTIVE, CANCELLED, DONE, PENDING, goal_steps, goals
from selo_dagster.reflections.questions.tables import relationship_questions
from selo_dagster.sagas.definition import Compensation, Saga, Step
from selo_dagster.sagas.given import Done, Effect, Given, RefusedError

ASK_AFTER: Final = timedelta(days=7)
EXPIRES_AFTER: Final = timedelta(days=60)
"""A week until it is asked about, as the predecessor's questions; given up after two months."""

Title = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=1_000, pattern=r"\S")]


class Model(BaseModel):
    """Frozen, nothing unknown, no value in its errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class GoalInput(Model):
    """What a goal is made of. origin: where it comes from, such as `reflection:ID`; priority: 0-1."""

    title: Title
    description: Line
    origin: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    priority: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.5
    steps: Annotated[list[Line], Field(min_length=1, max_length=12)]
    question: Annotated[str, StringConstraints(min_length=8, max_length=300)] | None = None


class GoalMade(Model):
    """The goal that was made."""

    goal_id: str


class PlanInput(Model):
    """A goal and the descriptions of the steps to it."""

    goal_id: str
    steps: list[str]


class PlanMade(Model):
    """How many steps there are."""

    count: int


class AskInput(Model):
    """A goal and the question about it; without one, its title makes one."""

    goal_id: str
    title: str
    question: str | None


class Asked(Model):
    """The question that was queued."""

    question_id: str


def make_goal(given: Given, wanted: GoalInput) -> Done:
    """Insert the goal. Its id comes from the token: the same one for every try."""
    goal_id = _id_of(given)
    given.connection.execute(
        insert(goals).values(
            id=goal_id,
            user_id=given.user_id,
            title=wanted.title,
            description=wanted.description,
            origin=wanted.origin,
            priority=wanted.priority,
            state=ACTIVE,
            created_at=given.now,
        )
    )
    made = GoalMade(goal_id=goal_id)
    return Done(made, undo=made, effects=(Effect(f"goals:{goal_id}", None, 1),))


def cancel_goal(given: Given, made: GoalMade) -> None:
    """Cancel the goal, unless somebody has worked on it since. Raises RefusedError then: a person decides."""
    row = given.connection.execute(
        select(goals.c.state, goals.c.progress, goals.c.version).where(goals.c.id == made.goal_id).with_for_update()
    ).one_or_none()
    if row is None or row.state == CANCELLED:
        return
    if _worked_on(row):
        raise RefusedError("worked on")
    given.connection.execute(
        update(goals).where(goals.c.id == made.goal_id).values(state=CANCELLED, version=goals.c.version + 1)
    )


def plan(given: Given, wanted: PlanInput) -> Done:
    """Insert the steps, all of them in one statement."""
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
    """Cancel the steps, unless somebody has done one or worked on the goal. Raises RefusedError then."""
    goal = given.connection.execute(
        select(goals.c.progress, goals.c.version).where(goals.c.id == made.goal_id)
    ).one_or_none()
    states = list(
        given.connection.execute(
            select(goal_steps.c.state).where(goal_steps.c.goal_id == made.goal_id).with_for_update()
        ).scalars()
    )
    if DONE in states or (goal is not None and _worked_on(goal)):
        raise RefusedError("worked on")
    given.connection.execute(update(goal_steps).where(goal_steps.c.goal_id == made.goal_id).values(state=CANCELLED))


def ask(given: Given, wanted: AskInput) -> Done:
    """Queue a question about the goal."""
    question_id = _id_of(given)
    given.connection.execute(
        insert(relationship_questions).values(
            id=question_id,
            user_id=given.user_id,
            on=given.now.date(),
            question=wanted.question or f"How is it going: {wanted.title}?",
            topic=wanted.title[:80],
            priority=3,
            evidence=[f"goal:{wanted.goal_id}"],
            state="pending",
            available_at=given.now + ASK_AFTER,
            expires_at=given.now + EXPIRES_AFTER,
            created_at=given.now,
            model="goal_creation",
        )
    )
    asked = Asked(question_id=question_id)
    return Done(asked, undo=asked, effects=(Effect(f"relationship_questions:{question_id}", None, "pending"),))


def take_back(given: Given, asked: Asked) -> None:
    """Take the question back, unless it was asked already: then it stays, with its answer."""
    given.connection.execute(
        delete(relationship_questions).where(
            relationship_questions.c.id == asked.question_id, relationship_questions.c.state == "pending"
        )
    )


def _worked_on(goal: Any) -> bool:
    return bool(goal.progress > 0 or goal.version != 1)


def _id_of(given: Given) -> str:
    return hashlib.sha256(given.token.encode()).hexdigest()[:32]


GOAL_CREATION: Final = Saga(
    name="goal_creation",
    version=1,
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
            takes={name: f"input.{name}" for name in GoalInput.model_fields},
            records=GoalMade,
            compensation=Compensation(handler=cancel_goal, accepts=GoalMade),
        ),
        Step(
            name="plan",
            says="inserts the steps to it",
            kind="effect",
            action=plan,
            input=PlanInput,
            output=PlanMade,
            takes={"goal_id": "make_goal.goal_id", "steps": "input.steps"},
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
            takes={"goal_id": "make_goal.goal_id", "title": "input.title", "question": "input.question"},
            after=("plan",),
            records=Asked,
            compensation=Compensation(handler=take_back, accepts=Asked),
        ),
    ),
)
