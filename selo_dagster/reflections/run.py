"""One Dagster run of a kind: claims, reflects, shows each person, and ends red if anybody's broke."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dagster as dg
from pydantic import Field
from sqlalchemy import select

from selo_dagster.asset_events import Shown, emit, plan
from selo_dagster.clock import Clock, clock_at
from selo_dagster.errors import SeloError
from selo_dagster.people.history import chunked
from selo_dagster.people.tables import users
from selo_dagster.people.zones import zone_rules_version
from selo_dagster.reflections.cohort import Cohort
from selo_dagster.reflections.engine_thread import settlements
from selo_dagster.reflections.holding import held_back
from selo_dagster.reflections.kind import Kind
from selo_dagster.reflections.look import look
from selo_dagster.reflections.report import keys_of, mark_reported, metadata_of, unreported
from selo_dagster.reflections.request import Reply, Wish, place
from selo_dagster.reflections.resource import Mind
from selo_dagster.reflections.settle import Settlement
from selo_dagster.reflections.states import BROKEN, DONE, SETTLED, SKIPPED, UNCHANGED
from selo_dagster.reflections.tools import limits_for
from selo_dagster.settings import Settings, process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.job_runs import Tally, noted
from selo_dagster.store.opening import open_store
from selo_dagster.tracing.switch import Flushed

ASKED_BY_A_TICK = frozenset({"dagster/schedule_name", "dagster/sensor_name"})
NAMED_AT_MOST = 20
"""Keys that a failed run names in its message; all of them are red in the partitions view."""


class ReflectionConfig(dg.Config):
    """What a run of a reflection kind can be told. The defaults take everybody who is due now."""

    date: str | None = Field(
        default=None,
        description="Reflect on this local date (YYYY-MM-DD), also one further back than the catch-up. It must "
        "have ended for each chosen person. Empty: what is due by itself.",
    )
    on: str | None = Field(
        default=None,
        description='The same as date, for programs that send JSON: in YAML a bare "on" would be read as true.',
    )
    force: bool = Field(default=False, description="Make a new version of a reflection that is already done.")
    evolve: bool = Field(
        default=False,
        description="With force: undo what the former version asked for (persona, goals), and ask for its own.",
    )
    now: str | None = Field(
        default=None, description="Take this ISO-8601 instant for now, for what is due and as of when. Empty: now."
    )
    request: str | None = Field(
        default=None, description="Claim only the rows of this request, as placed by `selo reflect`. Empty: any row."
    )

    def asked_date(self) -> dt.date | None:
        """Return the date asked for. Raises SeloError `bad_date`, also when `date` and `on` name two dates."""
        asked = {text for text in (self.date, self.on) if text}
        if not asked:
            return None
        if len(asked) > 1:
            raise SeloError("bad_date", "date and on name two dates: give one")
        text = asked.pop()
        try:
            return dt.date.fromisoformat(text)
        except ValueError:
            raise SeloError("bad_date", f"{text[:40]!r} is not a date such as 2026-11-22") from None


@dataclass
class ReflectionRun:
    """The work of one op or multi-asset step. `partitions`: keys served explicitly, None for a cohort."""

    context: dg.OpExecutionContext
    kind: Kind
    config: ReflectionConfig
    mind: Mind
    partitions: Sequence[str] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    broken: dict[str, Settlement] = field(default_factory=dict)

    def execute(self) -> None:
        """Do it. Raises dagster.Failure naming codes and keys when anybody was rejected, failed or is dead."""
        settings = process_settings()
        clock = clock_at(self.config.now)
        on = self.config.asked_date()
        self.context.log.info(f"{self.kind.name}: zone rules {zone_rules_version()}, now {clock.now().isoformat()}")
        with open_store(settings) as store, noted(store, self.context.run_id, self.kind.name, self._tally), Flushed():
            self._show_left_over(store)
            request_id = self._place(store, settings, clock, on)
            cohort = Cohort(
                kind=self.kind,
                run_id=self.context.run_id,
                limits=limits_for(settings, self.kind),
                tools=self.mind.tools(store, settings, clock, self.kind),
                sink=lambda _: None,
                request_id=request_id,
                held_back=self._held_back(store, settings),
                by_hand=not self._asked_by_a_tick(),
            )
            for batch in settlements(cohort):
                self._show(store, batch)
            # Leases that held at the beginning may have ended meanwhile.
            self._show_left_over(store)
            self._finish()

    def _tally(self) -> Tally:
        count = self.counts
        return Tally(
            total=sum(count.values()),
            succeeded=count[DONE] + count[UNCHANGED],
            skipped=count[SKIPPED],
            failed=sum(count[outcome] for outcome in BROKEN),
        )

    def _held_back(self, store: Store, settings: Settings) -> Callable[[], bool]:
        # Whoever launches a run by hand wants it done; what a tick asked for goes on only while there is room.
        if not self._asked_by_a_tick():
            return lambda: False
        return lambda: held_back(store, settings) is not None

    def _asked_by_a_tick(self) -> bool:
        return bool(ASKED_BY_A_TICK.intersection(self.context.run.tags))

    def _place(self, store: Store, settings: Settings, clock: Clock, on: dt.date | None) -> str | None:
        if self.partitions is None:
            if self.config.request is None:
                # Launched by hand, there was no tick that looked before.
                look(store, self.kind, clock.now(), settings.catchup_days)
            return self.config.request
        ids = _ids(store, self.partitions)
        keys = {user_id: key for key, user_id in ids.items()}
        wish = Wish(self.context.run_id, tuple(keys), on, self.config.force, self.config.evolve, keys)
        replies = place(store, self.kind, wish, clock.now(), settings.catchup_days)
        self._show_replies(replies, keys)
        return self.context.run_id

    def _show_replies(self, replies: Sequence[Reply], keys: dict[str, str]) -> None:
        # In a run that succeeds, a chosen partition without an event would keep an old status silently.
        emit(
            self.context,
            [
                (
                    self.kind.asset,
                    keys[one.user_id],
                    {"on": str(one.on), "outcome": one.outcome, "reason": one.reason or ""},
                )
                for one in replies
                if one.outcome in SETTLED
            ],
        )
        self.counts.update(one.outcome for one in replies)

    def _show_left_over(self, store: Store) -> None:
        while True:
            with store.read() as connection:
                left = unreported(connection, self.kind, self.context.run_id)
            if not left:
                return
            self.context.log.info(f"showing {len(left)} outcomes that an interrupted run left unshown")
            self._write(store, left)

    def _show(self, store: Store, batch: Sequence[Settlement]) -> None:
        self.counts.update(one.outcome for one in batch)
        self._write(store, batch)

    def _write(self, store: Store, batch: Sequence[Settlement]) -> None:
        with store.read() as connection:
            keys = keys_of(connection, (one.user_id for one in batch))
        shown: list[Shown] = [
            (self.kind.asset, keys[one.user_id], metadata_of(one)) for one in batch if one.outcome in SETTLED
        ]
        emit(self.context, shown)
        for one in batch:
            if one.outcome in BROKEN:
                self.broken[keys[one.user_id]] = one
            else:
                self.broken.pop(keys[one.user_id], None)
        if batch:
            with store.write() as connection:
                mark_reported(connection, [one.ledger_id for one in batch], self.context.run_id)

    def _finish(self) -> None:
        self.context.log.info(f"{self.kind.name}: {dict(sorted(self.counts.items()))}")
        if not self.broken:
            return
        plan(self.context, self.kind.asset, sorted(self.broken))
        named = sorted(self.broken)[:NAMED_AT_MOST]
        more = len(self.broken) - len(named)
        codes = Counter(one.reason or one.outcome for one in self.broken.values())
        raise dg.Failure(
            f"{len(self.broken)} of {sum(self.counts.values())} people were not reflected on: "
            f"{', '.join(named)}{f' and {more} more' if more else ''}",
            {"people": len(self.broken), "codes": ", ".join(f"{code} ({n})" for code, n in codes.most_common(10))},
            allow_retries=False,
        )


def _ids(store: Store, keys: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    with store.read() as connection:
        for part in chunked(keys):
            rows = connection.execute(select(users.c.id, users.c.key).where(users.c.key.in_(part)))
            found.update({row.key: row.id for row in rows})
    return found
