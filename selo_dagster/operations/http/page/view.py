"""What the page shows, in words: made of the status, of the nights and of how the parts are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from selo_dagster.clock import parse_instant
from selo_dagster.operations.http.page.plot import DUE, FAILED, SERIES, Part, Plot, in_series, plot, said, strip
from selo_dagster.operations.http.page.runbook import Block, Piece, Section, pieces
from selo_dagster.operations.http.page.standing import Standing
from selo_dagster.operations.http.page.words import counted, day, listed, moment, number, plain, span
from selo_dagster.operations.kind_status import lag_target_s
from selo_dagster.operations.night_history import OPEN, KindNight, NightHistory, Waiting, total
from selo_dagster.operations.readiness import Component, Readiness
from selo_dagster.reflections import states
from selo_dagster.reflections.states import DEAD, DEFERRED, DONE, REJECTED, SKIPPED, UNCHANGED
from selo_dagster.sagas.states import COMPLETED, NEEDS_A_PERSON, SAGA_STATES

GOOD, BAD, CALM = "good", "bad", "calm"
"""How something is meant: as it should be, for a person to look at, neither."""

NOT_READY: Final = "not_ready"
"""Code of an alert of a part; its subject is the part's name."""

NOBODY: Final[Mapping[tuple[str, str], str]] = {}


@dataclass(frozen=True)
class Message:
    """What is so. since: from when on somebody was told, empty where nobody was."""

    pieces: tuple[Piece, ...]
    since: str = ""


@dataclass(frozen=True)
class Alert:
    """What needs a person. code: its heading in the runbook, None for a part that is not ready."""

    title: str
    messages: tuple[Message, ...]
    code: str | None
    todo: tuple[Block, ...]


@dataclass(frozen=True)
class Tile:
    """One number of the night. name: of its series."""

    name: str
    number: str
    note: str


