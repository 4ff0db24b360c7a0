"""Plain text: a headline, perhaps header lines such as ``Date: 2015-05-19``, a blank line, the body."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from qa.errors import ReaderError
from qa.readers.articles import check_length, make_article
from qa.readers.dates import parse_date
from qa.readers.decoding import decode
from qa.readers.fields import RawArticle, field_of, from_mapping
from qa.readers.text import normalize_text
from qa.types import Article

__all__ = ["PlainReader"]

_LONGEST_HEADLINE = 250
_LABEL_WORDS = 3
_HEADER = re.compile(r"(\w[\w -]{0,20}?)\s*:\s*(\S.*)")
_HEADER_FIELDS = {"publisher", "published", "modified", "authors", "url", "section", "language"}


class PlainReader:
    """Reads ``.txt``: one article a file."""

    suffixes = frozenset({".txt", ".text"})

    def read(self, data: bytes, path: str) -> Iterator[Article | ReaderError]:
        """Yield the one article of the file."""
        text = decode(data, path)
        check_length(text, path)
        yield make_article(_parse(normalize_text(text)), path, "text")


def _parse(text: str) -> RawArticle:
    lines = text.split("\n")
    title, label, date, start = _head(lines)
    headers: dict[str, object] = {}
    while start < len(lines) and (header := _header(lines[start])):
        headers.setdefault(*header)
        start += 1
    if date:
        headers.setdefault("published", date)
    if label:
        headers.setdefault("section", label)
    body = "\n".join(lines[start:]).strip("\n")
    if not body and not headers:
        title, body = "", text  # One paragraph and no more: it is the article, not its headline.
    return replace(from_mapping({**headers, "title": title, "text": body}), is_wrapped=True)


def _head(lines: list[str]) -> tuple[str, str, str, int]:
    """Return headline, section label, date line, and where the rest starts.

    Pages saved as text often begin with the name of a section and the date, and only then the headline. So a date line
    at the top goes in front of the headline, unless a headline is what stands before it.
    """
    filled = [index for index, line in enumerate(lines[:12]) if line]
    if len(lines[0]) > _LONGEST_HEADLINE:
        return "", "", "", 0
    for order, index in enumerate(filled[:3]):
        if not _is_date(lines[index]):
            continue
        after = filled[order + 1] if order + 1 < len(filled) else None
        is_label = order == 0 or (order == 1 and len(lines[filled[0]].split()) <= _LABEL_WORDS)
        if is_label and after is not None and _is_headline(lines, after):
            return lines[after], lines[filled[0]] if order else "", lines[index], after + 1
        if order == 1:
            return lines[0], "", lines[index], index + 1
        break
    return lines[0], "", "", 1


def _is_date(line: str) -> bool:
    return len(line) <= 60 and any(char.isdigit() for char in line) and parse_date(line) is not None


def _is_headline(lines: list[str], index: int) -> bool:
    line = lines[index]
    stands_alone = index + 1 < len(lines) and (not lines[index + 1] or _header(lines[index + 1]) is not None)
    return stands_alone and len(line) <= _LONGEST_HEADLINE and not line.endswith(".") and any(lines[index + 1 :])


def _header(line: str) -> tuple[str, str] | None:
    """Return field and value of a header line."""
    found = _HEADER.fullmatch(line)
    field = field_of(found[1]) if found else None
    return (field, found[2]) if found and field in _HEADER_FIELDS else None
