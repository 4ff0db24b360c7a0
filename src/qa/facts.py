"""What a sentence commits itself to, read off its words: numbers, dates, names, negations, attributions.

Rules for English, made for comparing two sentences: whatever is read the same in both may be read wrongly. Made for
sentences, too: callers bound the length. Nothing raises.
"""

from __future__ import annotations

import re
from bisect import bisect
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from qa.lexical import terms
from qa.times import MONTHS, WEEKDAYS

__all__ = ["Facts", "Name", "Number", "Scope", "Speech", "days_meant", "listed", "read_facts"]

_TOKEN = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])|[0-9]{1,2}:[0-9]{2}(?![0-9:])|[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?"
    r"|[0-9]+(?:\.[0-9]+)?|[^\W\d_](?:\.[^\W\d_])+\b\.?|[^\W\d_]+(?:['’][^\W\d_]+)*|\S"
)
LONGEST = 18
"""Digits of a number that is read as one; a longer run is compared as text."""


def listed(words: str) -> tuple[str, ...]:
    """The words of a table."""
    return tuple(words.split())


def _table(text: str, first: int = 0, step: int = 1) -> dict[str, int]:
    return {word: first + step * place for place, word in enumerate(text.split())}


_ONES = _table(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TENS = _table("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10)
_ORDINALS = _table("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth", 1)
_MAGNITUDES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_SHORT_MAGNITUDES = {"k": 10**3, "m": 10**6, "mn": 10**6, "bn": 10**9, "b": 10**9, "tn": 10**12}
_SHARES = {"third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fifth": 5, "fifths": 5, "tenth": 10, "tenths": 10}
_CURRENCIES = {"$": "$", "€": "€", "£": "£", "dollar": "$", "dollars": "$", "euro": "€", "euros": "€",
               "pound": "£", "pounds": "£", "usd": "$", "eur": "€", "gbp": "£"}  # fmt: skip
_UNITS = {"kilometer": "km", "kilometre": "km", "kilometers": "km", "kilometres": "km", "km": "km", "kms": "km",
          "metre": "m", "metres": "m", "meter": "m", "meters": "m", "tons": "ton", "tonnes": "tonne", "kg": "kg",
          "kilogram": "kg", "kilograms": "kg", "kilos": "kg", "kilo": "kg", "hrs": "hour",
          "mins": "minute"}  # fmt: skip
_UNITS |= {
    form: unit
    for unit in listed(
        "second minute hour day week month year decade mile foot yard ton tonne acre hectare degree litre"
    )
    for form in (unit, f"{unit}s")
} | {"feet": "foot"}
_BOUNDS = (
    ("over", r"more than|greater than|over|above|at least|no fewer than|no less than|not less than|upwards? of"),
    ("under", r"fewer than|less than|under|below|at most|up to|no more than|not more than|within"),
    ("nearly", r"nearly|almost|close to|just under|approaching"),
    ("about", r"about|around|roughly|approximately|some|an estimated|estimated|circa"),
)
_BOUND = re.compile(r"\b(?:" + "|".join(rf"(?P<{name}>{words})" for name, words in _BOUNDS) + r")[\s$€£]*\Z", re.I)

_ALSO_WORDS = frozenset({"mar", "march", "may", "dec", "jan", "jun", "august"})
_WEEKDAYS = {name: number for number, name in enumerate(WEEKDAYS)}

_TITLES = frozenset(listed("mr mrs ms miss dr sir dame prof professor lord lady rev"))
_OPENERS = frozenset(
    listed(
        "nobody nothing none never neither according additionally although also another besides consequently"
        " despite earlier eventually finally"
        " furthermore hence however i instead later likewise meanwhile moreover nevertheless nonetheless once"
        " one otherwise overall previously recently similarly since specifically still subsequently then"
        " therefore though thus today together yesterday yet"
    )
)
"""Words besides stop words that begin a sentence without being a name."""

_SKIPPED = re.compile(
    r"\b(?:not (?:only|just|least|merely)|no (?:fewer|less|more|later|sooner|earlier) than|no doubt)\b"
)
_NEGATIONS = frozenset(
    listed(
        "not no non never without none nobody nothing neither nor nowhere cannot hardly barely scarcely"
        " unable lack lacks lacked deny denies denied denying fail fails failed failing refuse refuses refused"
        " refusing decline declines declined declining reject rejects rejected rejecting"
    )
)
_WITH_TO = frozenset(listed("fail fails failed failing refuse refuses refused decline declines declined"))
"""Negations where "to" follows, other verbs elsewhere."""
_HEDGES = frozenset(
    listed(
        "may might could would possibly perhaps reportedly allegedly alleged apparently suspected expected"
        " expects planned plans planning hopes hoped wants wanted proposed if whether unless attempted tried"
        " threatened likely potentially should"
    )
)
_SAID = frozenset(
    listed(
        "say says said saying tell tells told claim claims claimed claiming allege alleges alleged report"
        " reports reported announce announces announced state states stated argue argues argued warn warns"
        " warned add adds added insist insists insisted deny denies denied believe believes believed think"
        " thinks suggest suggests suggested predict predicts predicted estimate estimates estimated accuse"
        " accuses accused acknowledge acknowledges acknowledged confirm confirms confirmed caution cautioned"
        " cautions declare declares declared explain explains explained wrote writes note notes noted"
        " according"
    )
)
_SAID |= frozenset(
    listed("advise advises advised urge urges urged promise promises promised complained testified wrote")
)
_NEUTRAL = frozenset(
    listed(
        "say says said saying tell tells told state states stated report reports reported announce announces"
        " announced add adds added declare declares declared explain explains explained note notes noted wrote"
        " according"
    )
)
"""Verbs that can stand for one another: whether something is said is a matter of `Speech`, not of words in common."""
_FUNCTION = frozenset(listed("never without none nobody nothing may might could would should must cannot"))
_BEFORE_NOUNS = frozenset(listed("a an the this that its their his her of to by"))
_ALSO_NOUNS = frozenset(
    listed("state states report reports claim claims note notes estimate estimates promise promises")
)
_ADVERBIAL = frozenset({"reportedly", "allegedly", "apparently", "alleged", "suspected"})
_PRONOUNS = frozenset(listed("he she they it we i who which that this those these him her them"))
_BREAKS = frozenset(',.;:!?()–—"“”') | {"but", "although", "because", "while", "whereas"}
ABBREVIATED = 5
"""Letters of a word with a capital before a stop that may go on: "Col. Ines Barroso"."""
_CLAUSE_ENDS = frozenset({",", ";", ":", "–", "—", ".", "and", "but"})
_SENTENCE_ENDS = frozenset(".!?")
_ENDS = frozenset(".;:!?")
TAIL = 4
"""Tokens after a verb of saying that are no statement: "..., Europol said on Tuesday"."""
SCOPE = 4
"""Content terms after a word that it bears on."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number: its value in `unit` (a share of 1 for per cent), how it is bounded, and the term that it counts."""

    value: Fraction
    unit: str = ""
    bound: str = ""
    noun: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Name:
    """A run of words with capitals, folded. `opens`: the first one opens a sentence, so it is perhaps no name."""

    words: tuple[str, ...]
    opens: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """The content terms that follow a negation or a word of possibility, the nearest first."""

    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Speech:
    """Something is said: the terms that name who says it, empty for a pronoun."""

    speaker: frozenset[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read off a text. `days` are (month, day), `words` all words folded, `told` the terms outside of what
    somebody is said to have said, `terms` the stems of
    those that are no part of a number or date and no stop words."""

    numbers: tuple[Number, ...]
    days: tuple[tuple[int, int], ...]
    months: frozenset[int]
    weekdays: frozenset[int]
    names: tuple[Name, ...]
    negations: tuple[Scope, ...]
    hedges: tuple[Scope, ...]
    speech: tuple[Speech, ...]
    words: frozenset[str]
    terms: tuple[str, ...]
    clauses: tuple[tuple[str, ...], ...]
    told: frozenset[str]
    sequence: tuple[str, ...]

    def count(self, words: frozenset[str]) -> int:
        """How many words of the text are among some."""
        return sum(word in words for word in self.sequence)


class _Reader:
    """The tokens of a text, and the readers of each kind of fact over them."""

    def __init__(self, text: str) -> None:
        found = list(_TOKEN.finditer(text))
        self.text = text
        self.tokens = [match.group() for match in found]
        self.starts = [match.start() for match in found]
        self.ends = [match.end() for match in found]
        self.lower = [token.lower().replace("’", "'").removesuffix("'s") for token in self.tokens]
        self.used = [False] * len(found)
        self.days: list[tuple[int, int]] = []
        self.months: set[int] = set()
        self.weekdays: set[int] = set()
        self.numbers: list[Number] = []
        self.reported: set[int] = set()
        """Places of what somebody says, in the text's own words."""

    def at(self, place: int) -> str:
        return self.lower[place] if 0 <= place < len(self.lower) else ""

    def digits(self, place: int) -> bool:
        return self.at(place)[:1] in tuple("0123456789")

    # --- dates

    def read_dates(self) -> None:
        for place, word in enumerate(self.lower):
            if word in _WEEKDAYS or (word.endswith("s") and word[:-1] in _WEEKDAYS):
                self.weekdays.add(_WEEKDAYS[word.removesuffix("s")])
                self.used[place] = True
            elif re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", word):
                year, month, day = map(int, word.split("-"))
                self.months.add(month)
                self.days.append((month, day))
                self.numbers.append(Number(Fraction(year), text=word[:4]))
                self.used[place] = True
            elif word in MONTHS:
                self._month(place)

    def _month(self, place: int) -> None:
        month, after = MONTHS[self.lower[place]], place + 1
        if self.at(after) == ".":
            after += 1
        before = place - 1
        if self.at(before) == "of":
            before -= 1
        if self.at(before) in ("st", "nd", "rd", "th"):
            before -= 1
        day = next((p for p in (after, before) if re.fullmatch(r"[0-9]{1,2}", self.at(p)) and self._day(p)), None)
        dated = day is not None or re.fullmatch(r"[12][0-9]{3}", self.at(after))
        led = self.at(place - 1) in ("in", "since", "last", "this", "until", "by", "of", "early", "late", "mid", "next")
        if self.lower[place] in _ALSO_WORDS and not dated and not (led and self.tokens[place][0].isupper()):
            return
        self.months.add(month)
        self.used[place] = True
        if day is not None:
            self.days.append((month, int(self.at(day))))
            self.used[day] = True

    def _day(self, place: int) -> bool:
        follows = self.at(place + 1)
        return not self.used[place] and 1 <= int(self.at(place)) <= 31 and follows not in ("%", "percent", ":")

    # --- numbers

    def read_numbers(self) -> None:
        place = 0
        while place < len(self.lower):
            found = None if self.used[place] else self._number(place)
            if found is None:
                place += 1
                continue
            number, end = found
            for inside in range(place, end):
                self.used[inside] = True
            self.numbers.append(number)
            place = end

    def _number(self, place: int) -> tuple[Number, int] | None:
        word = self.lower[place]
        if ":" in word and len(word) > 1:
            hours, minutes = map(int, word.split(":"))
            return self._clock(hours, minutes, place, place + 1)
        if self.digits(place):
            plain = word.replace(",", "")
            if len(plain) > LONGEST:
                return Number(Fraction(0), "text", text=plain), place + 1
            if self.at(place + 1) in ("a.m.", "p.m.", "am", "pm", "a.m", "p.m") and "." not in plain:
                return self._clock(int(plain), 0, place, place + 1)
            value, end = Fraction(plain), place + 1
            adjacent = end < len(self.starts) and self.starts[end] == self.ends[place]
            if adjacent and self.at(end) in ("st", "nd", "rd", "th"):
                return self._make(value, "ordinal", place, end + 1)
            if adjacent and self.at(end) == "s":
                return self._make(value, "decade", place, end + 1)
            if adjacent and self.at(end) in _SHORT_MAGNITUDES:
                return self._measured(value * _SHORT_MAGNITUDES[self.at(end)], place, end + 1)
            value, end = self._magnified(value, end)
            return self._measured(value, place, end)
        return self._words(place)

    def _words(self, place: int) -> tuple[Number, int] | None:
        word, after = self.lower[place], self.at(place + 1)
        if word in ("half", "a", "an", "one") and (share := self._share(place)):
            return share
        if word in ("a", "an") and after in _MAGNITUDES:
            value, end = self._magnified(Fraction(1), place + 1)
            return self._measured(value, place, end)
        if word in _ORDINALS and not (word == "second" and self.at(place - 1) in ("a", "per")):
            return self._make(Fraction(_ORDINALS[word]), "ordinal", place, place + 1)
        no_number = word == "one" and (after in ("of", "another") or self.at(place - 1) in ("no", "this"))
        if no_number or (word not in _ONES and word not in _TENS):
            return None
        value, end = self._below_hundred(place)
        fraction = end + 1 if self.at(end) == "-" else end
        if self.at(fraction) in _SHARES and self.at(fraction).endswith("s"):
            return self._make(value / _SHARES[self.at(fraction)], "share", place, fraction + 1)
        value, end = self._magnified(value, end)
        return self._measured(value, place, end)

    def _share(self, place: int) -> tuple[Number, int] | None:
        """ "half", "half a million", "a third of"."""
        after, last = self.at(place + 1), self.at(place + 2)
        if self.lower[place] == "half":
            if after in ("a", "an") and last in _MAGNITUDES:
                return self._measured(Fraction(_MAGNITUDES[last], 2), place, place + 3)
            return self._make(Fraction(1, 2), "share", place, place + 1)
        if after in _SHARES and last == "of":
            return self._make(Fraction(1, _SHARES[after]), "share", place, place + 2)
        return None

    def _below_hundred(self, place: int) -> tuple[Fraction, int]:
        """The number that the words at a place make, below a hundred ("twenty-one"), and where it ends."""
        word, end = self.lower[place], place + 1
        value = Fraction(_TENS.get(word, _ONES.get(word, 0)))
        step = end + 1 if self.at(end) == "-" else end
        if word in _TENS and 1 <= _ONES.get(self.at(step), 0) <= 9:
            return value + _ONES[self.at(step)], step + 1
        return value, end

    def _magnified(self, value: Fraction, end: int) -> tuple[Fraction, int]:
        """ "two hundred and five thousand": what follows a number and belongs to it."""
        while True:
            step = end + 1 if self.at(end) == "-" else end
            if self.at(step) not in _MAGNITUDES:
                return value, end
            magnitude = _MAGNITUDES[self.at(step)]
            value, end = value * magnitude, step + 1
            rest = end + 1 if self.at(end) == "and" else end
            if magnitude == 100 and (self.at(rest) in _TENS or self.at(rest) in _ONES):
                small, end = self._below_hundred(rest)
                value += small

    def _clock(self, hours: int, minutes: int, place: int, end: int) -> tuple[Number, int]:
        half = self.at(end).replace(".", "")
        if half in ("am", "pm"):
            hours = hours % 12 + (12 if half == "pm" else 0)
            end += 1
        return self._make(Fraction(hours * 60 + minutes), "clock", place, end)

    def _measured(self, value: Fraction, place: int, end: int) -> tuple[Number, int]:
        """Give a number its unit."""
        after = self.at(end)
        if after in ("%", "percent", "pc") or (after, self.at(end + 1)) == ("per", "cent"):
            return self._make(value / 100, "share", place, end + (2 if after == "per" else 1))
        if after == "percentage":
            return self._make(value, "points", place, end + 2)
        if self.at(place - 1) in _CURRENCIES and not self.at(place - 1).isalpha():
            return self._make(value, _CURRENCIES[self.at(place - 1)], place, end)
        if after in _CURRENCIES:
            return self._make(value, _CURRENCIES[after], place, end + 1)
        step = end + 1 if after == "-" else end
        if self.at(step) in _UNITS:
            return self._make(value, _UNITS[self.at(step)], place, step + 1)
        return self._make(value, "", place, end)

    def _make(self, value: Fraction, unit: str, place: int, end: int) -> tuple[Number, int]:
        bounded = _BOUND.search(self.text, max(self.starts[place] - 24, 0), self.starts[place])
        bound = (bounded.lastgroup or "") if bounded else ""
        for before in range(place - 1, -1, -1):
            if not bounded or self.starts[before] < bounded.start():
                break
            self.used[before] = True
        noun = ""
        for word in self.tokens[end : end + 3]:
            if word.lower() in _BREAKS or word.lower() in ("and", "or", "of", "in", "to"):
                break
            if found := terms(word):
                noun = found[0]
                break
        return Number(value, unit, bound, noun, " ".join(self.tokens[place:end])), end

    # --- names

    def names(self) -> list[Name]:
        found: list[Name] = []
        run: list[str] = []
        first = 0
        for place, token in enumerate([*self.tokens, "."]):
            here = place < len(self.tokens)
            if here and token[0].isupper() and not (self.used[place] and self.at(place) not in MONTHS):
                if not run:
                    first = place
                if not (self.used[place] or self.at(place) in _TITLES):
                    run.append(_folded(self.at(place)))
                continue
            if run:
                found += self._name(run, first)
            run = []
        return found

    def _name(self, run: list[str], first: int) -> list[Name]:
        if not self._opens(first) or self.at(first) in _TITLES:
            return [Name(tuple(run))]
        if not terms(run[0]) or run[0] in _OPENERS:
            run = run[1:]
            return [Name(tuple(run))] if run else []
        return [Name(tuple(run), opens=True)]

    def _opens(self, place: int) -> bool:
        if (
            self.at(place - 1) == "."
            and self.tokens[place - 2][0].isupper()
            and len(self.tokens[place - 2]) < ABBREVIATED
        ):
            return False
        return place == 0 or self.at(place - 1) in (".", "!", "?", ":", '"', "“", "‘", "'", "-", "—", "–", "•", "(")

    def clauses(self) -> tuple[tuple[str, ...], ...]:
        """The content terms that are no part of a number or date, clause by clause."""
        found: list[list[str]] = [[]]
        for token, used in zip(self.tokens, self.used, strict=True):
            if token in _CLAUSE_ENDS:
                found.append([])
            elif not used and token[0].isalnum() and not _is_neutral(token.lower()):
                found[-1] += terms(token)
        return tuple(tuple(clause) for clause in found if clause)

    # --- words that change what others say

    def scopes(self, cues: frozenset[str]) -> tuple[Scope, ...]:
        skipped = [match.span() for match in _SKIPPED.finditer(self.text.lower())]
        found = []
        for place, word in enumerate(self.lower):
            negated = word.endswith("n't")
            if word.removesuffix("n't") not in cues and not (negated and cues is _NEGATIONS):
                continue
            if any(start <= self.starts[place] < end for start, end in skipped):
                continue
            if word in _WITH_TO and self.at(place + 1) != "to":
                continue
            if word == "may" and self.used[place]:
                continue
            found.append(Scope(self._following(place)))
        return tuple(found)

    def _following(self, place: int) -> tuple[str, ...]:
        """The next content terms of the clause; where it ends there ("are not."), the one before."""
        found: list[str] = []
        for word in self.tokens[place + 1 :]:
            if word in _ENDS or (word.lower() in _BREAKS and found) or len(found) >= SCOPE:
                break
            found += terms(word) if word[0].isalnum() else []
        before = (terms(word) for word in self.tokens[place - 1 :: -1] if place and word[0].isalnum())
        return tuple(found[:SCOPE]) or tuple(next(filter(None, before), [])[:1])

    def speech(self) -> tuple[Speech, ...]:
        """Who says something; the places of what is only reported are noted."""
        found = []
        ends = [place for place, token in enumerate(self.tokens) if token in _SENTENCE_ENDS]
        for place, word in enumerate(self.lower):
            after = bisect(ends, place)
            first = ends[after - 1] + 1 if after else 0
            last = ends[after] if after < len(ends) else len(self.tokens)
            if word == "according" and self.at(place + 1) == "to":
                found.append(Speech(self._window(place + 2, 1)))
            elif word in _SAID and word != "according" and not self._noun(place):
                inverted = self.at(place - 1) in (",", '"', "”", "'", "’", "")
                speaker = self._window(place - 1, -1)
                if inverted:
                    speaker = self._window(place + 1, 1) | self._window(place - 2, -1)
                if inverted or last - place <= TAIL or self.at(place + 1) == ",":
                    last = place
                else:
                    first = place + 1
                found.append(Speech(speaker))
            elif word in _ADVERBIAL:
                found.append(Speech(frozenset()))
                first = place
            else:
                continue
            self.reported.update(range(first, last))
        return tuple(found)

    def _noun(self, place: int) -> bool:
        """Whether "report", "claims", "state" or "added" is no verb here."""
        word, before = self.lower[place], self.at(place - 1)
        if word in _ALSO_NOUNS:
            return self.at(place + 1) != "that"
        return before in _BEFORE_NOUNS and word not in ("say", "said", "tell", "told")

    def _window(self, place: int, step: int) -> frozenset[str]:
        """The content terms next to a verb of saying, within six tokens of the same clause."""
        found: set[str] = set()
        for _ in range(6):
            word = self.at(place)
            if not word or word in _BREAKS or (word in _PRONOUNS and found) or word in _SAID:
                break
            if word[0].isalpha():
                found.update(terms(word))
            place += step
        return frozenset(found)


def _is_neutral(word: str) -> bool:
    return word in _NEUTRAL or word in _FUNCTION or word.replace("’", "'").endswith("n't")


def _folded(word: str) -> str:
    return word.replace(".", "").removesuffix("'s")


def read_facts(text: str) -> Facts:
    """Read what a text commits itself to. Never raises."""
    reader = _Reader(text)
    reader.read_dates()
    reader.read_numbers()
    clauses, speech = reader.clauses(), reader.speech()
    return Facts(
        numbers=tuple(reader.numbers),
        days=tuple(reader.days),
        months=frozenset(reader.months),
        weekdays=frozenset(reader.weekdays),
        names=tuple(reader.names()),
        negations=reader.scopes(_NEGATIONS),
        hedges=reader.scopes(_HEDGES),
        speech=speech,
        words=frozenset(_folded(word) for word in reader.lower),
        terms=tuple(term for clause in clauses for term in clause),
        clauses=clauses,
        told=frozenset(
            term
            for place, token in enumerate(reader.tokens)
            if place not in reader.reported and token[0].isalnum()
            for term in terms(token)
        ),
        sequence=tuple(map(_folded, reader.lower)),
    )


def days_meant(facts: Facts, published: date) -> list[date]:
    """The days that the weekdays, "today" and "yesterday" of a text stand for, seen from its day of publication."""
    back = [(published.weekday() - weekday) % 7 for weekday in facts.weekdays]
    back += [distance for word, distance in (("today", 0), ("yesterday", 1)) if word in facts.words]
    return [published - timedelta(days=distance) for distance in back]
