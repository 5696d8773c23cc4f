"""What stands in the place of secrets and identifiers while a model looks, for one call, in this process only."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from selo_dagster.llm.trust.identifiers import identifiers_in
from selo_dagster.llm.trust.secrets import secrets_in
from selo_dagster.llm.trust.seen import read_of, replaced

Redaction = Literal["all", "secrets", "off"]
"""What is hidden: secrets and identifiers, secrets only, nothing."""


def hidden_from(redaction: Redaction, *, in_process: bool) -> Redaction:
    """Return what is hidden from a model: identifiers need no hiding from one that answers in this process."""
    return "secrets" if redaction == "all" and in_process else redaction


SORTS: Final = "email|phone|iban|card|id|secret"
"""What is hidden, as a pattern."""

_LIKE: Final = re.compile(rf"\[({SORTS})-(\d{{1,6}})\]", re.IGNORECASE)


def without_private(text: str) -> str:
    """Return a text with `[secret]`, `[email]` and so on in the place of what nobody may read in a log.

    Telephone numbers are known by a country's code only.
    """
    shown = _marked(text, [(begin, end, "secret") for begin, end in secrets_in(text)])
    return _marked(shown, list(identifiers_in(shown)))


def _marked(text: str, places: Sequence[tuple[int, int, str]]) -> str:
    for begin, end, sort in reversed(places):
        text = f"{text[:begin]}[{sort}]{text[end:]}"
    return text


@dataclass
class Veil:
    """Hides and puts back. The same value is hidden by the same placeholder, such as `[email-1]`.

    region: of the person, by whose plan telephone numbers are read. Secrets are never put back.
    """

    redaction: Redaction = "all"
    region: str | None = None
    _placeholders: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    _values: dict[str, str] = field(default_factory=dict, repr=False)
    _counted: Counter[str] = field(default_factory=Counter, repr=False)

    def over(self, text: str) -> str:
        """Return a text with placeholders; what only looks like one is written otherwise, so that none is forged."""
        if self.redaction == "off":
            return text
        shown = (
            replaced(text, _LIKE, lambda match: f"({match[1]} {match[2]})")
            if "[" in text or not text.isascii()
            else text
        )
        shown = self._hidden(shown, [(begin, end, "secret") for begin, end in secrets_in(shown)])
        if self.redaction == "all":
            shown = self._hidden(shown, list(identifiers_in(shown, self.region)))
        return shown

    def lifted(self, document: str) -> str:
        """Return a JSON document with the identifiers back in its strings; secrets stay hidden for good."""
        if not self._values:
            return document
        return _LIKE.sub(self._put_back, document)

    def _put_back(self, match: re.Match[str]) -> str:
        value = self._values.get(match[0].lower())
        return match[0] if value is None else json.dumps(value, ensure_ascii=False)[1:-1]

    def _hidden(self, text: str, places: list[tuple[int, int, str]]) -> str:
        kept: list[str] = []
        at = 0
        for begin, end, sort in places:
            kept += [text[at:begin], self._placeholder(sort, read_of(text[begin:end]))]
            at = end
        return "".join([*kept, text[at:]]) if places else text

    def _placeholder(self, sort: str, value: str) -> str:
        known = self._placeholders.get((sort, value))
        if known is None:
            self._counted[sort] += 1
            known = f"[{sort}-{self._counted[sort]}]"
            self._placeholders[sort, value] = known
            if sort != "secret":
                self._values[known] = value
        return known
