"""The kinds of reflection, one file each: jobs, schedules and assets are made from what is declared there."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

from selo_dagster.errors import SeloError
from selo_dagster.reflections.kind import Kind, Shape
from selo_dagster.reflections.kinds.daily import DAILY


def _found() -> list[Kind]:
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    kinds = [kind for module in modules for kind in vars(module).values() if isinstance(kind, Kind)]
    unique = {id(kind): kind for kind in kinds}
    return sorted(unique.values(), key=lambda kind: (kind.place, kind.name))


def checked(kinds: list[Kind]) -> dict[str, Kind]:
    """Return the registry of these kinds, in the order in which a night works through them.

    Raises SeloError `bad_kind`, naming the kind and what it lacks: a prompt, an output model, a validator, a name
    of its own in Dagster, bounds that make sense, or a place after the kind that it waits for.
    """
    registry: dict[str, Kind] = {}
    taken: dict[str, str] = {}
    for kind in kinds:
        for fault in _faults(kind, registry):
            raise SeloError("bad_kind", f"the kind {kind.name!r} {fault}")
        for name in (kind.name, f"asset {kind.asset}", f"job {kind.job}", f"schedule {kind.schedule}"):
            if name in taken:
                raise SeloError("bad_kind", f"the kind {kind.name!r} takes {name}, which is {taken[name]}'s")
            taken[name] = kind.name
        registry[kind.name] = kind
    return registry


def _faults(kind: Kind, before: dict[str, Kind]) -> list[str]:
    low, high = kind.words
    faults: list[str] = []
    if not isinstance(getattr(kind, "shape", None), Shape):
        return [*faults, "has no output model"]
    if not kind.shape.checks:
        faults.append("has no validator")
    asks = kind.shape.task is not None
    if asks and not (kind.instructions.strip() and all(one.instructions.strip() for one in kind.flavours.values())):
        faults.append("has no prompt")
    if asks == (kind.lane == "none"):
        faults.append("names a model's lane and asks no model, or asks one without a lane")
    if asks and not 0 < low <= high:
        faults.append(f"has bounds of words that cannot be kept: {low} to {high}")
    if kind.cadence.after is not None and kind.cadence.after.name not in before:
        faults.append(f"waits for {kind.cadence.after.name!r}, which does not come before it")
    return faults


KINDS: Final[dict[str, Kind]] = checked(_found())

FLAVOURS: Final[dict[str, Kind]] = {name: kind for kind in KINDS.values() for name in kind.flavours}
"""Kinds by the rules that cause them, for requests that name the rule."""


def kind_named(name: str) -> Kind:
    """Return a kind by its name. Raises SeloError `unknown_kind`."""
    try:
        return KINDS[name]
    except KeyError:
        raise SeloError("unknown_kind", f"there is no kind {name[:40]!r}: use one of {', '.join(KINDS)}") from None


__all__ = ["DAILY", "FLAVOURS", "KINDS", "Kind", "checked", "kind_named"]
