"""People who live through weeks: what they say arrives when they say it, and every kind is looked for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from io import BytesIO
from random import Random
from typing import Any

from sqlalchemy import select

from selo_dagster.clock import FixedClock, parse_instant
from selo_dagster.memory.ingest import ingest
from selo_dagster.people.history import zones_of
from selo_dagster.people.local_days import date_at
from selo_dagster.people.zones import local_label
from selo_dagster.reflections.due import ready_count
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.reflections.look import look
from selo_dagster.reflections.tables import mantras, reflection_ledger, reflections
from selo_dagster.store.engine import Store
from tests.support.fakes import FakeModel, run_cohort

ZONES = [
    zone
    for line in (
        "Pacific/Apia Pacific/Kiritimati Pacific/Auckland Pacific/Chatham Pacific/Fiji Pacific/Honolulu",
        "Pacific/Marquesas Australia/Sydney Australia/Lord_Howe Australia/Adelaide Australia/Perth Asia/Tokyo",
        "Asia/Seoul Asia/Shanghai Asia/Kathmandu Asia/Kolkata Asia/Karachi Asia/Dubai Asia/Tehran Asia/Beirut",
        "Asia/Gaza Asia/Jerusalem Africa/Cairo Africa/Casablanca Africa/Johannesburg Africa/Lagos",
        "Europe/London Europe/Lisbon Europe/Berlin Europe/Kyiv Atlantic/Azores America/Nuuk America/St_Johns",
        "America/New_York America/Chicago America/Denver America/Los_Angeles America/Havana America/Santiago",
        "America/Asuncion",
    )
    for zone in line.split()
]
BEGIN = parse_instant("2026-10-17T00:00:00Z")
"""Four weeks from here hold the autumn changes of Europe, the Levant and North America."""


@dataclass
class Weeks:
    """A fleet and its clock. people: how many; step: how far the clock moves between two looks."""

    store: Store
    people: int
    step: timedelta
    days: int = 28
    seed: int = 11
    clock: FixedClock = field(default_factory=lambda: FixedClock(BEGIN))
    due: list[tuple[str, str, date, datetime]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    def live(self) -> None:
        """Let the weeks go by."""
        random = Random(self.seed)
        lines = sorted(self._lines(random), key=lambda one: str(one["at"]))
        end = BEGIN + timedelta(days=self.days)
        done = 0
        while self.clock.now() < end:
            self.clock.advance(self.step)
            begin = done
            while done < len(lines) and parse_instant(lines[done]["at"]) <= self.clock.now():
                done += 1
            if done > begin:
                text = "\n".join(json.dumps(one) for one in lines[begin:done]).encode()
                report = ingest(self.store, BytesIO(text)).as_json()
                assert report["rejected"] == []
            self.look()

    def look(self) -> Counter[str]:
        """Do what is due now, every kind in order; returns the model calls by kind."""
        calls: Counter[str] = Counter()
        for name, kind in KINDS.items():
            look(self.store, kind, self.clock.now(), 3)
            with self.store.read() as connection:
                ready = ready_count(connection, kind, self.clock.now())
            if ready:
                model = FakeModel()
                run_cohort(self.store, model, kind=kind, clock=self.clock, run_id=f"{name}-{self.clock.now():%d%H%M}")
                calls[name] = len(model.asked)
        self.calls += calls
        return calls

    def _lines(self, random: Random) -> Iterable[dict[str, Any]]:
        for number in range(self.people):
            user = f"p{number:03}"
            yield {
                "type": "user",
                "id": user,
                "name": user,
                "timezone": ZONES[number % len(ZONES)],
                "at": BEGIN.isoformat(),
            }
            for move in range((number % 5 == 0 and random.randint(1, 3)) or 0):
                away = BEGIN + timedelta(days=random.uniform(2 + 7 * move, 8 + 7 * move))
                yield {
                    "type": "user",
                    "id": user,
                    "name": user,
                    "timezone": random.choice(ZONES),
                    "at": away.isoformat(),
                }
            for day in range(self.days):
                if random.random() < 0.25:
                    continue
                at = BEGIN + timedelta(days=day, minutes=random.randint(0, 1_439))
                yield {
                    "type": "message",
                    "id": f"{user}-{day}",
                    "user": user,
                    "conversation": user,
                    "role": "user",
                    "content": f"word {day} of {user}",
                    "at": at.isoformat(),
                }

    def spoken(self) -> dict[str, set[date]]:
        """Return the ended local dates on which each person said something, by the last word on their zones."""
        from selo_dagster.memory.tables import messages

        found: dict[str, set[date]] = {}
        with self.store.read() as connection:
            users = [f"p{number:03}" for number in range(self.people)]
            zones = zones_of(connection, users)
            for row in connection.execute(select(messages.c.user_id, messages.c.at)):
                found.setdefault(row.user_id, set()).add(date_at(zones[row.user_id], row.at))
            return {
                user: {on for on in dates if on < date_at(zones[user], self.clock.now())}
                for user, dates in found.items()
            }

    def made(self, kind: str) -> list[Any]:
        """Return the rows of what a kind made: user, date, when."""
        table = mantras if kind == "mantra" else reflections
        chosen = [] if kind == "mantra" else [reflections.c.kind == kind]
        with self.store.read() as connection:
            return list(connection.execute(select(table.c.user_id, table.c.on, table.c.created_at).where(*chosen)))

    def table(self, user: str) -> str:
        """Return what was due when for one person: the table that a night watchman would keep."""
        lines = [f"{'kind':<24}{'date':<12}{'due (UTC)':<18}{'there':<7}{'outcome':<10}reason"]
        with self.store.read() as connection:
            zones = zones_of(connection, [user])[user]
            rows = connection.execute(
                select(reflection_ledger)
                .where(reflection_ledger.c.user_id == user)
                .order_by(reflection_ledger.c.since, reflection_ledger.c.id)
            )
            for row in rows:
                zone = next(span.zone for span in reversed(zones) if span.since <= row.since)
                lines.append(
                    f"{row.kind:<24}{row.on!s:<12}{row.since:%Y-%m-%d %H:%M}  {local_label(zone, row.since):<7}"
                    f"{row.state:<10}{row.reason or ''}"
                )
        return "\n".join(lines)
