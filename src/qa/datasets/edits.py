"""Pairs of a sentence and an edited form of it: edits that keep what it says, and edits that change it.

Each edit is a rule; the seed decides where it is applied. Rules and support check are by the same hands, and many of
the words that the rules exchange are known to the check: the pairs show that it does what it was made for, and at what
cost.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from qa.facts import listed
from qa.times import MONTH_NAMES, WEEKDAYS
from qa.types import Article, Sentence

__all__ = ["Pair", "Place", "edited_pairs"]

SEED = 20_240_501
MOST = 300
"""Pairs of one kind, at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """A sentence of an article, and the article's sentences."""

    article: Article
    sentence: Sentence
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A statement and the sentences that it cites; `faithful`: they still say it. `kind` names the edit."""

    kind: str
    faithful: bool
    statement: str
    sources: tuple[Sentence, ...]
    article: Article


Edit = Callable[[Place, random.Random], str | None]


def _exchanged(pairs: str) -> dict[str, str]:
    """A table of what stands for what: ``rose/fell fell/rose``."""
    return dict(pair.split("/") for pair in listed(pairs))


_NUMBER = re.compile(r"(?<![\w.,:-])(?:\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)(?![\w:-]|[.,]\d)")
_WORD_NUMBERS = dict(
    zip(
        listed("two three four five six seven eight nine ten eleven twelve"),
        range(2, 13),
        strict=True,
    )
)
_WORD_NUMBER = re.compile(rf"\b(?:{'|'.join(_WORD_NUMBERS)})\b")
_DAYS = tuple(name.title() for name in WEEKDAYS)
_CALENDAR = frozenset({*MONTH_NAMES, *_DAYS})
_DATE = re.compile(rf"\b(?:{'|'.join(MONTH_NAMES)})\b(?! be\b)|\b(?:{'|'.join(_DAYS)})\b|\b(?:19|20)\d\d\b")
_NAME = re.compile(r"(?<=[a-z,] )(?:[A-Z][\w’'-]*[a-z]|[A-Z]{2,})(?: (?:[A-Z][\w’'-]*[a-z]|[A-Z]{2,}))*")
_AUXILIARY = re.compile(r"\b(?:was|were|is|are|has|have|had|will|would|could|can|should|must)\b(?! not\b|n[’']t)")
_NOT = re.compile(r" not\b|n[’']t\b|\bnever ")
_SAID_LAST = re.compile(r"^(?P<what>[^“”\"]+?), (?P<who>(?:the |an? )?[\w. ’-]{2,60}?) said(?P<when> on \w+day)?\.$")
_SAID_FIRST = re.compile(r"^(?P<who>[A-Z][\w. ’-]{2,60}?) said (?P<when>on \w+day )?(?:that )?(?P<what>[a-z][^“”\"]+)$")
_TURNED = _exchanged(
    "rose/fell fell/rose increased/decreased more/less fewer/more before/after after/before won/lost"
    " opened/closed closed/opened began/ended ended/began higher/lower lower/higher largest/smallest"
    " most/least up/down bought/sold sold/bought joined/left first/last arrested/released"
    " released/arrested approved/rejected rejected/approved allowed/banned banned/allowed entered/left"
    " lost/gained gained/lost restored/destroyed stopped/started started/stopped attacked/defended"
    " supported/opposed signed/rejected accepted/refused older/newer new/old public/private private/public"
    " above/below early/late later/earlier faster/slower encrypted/decrypted seized/returned shut/opened"
    " longer/shorter outside/inside inside/outside"
)
_TURN = re.compile(rf"\b(?:{'|'.join(_TURNED)})\b")
_MODAL = re.compile(r"\b(?:may|might|could) (?=(?:be|have|not)\b|[a-z]+\b)")
_ASIDE = re.compile(r", (?:who|which) [^,;“”\"]{5,80},(?= )")
_LED = re.compile(
    r"^(?P<lead>(?:In|On|At|During|By) (?!least|most)[^,;“”\"]{3,40}), (?P<first>[a-zA-Z])(?P<rest>[^;“”\"]+)\.$"
)
_CONTRACTED = {
    f"{verb} not": f"{verb}n’t" for verb in listed("did does was were is are has have had would could do should")
} | {"cannot": "can’t", "will not": "won’t"}
_CONTRACT = re.compile(rf"\b(?:{'|'.join(_CONTRACTED)})\b")
_SYNONYMS = _exchanged(
    "began/started big/large large/big about/roughly showed/revealed found/discovered buy/purchase"
    " help/assist attempt/try tried/attempted money/funds begin/start end/finish ended/finished"
    " sent/dispatched asked/requested wanted/sought got/obtained gave/provided needed/required"
    " stopped/halted made/created country/nation countries/nations hospitals/clinics police/officers"
    " firm/company company/firm job/post kept/retained people/persons often/frequently quickly/rapidly"
    " damage/harm attack/assault used/employed took/seized built/constructed shut/closed enough/sufficient"
    " children/kids whole/entire near/close old/former system/network systems/networks staff/employees"
    " workers/staff customers/clients files/documents criminals/crooks gang/group worth/valued"
    " stolen/taken arrested/detained hit/struck warned/cautioned"
)
_SYNONYM = re.compile(rf"\b(?:{'|'.join(_SYNONYMS)})\b")
_NATIONS = _exchanged(
    "Albania/Albanian Ukraine/Ukrainian Russia/Russian Iran/Iranian Montenegro/Montenegrin"
    " Britain/British Germany/German Ireland/Irish Estonia/Estonian France/French Spain/Spanish"
    " Australia/Australian China/Chinese Italy/Italian Poland/Polish Canada/Canadian Netherlands/Dutch"
)
_OF_NATION = re.compile(rf"(?:\b[Tt]he )?\b(?P<nation>{'|'.join(_NATIONS)})[’']s ")


def _once(
    pattern: re.Pattern[str], text: str, rng: random.Random, new: Callable[[re.Match[str]], str | None]
) -> str | None:
    """Exchange one match, drawn at random; None where there is none or its exchange changes nothing."""
    found = list(pattern.finditer(text))
    if not found:
        return None
    match = rng.choice(found)
    other = new(match)
    return None if other is None or other == match.group() else text[: match.start()] + other + text[match.end() :]


def _number(place: Place, rng: random.Random) -> str | None:
    def other(match: re.Match[str]) -> str | None:
        text: str = match.group()
        if 1900 <= float(text.replace(",", "")) <= 2100 and "," not in text:
            return None
        known = place.sentence.text
        others: list[str] = [found for found in _NUMBER.findall(place.article.text) if found not in known]
        changed = [str(int(text[0]) % 9 + 1) + text[1:], *rng.sample(others, min(2, len(others)))]
        return rng.choice([number for number in changed if number != text])

    changed = _once(_NUMBER, place.sentence.text, rng, other)
    return changed or _once(
        _WORD_NUMBER, place.sentence.text, rng, lambda m: rng.choice([w for w in _WORD_NUMBERS if w != m.group()])
    )


def _name(place: Place, rng: random.Random) -> str | None:
    known = {word for part in _NAME.findall(place.sentence.text) for word in part.split()}
    known |= _CALENDAR
    others = sorted({name for name in _NAME.findall(place.article.text) if not known & set(name.split())})
    others = [name for name in others if name not in place.sentence.text]

    def other(match: re.Match[str]) -> str | None:
        return None if set(match.group().split()) & _CALENDAR or not others else rng.choice(others)

    return _once(_NAME, place.sentence.text, rng, other)


def _date(place: Place, rng: random.Random) -> str | None:
    def other(match: re.Match[str]) -> str:
        text = match.group()
        if text.isdigit():
            return str(int(text) + rng.choice([-3, -2, -1, 1, 2]))
        return rng.choice([word for word in (MONTH_NAMES if text in MONTH_NAMES else _DAYS) if word != text])

    return _once(_DATE, place.sentence.text, rng, other)


def _negated(place: Place, rng: random.Random) -> str | None:
    return _once(_AUXILIARY, place.sentence.text, rng, lambda match: f"{match.group()} not")


def _affirmed(place: Place, rng: random.Random) -> str | None:
    return _once(_NOT, place.sentence.text, rng, lambda _: "")


def _other_speaker(place: Place, rng: random.Random) -> str | None:
    text = place.sentence.text
    match = _SAID_LAST.match(text) or _SAID_FIRST.match(text)
    found: set[str] = {name for name in _NAME.findall(place.article.text) if " " in name and name not in text}
    names = [name for name in sorted(found) if not set(name.split()) & _CALENDAR]
    if not match or not names:
        return None
    return text[: match.start("who")] + rng.choice(names) + text[match.end("who") :]


def _no_speaker(place: Place, rng: random.Random) -> str | None:
    match = _SAID_LAST.match(place.sentence.text)
    if match:
        return f"{match['what']}."
    match = _SAID_FIRST.match(place.sentence.text)
    return _capital(match["what"]) if match else None


def _turned(place: Place, rng: random.Random) -> str | None:
    return _once(_TURN, place.sentence.text, rng, lambda match: _TURNED[match.group()])


def _certain(place: Place, rng: random.Random) -> str | None:
    return _once(_MODAL, place.sentence.text, rng, lambda _: "will ")


def _roles(place: Place, rng: random.Random) -> str | None:
    text = place.sentence.text
    names = [match for match in _NAME.finditer(text) if not set(match.group().split()) & _CALENDAR]
    if len(names) < 2:
        return None
    one, other = names[0], names[1]
    between = text[one.end() : other.start()]
    if one.group() == other.group() or "," in between or not re.search(r"\b[a-z]{4,}", between):
        return None  # two of a list
    return text[: one.start()] + other.group() + text[one.end() : other.start()] + one.group() + text[other.end() :]


def _added(place: Place, rng: random.Random) -> str | None:
    others = [s.text for s in place.sentences if abs(s.index - place.sentence.index) > 1 and 30 < len(s.text) < 120]
    others = [text for text in others if text[-1] == "." and not set(text) & set('“”"')]
    if not others or place.sentence.text[-1] != ".":
        return None
    return f"{place.sentence.text[:-1]}, and {_small(rng.choice(others))}"


def _shortened(place: Place, rng: random.Random) -> str | None:
    text = place.sentence.text
    match = _LED.match(text)
    return _once(_ASIDE, text, rng, lambda _: "") or (f"{match['first'].upper()}{match['rest']}." if match else None)


def _reordered(place: Place, rng: random.Random) -> str | None:
    text = place.sentence.text
    if match := _SAID_LAST.match(text):
        return f"{_capital(match['who'])} said{match['when'] or ''} that {_small(match['what'])}."
    if match := _LED.match(text):
        return f"{match['first'].upper()}{match['rest']} {_small(match['lead'])}."
    return None


def _said_otherwise(place: Place, rng: random.Random) -> str | None:
    text = place.sentence.text
    if (match := _SAID_LAST.match(text)) and rng.random() < 0.5:
        return f"According to {_small(match['who'])}, {_small(match['what'])}."
    return _once(
        re.compile(r"\bsaid\b"), text, rng, lambda _: rng.choice(["stated", "reported", "told reporters", "declared"])
    )


def _number_format(place: Place, rng: random.Random) -> str | None:
    text = place.sentence.text
    rules: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
        (r"\b\d{1,3}(?:,\d{3})+\b(?!\.)", lambda m: m.group().replace(",", "")),
        (r"\b\d{1,3}(?:,\d00)\b(?![,.]\d)", lambda m: f"{int(m.group().replace(',', '')) / 1000:g} thousand"),
        (r"(?<![$€£.\d])\d+(?:\.\d)? million\b", lambda m: f"{round(float(m.group().split()[0]) * 10**6):,}"),
        (r"[$]\d[\d,.]*\d(?: [mb]illion)?", lambda m: f"{m.group()[1:]} dollars"),
        (r"(?<=\d) ?(?:%| per cent| percent)", lambda m: " percent" if "%" in m.group() else "%"),
        (rf"(?<!-)\b(?:{'|'.join(_WORD_NUMBERS)})\b(?! (?:hundred|thousand|million|billion|dozen)|-)",
         lambda m: str(_WORD_NUMBERS[m.group()])),
        (r"(?<=[a-z] )(?:[3-9]|1[0-2])(?= [a-z])(?! (?:million|billion|thousand|percent|per cent|p\.m|a\.m))",
         lambda m: next(word for word, value in _WORD_NUMBERS.items() if value == int(m.group()))),
    )  # fmt: skip
    for pattern, new in rng.sample(rules, len(rules)):
        if changed := _once(re.compile(pattern), text, rng, new):
            return changed
    return None


def _date_format(place: Place, rng: random.Random) -> str | None:
    months = "|".join(MONTH_NAMES)
    day_first = re.compile(rf"\b(?P<day>\d{{1,2}}) (?P<month>{months})\b")
    month_first = re.compile(rf"\b(?P<month>{months}) (?P<day>\d{{1,2}})\b(?!,? ?\d)")
    text = place.sentence.text
    return _once(day_first, text, rng, lambda m: f"{m['month'][:3]}. {m['day']}") or _once(
        month_first, text, rng, lambda m: f"{m['day']} {m['month']}"
    )


def _contracted(place: Place, rng: random.Random) -> str | None:
    return _once(_CONTRACT, place.sentence.text, rng, lambda match: _CONTRACTED[match.group()])


def _attributed(place: Place, rng: random.Random) -> str | None:
    publisher, text = place.article.publisher, place.sentence.text
    return f"According to {publisher}, {_small(text)}" if publisher and text[0] != "“" else None


def _synonyms(place: Place, rng: random.Random) -> str | None:
    once = _once(_SYNONYM, place.sentence.text, rng, lambda match: _SYNONYMS[match.group()])
    twice = once and _once(_SYNONYM, once, rng, lambda match: _SYNONYMS[match.group()])
    return once if twice in (None, place.sentence.text) else twice


def _nationality(place: Place, rng: random.Random) -> str | None:
    return _once(_OF_NATION, place.sentence.text, rng, lambda match: f"the {_NATIONS[match['nation']]} ")


def _small(text: str) -> str:
    """A sentence as it goes on inside another: its first word small, where that is an ordinary word."""
    first = text.split(maxsplit=1)[0] if text.split() else ""
    return text[:1].lower() + text[1:] if first in _ORDINARY else text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_ORDINARY = frozenset(
    listed(
        "The A An It He She They This That These Those In On At By During For From After Before When While"
        " Some Many Most More Its Their His Her But And Two Three Four Five Six Officials Police Investigators"
        " Users Customers No Not There"
    )
)

CHANGED: dict[str, Edit] = {
    "number": _number, "name": _name, "date": _date, "negation.added": _negated, "negation.removed": _affirmed,
    "speaker.other": _other_speaker, "speaker.removed": _no_speaker, "direction": _turned, "certainty": _certain,
    "roles": _roles, "addition": _added,
}  # fmt: skip
KEPT: dict[str, Edit] = {
    "shortened": _shortened, "reordered": _reordered, "said": _said_otherwise, "number.format": _number_format,
    "date.format": _date_format, "contracted": _contracted, "attributed": _attributed, "synonyms": _synonyms,
    "nationality": _nationality,
}  # fmt: skip


def edited_pairs(places: Sequence[Place]) -> Iterator[Pair]:
    """Yield at most `MOST` pairs of each kind, always the same; and pairs of two sentences joined, which say both."""
    for kind, edit in {**CHANGED, **KEPT}.items():
        rng = random.Random(f"{SEED}{kind}")
        made = 0
        for place in rng.sample(places, len(places)):
            statement = edit(place, rng)
            if statement and made < MOST:
                made += 1
                yield Pair(kind, kind in KEPT, statement, (place.sentence,), place.article)
    rng = random.Random(f"{SEED}joined")
    for place in rng.sample(places, min(len(places), MOST)):
        after = place.sentences[place.sentence.index + 1 : place.sentence.index + 2]
        if after and place.sentence.text[-1] == after[0].text[-1] == ".":
            text = f"{place.sentence.text[:-1]}, and {_small(after[0].text)}"
            yield Pair("joined", True, text, (place.sentence, *after), place.article)
