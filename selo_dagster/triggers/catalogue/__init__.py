"""The rules, one file each; a companion's own modules may add more."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType, ModuleType

from selo_dagster.errors import SeloError
from selo_dagster.memory.event_types import EVENT_TYPES, EventType, registry_of
from selo_dagster.reflections.kinds import KINDS
from selo_dagster.settings import process_settings
from selo_dagster.triggers.rule import Rule


@dataclass(frozen=True)
class Catalogue:
    """The rules that are on, by name, and every event type that they may name."""

    rules: Mapping[str, Rule]
    types: Mapping[str, EventType]

    @property
    def watched(self) -> frozenset[str]:
        """Every type of event that some rule has to see."""
        return frozenset(name for rule in self.rules.values() for name in rule.watched)


def catalogue_of(modules: Iterable[ModuleType], off: Sequence[str] = ()) -> Catalogue:
    """Return the checked catalogue of what modules declare: each `Rule` and `EventType` among their names.

    off: rules that are switched off. Raises SeloError `bad_rule` or `bad_event_type`, naming the rule or event.
    """
    declared = [value for module in modules for value in vars(module).values()]
    types = registry_of([*EVENT_TYPES.values(), *(one for one in declared if isinstance(one, EventType))])
    rules: dict[str, Rule] = {}
    for rule in declared:
        if isinstance(rule, Rule):
            rule.check(types, KINDS["triggered"].flavours)
            if rules.setdefault(rule.name, rule) is not rule:
                raise SeloError("bad_rule", f"the rule {rule.name!r}: there are two of that name")
    for name in off:
        if name not in rules:
            raise SeloError(
                "bad_rule", f"SELO_TRIGGERS_OFF: there is no rule {name[:40]!r}: use {', '.join(sorted(rules))}"
            )
    on = {name: rule for name, rule in sorted(rules.items()) if name not in off}
    return Catalogue(MappingProxyType(on), types)


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """Return this process's rules: ours, and those of the modules that SELO_TRIGGER_MODULES names.

    Raises SeloError `bad_rule`, also for a module that cannot be imported.
    """
    settings = process_settings()
    ours = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return catalogue_of([*ours, *map(_imported, settings.trigger_modules)], settings.triggers_off)


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except SeloError:
        raise
    except Exception as broken:
        raise SeloError(
            "bad_rule", f"SELO_TRIGGER_MODULES: {name[:80]!r} cannot be imported ({type(broken).__name__})"
        ) from broken
