"""The saga test kit: crashes, repetitions, zombies, time and failures for any definition, by one call of `check`."""

from selo_dagster.sagas.testing.case import Case, Trial
from selo_dagster.sagas.testing.checking import check, trials

__all__ = ["Case", "Trial", "check", "trials"]
