"""What a server understands of a request for JSON: the ladder from a schema down to plain text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

Refused = Literal["response_format", "max_tokens", "temperature"]

JSON_SCHEMA: Final = 0
JSON_OBJECT: Final = 1
TEXT: Final = 2


@dataclass(frozen=True)
class Footing:
    """How a server is asked. rung: JSON_SCHEMA, JSON_OBJECT or TEXT.

    new_limit: whether the limit of an answer goes by the name that newer hosted models want. cool: whether the
    temperature may be given.
    """

    rung: int = JSON_SCHEMA
    new_limit: bool = False
    cool: bool = True

    @property
    def schema_in_prompt(self) -> bool:
        """Whether the model learns the shape of the answer from the prompt only."""
        return self.rung > JSON_SCHEMA

    def parameters(self, schema: dict[str, Any], name: str, max_tokens: int, temperature: float) -> dict[str, Any]:
        """Return the parameters of a chat completion that depend on the server."""
        asked: dict[str, Any] = {"max_completion_tokens" if self.new_limit else "max_tokens": max_tokens}
        if self.cool:
            asked["temperature"] = temperature
        if self.rung == JSON_SCHEMA:
            asked["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": name, "strict": True, "schema": schema},
            }
        elif self.rung == JSON_OBJECT:
            asked["response_format"] = {"type": "json_object"}
        return asked

    def after(self, refused: Refused) -> Footing | None:
        """Return what to try once the server has refused something; None when nothing is left to give up."""
        if refused == "max_tokens" and not self.new_limit:
            return replace(self, new_limit=True)
        if refused == "temperature" and self.cool:
            return replace(self, cool=False)
        return self.lower()

    def lower(self) -> Footing | None:
        """Return the footing one rung down; None on the lowest one."""
        return replace(self, rung=self.rung + 1) if self.rung < TEXT else None

    def joined(self, other: Footing) -> Footing:
        """Return the footing that asks no more than either."""
        return Footing(max(self.rung, other.rung), self.new_limit or other.new_limit, self.cool and other.cool)


_known: dict[tuple[str, str], Footing] = {}


def footing_of(base_url: str, model: str) -> Footing:
    """Return what is known in this process of a server and its model; the top of the ladder at first."""
    return _known.get((base_url, model), Footing())


def remember(base_url: str, model: str, footing: Footing) -> None:
    """Remember what worked. Never climbs up again: several calls find out at the same time, in any order."""
    _known[base_url, model] = footing.joined(footing_of(base_url, model))
