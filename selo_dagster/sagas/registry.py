"""The sagas that there are: ours and those of a companion's modules, each in every version that may still be needed."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType, ModuleType

from selo_dagster.errors import SeloError
from selo_dagster.sagas import catalogue
from selo_dagster.sagas.definition import Saga
from selo_dagster.settings import process_settings


@dataclass(frozen=True)
class Registry:
    """Sagas by type and version."""

    by_version: Mapping[tuple[str, int], Saga]

    @property
    def newest(self) -> dict[str, Saga]:
        """The newest version of each type, by name: what is started."""
        return {name: saga for (name, _), saga in sorted(self.by_version.items())}

    def type(self, name: str) -> Saga:
        """Return the newest version of a type. Raises SeloError `unknown_saga`."""
        found = self.newest.get(name)
        if found is None:
            known = ", ".join(self.newest) or "none yet"
            raise SeloError("unknown_saga", f"there is no saga {name[:40]!r}: use one of {known}")
        return found


def registry_of(modules: Iterable[ModuleType]) -> Registry:
    """Return the registry of what modules declare: each `Saga` among their names.

    Raises SeloError `bad_saga` when a type has two definitions of one version.
    """
    found: dict[tuple[str, int], Saga] = {}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Saga) and found.setdefault((value.name, value.version), value) is not value:
                raise SeloError("bad_saga", f"the saga {value.name!r}: there are two of version {value.version}")
    return Registry(MappingProxyType(dict(sorted(found.items()))))


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Return this process's sagas: the catalogue, and what SELO_SAGA_MODULES names.

    Raises SeloError `bad_saga`, also for a module that cannot be imported: the code location does not load then.
    """
    names = [f"{catalogue.__name__}.{found.name}" for found in pkgutil.iter_modules(catalogue.__path__)]
    return registry_of([*map(importlib.import_module, names), *map(_imported, process_settings().saga_modules)])


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except SeloError:
        raise
    except Exception as broken:
        raise SeloError(
            "bad_saga", f"SELO_SAGA_MODULES: {name[:80]!r} cannot be imported ({type(broken).__name__})"
        ) from broken
