"""Secrets in a text: keys, tokens and passwords, by the forms that their makers gave them."""

from __future__ import annotations

import re
from typing import Final

from selo_dagster.llm.trust.seen import bare, read_of

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
# Edges are those of ASCII: where words have no spaces between them, a key stands beside a letter.
_EDGE: Final = "(?<![a-z0-9])"
_WORD_EDGE: Final = "(?<![a-z0-9\u00c0-\u024f])"
_FORMS: Final = re.compile(
    "|".join(
        [
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY( BLOCK)?-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY( BLOCK)?-----|$)",
            rf"{_EDGE}(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{{16}}(?![a-z0-9])",
            rf"{_EDGE}(?:gh[pousr]_[A-Za-z0-9]{{20,255}}|github_pat_[A-Za-z0-9_]{{22,255}})",
            rf"{_EDGE}(?:glpat-[A-Za-z0-9_-]{{16,64}}|npm_[A-Za-z0-9]{{30,64}}|pypi-[A-Za-z0-9_-]{{16,255}})",
            rf"{_EDGE}(?:hf_[A-Za-z0-9]{{20,64}}|xox[abeprs]-[A-Za-z0-9-]{{10,255}}|xapp-[A-Za-z0-9-]{{10,255}})",
            rf"{_EDGE}sk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{{20,255}}",
            rf"{_EDGE}(?:[rsp]k_(?:live|test)_[A-Za-z0-9]{{10,255}}|whsec_[A-Za-z0-9]{{16,255}})",
            rf"{_EDGE}(?:AIza[0-9A-Za-z_-]{{35}}(?![a-z0-9])|ya29\.[0-9A-Za-z_-]{{20,255}})",
            rf"{_EDGE}(?:SG\.[A-Za-z0-9_-]{{16,64}}\.[A-Za-z0-9_-]{{16,64}}|key-[0-9a-f]{{32}}(?![a-z0-9]))",
            rf"{_EDGE}(?:dop_v1_[a-f0-9]{{64}}|AGE-SECRET-KEY-1[0-9A-Z]{{58}})(?![a-z0-9])",
            rf"{_EDGE}eyJ[A-Za-z0-9_-]{{8,1000}}\.[A-Za-z0-9_-]{{8,8000}}\.[A-Za-z0-9_-]{{6,}}",
            rf"{_EDGE}(?:bearer|basic)\s{{1,8}}[A-Za-z0-9._~+/-]{{16,}}=*",
            r"(?<=://)[^\s/:@]{1,80}:[^\s/@]{1,200}(?=@)",
            (
                rf"{_WORD_EDGE}(?:{_WORD})(?P<word>[\"'”’»]?\s{{0,8}}(?:(?:is|ist|es|é|est|è|jest)(?:\s{{0,8}}[:=：]|\s)"
                r"|[:=：是为為は])\s{0,8}[\"'“‘«]?)(?P<said>[^\s\"'”’»,;]{4,200})"
            ),
            (
                rf"{_WORD_EDGE}(?:{_KEY_WORD})(?P<key>[\"'”’»]?\s{{0,8}}(?:is(?:\s{{0,8}}[:=：]|\s)|[:=：])\s{{0,8}}"
                r"[\"'“‘]?)(?P<told>[^\s\"'”’,;]{4,200})"
            ),
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
    # Of a capital I with a dot there is a dot left.
    plain = text.lower() if text.isascii() else text.lower().replace("\u0307", "")
    return any(map(plain.__contains__, _AHEAD))


def secrets_in(text: str) -> list[tuple[int, int]]:
    """Return the places (begin, end) of the secrets in a text, in order: of a stated password only itself."""
    if not may_hold_secret(read_of(text)):
        return []
    read = bare(text)
    found: list[tuple[int, int]] = []
    for match in _FORMS.finditer(read.text):
        said = "said" if match["said"] else "told" if match["told"] else None
        if said is None:
            found.append(read.place(*match.span()))
        elif _is_secret(match["word"] or match["key"], match[said]):
            begin, end = match.span(said)
            found.append(read.place(begin, end - (len(match[said]) - len(match[said].rstrip(".!?)")))))
    return found


def _is_secret(between: str, said: str) -> bool:
    if said.startswith(("[secret-", "***", "…")):
        return False
    # After "is" a word of the language may follow: "the password is wrong".
    mixed = any(map(str.isdigit, said)) or any(not (one.isalnum() or one in ".!?)") for one in said)
    return mixed or bool(_SAYS_SO.search(between) and any(map(str.isalpha, said)) and len(said) >= 6)
