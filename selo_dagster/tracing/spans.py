"""Spans: what is done, how long it took and what came of it. Ids of rows, kinds, codes and numbers; never text.

An exception is recorded by its class. What happens inside a transaction is told when that is over, so that nothing
is said of what was rolled back without saying so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from typing_extensions import Self

from selo_dagster.tracing.places import Place
from selo_dagster.tracing.switch import sending

if TYPE_CHECKING:
    from selo_dagster.tracing.sdk import Told

Value = str | int | float | bool | Sequence[str] | Sequence[int]

_PREFIX: Final = "selo."
_current: ContextVar[_Span | None] = ContextVar("selo_span", default=None)
_transaction: ContextVar[_Transaction | None] = ContextVar("selo_transaction", default=None)


class Span(Protocol):
    """One span. As a context manager it is the one that what is done inside stands under, and ends with it."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; an exception is recorded by its class."""
        ...

    def tell(self, **attributes: Value | None) -> None:
        """Add attributes of this project's, each named `selo.…`; what is None is left out."""
        ...

    def tell_as(self, attributes: Mapping[str, Value | None]) -> None:
        """Add attributes under names that others have agreed upon."""
        ...

    def broke(self, code: str) -> None:
        """Say that what it stands for went wrong, by a class or a code."""
        ...

    def inside(self) -> AbstractContextManager[object]:
        """Let what is done inside stand under it, without ending it."""
        ...

    def end(self) -> None:
        """End it; once more changes nothing."""
        ...


class _Silent:
    """Stands for every span while there are no traces."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def tell(self, **attributes: Value | None) -> None:  # noqa: ARG002 - there is nobody to tell
        return None

    def tell_as(self, attributes: Mapping[str, Value | None]) -> None:  # noqa: ARG002
        return None

    def broke(self, code: str) -> None:  # noqa: ARG002
        return None

    def inside(self) -> _Silent:
        return self

    def end(self) -> None:
        return None


SILENT: Final = _Silent()


class _Span:
    """A span that is sent. opens: others stand under it, by an id that they compute for themselves."""

    __slots__ = ("_ended", "_opens", "_tokens", "_told", "span_id", "trace_id")

    def __init__(self, told: Told, *, opens: bool) -> None:
        self._told, self._opens, self._ended = told, opens, False
        self._tokens: list[Token[_Span | None]] = []
        self.trace_id, self.span_id = told.ids

    def __enter__(self) -> Self:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._tokens.pop())
        if kind is not None:
            self.broke(kind.__name__)
        self.end()

    def tell(self, **attributes: Value | None) -> None:
        self.tell_as({f"{_PREFIX}{name}": value for name, value in attributes.items()})

    def tell_as(self, attributes: Mapping[str, Value | None]) -> None:
        self._told.tell({name: value for name, value in attributes.items() if value is not None})

    def broke(self, code: str) -> None:
        self._told.broke(code)

    def inside(self) -> AbstractContextManager[object]:
        return _Inside(self)

    def end(self) -> None:
        if self._ended:
            return
        self._ended = True
        ended_at = time.time_ns()
        transaction = _transaction.get()
        if transaction is None or not transaction.keeps(self, ended_at):
            self._told.end(ended_at)

    def over(self, ended_at: int, *, rolled_back: bool) -> None:
        """Be sent, now that the transaction that it ended in is over."""
        if rolled_back:
            if self._opens:
                # Nobody will ever stand under it, and a later try opens the same place.
                return
            self.tell(rolled_back=True)
            self.broke("rolled_back")
        self._told.end(ended_at)


class _Inside:
    __slots__ = ("_span", "_token")

    def __init__(self, span: _Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        self._token = _current.set(self._span)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._token)


class _Transaction:
    """The spans that ended inside one transaction, until it is over."""

    __slots__ = ("_over", "_spans", "_token")

    def __init__(self) -> None:
        self._spans: list[tuple[_Span, int]] = []
        self._over = False

    def __enter__(self) -> None:
        self._token = _transaction.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _transaction.reset(self._token)
        self._over = True
        for span, ended_at in self._spans:
            span.over(ended_at, rolled_back=kind is not None)

    def keeps(self, span: _Span, ended_at: int) -> bool:
        """Keep a span; False: the transaction is over, and a thread that it left behind comes too late."""
        if not self._over:
            self._spans.append((span, ended_at))
        return not self._over


def told_when_over() -> AbstractContextManager[object]:
    """Keep what is told of a transaction until it is over; a rollback is said with it."""
    return SILENT if sending() is None else _Transaction()


def span(name: str, under: Place | None = None, *, link: Place | None = None, **attributes: Value | None) -> Span:
    """Begin a span under a place, or under the span that is being carried out here; without either there is none."""
    there = sending()
    if there is None:
        return SILENT
    around = _current.get()
    if under is None:
        if around is None:
            return SILENT
        parent = around.trace_id, around.span_id
    elif around is not None and around.trace_id == under.trace_id:
        parent = around.trace_id, around.span_id
    else:
        parent = under.trace_id, under.span_id
    begun = _Span(there.begin(name, parent[0], above=parent[1], link=link), opens=False)
    begun.tell(**attributes)
    return begun


def opening(name: str, place: Place, *, link: Place | None = None, **attributes: Value | None) -> Span:
    """Begin the span that opens a place: every process knows its id. It is begun once for each place."""
    there = sending()
    if there is None:
        return SILENT
    around = _current.get()
    above = around.span_id if around is not None and around.trace_id == place.trace_id else place.above
    begun = _Span(there.begin(name, place.trace_id, above=above, own=place.span_id, link=link), opens=True)
    begun.tell(**attributes)
    return begun
