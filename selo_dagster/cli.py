"""The `selo` command: finds the room that serves a command, and renders what was refused."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Sequence
from typing import Final

import click

from selo_dagster.errors import SeloError
from selo_dagster.private_logs import keep_logs_private

COMMANDS: Final = {
    "alerts": "selo_dagster.operations.alerts.commands:alerts_command",
    "audit": "selo_dagster.reflections.audits.commands:audit",
    "budget": "selo_dagster.operations.budget_command:budget_command",
    "db": "selo_dagster.operations.db_commands:db",
    "dead": "selo_dagster.reflections.commands:dead_command",
    "demo": "selo_dagster.operations.demo:demo_command",
    "due": "selo_dagster.reflections.commands:due_command",
    "erase": "selo_dagster.sagas.erasure.commands:erase_command",
    "eval": "selo_dagster.evaluation.commands:eval_command",
    "forget": "selo_dagster.sagas.forget_command:forget_command",
    "http": "selo_dagster.operations.http.command:http_command",
    "ingest": "selo_dagster.memory.commands:ingest_command",
    "night": "selo_dagster.operations.night:night_command",
    "pause": "selo_dagster.reflections.pause_commands:pause_command",
    "persona": "selo_dagster.sagas.persona_commands:persona",
    "plan": "selo_dagster.operations.planning.command:plan_command",
    "question": "selo_dagster.reflections.questions.commands:question",
    "reflect": "selo_dagster.reflections.work_commands:reflect_command",
    "resume": "selo_dagster.reflections.pause_commands:resume_command",
    "rollback": "selo_dagster.sagas.rollback_command:rollback_command",
    "saga": "selo_dagster.sagas.commands:saga",
    "schedule": "selo_dagster.reflections.schedule_commands:schedule_command",
    "scheduled": "selo_dagster.reflections.schedule_commands:scheduled_command",
    "housekeeping": "selo_dagster.operations.housekeeping_command:housekeeping_command",
    "show": "selo_dagster.reflections.commands:show_command",
    "status": "selo_dagster.operations.commands:status_command",
    "triggers": "selo_dagster.triggers.commands:triggers",
    "unschedule": "selo_dagster.reflections.schedule_commands:unschedule_command",
    "up": "selo_dagster.operations.up:up_command",
    "versions": "selo_dagster.reflections.version_commands:versions_command",
    "why": "selo_dagster.reflections.commands:why_command",
}
"""Loaded when used: `selo why` must not pay for importing Dagster."""

WRONG_USE: Final = 2


class LazyGroup(click.Group):
    """A group whose commands are imported by name."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return every command's name."""
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None when there is no such name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="selo-dagster", prog_name="selo")
def selo() -> None:
    """The background mind of AI companions.

    Every command but up and http takes --json: one JSON document on standard output, logs on standard error.
    Exit status: 0; 1 if anything was rejected, failed or dead; 2 for wrong use or an unknown user.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its status."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    keep_logs_private()
    given = list(sys.argv[1:] if arguments is None else arguments)
    status: object = None
    try:
        status = selo.main(args=given, prog_name="selo", standalone_mode=False)
    except SeloError as refused:
        _refuse(refused.code, refused.message, as_json="--json" in given)
    except click.UsageError as refused:
        if "--json" not in given:
            refused.show()
            raise SystemExit(WRONG_USE) from None
        _refuse("wrong_use", refused.format_message(), as_json=True)
    except click.ClickException as refused:
        _refuse("refused", refused.format_message(), as_json="--json" in given)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped: what was claimed is released or comes back when its lease ends", err=True)
        raise SystemExit(130) from None
    raise SystemExit(status if isinstance(status, int) else 0)


def _refuse(code: str, message: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False))
    else:
        click.echo(f"selo: {message}", err=True)
    raise SystemExit(WRONG_USE)
