"""A person's reflections, and what followed from them, printed for people."""

from __future__ import annotations

from typing import Any

import click

from selo_dagster.output import printable
from selo_dagster.people.zones import local_label


def print_reflection(one: dict[str, Any]) -> None:
    """Print one reflection."""
    start, end = one["window"]
    zone = one["timezone"]
    holds = "" if one["head"] else " (does not hold)"
    click.echo(
        f"\n{one['kind']} {one['on']} · version {one['version']}{holds} · {one['model']} · {zone} "
        f"(from {local_label(zone, start)} to {local_label(zone, end)} local time){_mark(one)}"
    )
    _wrapped(one["content"], then="  ")
    _wrapped(f"themes: {', '.join(one['themes'])}")
    for insight in one["insights"]:
        _wrapped(f"insight: {insight['text']}  [{', '.join(insight['evidence'])}]")
        _quotes(insight["citations"])
    for action in one["actions"]:
        _wrapped(f"next: {action}")
    state = one["emotional_state"]
    click.echo(f"  feeling: {printable(state['primary'])} ({state['intensity']:.1f})")


def print_mind(document: dict[str, Any]) -> None:
    """Print what `reflections.show.shown` returns beside the reflections; nothing for what there is not."""
    if document["mantra"] is not None:
        _headed("mantra", [f"{document['mantra']['on']}: {document['mantra']['text']}{_mark(document['mantra'])}"])
    _headed("questions", [f"{one['question']}  ({one['state']}){_mark(one)}" for one in document["questions"]])
    moved = [one for one in document["persona"]["traits"] if one["version"] > 1 or one["locked"]]
    _headed(
        f"persona: {document['persona']['health']}",
        [f"{one['name']} {one['value']:.3f}{' (locked)' if one['locked'] else ''}" for one in moved],
    )
    for goal in document["goals"]:
        _headed(
            f"goal: {goal['title']}  ({goal['state']}, {goal['progress']:.0%}){_mark(goal)}",
            [f"{step['description']}  ({step['state']})" for step in goal["steps"]],
        )
    for one in document["episodes"]:
        _headed(f"episode: {one['title']}  [{', '.join(one['evidence'])}]{_mark(one)}", [one["narrative"]])
        _quotes(one["citations"])
    for place, one in enumerate(document["learnings"]):
        if place == 0:
            click.echo("\nlearnings")
        _wrapped(f"{one['content']}  [{', '.join(one['evidence'])}]{_mark(one)}")
        _quotes(one["citations"])
    _headed(
        "stale: rests on what was taken back since",
        [f"{one['derived']}, because of {one['because']}" for one in document["stale"]],
    )


def _mark(one: dict[str, Any]) -> str:
    return " · tainted" if one["tainted"] else ""


def _quotes(citations: list[dict[str, Any]]) -> None:
    for one in citations:
        _wrapped(f"{one['source']}: \u201c{one['quote']}\u201d", first="    ", then="      ")


def _headed(head: str, lines: list[str]) -> None:
    if lines:
        click.echo("")
        _wrapped(head, first="", then="  ")
    for line in lines:
        _wrapped(line)


def _wrapped(text: str, *, first: str = "  ", then: str = "    ") -> None:
    click.echo(click.wrap_text(printable(text), width=100, initial_indent=first, subsequent_indent=then))
