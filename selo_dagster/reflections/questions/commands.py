"""`selo question`: the queue's doors, for people and for companions that are not written in Python."""

from __future__ import annotations

import sys

import click

from selo_dagster.clock import clock_at
from selo_dagster.output import instant, json_option, now_option, print_json, print_table
from selo_dagster.reflections.answers import person
from selo_dagster.reflections.questions.answering import answer
from selo_dagster.reflections.questions.queue import listed, next_question, skip
from selo_dagster.settings import process_settings
from selo_dagster.store.opening import open_store


@click.group("question", short_help="The questions that the companion would like to ask.")
def question() -> None:
    """List, deliver, answer and skip the questions that the companion would like to ask."""


@question.command("list")
@click.argument("user")
@click.option("--all", "every", is_flag=True, help="Also those that were answered, skipped or expired.")
@click.option(
    "--limit", "limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="Most urgent first."
)
@json_option
def list_command(*, user: str, every: bool, limit: int, as_json: bool) -> int:
    """List USER's questions."""
    with open_store(process_settings()) as store, store.read() as connection:
        user_id, _, _ = person(connection, user)
        rows = listed(connection, user_id, all_states=every, limit=limit)
    if as_json:
        print_json({"user": user_id, "questions": rows})
    elif not rows:
        click.echo(f"no question is open for {user_id}")
    else:
        print_table(
            f"{len(rows)} questions",
            ("id", "question", "topic", "priority", "state", "available"),
            [
                (row["id"], row["question"], row["topic"], row["priority"], row["state"], instant(row["available_at"]))
                for row in rows
            ],
        )
    return 0


@question.command("next")
@click.argument("user")
@now_option
@json_option
def next_command(*, user: str, now: str | None, as_json: bool) -> int:
    """Deliver the question that USER is to be asked now; the same one until it is answered or skipped."""
    with open_store(process_settings()) as store, store.write() as connection:
        user_id, _, _ = person(connection, user)
        found = next_question(connection, user_id, clock_at(now).now())
    if as_json:
        shown = None if found is None else {"id": found.id, "question": found.question, "topic": found.topic}
        print_json({"user": user_id, "question": shown})
    elif found is None:
        click.echo(f"there is nothing to ask {user_id} now")
    else:
        click.echo(f"{found.question}\n`selo question answer {found.id} --text …` keeps the answer")
    return 0


@question.command("answer")
@click.argument("id")
@click.option("--text", "text", metavar="TEXT", help="What the person answered; - reads it from standard input.")
@click.option("--memory", "memory", metavar="ID", help="A memory of the person that answers it.")
@now_option
@json_option
def answer_command(
    *,
    id: str,  # noqa: A002 - what the argument is called
    text: str | None,
    memory: str | None,
    now: str | None,
    as_json: bool,
) -> int:
    """Close the question ID with its answer, which becomes a memory."""
    said = sys.stdin.read().rstrip("\n") if text == "-" else text
    with open_store(process_settings()) as store, store.write() as connection:
        kept = answer(connection, id, clock_at(now).now(), text=said, memory_id=memory)
    if as_json:
        print_json({"id": id, "state": "answered", "memory": kept})
    else:
        click.echo(f"answered: memory {kept}")
    return 0


@question.command("skip")
@click.argument("id")
@now_option
@json_option
def skip_command(*, id: str, now: str | None, as_json: bool) -> int:  # noqa: A002
    """Close the question ID: it shall not be asked."""
    with open_store(process_settings()) as store, store.write() as connection:
        changed = skip(connection, id, clock_at(now).now())
    if as_json:
        print_json({"id": id, "state": "skipped", "changed": changed})
    else:
        click.echo("skipped" if changed else "it had been skipped before")
    return 0
