"""Secrets in a text: keys, tokens and passwords, by the forms that their makers gave them."""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = (
    r"passwords?|passwd|passphrase|passcode|pwd|pass ?word|passwort|kennwort|contraseña|contrasena|senha|"
    r"palavra-passe|mot de passe|wachtwoord|"
    r"hasło|haslo|parola|пароль|密码|密碼|パスワード|비밀번호|şifre"
)
_KEY_WORD: Final = (
    r"(?:api|access|secret|private|client|auth|bearer|session|refresh|account|encryption|signing|"
    r"deploy)[ _-]?(?:key|token|secret)s?|secret|token|"
    r"credentials?|pin(?: code)?"
)
_FORMS: Final = re.compile(
    "|".join(
        [
            r"-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY( BLOCK)?-----|$)",
            r"\b(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}\b",
            r"\bgh[pousr]_[A-Za-z0-9]{20,255}\b|\bgithub_pat_[A-Za-z0-9_]{22,255}\b",
            (
                r"\bglpat-[A-Za-z0-9_-]{16,64}\b|\bnpm_[A-Za-z0-9]{30,64}\b|\bpypi-[A-Za-z0-9_-]{16,255}\b|"
                r"\bhf_[A-Za-z0-9]{20,64}\b"
            ),
            r"\bxox[abeprs]-[A-Za-z0-9-]{10,255}\b|\bxapp-[A-Za-z0-9-]{10,255}\b",
            r"\bsk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{20,255}\b",
            r"\b[rsp]k_(?:live|test)_[A-Za-z0-9]{10,255}\b|\bwhsec_[A-Za-z0-9]{16,255}\b",
            r"\bAIza[0-9A-Za-z_-]{35}\b|\bya29\.[0-9A-Za-z_-]{20,255}",
            (
                r"\bSG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}\b|\bkey-[0-9a-f]{32}\b|\bdop_v1_[a-f0-9]{64}\b|"
                r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b"
            ),
            r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{6,}",
            r"\b(?:bearer|basic)\s+[A-Za-z0-9._~+/-]{16,}=*",
            r"(?<=://)[^\s/:@]{1,80}:[^\s/@]{1,200}(?=@)",
            (
                rf"(?:(?<=\W)|^)(?:{_WORD})(?P<word>\s?(?:is|ist|es|é|est|è|jest|:|=|：)\s?[\"'“‘«]?)"
                r"(?P<said>[^\s\"'”’»,;]{4,200})"
            ),
            rf"(?:(?<=\W)|^)(?:{_KEY_WORD})(?P<key>\s?(?:is\s|[:=：])\s?[\"'“‘]?)(?P<told>[^\s\"'”’,;]{{4,200}})",
        ]
    ),
    re.IGNORECASE | re.DOTALL,
)
_SIGNS: Final = (
    "-----begin akia asia aroa aida ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- npm_ pypi- hf_ xox xapp- sk- "
    "k_live_ k_test_ whsec_ aiza ya29. sg. key- dop_v1_ eyj bearer basic :// pass pwd kennwort contrase "
    "senha wachtwoord hasło haslo parola пароль 密码 密碼 パスワード 비밀번호 şifre key token secret credential pin"
)
_AHEAD: Final = tuple(_SIGNS.split())
_SAYS_SO: Final = re.compile(r"[:=：]")


def may_hold_secret(text: str) -> bool:
    """Tell cheaply whether a closer look is worth it."""
    plain = text.lower()
    return any(sign in plain for sign in _AHEAD)


def secrets_in(text: str) -> list[tuple[int, int]]:
    """Return the places (begin, end) of the secrets in a text, in order: of a stated password only itself."""
    if not may_hold_secret(text):
        return []
    found: list[tuple[int, int]] = []
    for match in _FORMS.finditer(text):
        said = "said" if match["said"] else "told" if match["told"] else None
        if said is None:
            found.append(match.span())
        elif _is_secret(match["word"] or match["key"], match[said]):
            begin, end = match.span(said)
            found.append((begin, end - (len(match[said]) - len(match[said].rstrip(".!?)")))))
    return found


def _is_secret(between: str, said: str) -> bool:
    if said.startswith(("[secret-", "***", "…")):
        return False
    # After "is" a word of the language may follow: "the password is wrong".
    mixed = any(map(str.isdigit, said)) or any(not (one.isalnum() or one in ".!?)") for one in said)
    return mixed or bool(_SAYS_SO.search(between) and any(map(str.isalpha, said)) and len(said) >= 6)
