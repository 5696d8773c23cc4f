"""`selo eval`."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any
from uuid import uuid4

import click

from selo_dagster.clock import SystemClock
from selo_dagster.errors import SeloError
from selo_dagster.evaluation.accepting import Compared, accept_report, compared, store_report
from selo_dagster.evaluation.evaluate import evaluate
from selo_dagster.evaluation.measures import FAMILIES, MEASURES, Family
from selo_dagster.evaluation.report import Report
from selo_dagster.output import json_option, print_json, print_table
from selo_dagster.reflections.progress import EVERY_S
from selo_dagster.reflections.settle import Settlement
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store


@click.command("eval")
@click.option(
    "--family",
    "families",
    multiple=True,
    type=click.Choice(FAMILIES),
    help="Only the cases of this family; may be repeated.",
)
@click.option(
    "--accept", is_flag=True, help="Let what is configured be the accepted model and prompts, unless a score fell."
)
@click.option("--full-sweep", is_flag=True, help="Every time zone and four years of changes of clocks: takes minutes.")
@json_option
def eval_command(*, families: tuple[Family, ...], accept: bool, full_sweep: bool, as_json: bool) -> int:
    """Play the bundled cases with the model that is configured, and say how good what it makes is.

    Exit status 1 if a score is lower than the accepted one's, something could not be measured, or --accept is refused.
    """
    chosen = tuple(dict.fromkeys(families)) or FAMILIES
    if accept and set(chosen) != set(FAMILIES):
        raise SeloError("wrong_use", "--accept needs every family: leave --family out")
    settings, now, evaluation_id = process_settings(), SystemClock().now(), uuid4().hex
    with open_store(settings) as store:
        report = evaluate(settings, families=chosen, full_sweep=full_sweep, on_settled=_Progress())
        with store.write() as connection:
            found = compared(connection, report)
            store_report(connection, report, now, evaluation_id)
            is_accepted = accept and accept_report(connection, evaluation_id, found, now)
    if as_json:
        print_json(document(evaluation_id, report, found, asked=accept, is_accepted=is_accepted))
    else:
        _print(report, found, asked=accept, is_accepted=is_accepted)
    return int(not report.complete or bool(found.fell) or (accept and not is_accepted))


def document(evaluation_id: str, report: Report, found: Compared, *, asked: bool, is_accepted: bool) -> dict[str, Any]:
    """Return what --json prints."""
    return {
        "id": evaluation_id,
        **report.model_dump(mode="json"),
        "complete": report.complete,
        "fell": {name: {"found": now, "accepted": was} for name, (now, was) in found.fell.items()},
        "accepted": is_accepted,
        "refusals": list(found.refusals) if asked else [],
        "notes": list(found.notes),
    }


def _print(report: Report, found: Compared, *, asked: bool, is_accepted: bool) -> None:
    print_table(
        f"{report.model}: {report.number} cases ({report.cases}), {report.model_calls} model calls, "
        f"{report.input_tokens + report.output_tokens} tokens, {report.seconds:.1f} s",
        ("measure", "score", "held", "not measured", "is the share", "fell short"),
        [
            (
                name,
                "not measured" if one.score is None else f"{one.score:.4f}",
                f"{one.held} of {one.of}",
                one.unmeasured or None,
                MEASURES[name].says,
                "\n".join(f"{case}: {says}" if says else case for case, says in one.failing.items()) or None,
            )
            for name, one in report.scores.items()
        ],
    )
    if report.rejections:
        click.echo(f"answers refused: {', '.join(f'{code} {number}' for code, number in report.rejections.items())}")
    if report.faults:
        click.echo(f"calls without an answer: {', '.join(f'{name} {n}' for name, n in report.faults.items())}")
    for name, (now, was) in found.fell.items():
        click.echo(f"! {name} is {now:.4f}, and was {was:.4f} before")
    for note in found.notes:
        click.echo(note)
    if is_accepted:
        click.echo(f"accepted: {report.model} with these prompts ({report.fingerprint[:12]})")
    elif asked:
        click.echo("not accepted: " + "; ".join(found.refusals), err=True)


class _Progress:
    """Says on standard error every few seconds how far it is."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._told = time.monotonic()

    def __call__(self, settled: Settlement) -> None:
        self._counts[settled.outcome] += 1
        if time.monotonic() - self._told >= EVERY_S:
            self._told = time.monotonic()
            said = ", ".join(f"{number} {outcome}" for outcome, number in sorted(self._counts.items()))
            click.echo(f"{sum(self._counts.values())} obligations so far: {said}", err=True)
