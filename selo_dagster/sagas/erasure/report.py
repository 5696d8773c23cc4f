"""The report of an erasure: what was deleted and proved, signed, with nothing in it of the person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from selo_dagster.errors import SeloError
from selo_dagster.people.erasure_key import ErasureKey

FORM: Final = 1
"""Version of the report's form."""


def signed(key: ErasureKey, report: Mapping[str, Any]) -> str:
    """Return a report as text: one line of JSON with its signature."""
    return json.dumps({"report": report, "signature": key.sign(_canonical(report))}, sort_keys=True)


def read_report(text: str | bytes) -> tuple[dict[str, Any], str]:
    """Return (report, signature) of what `signed` made, or of the whole output of `selo erase --json`.

    Raises SeloError `bad_report` when it is neither.
    """
    try:
        document = json.loads(text)
        if isinstance(document, dict) and isinstance(document.get("report"), str):
            document = json.loads(document["report"])
        report, signature = document["report"], document["signature"]
    except (ValueError, TypeError, KeyError, RecursionError):
        report, signature = None, None
    if not isinstance(report, dict) or not isinstance(signature, str):
        raise SeloError("bad_report", "this is no report of `selo erase`: give it the line that it printed, as it was")
    return report, signature


def is_genuine(key: ErasureKey, text: str | bytes) -> bool:
    """Tell whether a report is as it was signed. Raises SeloError `bad_report`, `erasure_key` for another's key."""
    report, signature = read_report(text)
    if report.get("key_id") != key.id:
        raise SeloError(
            "erasure_key",
            f"the report was signed with the key {str(report.get('key_id'))[:16]!r}, and the one here is {key.id}: "
            "set SELO_ERASURE_KEY to the former",
        )
    return key.signed(_canonical(report), signature)


def _canonical(report: Mapping[str, Any]) -> str:
    return json.dumps(report, sort_keys=True, separators=(",", ":"))
