"""One moment told as a sentence, and a time without one."""

from __future__ import annotations

from selo_dagster.llm.extractive.day import Day
from selo_dagster.llm.extractive.moments import Moment, Read
from selo_dagster.llm.extractive.wording import QUOTED_CHARACTERS, closing, fragment, listed, quoted, when


def telling_of(day: Day, moment: Moment, quote: str) -> str:
    """Tell when and from where a moment is, and quote it."""
    asked = quoted(moment.asked) if moment.asked and moment.main is moment.said else ""
    if moment.main.source.source == "reflection":
        slot = "thought"
    elif moment.main is not moment.said:
        slot = "noted"
    else:
        slot = "answered" if asked else "said"
    return day.say(slot, when=when(moment.main.source.local), asked=asked, quote=quote)


def nothing_told(day: Day) -> tuple[str, list[Read]]:
    """Tell of a time without a readable word of the person's; with what there is instead."""
    unread = next((one for one in day.reads if one.is_theirs), None)
    if unread is not None:
        return day.say("unreadable", when=when(unread.source.local)), [unread]
    mine = [one for one in day.reads if one.source.role == "assistant" and one.text]
    if not mine:
        return day.say("nobody"), day.reads[:3]
    quote = closing(fragment(mine[-1].text, 24, QUOTED_CHARACTERS))
    return day.say("only_mine", when=when(mine[-1].source.local), quote=quote), [mine[-1]]


def mood_of(day: Day) -> str:
    """Tell the first feeling by the words that name it, or that none is named."""
    if not day.feelings:
        return day.say("no_feeling")
    feeling, shown = day.strongest_feeling()
    degree = "a little " if day.intensity < 0.45 else "a great deal of " if day.intensity >= 0.75 else ""
    return day.say("feeling", feeling=feeling, degree=degree, words=listed([quoted(one) for one in list(shown)[:2]]))
