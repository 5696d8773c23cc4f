"""The sentence that says what is wrong with an ingest line, without repeating what the line holds."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from selo_dagster.errors import SeloError

_SHOWN: Final = 3
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)

_ID_RULE: Final = "must be text of 1 to 200 characters, without control characters and without spaces at its ends"
_RULES: Final = {
    **dict.fromkeys(("id", "user", "conversation", "message"), _ID_RULE),
    "name": "must be text of 1 to 200 characters",
    "timezone": "must be the name of an IANA time zone such as Europe/Lisbon",
    "tenant": "must be 1 to 80 letters, digits or any of _ . -",
    "at": "must be a time such as 2026-11-22T21:04:00Z, with an offset or Z",
    "content": "must be text that is not blank, without NUL and without lone surrogates",
    "role": "must be one of user, assistant, system",
    "kind": "must be 1 to 80 letters, digits or any of _ . : -",
    "importance": "must be a number from 0 to 1",
    "confidence": "must be a number from 0 to 1",
    "tags": "must be a list of at most 32 texts of 1 to 64 characters, without control characters",
    "event": "must be 1 to 80 of a-z, 0-9, _ and .",
    "payload": "must be a JSON object",
}
_CODES: Final = {
    "extra_forbidden": "unknown_field",
    "missing": "missing_field",
    "literal_error": "bad_value",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
    "finite_number": "out_of_range",
    "string_unicode": "bad_text",
    "too_long": "too_long",
}
_WHOLE: Final = "the names of the fields must hold no lone surrogates"


class RefusedError(ValueError):
    """A rule's refusal on its way through pydantic. sentence: None where the field's own rule says enough."""

    def __init__(self, code: str, sentence: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.sentence = sentence


def sentence_for(refused: ValidationError, model: type[BaseModel]) -> SeloError:
    """Return the error for a refused line: the code of its first fault, the sentences of its first three."""
    found = [_fault(error, model) for error in refused.errors(include_url=False, include_input=False)]
    sentences = list(dict.fromkeys(sentence for _, sentence in found))
    more = f"; and {len(sentences) - _SHOWN} more" if len(sentences) > _SHOWN else ""
    return SeloError(found[0][0], "; ".join(sentences[:_SHOWN]) + more)


def _fault(error: Any, model: type[BaseModel]) -> tuple[str, str]:
    field = str(error["loc"][0]) if error["loc"] else ""
    kind = error["type"]
    cause = error.get("ctx", {}).get("error")
    if not field:
        if isinstance(cause, RefusedError):
            return cause.code, cause.sentence or _WHOLE
        return "bad_text", _WHOLE
    if kind == "extra_forbidden":
        shown = repr(field) if _FIELD.fullmatch(field) else "one of the fields"
        return "unknown_field", f"{shown} is not known here; allowed: {', '.join(model.model_fields)}"
    if kind == "missing":
        return "missing_field", f"{field} is required and {_RULES[field]}"
    if isinstance(cause, RefusedError):
        return cause.code, cause.sentence or f"{field} {_RULES[field]}"
    return _CODES.get(kind, "wrong_type"), f"{field} {_RULES[field]}"
