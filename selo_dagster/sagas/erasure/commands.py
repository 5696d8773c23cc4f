"""`selo erase`: forgets a person, waits for it, and proves it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from selo_dagster.clock import SystemClock
from selo_dagster.errors import SeloError
from selo_dagster.output import instant, json_option, print_json, print_table
from selo_dagster.people.erased import READMITS, Erased, key_of_this_installation, wrong_key
from selo_dagster.people.erasure_key import ErasureKey, erasure_key
from selo_dagster.sagas.check import definition_of, require_definitions
from selo_dagster.sagas.erasure.asking import TYPE, Asked, ask
from selo_dagster.sagas.erasure.proving import Proof, prove
from selo_dagster.sagas.erasure.report import is_genuine, read_report
from selo_dagster.sagas.registry import registry
from selo_dagster.sagas.states import COMPLETED
from selo_dagster.settings import Settings, process_settings
from selo_dagster.store.engine import Store
from selo_dagster.store.opening import open_store

REPORT_LIMIT = 1 << 20
"""Bytes of a report."""

ERASED_BEFORE = 2
"""Exit status for somebody who was erased already: nobody is there by this id."""


@click.command("erase", short_help="Forget a person, entirely; --verify checks a report.")
@click.argument("user", required=False)
@click.option("--verify", "source", metavar="FILE", help="Check a report instead; - reads standard input.")
@click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait where others are in the way.",
)
@json_option
def erase_command(*, user: str | None, source: str | None, yes: bool, wait_s: float, as_json: bool) -> int:
    """Delete USER, named by id or by key, with everything about them; print the signed report.

    What is under way for them is ended, nothing can be brought back, and the id is refused from then on
    (`selo ingest --readmit` lets it in again). Exit status: 0; 1 if it could not be verified; 2 for an unknown user.
    """
    if (user is None) == (source is None):
        raise SeloError("wrong_use", "give either a USER to erase, or --verify with the file of a report")
    if user is None:
        return _verify(str(source), as_json=as_json)
    if not (yes or as_json) and sys.stdin.isatty():
        click.confirm(f"{user} and everything about them is deleted for good. Go on?", abort=True, err=True)
    return _erase(user, wait_s, as_json=as_json)


def _erase(who: str, wait_s: float, *, as_json: bool) -> int:
    # Dagster is imported only where a job is run.
    import dagster as dg

    from selo_dagster.home import prepare_home
    from selo_dagster.sagas.erasure.launch import carry_out

    settings = process_settings()
    prepare_home(settings)
    with open_store(settings) as store:
        asked = _ask(store, who)
        if isinstance(asked, Erased):
            return _say_erased(store, settings, who, asked, as_json=as_json)
        with dg.DagsterInstance.get() as instance:
            row = carry_out(store, instance, registry().type(TYPE), asked.saga_id, wait_s=wait_s)
        proof = _prove(store, settings, asked.user_id)
    verified = row.state == COMPLETED and proof.holds
    if as_json:
        document = {"user": asked.user_id, "deleted": proof.deleted, "verified": verified, "report": proof.report}
        print_json(document | {"saga": row.id, "state": row.state, "detail": _detail(row, proof)})
    else:
        _print(asked.user_id, row, proof)
    return int(not verified)


def _ask(store: Store, who: str) -> Asked | Erased:
    known = registry()
    now = SystemClock().now()
    with store.write() as connection:
        # A run would refuse to begin, and the person would wait for somebody who mends it.
        require_definitions(connection, known, now)
        return ask(
            connection,
            who,
            definition=lambda name, version: definition_of(known, name, version),
            version=known.type(TYPE).version,
            actor="selo erase",
            now=now,
        )


def _prove(store: Store, settings: Settings, user_id: str) -> Proof:
    with store.read() as connection:
        return prove(connection, _key(settings), user_id)


def _key(settings: Settings) -> ErasureKey:
    key = erasure_key(settings)
    if key is None:
        raise SeloError("erasure_key", "there is no key here: set SELO_ERASURE_KEY to the one of the report")
    return key


def _detail(row: Any, proof: Proof) -> str:
    if row.state == COMPLETED:
        return proof.sentence
    error = f" ({row.error['step']}: {row.error['class']})" if row.error else ""
    return f"{proof.sentence}; saga {row.id} is {row.state}{error}: `selo saga show {row.id}`"


def _print(user_id: str, row: Any, proof: Proof) -> None:
    if proof.deleted:
        print_table(f"{user_id} was erased", ("table", "rows deleted"), sorted(proof.deleted.items()))
    click.echo(_detail(row, proof))
    if proof.report is not None:
        click.echo(proof.report)


def _say_erased(store: Store, settings: Settings, who: str, erased: Erased, *, as_json: bool) -> int:
    proof = _prove(store, settings, who)
    message = f"{who[:80]!r} was erased at {instant(erased.at)}; looked again: {proof.sentence}. {READMITS}"
    if not as_json:
        raise SeloError("erased", message)
    print_json(
        {
            "error": {"code": "erased", "message": message},
            "user": who,
            "deleted": proof.deleted,
            "verified": proof.holds,
            "report": proof.report,
            "saga": erased.saga_id,
        }
    )
    return ERASED_BEFORE


def _verify(source: str, *, as_json: bool) -> int:
    text = _read(source)
    report, _ = read_report(text)
    key = key_of_this_installation()
    if key is None:
        raise wrong_key(str(report.get("key_id"))[:16])
    genuine = is_genuine(key, text)
    if as_json:
        print_json({"genuine": genuine, "report": report})
    else:
        click.echo("the report is as it was signed" if genuine else "the report is NOT as it was signed")
    return int(not genuine)


def _read(source: str) -> bytes:
    try:
        data = sys.stdin.buffer.read(REPORT_LIMIT + 1) if source == "-" else Path(source).read_bytes()
    except OSError as refused:
        raise SeloError("bad_report", f"{source[:200]} cannot be read: {refused.strerror}") from None
    if len(data) > REPORT_LIMIT:
        raise SeloError("bad_report", "a report is not longer than 1 MiB")
    return data