@dataclass(frozen=True)
class KindRow:
    """One kind on one night."""

    name: str
    says: str
    reasons: tuple[str, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Row:
    """A thing, what is said of it, and marks beside it: (words, how it is meant)."""

    name: str
    says: str = ""
    marks: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class View:
    """The whole page."""

    well: bool
    headline: str
    at: str
    people: str
    alerts: tuple[Alert, ...]
    others: tuple[Alert, ...]
    night: str
    tiles: tuple[Tile, ...]
    kinds: tuple[KindRow, ...]
    later: str
    plot: Plot
    table: tuple[tuple[str, tuple[str, ...]], ...]
    columns: tuple[str, ...]
    sagas: tuple[Row, ...]
    waiting: tuple[Row, ...]
    jobs: tuple[Row, ...]
    held: tuple[Row, ...]
    parts: tuple[Row, ...]


def view(
    found: Mapping[str, Any],
    history: NightHistory,
    standing: Sequence[Standing],
    readiness: Readiness,
    runbook: Mapping[str, Section],
    now: datetime,
) -> View:
    """Return the page of a status, the nights, the open alerts and how the parts are. now: the domain's clock."""
    told = {(one.code, one.subject): f"alert since {moment(one.since)}" for one in standing}
    problems = [
        (one["code"], Message(pieces(one["message"]), told.get((one["code"], one["subject"]), "")))
        for one in found["problems"]
    ]
    known = {(one["code"], one["subject"]) for one in found["problems"]}
    known |= {(NOT_READY, one.name) for one in readiness.components if not one.ok}
    others = [
        (one.code, Message(pieces(one.message), told[one.code, one.subject]))
        for one in standing
        if (one.code, one.subject) not in known
    ]
    things = len(found["problems"]) + sum(not one.ok for one in readiness.components)
    picture = plot(history)
    tonight = history.of(history.tonight)
    return View(
        well=not things,
        headline=counted(things, "thing needs a person", "things need a person") if things else "All well",
        at=moment(now),
        people=counted(found["people"]["active"], "person", "people"),
        alerts=(*_by_code(problems, runbook), *not_ready(readiness.components, told)),
        others=tuple(_by_code(others, runbook)),
        night=day(history.tonight),
        tiles=_tiles(tonight),
        kinds=tuple(_kind(one) for one in tonight),
        later=_later(history.later()),
        plot=picture,
        columns=tuple(SERIES),
        table=tuple(
            (day(on), tuple(number(value) for value in in_series(total(history.of(on))).values()))
            for on in reversed(history.dates)
        ),
        sagas=tuple(_saga(name, states) for name, states in sorted(found["sagas"]["by_type"].items())),
        waiting=tuple(_waiting(one, now) for one in history.oldest),
        jobs=tuple(_job(one) for one in found.get("jobs", ())),
        held=tuple(_held(found)),
        parts=(*part_rows(readiness.components), *_sign_of_life(found["heartbeats"])),
    )


def _by_code(found: Iterable[tuple[str, Message]], runbook: Mapping[str, Section]) -> list[Alert]:
    """Return messages by their code: several of one code are mended in the same way."""
    by_code: dict[str, list[Message]] = {}
    for code, message in found:
        by_code.setdefault(code, []).append(message)
    return [
        Alert(
            title=plain(code),
            messages=tuple(messages),
            code=code if code in runbook else None,
            todo=runbook[code].blocks[:1] if code in runbook else _paragraph("the runbook has no section of that name"),
        )
        for code, messages in by_code.items()
    ]


def not_ready(components: Iterable[Component], told: Mapping[tuple[str, str], str] = NOBODY) -> list[Alert]:
    """Return the parts that are not ready. told: (code, subject) -> since when somebody knows."""
    return [
        Alert(
            f"{plain(one.name)} not ready",
            (Message(pieces(one.reason), told.get((NOT_READY, one.name), "")),),
            None,
            _paragraph(one.what_to_do or "look at its log"),
        )
        for one in components
        if not one.ok
    ]


def _paragraph(text: str) -> tuple[Block, ...]:
    """Return a sentence that begins small and has no end as a paragraph."""
    return (Block("p", pieces(f"{text[:1].upper()}{text[1:]}.")),)


def part_rows(components: Iterable[Component]) -> tuple[Row, ...]:
    """Return every part with how it is."""
    return tuple(
        Row(plain(one.name), one.reason, (("ready", GOOD) if one.ok else ("not ready", BAD),)) for one in components
    )


def _tiles(tonight: list[KindNight]) -> tuple[Tile, ...]:
    outcomes = total(tonight)
    numbers = in_series(outcomes)
    notes = {
        DONE: "made and kept",
        UNCHANGED: "nothing new to say",
        SKIPPED: listed(_reasons(tonight, SKIPPED)),
        DUE: listed({"ready or at work": outcomes[OPEN]} | _reasons(tonight, DEFERRED)),
        FAILED: listed(
            {"to be tried again": outcomes[states.FAILED], REJECTED: outcomes[REJECTED], DEAD: outcomes[DEAD]}
        ),
    }
    return tuple(Tile(name, number(value), notes[name] if value else "") for name, value in numbers.items())


def _reasons(rows: Iterable[KindNight], outcome: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in rows:
        found.update(one.reasons.get(outcome, {}))
    return found


def _kind(one: KindNight) -> KindRow:
    numbers = in_series(one.outcomes)
    reasons = tuple(f"{outcome}: {listed(counts)}" for outcome, counts in one.reasons.items())
    return KindRow(plain(one.kind), said(numbers), reasons, strip(numbers))


def _later(rows: list[KindNight]) -> str:
    if not rows:
        return ""
    by_kind: dict[str, Counter[str]] = {}
    for one in rows:
        by_kind.setdefault(one.kind, Counter()).update(one.outcomes)
    said_of = "; ".join(f"{plain(kind)} {said(in_series(outcomes))}" for kind, outcomes in by_kind.items())
    return f"On the day that is still running: {said_of}."


def _saga(name: str, counts: Mapping[str, int]) -> Row:
    first = (*NEEDS_A_PERSON, *SAGA_STATES)
    there = sorted(counts, key=first.index)
    return Row(plain(name), marks=tuple((f"{number(counts[state])} {plain(state)}", _meant(state)) for state in there))


def _meant(state: str) -> str:
    if state in NEEDS_A_PERSON:
        return BAD
    return GOOD if state == COMPLETED else CALM


def _waiting(one: Waiting, now: datetime) -> Row:
    waited = max(0.0, (now - one.since).total_seconds())
    late = waited > lag_target_s(one.kind)
    behind = f"; {counted(one.number - 1, 'other waits', 'others wait')} behind it" if one.number > 1 else ""
    return Row(
        plain(one.kind),
        f"of {day(one.on)}, due since {moment(one.since)}{behind}",
        ((f"overdue: waits {span(waited)}" if late else f"waits {span(waited)}", BAD if late else CALM),),
    )


def _job(one: Mapping[str, Any]) -> Row:
    numbers = {name: one[name] for name in ("succeeded", "skipped", "failed") if one[name]}
    parts = [moment(parse_instant(one["last_finish"])) if one["last_finish"] else "has not finished yet"]
    if one["seconds"] is not None:
        parts.append(f"took {span(one['seconds'])}")
    if one["last_finish"]:
        parts.append(said(numbers) if numbers else "nothing to do")
    marks = [(f"{number(one['failed'])} failed", BAD)] if one["failed"] else []
    if one.get("running_s") is not None:
        marks.append((f"runs for {span(one['running_s'])}", CALM))
    return Row(plain(one["job"]), " · ".join(parts), tuple(marks))


def _held(found: Mapping[str, Any]) -> Iterable[Row]:
    """Yield what holds work back, and what waits for its time. A pause's person and its words stay out of the page."""
    guard = found["guard"]
    if guard is not None:
        back = guard["holds_back"]
        says = guard["sentence"] if back else f"open for {span(guard['for_s'])}"
        yield Row("resource guard", says, (("holds work back", BAD) if back else ("open", GOOD),))
    elif not found["guard_switched_on"]:
        yield Row("resource guard", "", (("switched off", CALM),))
    everybody = sorted({one["kind"] or "every kind" for one in found["paused"] if one["user"] is None})
    alone = sum(one["user"] is not None for one in found["paused"])
    if everybody:
        yield Row("paused", f"{', '.join(map(plain, everybody))}, for everybody", (("on hold", CALM),))
    if alone:
        yield Row("paused", f"{counted(alone, 'person', 'people')} alone", (("on hold", CALM),))
    if found["one_offs"]["waiting"]:
        asked = found["one_offs"]
        marks = ((f"{number(asked['overdue'])} overdue", BAD),) if asked["overdue"] else ()
        yield Row("one-offs", f"{number(asked['waiting'])} wait for their time", marks)
    for name in found["self_check"]["switched_off"]:
        yield Row(name, "", (("switched off", BAD),))


def _sign_of_life(beats: Mapping[str, Mapping[str, Any]]) -> Iterable[Row]:
    if beats:
        newest = min(beats, key=lambda name: float(beats[name]["age_s"]))
        yield Row("last sign of life", f"{plain(newest)}, {span(beats[newest]['age_s'])} ago")
