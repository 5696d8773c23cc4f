"""Reads JSON Lines as a stream: one line in memory at a time, every fault a value instead of an exception."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple, NoReturn

LINE_LIMIT: Final = 1 << 20
"""Bytes of a line, without its end."""

_CHUNK: Final = 1 << 16


class Line(NamedTuple):
    """One line that is not blank. number: physical, from 1; size: bytes. Either `record` or `fault` is there.

    fault: a code, a colon and a sentence, which holds nothing of the line.
    """

    number: int
    size: int
    record: dict[str, Any] | None = None
    fault: str | None = None


class _RefusedError(ValueError):
    """JSON that the standard library would let pass."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RefusedError("bad_json: a field is there twice in one object")
    return found


def _refuse_constant(_name: str) -> NoReturn:
    raise _RefusedError("bad_json: NaN and Infinity are no JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)


def read_lines(stream: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a binary stream that are not blank.

    A byte order mark at the start, `\\r\\n` and a last line without an end are accepted. Faults: `too_long`
    (more than 1 MiB, never held in memory), `bad_utf8`, `bad_json` (also for a field that is there twice and
    for a line that is no object).
    """
    number = 0
    # Two bytes more than a line may have: the end of the longest one still fits.
    while chunk := stream.readline(LINE_LIMIT + 2):
        number += 1
        whole = len(chunk) < LINE_LIMIT + 2 or chunk.endswith(b"\n")
        body = chunk.rstrip()
        if number == 1:
            body = body.removeprefix(codecs.BOM_UTF8)
        if not whole or len(body) > LINE_LIMIT:
            yield Line(number, _rest_of(stream, chunk), fault="too_long: line is longer than 1 MiB")
        elif body:
            yield _parsed(number, body)


def _rest_of(stream: BinaryIO, chunk: bytes) -> int:
    size = len(chunk)
    while chunk and not chunk.endswith(b"\n"):
        chunk = stream.readline(_CHUNK)
        size += len(chunk)
    return size


def _parsed(number: int, body: bytes) -> Line:
    size = len(body)
    try:
        record = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as refused:
        return Line(number, size, fault=f"bad_utf8: not UTF-8 at byte {refused.start + 1}")
    except json.JSONDecodeError as refused:
        return Line(number, size, fault=f"bad_json: not JSON at character {refused.pos + 1}")
    except _RefusedError as refused:
        return Line(number, size, fault=str(refused))
    except (ValueError, RecursionError):
        return Line(number, size, fault="bad_json: a number is too long or the nesting is too deep")
    if not isinstance(record, dict):
        return Line(number, size, fault='bad_json: a line must be one JSON object such as {"type":"user",…}')
    return Line(number, size, record)
