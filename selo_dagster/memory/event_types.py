"""Every event by name: who publishes it and what its payload holds. The one registry that doors and readers go by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from selo_dagster.errors import SeloError

MESSAGE_CREATED: Final = "message_created"
MEMORY_CREATED: Final = "memory_created"
USER_STATED: Final = "user_stated"
EMOTIONAL_SPIKE: Final = "emotional_spike"
KNOWLEDGE_UPDATED: Final = "knowledge_updated"
LEARNING_CREATED: Final = "learning_created"
CONVERSATION: Final = "conversation"
CONVERSATION_ENDED: Final = "conversation_ended"
USER_INTERACTION: Final = "user_interaction"

Origin = Literal["message", "memory", "user", "event"]
"""Whose id an event's `ref` is; `event`: somebody stated the event itself."""

Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]


class Payload(BaseModel):
    """What an event carries. Other fields than the declared ones are kept, and no rule can ask for them."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", hide_input_in_errors=True)


class MessageCreated(Payload):
    """A message was inserted; written by the database."""

    role: str = Field(description="must be user, assistant or system")


class MemoryCreated(Payload):
    """A memory was inserted; written by the database."""

    importance: Unit = Field(description="must be a number from 0 to 1")


class UserStated(Payload):
    """A person was added, moved or renamed; written by the database."""

    zone: str = Field(description="must be a zone's name")


class EmotionalSpike(Payload):
    """A surge of feeling, as the companion noticed it."""

    emotion: Text = Field(description="must be text")
    intensity: Unit = Field(description="must be a number from 0 to 1")
    context: str | None = Field(None, description="must be text")


class KnowledgeUpdated(Payload):
    """The companion knows something new about the person."""

    topic: str | None = Field(None, description="must be text")


class LearningCreated(Payload):
    """Something was learned from a reflection or a conversation."""

    learnings_count: int | None = Field(None, ge=0, description="must be a whole number")
    domains: list[str] | None = Field(None, description="must be a list of texts")
    importance: Unit | None = Field(None, description="must be a number from 0 to 1")


class Conversation(Payload):
    """How much was said, from a companion that does not store its messages here."""

    message_count: int = Field(0, ge=0, description="must be a whole number")
    content: str = Field("", description="must be text")


class ConversationEnded(Payload):
    """A conversation is over, and all that was said in it is stored: it can be learned from and summed up."""

    conversation: Text = Field(description="must be the id of a conversation")


class UserInteraction(Payload):
    """How lively the person is."""

    activity_level: Unit = Field(0.5, description="must be a number from 0 to 1")


@dataclass(frozen=True)
class EventType:
    """One kind of event. publisher: who states it. weight: the payload's field that says how much it weighs, 0-1."""

    name: str
    origin: Origin
    publisher: str
    payload: type[Payload]
    weight: str | None = None

    def __post_init__(self) -> None:
        """Check it. Raises SeloError `bad_event_type`."""
        if self.weight is not None and self.weight not in self.fields:
            raise SeloError("bad_event_type", f"the event {self.name!r} is weighed by {self.weight!r}, which it lacks")

    @cached_property
    def fields(self) -> frozenset[str]:
        """The declared fields of the payload."""
        return frozenset(self.payload.model_fields)

    def checked(self, payload: Mapping[str, Any]) -> Payload:
        """Return the payload as declared.

        Raises SeloError `missing_field` or `bad_payload`; the sentence holds nothing of the payload.
        """
        try:
            return self.payload.model_validate(payload)
        except ValidationError as refused:
            raise self._refusal(refused) from None

    def _refusal(self, refused: ValidationError) -> SeloError:
        first = refused.errors(include_url=False, include_input=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        declared = self.payload.model_fields.get(name)
        if declared is None:
            return SeloError("bad_payload", f"payload is not one of {self.name}")
        rule = declared.description or "is not of the declared form"
        if declared.is_required():
            return SeloError("missing_field", f"payload.{name} is required and {rule}")
        return SeloError("bad_payload", f"payload.{name} {rule}")


DATABASE: Final = "a database trigger on the table's inserts"
COMPANION: Final = "the companion: `selo ingest`, `selo_dagster.memory.client`, or plain SQL"

_OURS: Final = (
    EventType(MESSAGE_CREATED, "message", DATABASE, MessageCreated),
    EventType(MEMORY_CREATED, "memory", DATABASE, MemoryCreated, "importance"),
    EventType(USER_STATED, "user", DATABASE, UserStated),
    EventType(EMOTIONAL_SPIKE, "event", COMPANION, EmotionalSpike, "intensity"),
    EventType(KNOWLEDGE_UPDATED, "event", COMPANION, KnowledgeUpdated),
    EventType(LEARNING_CREATED, "event", COMPANION, LearningCreated, "importance"),
    EventType(CONVERSATION, "event", COMPANION, Conversation),
    EventType(CONVERSATION_ENDED, "event", COMPANION, ConversationEnded),
    EventType(USER_INTERACTION, "event", COMPANION, UserInteraction, "activity_level"),
)


def registry_of(types: Iterable[EventType]) -> Mapping[str, EventType]:
    """Return the registry of these types. Raises SeloError `bad_event_type` when a name is taken twice."""
    found: dict[str, EventType] = {}
    for one in types:
        if found.setdefault(one.name, one) is not one:
            raise SeloError("bad_event_type", f"the event {one.name!r} is declared twice")
    return MappingProxyType(found)


EVENT_TYPES: Final = registry_of(_OURS)
