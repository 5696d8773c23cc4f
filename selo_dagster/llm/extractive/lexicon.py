"""What single words tell: a feeling, a topic, or nothing at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_FEELINGS: Final = {
    "joy": "happy happier happiest happily happiness glad gladly joy joyful delight delighted cheerful cheered laugh "
    "laughs laughed laughing laughter grin grins grinned grinning smile smiles smiled smiling fun glorious wonderful "
    "celebrate celebrated celebrating 😀 😃 😄 😁 😂 🤣 😊 🙂 🎉",
    "sadness": "sad sadder saddest sadly sadness unhappy miserable downhearted cry cries cried crying tears weep wept "
    "weeping bawled heartbroken heartbreaking gloomy depressed hopeless miss missed sorrow 😢 😭 😞 😔 💔",
    "grief": "grief grieve grieved grieving mourn mourned mourning died funeral bereaved bereavement widow widower "
    "condolences",
    "anger": "angry angrier angrily anger furious fury rage raging mad annoyed annoying annoys irritated irritating "
    "frustrated frustrating frustration resent resented livid outraged 😠 😡 🤬",
    "fear": "afraid scared scary fear fears feared fearful frightened frightening terrified terrifying panic panicked "
    "panicking dread dreaded dreading 😨 😱",
    "anxiety": "anxious anxiously anxiety nervous nervously worried worries worry worrying uneasy stressed stressful "
    "stress tense overwhelmed overwhelming 😰 😟",
    "calm": "calm calmer calmly calmed peace peaceful peacefully serene serenity relaxed relaxing unwind comfort "
    "comforts comforted comforting soothing restful",
    "relief": "relief relieved relieving phew 😌 😅",
    "gratitude": "grateful gratefully gratitude thankful thanked blessed appreciate appreciated appreciates 🙏",
    "love": "love loves loved loving adore adores adored beloved cherish cherished ❤ 💕 😍 🥰 💛 💙 💜",
    "tenderness": "tender tenderly tenderness gentle gently hug hugs hugged hugging kissed cuddle cuddled 🤗",
    "pride": "proud prouder proudly pride triumph triumphant accomplished",
    "loneliness": "lonely lonelier loneliness lonesome isolated abandoned homesick",
    "excitement": "excited excitedly exciting excitement thrilled thrilling thrill ecstatic eager eagerly goosebumps "
    "buzzing 🤩 🥳",
    "tiredness": "tired tiring tiredness exhausted exhausting exhaustion weary drained sleepy sleepless "
    "knackered fatigue fatigued burnout 😴 🥱",
    "hope": "hope hopes hoped hopeful hopefully hoping optimistic 🤞",
    "hurt": "hurt hurts hurting wounded betrayed rejected humiliated insulted",
    "shame": "ashamed shame shameful guilty guilt embarrassed embarrassing embarrassment",
    "disappointment": "disappointed disappointing disappointment discouraged regret regrets regretted",
    "surprise": "surprised surprising surprise astonished amazed amazing stunned 😮 😲",
}
_FEELING_OF: Final = {word: feeling for feeling, words in _FEELINGS.items() for word in words.split()}
_FEELING_WORDS: Final = frozenset(_FEELING_OF)

HEAVY: Final = _set("sadness grief anger fear anxiety loneliness tiredness hurt shame disappointment")
"""Feelings after which one asks how somebody is."""

_ADDRESS: Final = _set("you your yours yourself you're")
_DENIED: Final = {"joy": "sadness", "calm": "anxiety", "hope": "disappointment", "excitement": "disappointment"}
_DENIALS: Final = _set("not no never without hardly barely neither nor cannot")
_STRESSES: Final = _set("so very really extremely incredibly totally absolutely too")
_DENIAL_REACH = 3
_SHOWN_BEFORE = 2

_STOP: Final = _set(
    """
    a about above after again against all almost alone along already also although always am among an and another any
    anybody anyone anything anyway are aren't around as ask asked asking asks at away back be became because become been
    before began behind being below between both bring brought but by call called came can cannot come comes coming
    could day days did didn't different do does doesn't doing done don't down during each either else end enough even
    ever every everybody everyone everything exactly far feel feeling feels felt few find first for forgot forgotten
    found four from full gave get gets getting give given gives go goes going gone good got great had half happen
    happened has have having he hear heard hello help her here hers herself hey hi him himself his home hour hours how
    however i if in instead into is isn't it its itself just keep keeps kept kind knew know known knows last late later
    least leave left less let life like little long longer look looked looking looks lot made make makes making many
    maybe me mean means might mine minute minutes moment month months more morning most much must my myself need needs
    never new next night no nobody none nor not nothing now of off often okay old on once one only onto open or other
    others our out over own part people perhaps place please put quite rather ready real really remember right said same
    sat saw say saying says second see seem seemed seems seen sent set several she should show showed side since small
    so some somebody someone something sometimes somewhere soon sort stand started still stood stop stopped such sure
    take taken takes taking talk talked tell telling tells ten than thank thanks that that's the their them themselves
    then there these they thing things think thinking this those though thought three through time times to today told
    tomorrow tonight too took toward towards tried true try trying turn turned twice two under until up upon us use used
    using usual very wait waited want wanted wants was wasn't way we week weeks well went were what whatever when where
    whether which while who whole whom whose why will with without woke word words work worked working would write wrote
    yeah year years yes yesterday yet you your yours yourself

    aber alle alles also auch beim bist dann dass dein deine dich diese dieser doch durch eine einem einen einer etwas
    fuer für gegen habe haben hatte heute hier ihre ihren immer jetzt kann kein keine mehr mein meine mich mir nach
    nicht noch nur oder ohne schon sehr sein seine sich sind über und unter viel war waren weil wenn werden wieder wird
    wurde zum zur
    ainda algo alguém aqui assim até bem coisa com como dele dela depois disse ela ele eles essa esse esta estava este
    está estou fazer foi gente hoje isso isto mais mas mesmo meu minha muito nada não nem nunca onde ontem para pela
    pelo pois porque quando quem sem sempre ser seu sobre sua também tão tenho tinha tudo uma você
    ahora algo antes aunque cada casi como cosa cuando desde después donde ella ellos entonces entre era eres eso esta
    estaba este esto estoy fue gracias hace hacer hasta hola hoy mañana más menos mientras mucho muy nada ninguno nunca
    otra otro para pero poco porque pues puede qué quien quiero ser siempre sobre solo sólo también tanto tener tengo
    tiene todo todos una unas unos usted vamos ya
    alors après aussi autre avant avec avoir beaucoup bien bonjour c'est cela cette chez comme dans demain depuis donc
    elle elles encore entre était être fait faire hier ils jamais jour juste leur maintenant mais même merci moi mon
    nous parce pas peut peux plus pour pourquoi quand que quel quelque qui rien sans ses sont suis sur tous tout toute
    toujours très trop une vous vraiment
    """
)

_EDGES = ".,;:!?…\"'“”‘’«»()[]{}<>*_~`|/\\—–-¿¡。，！？、：；「」『』（）"
_QUOTES = ('"', "“", "«", "(")
_CLAUSE_ENDS = (".", ",", ";", ":", "!", "?", "…", "。", "，", "！", "？")
_HAN: Final = re.compile(r"[\u4e00-\u9fff]{2,}")


@dataclass(frozen=True, slots=True)
class Feeling:
    """A feeling that one word tells. shown: the words as written, with those before them. weight: above 0."""

    name: str
    shown: str
    weight: float


def feelings_in(text: str) -> list[Feeling]:
    """Return the feelings that are named in a text, in its order. "not happy" counts half, as sadness.

    Names that look like feelings are none: "Hope", "Miss Ida".
    """
    raw = text.lower().split()
    bare = [word.strip(_EDGES) for word in raw]
    if _FEELING_WORDS.isdisjoint(bare):
        return [] if text.isascii() else _pictures(text)
    found = []
    written = text.split()
    for place, word in enumerate(bare):
        feeling = _FEELING_OF.get(word)
        if feeling is None or _is_name(written, place):
            continue
        begin, denied = _clause(raw, bare, place)
        if not denied:
            weight = 1.3 if place and bare[place - 1] in _STRESSES else 1.0
            found.append(Feeling(feeling, " ".join(written[begin : place + 1]).strip(_EDGES), weight))
        elif feeling in _DENIED:
            found.append(Feeling(_DENIED[feeling], " ".join(written[begin : place + 1]).strip(_EDGES), 0.5))
    return found


def _pictures(text: str) -> list[Feeling]:
    """Find emoji that stand against a word or each other."""
    return [Feeling(_FEELING_OF[sign], sign, 1.0) for sign in text if sign > "\u2000" and sign in _FEELING_OF]


def _is_name(written: list[str], place: int) -> bool:
    """Whether a word is capital as names are: inside a sentence, or before another such word ("Miss Ida")."""
    if not written[place].lstrip(_EDGES).istitle():
        return False
    inside = place > 0 and not written[place - 1].endswith((".", "!", "?", "…", ":"))
    return inside or (place + 1 < len(written) and written[place + 1].istitle())


def _clause(raw: list[str], bare: list[str], place: int) -> tuple[int, bool]:
    """Return where the few words of one clause that lead to `place` begin, and whether one of them denies it."""
    begin = place
    for before in range(place - 1, max(place - 1 - _DENIAL_REACH, -1), -1):
        if raw[before].endswith(_CLAUSE_ENDS) or raw[before + 1].startswith(_QUOTES):
            break
        if bare[before] in _DENIALS or bare[before].endswith(("n't", "n’t")):
            return before, True
        if place - before <= _SHOWN_BEFORE:
            begin = before
    return begin, False


def topics_in(text: str) -> list[str]:
    """Return the words of a text, lower case, that could name what it is about; each as often as it stands there."""
    found = []
    for raw in text.lower().split():
        if len(raw) < 4:
            continue
        word = raw.strip(_EDGES).removesuffix("'s").removesuffix("’s")
        if (
            4 <= len(word) <= 24
            and word not in _STOP
            and word not in _FEELING_WORDS
            and word.isalpha()
            and word < "\u2fff"
        ):
            found.append(word)
    # Chinese and Japanese have no spaces: short runs of Han signs are mostly words, of long ones the pairs are.
    for run in _HAN.findall(text) if not text.isascii() else ():
        found += [run] if len(run) <= 4 else [run[i : i + 2] for i in range(len(run) - 1)]
    return found


def addresses(phrase: str) -> bool:
    """Whether a phrase, in lower case, speaks to somebody."""
    return not _ADDRESS.isdisjoint(phrase.split())
