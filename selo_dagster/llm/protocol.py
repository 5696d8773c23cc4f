"""What a language model is asked and what it answers, whoever it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

Task = Literal["reflection", "mantra", "questions", "learnings", "summary", "episode"]
"""What may be asked for: a reflection; one line to live by; questions that the companion would like to ask; what is
to be learned from what was said; what a conversation came to; the story of a stretch of time."""


@dataclass(frozen=True)
class Evidence:
    """One source as the model sees it.

    alias: m1…mN, valid in this request only. at: aware instant, UTC. local: its local wall time as text.
    importance: 0–1, or None where the source has none (messages). stored: the text as it is stored, where that is not
    the one shown; no model sees it.
    """

    alias: str
    source: Literal["message", "memory", "reflection", "context", "event"]
    role: Literal["user", "assistant", "system"] | None
    text: str
    at: datetime
    local: str
    importance: float | None = None
    tags: tuple[str, ...] = ()
    kind: str | None = None
    late: bool = False
    stored: str | None = None


@dataclass(frozen=True)
class CompletionRequest:
    """One question to a model. `schema` is JSON Schema with every string and list bounded.

    task: what is asked for, see `Task`. subject: the person's name. persona: trait name → value 0–1.
    words: accepted number of words of the main text, inclusive. deadline_s: seconds left for the call.
    covers: the day or days in words. omitted: sources left out for want of room. earlier: former reflections,
    newest first, for continuity: never to be cited; former mantras or questions where these are asked for.
    goals: what the companion wants to reach with the person, newest first: never to be cited.
    correction: what was wrong with the answer before this one.
    once: no quick try follows a request that may have been billed, since only one is paid for.
    """

    task: Task
    kind: str
    instructions: str
    subject: str
    covers: str
    evidence: tuple[Evidence, ...]
    schema: dict[str, Any]
    words: tuple[int, int]
    deadline_s: float
    omitted: int = 0
    earlier: tuple[str, ...] = ()
    correction: str | None = None
    persona: dict[str, float] = field(default_factory=dict)
    goals: tuple[str, ...] = ()
    once: bool = False


@dataclass(frozen=True)
class Completion:
    """A model's answer. `text` should be one JSON document that fits the request's schema.

    input_tokens, output_tokens: as counted by the server; 0 where no model ran. seconds: of the call.
    calls: requests that it took, quick tries and lower rungs of the ladder included.
    """

    text: str
    model: str
    input_tokens: int
    output_tokens: int
    finish_reason: Literal["stop", "length"]
    seconds: float
    calls: int = 1


class LanguageModel(Protocol):
    """A model that can be asked."""

    @property
    def name(self) -> str:
        """Name stored beside everything this model wrote."""
        ...

    @property
    def capacity(self) -> int | None:
        """How many calls may be under way at once just now; None: as many as the caller likes."""
        ...

    @property
    def in_process(self) -> bool:
        """Whether what it is asked stays in this process."""
        ...

    @property
    def corrigible(self) -> bool:
        """Whether telling it what was wrong with an answer may give a better one."""
        ...

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer one request within `request.deadline_s` seconds. Raises ModelError."""
        ...

    async def aclose(self) -> None:
        """Give back connections; called at the end of a run, in the loop that made the calls."""
        ...
