"""The one function behind the command, the job and the tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Final

from selo_dagster.evaluation.case import Case
from selo_dagster.evaluation.judging import Verdict, judged
from selo_dagster.evaluation.local_days import swept
from selo_dagster.evaluation.measures import (
    ANSWERS,
    CONVERGENCE,
    DELETIONS,
    FAMILIES,
    INJECTION,
    LOCAL_DAYS,
    PRECISION,
    RECALL,
    UPDATES,
    Family,
)
from selo_dagster.evaluation.playing import (
    OnSettled,
    OpenModel,
    Played,
    Player,
    Playing,
    case_of,
    kinds_for,
    refusals,
    temporary_store,
)
from selo_dagster.evaluation.reading import CaseSet, bundled
from selo_dagster.evaluation.report import Report, scores_of
from selo_dagster.evaluation.stored import everything
from selo_dagster.llm.opening import language_model
from selo_dagster.reflections.fingerprint import fingerprint_of
from selo_dagster.reflections.kinds import DAILY
from selo_dagster.settings import Settings

BY_FAMILY: Final[dict[Family, tuple[str, ...]]] = {
    "citations": (PRECISION, RECALL, ANSWERS),
    "updates": (UPDATES, ANSWERS),
    "deletions": (DELETIONS, ANSWERS),
    "injection": (INJECTION, ANSWERS),
    "convergence": (CONVERGENCE, ANSWERS),
    "local_days": (LOCAL_DAYS,),
}
"""What is measured where a family alone is asked for; a case of one family may tell of another one too."""


@dataclass
class _Found:
    verdicts: list[Verdict] = field(default_factory=list)
    played: list[Played] = field(default_factory=list)


def evaluate(
    settings: Settings,
    *,
    families: Sequence[Family] = FAMILIES,
    open_model: OpenModel | None = None,
    cases: CaseSet | None = None,
    full_sweep: bool = False,
    on_settled: OnSettled = lambda _: None,
    monotonic: Callable[[], float] = time.perf_counter,
) -> Report:
    """Play the cases of these families with the model that the settings name, and say what came of it.

    The operator's database is not touched. open_model: another model, for tests. full_sweep: every zone, four years.
    on_settled: called with each obligation that ended. What the server gave no answer to is not measured.
    Raises SeloError `bad_case`.
    """
    began = monotonic()
    chosen = cases or bundled()
    opened = open_model or _configured(settings)
    found = _Found()
    played = [one for one in chosen.of(families) if one.family != "convergence"]
    settled = [one for one in chosen.of(families) if one.family == "convergence"]
    # Everything is made for those who show whether it comes to rest: the others need what they are asked about.
    for group, every in ((played, False), (settled, True)):
        if group:
            _play(found, group, Playing(settings, opened, on_settled), every=every)
    if "local_days" in families:
        with temporary_store() as store:
            found.verdicts += swept(store, full=full_sweep)
    heard = [one.heard for one in found.played]
    wanted = {name for family in families for name in BY_FAMILY[family]}
    return Report(
        model=_name(opened),
        fingerprint=fingerprint_of(settings),
        cases=chosen.version,
        digest=chosen.digest,
        number=len(played) + len(settled),
        families=tuple(one for one in FAMILIES if one in families),
        full=set(families) == set(FAMILIES),
        scores=scores_of(found.verdicts, wanted),
        obligations=sum(len(one.settled) for one in found.played),
        rejections=dict(sorted(refusals(found.played).items())),
        faults={
            name: sum(one.faults[name] for one in heard) for name in sorted({n for one in heard for n in one.faults})
        },
        model_calls=sum(one.calls for one in heard),
        input_tokens=sum(one.input_tokens for one in heard),
        output_tokens=sum(one.output_tokens for one in heard),
        seconds=round(monotonic() - began, 3),
    )


def _configured(settings: Settings) -> OpenModel:
    chance = SystemRandom()
    return lambda kind: language_model(settings, chance, light=kind.lane == "light")


def _name(opened: OpenModel) -> str:
    # Opening connects to nobody.
    return opened(DAILY).name


def _play(found: _Found, cases: Sequence[Case], playing: Playing, *, every: bool) -> None:
    with temporary_store() as store:
        played = Player(store, playing).play(cases, kinds_for(cases, every=every))
        with store.read() as connection:
            found.verdicts += judged(cases, everything(connection, cut_short=played.gone))
    found.verdicts += _converged(cases, played)
    found.played.append(played)


def _converged(cases: Sequence[Case], played: Played) -> Iterator[Verdict]:
    """Yield for each case whether a second look, with nothing new, asked no model and made nothing."""
    busy = {case_of(one.user_id): one for one in played.again if one.cost.model_calls or one.reflection_id}
    # Calls that ended in nothing belong to somebody all the same.
    unknown = played.calls_again > 0 and not busy
    for case in cases:
        says = "" if case.id not in busy else f"{busy[case.id].kind} asked again with nothing new"
        yield Verdict(CONVERGENCE, case.id, int(not says and not unknown), 0 if played.gone else 1, says)
