"""What stands in the place of a link, a secret or what only looks like a placeholder in a text that is shown.

It is no word of anybody's, and never quoted.
"""

from __future__ import annotations

import re
from typing import Final

from selo_dagster.llm.trust.links import STAND_IN
from selo_dagster.llm.trust.veil import SORTS

_STAND_INS: Final = re.compile(rf"{re.escape(STAND_IN)}|\[secret-\d{{1,6}}\]|\((?:{SORTS}) \d{{1,6}}\)", re.IGNORECASE)


def without_stand_ins(text: str) -> str:
    """Return a text with a space in the place of each stand-in."""
    return _STAND_INS.sub(" ", text)


def longest_piece(text: str) -> str:
    """Return the longest of the pieces between stand-ins, without the space around it; the text where it has none."""
    return max((piece.strip() for piece in _STAND_INS.split(text)), key=len)
