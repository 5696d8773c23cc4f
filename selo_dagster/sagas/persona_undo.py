"""What a run of the asset persona_undo can be told."""

import dagster as dg
from pydantic import Field

from selo_dagster.clock import SystemClock, parse_instant
from selo_dagster.errors import SeloError
from selo_dagster.sagas.bulk_undo import Wish


class PersonaUndoConfig(dg.Config):
    """Which evolutions are taken back. The defaults match everything and change nothing."""

    since: str = Field(default="", description="Only evolutions from this ISO-8601 instant on. Empty: from the first.")
    until: str = Field(default="", description="Only evolutions before this ISO-8601 instant. Empty: to the last.")
    model: str = Field(default="", description="Only what this model wished for. Empty: any.")
    prompt_version: str = Field(default="", description="Only what was wished for by this wording. Empty: any.")
    dry_run: bool = Field(default=True, description="Only count. false: take back.")
    because: str = Field(default="", description="Why; kept beside each saga. Needed unless it is a dry run.")

    def wish(self) -> Wish:
        """Return it checked. Raises SeloError `bad_time`, `wrong_use`."""
        if not self.dry_run and not self.because.strip():
            raise SeloError("wrong_use", "say why in `because`: it is kept beside each saga")
        return Wish(
            since=parse_instant(self.since) if self.since else None,
            until=parse_instant(self.until) if self.until else None,
            model=self.model or None,
            prompt_version=self.prompt_version or None,
            dry_run=self.dry_run,
            because=self.because.strip() or "dry run",
            now=SystemClock().now(),
        )
