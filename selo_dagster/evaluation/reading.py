"""Reads the bundled cases, and says in one sentence what is wrong with one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

from pydantic import ValidationError

from selo_dagster.errors import SeloError
from selo_dagster.evaluation.attacked import corpus
from selo_dagster.evaluation.case import Case, CaseLine, Expect, Forget, Merge
from selo_dagster.evaluation.measures import Family
from selo_dagster.memory.lines import LINES, parse_line

VERSION: Final = "v1"
DIGEST: Final = 16

_OURS: Final[dict[str, type[CaseLine | Forget | Merge | Expect]]] = {
    "case": CaseLine,
    "forget": Forget,
    "merge": Merge,
    "expect": Expect,
}
_IDS: Final = ("id", "user", "conversation", "message")
"""Fields of an ingest line that hold an id of the writer's."""


@dataclass(frozen=True)
class CaseSet:
    """The cases, and a digest of their files: scores of two sets cannot be compared."""

    version: str
    digest: str
    cases: tuple[Case, ...]

    def of(self, families: Sequence[Family]) -> tuple[Case, ...]:
        """Return the cases of these families."""
        return tuple(one for one in self.cases if one.family in families)


def bundled() -> CaseSet:
    """Return the cases of this version, and those made of the corpus of attacks.

    Raises SeloError `bad_case` naming file, line and fault.
    """
    folder = resources.files("selo_dagster.evaluation") / "cases" / VERSION
    files = [one for one in folder.iterdir() if one.name.endswith(".jsonl")]
    found = read(VERSION, ((one.name, one.read_text(encoding="utf-8")) for one in files))
    attacks = corpus()
    if not attacks.cases:
        return found
    digest = hashlib.sha256(f"{found.digest}\n{attacks.text}".encode()).hexdigest()[:DIGEST]
    return CaseSet(VERSION, digest, (*found.cases, *attacks.cases))


def read(version: str, files: Iterable[tuple[str, str]]) -> CaseSet:
    """Return the cases of these files (name, text), in the order of their names. Raises SeloError `bad_case`."""
    digest = hashlib.sha256()
    found: dict[str, Case] = {}
    for name, text in sorted(files):
        digest.update(f"{name}\n{text}".encode())
        for case in _cases(name, text):
            if case.id in found:
                raise SeloError("bad_case", f"{name}: there are two cases {case.id!r}")
            found[case.id] = case
    return CaseSet(version, digest.hexdigest()[:DIGEST], tuple(found.values()))


@dataclass
class _Draft:
    """A case that is being read. there: sources so far, with whose they are."""

    head: CaseLine
    lines: list[dict[str, Any]] = field(default_factory=list)
    deeds: list[Forget | Merge] = field(default_factory=list)
    expects: list[Expect] = field(default_factory=list)
    users: set[str] = field(default_factory=set)
    there: dict[str, str] = field(default_factory=dict)

    def case(self) -> Case:
        deeds = tuple(sorted(self.deeds, key=lambda one: one.at))
        lines, expects = tuple(self.lines), tuple(self.expects)
        return Case(self.head.id, self.head.family, self.head.says, lines, deeds, expects, frozenset(self.users))


def _cases(name: str, text: str) -> list[Case]:
    drafts: list[_Draft] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            _take(drafts, line)
        except SeloError as refused:
            raise SeloError("bad_case", f"{name}, line {number}: {refused.message}") from None
    for draft in drafts:
        if not draft.users or not (draft.expects or draft.head.family == "convergence"):
            raise SeloError("bad_case", f"{name}: the case {draft.head.id!r} has no people or expects nothing")
    return [one.case() for one in drafts]


def _take(drafts: list[_Draft], line: str) -> None:
    record = _record(line)
    kind = record["type"]
    if kind in LINES:
        _ingested(_last(drafts), record)
        return
    if kind not in _OURS:
        raise SeloError("bad_case", f"type must be one of {', '.join((*_OURS, *LINES))}")
    try:
        made = _OURS[kind].model_validate(record)
    except ValidationError as refused:
        raise SeloError("bad_case", _sentence(refused)) from None
    if isinstance(made, CaseLine):
        drafts.append(_Draft(made))
        return
    draft = _last(drafts)
    if isinstance(made, Expect):
        _require(draft, made)
        draft.expects.append(made)
    else:
        named = {made.source} if isinstance(made, Forget) else {f"memory:{made.retire}", f"memory:{made.keep}"}
        _require_sources(draft, named)
        draft.deeds.append(made)


def _record(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        raise SeloError("bad_case", "is no JSON") from None
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise SeloError("bad_case", "is no JSON object with a type")
    return record


def _last(drafts: list[_Draft]) -> _Draft:
    if not drafts:
        raise SeloError("bad_case", "belongs to no case: a line of type case comes first")
    return drafts[-1]


def _ingested(draft: _Draft, record: dict[str, Any]) -> None:
    parse_line(record)
    kind, name = record["type"], record["id"]
    if kind == "user":
        draft.users.add(name)
    elif record["user"] not in draft.users:
        raise SeloError("bad_case", f"there is no user {record['user']!r} before it in this case")
    else:
        draft.there[f"{kind}:{name}"] = record["user"]
    draft.lines.append(
        {field: f"{draft.head.id}.{value}" if field in _IDS else value for field, value in record.items()}
    )


def _require(draft: _Draft, expected: Expect) -> None:
    if expected.user not in draft.users:
        raise SeloError("bad_case", f"there is no user {expected.user!r} before it in this case")
    named = {one for one in expected.named if not one.startswith("daily:")}
    _require_sources(draft, named)
    for one in sorted(named):
        if draft.there[one] != expected.user:
            raise SeloError("bad_case", f"{one} is {draft.there[one]}'s, not {expected.user}'s")


def _require_sources(draft: _Draft, named: set[str]) -> None:
    missing = sorted(named - draft.there.keys())
    if missing:
        raise SeloError("bad_case", f"there is no {missing[0]} before it in this case")


def _sentence(refused: ValidationError) -> str:
    first = refused.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
