"""The key of erasures: under it an id becomes a digest that says nothing, and a report is signed."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from selo_dagster.errors import SeloError
from selo_dagster.settings import LEAST_ERASURE_KEY, Settings

KEY_FILE: Final = "erasure.key"
"""Below SELO_HOME; used where SELO_ERASURE_KEY is not set."""

_NEW_BYTES: Final = 32
_PERSON, _REPORT = b"selo person\0", b"selo report\0"
"""What is hashed is named, so that no digest of an id can pass for a signature."""


@dataclass(frozen=True)
class ErasureKey:
    """A secret of at least 32 characters, in UTF-8."""

    secret: bytes = field(repr=False)

    @cached_property
    def id(self) -> str:
        """The key's name, 16 hexadecimal digits of its own SHA-256: which key it is, and nothing of what it is."""
        return hashlib.sha256(self.secret).hexdigest()[:16]

    def digest(self, user_id: str) -> str:
        """Return the HMAC-SHA256 of a person's id, 64 hexadecimal digits."""
        return self._mac(_PERSON + user_id.encode("utf-8", "surrogatepass"))

    def sign(self, text: str) -> str:
        """Return the signature of a text, 64 hexadecimal digits."""
        return self._mac(_REPORT + text.encode())

    def signed(self, text: str, signature: str) -> bool:
        """Tell whether a signature is this key's, in constant time."""
        return hmac.compare_digest(self.sign(text).encode(), signature.encode("utf-8", "surrogatepass"))

    def _mac(self, data: bytes) -> str:
        return hmac.new(self.secret, data, hashlib.sha256).hexdigest()


def erasure_key(settings: Settings) -> ErasureKey | None:
    """Return the key of this installation, from the environment or its file; None: there is none yet.

    Raises SeloError `erasure_key` for a file that cannot be read or holds no key.
    """
    if settings.erasure_key is not None:
        return ErasureKey(settings.erasure_key.get_secret_value().strip().encode())
    path = settings.home / KEY_FILE
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as refused:
        raise SeloError("erasure_key", f"{path} cannot be read ({type(refused).__name__}): mend it") from None
    if len(text) < LEAST_ERASURE_KEY:
        raise SeloError(
            "erasure_key", f"{path} holds less than {LEAST_ERASURE_KEY} characters: bring the former key back"
        )
    return ErasureKey(text.encode())


def made_erasure_key(settings: Settings) -> ErasureKey:
    """Return the key of this installation; makes one, readable by its owner alone, where there is none.

    Of several processes at the same time one makes it, and all return that one. Raises SeloError `erasure_key`.
    """
    there = erasure_key(settings)
    if there is not None:
        return there
    path = settings.home / KEY_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _place(path, secrets.token_hex(_NEW_BYTES))
    except OSError as refused:
        raise SeloError(
            "erasure_key", f"{path} cannot be made ({refused.strerror}): set SELO_ERASURE_KEY instead"
        ) from None
    made = erasure_key(settings)
    assert made is not None  # noqa: S101 - placed by us or by another
    return made


def _place(path: Path, text: str) -> None:
    """Put a file where none is, whole or not at all: a reader never sees half of it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
