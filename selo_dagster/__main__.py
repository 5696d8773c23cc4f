"""`python -m selo_dagster` is the `selo` command."""

from __future__ import annotations

from selo_dagster.cli import main

main()
