"""Times as newsrooms write them, as ISO 8601 with the zone that was written; today and the machine play no part."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

__all__ = ["parse_date"]

_YEARS = range(1500, 2200)
"""Outside it is a placeholder (0001-01-01, 9999-12-31) or a mistake."""

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august")
        + ("sep sept september", "oct october", "nov november", "dec december"),
        start=1,
    )
    for name in names.split()
}
_MONTH = r"(?P<month>[a-z]{3,9})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})"
_CLOCK = r"(?:(?:,|\s|t|at|-|\||·)*(?P<clock>\d{1,2}[:.]\d{2}.*))?"
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?"
_FORMS = tuple(
    re.compile(_WEEKDAY + form + _CLOCK)
    for form in (
        rf"{_MONTH}\s+{_DAY},?\s+{_YEAR}",
        rf"{_DAY}(?:\s+of)?[\s-]+{_MONTH},?[\s-]+{_YEAR}",
        rf"{_YEAR}[/.-](?P<month>\d{{1,2}})[/.-](?P<day>\d{{1,2}})",
        rf"{_YEAR}年(?P<month>\d{{1,2}})月(?P<day>\d{{1,2}})日",
        rf"(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.{_YEAR}",  # With dots the day is first everywhere.
    )
)
_SLASHES = re.compile(rf"(\d{{1,2}})/(\d{{1,2}})/(\d{{4}}){_CLOCK}")
_TIME = re.compile(r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?(?:\.\d+)?\s*([ap]\.?m\b\.?)?\s*(.*)")
_OFFSET = re.compile(r"(?:gmt|utc)?\s*([+-])(\d{1,2}):?(\d{2})?")
# Only abbreviations that mean one thing in news; with others, such as "IST" or "BST", the clock time has no zone.
_ZONES = {
    "z": 0,
    "gmt": 0,
    "utc": 0,
    "est": -5,
    "edt": -4,
    "cdt": -5,
    "mdt": -6,
    "pst": -8,
    "pdt": -7,
    "cet": 1,
    "cest": 2,
}
_FOREIGN = re.compile(r"(?=.*[^\W\d_]{3})\D*(\d{1,2})\D+(\d{4})(?!\d)")
# Named, because the library would otherwise load the rules of two hundred languages to find that "5 foo 2015" is none.
_LANGUAGES = [
    *("fr", "de", "es", "it", "pt", "nl", "ca", "ro", "pl", "cs", "sk", "sl", "hr", "sr", "bg", "mk", "uk", "ru", "lt"),
    *("lv", "et", "fi", "sv", "da", "nb", "is", "hu", "el", "tr", "sq", "ga", "id", "vi"),
]
_MILLISECONDS = 100_000_000_000
"""Epoch numbers from here on count milliseconds: as seconds they would lie after the year 5000."""


def parse_date(value: object) -> str | None:
    """Return ISO 8601 (``2015-05-19`` or ``2015-05-19T08:30:00+01:00``), or None where no full date can be read.

    Takes strings, dates and epoch numbers. Nothing is guessed: 05/06/2015 could be May or June, so it is None.
    """
    try:
        moment = _moment(value)
    except (ValueError, OverflowError):
        return None
    if moment is None or moment.year not in _YEARS:
        return None
    return moment.isoformat(timespec="seconds") if isinstance(moment, datetime) else moment.isoformat()


def _moment(value: object) -> date | None:
    if isinstance(value, date):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _from_epoch(value)
    if not isinstance(value, str) or len(value) > 200:
        return None
    text = " ".join(value.split())
    if text.isascii() and text.isdigit():
        return date.fromisoformat(text) if len(text) == 8 else _from_epoch(int(text)) if len(text) >= 9 else None
    return (
        _from_iso(text) or _from_words(text.casefold()) or _from_slashes(text.casefold()) or _from_other_language(text)
    )


def _from_epoch(number: float) -> datetime:
    seconds = number / 1000 if abs(number) >= _MILLISECONDS else number
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _from_iso(text: str) -> date | None:
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return None  # Python's parser also takes "2015-W21", which is no day, and "2015W212", which nobody writes.
    try:
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(re.sub(r" (?=[+-]\d)", "", text))
    except ValueError:
        return None  # A form of its own, such as "2015-05-19, 8:30 am", gets its chance.


def _from_words(text: str) -> date | None:
    for form in _FORMS:
        found = form.fullmatch(text)
        if found is None:
            continue
        month = found["month"]
        number = int(month) if month.isdigit() else _MONTHS.get(month)
        if number is not None:
            return _with_clock(date(int(found["year"]), number, int(found["day"])), found["clock"])
    return None


def _from_slashes(text: str) -> date | None:
    found = _SLASHES.fullmatch(text)
    if found is None:
        return None
    first, second, year = int(found[1]), int(found[2]), int(found[3])
    if first != second and first <= 12 and second <= 12:
        return None
    month, day = (second, first) if first > 12 else (first, second)
    return _with_clock(date(year, month, day), found["clock"])


def _with_clock(day: date, clock: str | None) -> date:
    found = _TIME.fullmatch(clock) if clock else None
    if found is None:
        return day
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[4]:
        hour = hour % 12 + (12 if found[4].startswith("p") else 0)
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=_zone(found[5]))


def _zone(text: str) -> timezone | None:
    name = text.strip(" ()")
    offset = _OFFSET.fullmatch(name)
    if offset:
        delta = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return timezone(-delta if offset[1] == "-" else delta)
    return timezone(timedelta(hours=_ZONES[name])) if name in _ZONES else None


def _from_other_language(text: str) -> date | None:
    """Month names of other languages, by a library; its answer is checked, because it is generous."""
    found = _FOREIGN.match(text)
    if found is None or len(text) > 60:
        return None
    import dateparser  # type: ignore[import-untyped]

    parts = ["year", "month", "day"]
    moment: datetime | None = dateparser.parse(
        text, languages=_LANGUAGES, settings={"REQUIRE_PARTS": parts, "PARSERS": ["absolute-time"]}
    )
    if moment is None or (moment.day, moment.year) != (int(found[1]), int(found[2])):
        return None
    return moment if re.search(r"\d", text[found.end() :]) else moment.date()
