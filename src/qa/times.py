"""Time in questions: which days of publication a question calls for, by its words and by the day that it is asked on.

Rules alone decide, from the question and that day. What they find makes articles of these days more likely and never
rules others out: an event of 2018 may be told by an article of 2022, and "May" may be a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

import numpy as np

from qa.protocols import FloatArray, IdArray
from qa.types import Note, Span, TimeExpression, TimeScope

__all__ = [
    "MONTHS",
    "MONTH_NAMES",
    "WEEKDAYS",
    "find_times",
    "outdated_note",
    "ranges",
    "recency",
    "span_fit",
    "time_note",
    "week_to",
]

WEEK = 7
"""Days, the last one included, of what counts as the present: "this week", "latest", and a moment that was given."""
BEFORE, AFTER = 14, 365
"""Days before and after a span at which an article fits half as well: what happens is seldom told before, but long
after."""

OUTDATED = 90
"""Days before the present after which what an article says of it may have changed: a quarter of a year."""

MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
MONTHS = {name.lower(): number for number, name in enumerate(MONTH_NAMES, start=1)}
MONTHS |= {name[:3]: number for name, number in MONTHS.items()} | {"sept": 9}
"""Numbers of the months, by name and by what is written for short, in small letters."""
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "couple": 2, "three": 3, "few": 3, "four": 4, "several": 4, "five": 5,
            "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12}  # fmt: skip
_ALSO_WORDS = frozenset({"mar", "march", "may", "august"})
"""Months that are words too: without a year beside them they need their capital."""

# A year, and no price, share, clock time, score, season of two years or beginning of a title.
_YEAR = (
    r"(?<![\w$£€.,:/-])(?P<year>(?:19|20)\d\d)(?![\w%°]|[.,:/]\d|[-–]\d|:\s)"
    r"(?!\s+(?:dollars|euros|pounds|prices|terms|people|men|women)\b)"
)
_MONTH = rf"(?P<month>{'|'.join(sorted(MONTHS, key=len, reverse=True))})\b\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_WHEN = r"(?P<when>in|on|during|since|before|after|until|till|by|throughout)\s+"
_PART = (
    r"(?:(?:early|mid|late)[\s-]+|(?:the\s+)?year\s+"
    r"|(?:the\s+)?(?:end|start|beginning|spring|summer|autumn|fall|winter)\s+of\s+)"
)
_COUNT = rf"(?P<count>\d{{1,4}}|(?:a\s+)?(?:{'|'.join(_NUMBERS)})(?:\s+of)?)"
_UNIT = r"(?P<unit>day|week|month|year)"
_WEEKDAY = rf"(?P<weekday>{'|'.join(WEEKDAYS)})"


def span_fit(span: Span, days: IdArray) -> FloatArray:
    """How well days (ordinals) fit a span, float32, same shape: 1 inside, 1 / (1 + days outside / half-way) else."""
    away = np.maximum(days - span.last.toordinal(), 0) / AFTER
    if span.first is not None:
        away = away + np.maximum(span.first.toordinal() - days, 0) / BEFORE
    return (1 / (1 + away)).astype(np.float32)


def recency(days: IdArray, scope: TimeScope) -> FloatArray:
    """How well days (ordinals, 0 for an unknown one) fit what a question calls for: float32 in [0, 1], same shape.

    It is the best fit to the span of an expression, or to the week up to the day that the asker named, which counts
    half beside an expression: the words are nearer to what is meant. 0 for unknown days and after the day named. A
    scope without either admits every day alike.
    """
    spans = [found.span for found in scope.expressions]
    fits = np.max([span_fit(span, days) for span in spans], axis=0) if spans else np.zeros(days.shape, dtype=np.float32)
    if scope.given:
        fits = np.maximum(fits, span_fit(week_to(scope.as_of), days) * (0.5 if spans else 1))
    elif not spans:
        return np.ones(days.shape, dtype=np.float32)
    fits[days <= 0] = 0
    if scope.given:
        fits[days > scope.as_of.toordinal()] = 0
    return fits


def ranges(scope: TimeScope) -> tuple[tuple[str | None, Span], ...]:
    """The days that `scope` prefers, each with the words that call for them; None for the day that was given."""
    named = [(found.text, found.span) for found in scope.expressions]
    return (*named, (None, week_to(scope.as_of))) if scope.given else tuple(named)


def time_note(scope: TimeScope) -> Note:
    """What to tell the reader of an answer for which `scope` took part."""
    words: dict[Span, list[str]] = {}
    for text, span in ranges(scope):
        words.setdefault(span, []).append(f"“{text}”" if text else "the day given")
    told = " and ".join(f"{_range(span)} ({', '.join(reasons)})" for span, reasons in words.items())
    return Note("dates", f"Articles from about {told} were preferred.")


def outdated_note(question: str, newest: date, present: date) -> Note | None:
    """What to tell the reader of an answer to a question about the present whose newest source is long past.

    `newest` is the day of the newest article that is cited, `present` the day up to which there are articles. A
    question is about the present when its words of time reach it, or when it has none, no year, and a verb in the
    present; an article of the time that was asked for is not outdated.
    """
    if (present - newest).days <= OUTDATED:
        return None
    found = find_times(question, present)
    if found:
        spans = [expression.span for expression in found]
        asks = all(span.last == present and span.first and newest < span.first for span in spans)
    else:
        asks = bool(_NOW.search(question)) and not _THEN.search(question)
    if not asks:
        return None
    return Note("outdated", f"The newest article cited here is from {_range(Span(newest, newest))}.")


def find_times(question: str, as_of: date) -> tuple[TimeExpression, ...]:
    """Return the expressions of time in a question in reading order, none overlapping; never raises.

    A month or weekday without a year is the latest one before `as_of`. What lies ahead is told by the news of the
    present, so it calls for the week up to `as_of`; no span ends after that day. Quoted words are left alone: they are
    titles. So are words that their capitals make part of a name, and years that no preposition makes a time.
    """
    taken = [match.span() for match in _QUOTED.finditer(question)]
    found: list[TimeExpression] = []
    for pattern, resolve in _RULES:
        for match in pattern.finditer(question):
            start, end = match.span()
            if any(start < other_end and other_start < end for other_start, other_end in taken):
                continue
            span = resolve(match, as_of)
            if span is not None:
                taken.append((start, end))
                found.append(TimeExpression(match.group(), start, end, span, newest=pattern is _NEWEST))
    return tuple(sorted(found, key=lambda expression: expression.start))


def week_to(as_of: date) -> Span:
    """The `WEEK` up to a day."""
    return Span(_shift(as_of, 1 - WEEK), as_of)


def _shift(day: date, days: int) -> date:
    return date.fromordinal(min(max(day.toordinal() + days, 1), date.max.toordinal()))


def _span(first: date, last: date, as_of: date, when: str = "in") -> Span | None:
    """The span that a preposition makes of a period, as far as it has begun; None when it has not."""
    when = when.lower()
    if when in ("before", "until", "till"):
        return Span(None, min(_shift(first, -1) if when == "before" else last, as_of))
    if when == "after":
        first, last = _shift(last, 1), as_of
    if when == "since":
        last = as_of
    return Span(first, min(last, as_of)) if first <= as_of else None


def _year(year: int) -> tuple[date, date]:
    return date(year, 1, 1), date(year, 12, 31)


def _month(year: int, month: int) -> tuple[date, date]:
    """First and last day of a month; months count on beyond the year at both ends."""
    index = min(max(year * 12 + month - 1, 12), 9999 * 12 + 11)
    first = date(index // 12, index % 12 + 1, 1)
    following = index + 1
    last = date.max if first.year == 9999 and first.month == 12 else _shift(
        date(following // 12, following % 12 + 1, 1), -1)  # fmt: skip
    return first, last


def _by_calendar_day(match: re.Match[str], as_of: date) -> Span | None:
    """A day of a month, with a year or without: then the nearest one, for dates ahead are written like this too."""
    if match["year"] is None and not _capital_month(match):
        return None
    month, day = MONTHS[match["month"].lower()], int(match["day"])
    years = [int(match["year"])] if match["year"] else [as_of.year - 1, as_of.year, as_of.year + 1]
    days = [found for year in years if (found := _day(year, month, day))]
    if not days:
        return None
    nearest = min(days, key=lambda found: abs(found - as_of))
    ahead = nearest > as_of and not match["year"]
    return week_to(as_of) if ahead else _span(nearest, nearest, as_of, match["when"] or "on")


def _by_iso_day(match: re.Match[str], as_of: date) -> Span | None:
    day = _day(int(match["year"]), int(match["month"]), int(match["day"]))
    return _span(day, day, as_of, match["when"] or "on") if day else None


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _by_month_of_year(match: re.Match[str], as_of: date) -> Span | None:
    return _span(*_month(int(match["year"]), MONTHS[match["month"].lower()]), as_of, match["when"] or "in")


def _by_years(match: re.Match[str], as_of: date) -> Span | None:
    first, last = int(match["year"]), int(match["until"])
    return _span(_year(first)[0], _year(last)[1], as_of) if first <= last else None


def _by_year(match: re.Match[str], as_of: date) -> Span | None:
    return _span(*_year(int(match["year"])), as_of, match["when"] or "in")


def _by_month(match: re.Match[str], as_of: date) -> Span | None:
    """A month without a year: the latest that has begun, or with "last" the latest that is over."""
    if not _capital_month(match):
        return None
    month, when = MONTHS[match["month"].lower()], match["when"].lower()
    if when == "next":
        return week_to(as_of)
    begun = as_of.year if month <= as_of.month else as_of.year - 1
    if when == "last" and month == as_of.month:
        begun -= 1
    return _span(*_month(as_of.year if when == "this" else begun, month), as_of, when)


def _capital_month(match: re.Match[str]) -> bool:
    return match["month"][0].isupper() or match["month"].lower() not in _ALSO_WORDS


def _by_rolling(match: re.Match[str], as_of: date) -> Span | None:
    """ "the past three months": so many days back from today."""
    length = {"day": 1, "week": 7, "month": 30, "year": 365}[match["unit"].lower()]
    return Span(_shift(as_of, -length * _count(match["count"] or "one")), as_of)


def _by_ago(match: re.Match[str], as_of: date) -> Span | None:
    """ "two weeks ago": the day, or the week, calendar month or calendar year around it."""
    count, unit = _count(match["count"]), match["unit"].lower()
    if unit == "day":
        return Span(_shift(as_of, -count), _shift(as_of, -count))
    if unit == "week":
        return Span(_shift(as_of, -7 * count - 3), _shift(as_of, -7 * count + 3))
    if unit == "month":
        return Span(*_month(as_of.year, as_of.month - count))
    return Span(*_year(max(as_of.year - count, 1)))


def _count(text: str) -> int:
    return (
        int(text)
        if text.isdecimal()
        else next(_NUMBERS[word] for word in reversed(text.lower().split()) if word != "of")
    )


def _by_unit(match: re.Match[str], as_of: date) -> Span | None:
    """ "this", "last" and "next" with a week, month or year."""
    which, unit = match["which"].lower(), match["unit"].lower()
    if _in_name(match) or (which == "last" and re.match(r"\s+of\b", match.string[match.end() :])):
        return None
    if which == "next" or (which, unit) == ("this", "week"):
        return week_to(as_of)
    back = 0 if which == "this" else 1
    if unit == "week":
        monday = _shift(as_of, -as_of.weekday())
        return Span(_shift(monday, -7), _shift(monday, -1))
    if unit == "month":
        return _span(*_month(as_of.year, as_of.month - back), as_of)
    return _span(*_year(max(as_of.year - back, 1)), as_of)


def _by_weekend(match: re.Match[str], as_of: date) -> Span | None:
    """Saturday and Sunday of the week before; "this" and "next" mean those to come, of which the present tells."""
    if _in_name(match):
        return None
    if (match["which"] or "").lower() in ("this", "next"):
        return week_to(as_of)
    sunday = _shift(as_of, -as_of.weekday() - 1)
    return Span(_shift(sunday, -1), sunday)


def _by_weekday(match: re.Match[str], as_of: date) -> Span | None:
    """The latest such day before today. Capitals beside it make a name: Black Friday, Wednesday Addams."""
    when = (match["when"] or "").lower()
    before = re.search(r"(\w+)[\s-]+$", match.string[: match.start()])
    after = re.match(r"\s+(?:(?:Night|Times)\b|([A-Z]\w*)|the\s+\d)", match.string[match.end() :])
    clock = re.match(r"\s+(?:night|morning|afternoon|evening)\b", match.string[match.end() :])
    if before and before[1][0].isupper() and not (when or clock or _opens(match.string, before.start(1))):
        return None
    if after and not (when and after[1]):
        return None
    if when in ("this", "next"):
        return week_to(as_of)
    back = (as_of.weekday() - WEEKDAYS.index(match["weekday"].lower()) - 1) % 7 + 1
    day = _shift(as_of, -back)
    return Span(day, as_of if when == "since" else day)


def _near(back: int) -> Callable[[re.Match[str], date], Span | None]:
    """A resolver for words that mean the days from `back` days ago until today."""

    def resolve(match: re.Match[str], as_of: date) -> Span | None:
        return None if _in_name(match) else Span(_shift(as_of, -back), as_of)

    return resolve


def _by_yesterday(match: re.Match[str], as_of: date) -> Span | None:
    return None if _in_name(match) else Span(_shift(as_of, -1), _shift(as_of, -1))


def _in_name(match: re.Match[str]) -> bool:
    """Whether a capital inside the sentence makes a plain word a name: "the Today show", "Last Week Tonight"."""
    text = match.string
    return text[match.start()].isupper() and not text.isupper() and not _opens(text, match.start())


def _opens(text: str, at: int) -> bool:
    """Whether a sentence begins at `at`."""
    before = text[:at].rstrip(" \t\n\"'“‘(")
    return not before or before[-1] in ".?!:;"


def _rule(pattern: str) -> re.Pattern[str]:
    # ASCII inside: to Unicode "ſeptember" and "frıday" are the same words in another case, and no table knows them.
    return re.compile(rf"(?<![\w-])(?a:{pattern})(?!\w)", re.IGNORECASE)


# What happened stays as it was told; what is, is not.
_NOW = re.compile(r"\b(?:is|are|am|do|does|has|have|can|will)\b|\b(?:who|what|where|how)[’']s\b", re.IGNORECASE)
_THEN = re.compile(r"\b(?:was|were|did|had)\b|\b(?:1[5-9]|20)\d\d\b", re.IGNORECASE)
_QUOTED = re.compile(r"“[^“”]*”|\"[^\"]*\"|‘[^‘’]*’(?!\w)")
_NO_OF = r"(?!\s+of\b)"

_NEWEST = _rule(r"(?:the\s+)?(?:latest|newest|most\s+recent(?:ly)?)|recent|recently")
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], date], Span | None]], ...] = (
    (_rule(rf"(?:{_WHEN})?(?P<year>(?:19|20)\d\d)-(?P<month>\d\d)-(?P<day>\d\d)"), _by_iso_day),
    (_rule(rf"(?:{_WHEN}(?:the\s+)?)?{_DAY}\s+(?:of\s+)?{_MONTH}(?:,?\s+{_YEAR})?"), _by_calendar_day),
    (_rule(rf"(?:{_WHEN})?{_MONTH}\s*{_DAY}(?!\d)(?:,?\s+{_YEAR})?"), _by_calendar_day),
    (_rule(rf"(?:{_WHEN})?{_PART}?{_MONTH},?(?:\s+of)?\s+{_YEAR}"), _by_month_of_year),
    (
        _rule(rf"(?:between|from|in)\s+{_YEAR}(?:\s+(?:and|to|until|through)\s+|[-–])(?P<until>(?:19|20)\d\d)"),
        _by_years,
    ),
    (_rule(rf"(?:{_WHEN}{_PART}?|{_PART}){_YEAR}"), _by_year),
    (_rule(rf"{_COUNT}\s+{_UNIT}s?\s+ago"), _by_ago),
    (_rule(rf"(?:in|over|during|within|for)\s+the\s+(?:past|last)\s+(?:{_COUNT}\s+)?{_UNIT}s?{_NO_OF}"), _by_rolling),
    (_rule(rf"(?:the|this)\s+(?:past|last|previous)\s+{_COUNT}\s+{_UNIT}s{_NO_OF}"), _by_rolling),
    (_rule(rf"(?:the|this)\s+past(?P<count>)\s+{_UNIT}"), _by_rolling),
    (_rule(r"(?:(?P<which>this\s+past|this|last|past|next)|(?:over|at|on|during)\s+the)\s+weekend"), _by_weekend),
    (_rule(rf"(?P<which>this|last|next)\s+{_UNIT}"), _by_unit),
    (_rule(rf"(?:(?P<when>on|this\s+past|this|last|past|next|since)\s+)?{_WEEKDAY}"), _by_weekday),
    (
        _rule(rf"(?P<when>in|during|since|before|after|until|till|by|throughout|last|this|next)\s+{_PART}?{_MONTH}"),
        _by_month,
    ),
    (_rule(r"today|tonight|this\s+(?:morning|afternoon|evening)"), _near(0)),
    (_rule(r"yesterday"), _by_yesterday),
    (_rule(r"last\s+night"), _near(1)),
    (_NEWEST, _near(WEEK - 1)),
    (
        _rule(
            r"(?:the\s+)?upcoming|currently|nowadays|these\s+days|tomorrow"
            r"|(?:right\s+)?now|so\s+far|at\s+the\s+moment|(?:the|its|his|her|their)\s+current"
        ),
        _near(WEEK - 1),
    ),
)


def _range(span: Span) -> str:
    """A span in words: ``30 December 2022 to 5 January 2023``; what both ends share is said once."""
    last = f"{span.last.day} {MONTH_NAMES[span.last.month - 1]} {span.last.year}"
    if span.first is None:
        return f"up to {last}"
    if span.first == span.last:
        return last
    first = f"{span.first.day}"
    if (span.first.year, span.first.month) != (span.last.year, span.last.month):
        first += f" {MONTH_NAMES[span.first.month - 1]}"
    if span.first.year != span.last.year:
        first += f" {span.first.year}"
    return f"{first} to {last}"
