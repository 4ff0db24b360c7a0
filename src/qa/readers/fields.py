"""The many names that one field of an article goes by in files, and the few shapes that its value comes in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["RawArticle", "field_of", "from_mapping", "split_byline"]


@dataclass(frozen=True, slots=True)
class RawArticle:
    """What a format says about an article, before anything is normalised or checked."""

    title: str = ""
    text: str = ""
    is_wrapped: bool = False
    """Whether line breaks in `text` have yet to be told from paragraphs."""
    record_id: str | None = None
    url: str | None = None
    canonical_url: str | None = None
    publisher: str | None = None
    authors: tuple[str, ...] = ()
    published: object = None
    modified: object = None
    section: str | None = None
    language: str | None = None


# Without case and punctuation: `date_published`, `datePublished` and `Date-Published` are one name. Earlier names win.
_NAMES: dict[str, tuple[str, ...]] = {
    "title": ("title", "headline"),
    "text": ("text", "articletext", "articlebody", "maintext", "fulltext", "body", "content"),
    "record_id": ("articleid", "id", "guid", "uuid"),
    "url": ("url", "link", "weburl", "sourceurl", "permalink"),
    "canonical_url": ("canonicalurl", "canonical"),
    "publisher": ("publisher", "outlet", "sourcename", "source", "sitename", "site", "newspaper", "sourcedomain"),
    "authors": ("authors", "author", "byline", "by", "creator"),
    "published": (
        *("publishedat", "datepublished", "publishdate", "datepublish", "published", "publicationdate", "pubdate"),
        *("publishedon", "publishedtime", "publishedtimestamp", "date"),
    ),
    "modified": ("modifiedat", "datemodified", "datemodify", "modified", "updatedat", "updated", "lastmodified"),
    "section": ("section", "articlesection", "category"),
    "language": ("language", "lang", "inlanguage"),
}
_FIELDS = {name: field for field, names in _NAMES.items() for name in names}
_RANK = {name: rank for names in _NAMES.values() for rank, name in enumerate(names)}
_NOT_NAME = re.compile(r"[\W_]+")
_EMPTY = frozenset({"", "null", "none", "nil", "nan", "n/a", "~", "[]", "{}"})


def field_of(key: str) -> str | None:
    """Return the field of `RawArticle` that `key` is a name for."""
    return _FIELDS.get(_squash(key))


def from_mapping(record: Mapping[str, object]) -> RawArticle:
    """Read a record with any of the known names; what is unknown or has an impossible type is left out."""
    found: dict[str, tuple[int, object]] = {}
    for key, value in record.items():
        name = _squash(key) if isinstance(key, str) else ""
        field = _FIELDS.get(name)
        if field is None or _is_empty(value):
            continue
        if field not in found or _RANK[name] < found[field][0]:
            found[field] = (_RANK[name], value)
    values = {field: value for field, (_, value) in found.items()}
    return RawArticle(
        title=_string(values.get("title")) or "",
        text=_body(values.get("text")),
        record_id=_string(values.get("record_id")),
        url=_string(values.get("url")),
        canonical_url=_string(values.get("canonical_url")),
        publisher=_string(values.get("publisher")),
        authors=_people(values.get("authors")),
        published=values.get("published"),
        modified=values.get("modified"),
        section=_string(values.get("section")),
        language=_string(values.get("language")),
    )


def split_byline(byline: str) -> tuple[str, ...]:
    """Return the names in a byline such as "By Jane Doe and John Smith"."""
    line = re.sub(r"^\s*(?:by|von|par|por|di)[:\s]\s*", "", byline[:2000], flags=re.IGNORECASE)
    parts = line.split(";") if ";" in line else re.split(r",(?:\s*and\s)?|\s(?:and|AND|&|und|et)\s", line)
    names = [part.strip() for part in parts if part.strip()]
    if ";" not in line and len(names) == 2 and not any(" " in name for name in names) and "," in line:
        return (line.strip(),)  # "Doe, Jane" is one person.
    return tuple(names)


def _squash(key: str) -> str:
    return _NOT_NAME.sub("", key[:40]).casefold()


def _is_empty(value: object) -> bool:
    if isinstance(value, str):
        return len(value) < 8 and value.strip().casefold() in _EMPTY
    return value is None or value == [] or value == {}


def _string(value: object) -> str | None:
    """One string out of what stands for one: a string, a number, an object with a name, or the first of a list."""
    for _ in range(4):  # As deep as nesting can mean anything: a list of objects with a name.
        if isinstance(value, list):
            value = value[0] if value else None
        elif isinstance(value, Mapping):
            value = next(
                (value[key] for key in ("name", "title", "$oid", "value", "@id", "url") if value.get(key)), None
            )
        else:
            break
    if isinstance(value, str):
        return value
    # Real numbers are no ids: how many of their digits are shown is an accident.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _body(value: object) -> str:
    if isinstance(value, list):
        return "\n\n".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _people(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return split_byline(value)
    entries = value if isinstance(value, list) else [value]
    names = (_string(entry) for entry in entries[:100])
    return tuple(re.sub(r"^\s*by\s+", "", name, flags=re.IGNORECASE) for name in names if name)
