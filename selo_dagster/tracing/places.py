"""Where a span belongs: ids that every process computes alike from what the database holds, so none are stored.

Whoever has the ids of an obligation, a saga or a run can find its trace; docs/tracing.md says how by hand.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_HEXADECIMAL: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Place:
    """A trace, and the span in it that opens this place. above: the span that this one stands under; None: none."""

    trace_id: int
    span_id: int
    above: int | None = None

    @property
    def trace(self) -> str:
        """The trace's id as it is searched for: 32 hexadecimal digits."""
        return f"{self.trace_id:032x}"


def of_obligation(partition: str, kind: str, key: str) -> Place:
    """Return the place of one obligation of the reflection ledger. partition: the person's key, never the id."""
    digest = _digest("obligation", partition, kind, key)
    return Place(_trace_id(digest), _span_id(digest))


def of_saga(saga_id: str, asked_by: Place | None = None) -> Place:
    """Return the place of a saga: in the trace of the reflection that asked for it, else in one of its own."""
    digest = _digest("saga", saga_id)
    if asked_by is not None:
        return Place(asked_by.trace_id, _span_id(digest), asked_by.span_id)
    return Place(_own(saga_id) or _trace_id(digest), _span_id(digest))


def of_run(run_id: str) -> Place:
    """Return the place of a Dagster run, which works for many people at once."""
    digest = _digest("run", run_id)
    return Place(_own(run_id.replace("-", "")) or _trace_id(digest), _span_id(digest))


def _own(identity: str) -> int:
    """Return an id that has the form of a trace's as it is; 0: it has another form."""
    return int(identity, 16) if len(identity) == 2 * _TRACE_BYTES and _HEXADECIMAL.issuperset(identity) else 0


def _digest(*parts: str) -> bytes:
    # NUL stands in no id and in no key.
    return hashlib.sha256("\0".join(("selo", *parts)).encode()).digest()


def _trace_id(digest: bytes) -> int:
    return int.from_bytes(digest[:_TRACE_BYTES], "big")


def _span_id(digest: bytes) -> int:
    return int.from_bytes(digest[_TRACE_BYTES : _TRACE_BYTES + _SPAN_BYTES], "big")
