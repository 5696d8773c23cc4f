"""The one family of errors that reach a person: a short code and one plain sentence."""

from __future__ import annotations


class SeloError(Exception):
    """Something the caller can mend. `code` is stable and safe to log; `message` says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
