"""The last step of every reader: checked and normalised, with an id that lasts as long as the article does."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

from qa.errors import ReaderError
from qa.readers.dates import parse_date
from qa.readers.fields import RawArticle
from qa.readers.notes import warn
from qa.readers.paragraphs import reflow
from qa.readers.text import normalize_line, normalize_text
from qa.types import Article

__all__ = ["MAX_TEXT", "article_id", "check_length", "make_article", "safe_url"]

MAX_TEXT = 1_000_000
"""Code points. A long feature has 60,000; beyond this a file is a book, a dump or an attack."""
_MAX_URL = 2000
_TITLE_FROM_TEXT = 120
_TRACKING = re.compile(r"utm_\w+|fbclid|gclid|mc_[ce]id|cmpid|ocid|smid|at_(?:medium|campaign)\w*", re.IGNORECASE)
_LANGUAGE = re.compile(r"([a-z]{2,3})(?:[-_][\w-]*)?", re.IGNORECASE)


def make_article(
    raw: RawArticle, path: str, source_format: str, line: int | None = None, many: bool = False
) -> Article:
    """Return the article that `raw` describes. Raises `ReaderError` when it has no text.

    `many`: the file holds several articles, so that its path alone does not name one.
    """
    check_length(raw.text, path, line)
    text = normalize_text(raw.text)
    if raw.is_wrapped:
        text = reflow(text)
    if not text:
        raise ReaderError(path, "no text", line)
    title = normalize_line(raw.title)
    if not title:
        title = _title_from(text)
        warn(path, f"no title; its first words are used: {title!r}", line)
    url = _url(raw.url, path, line)
    canonical = _url(raw.canonical_url, path, line)
    published = _date(raw.published, "publication", path, line)
    publisher = _optional(raw.publisher)
    record_id = _optional(raw.record_id)
    if record_id:
        identity = article_id("record", publisher or "", record_id)
    elif canonical or url:
        identity = article_id("url", _same_address(canonical or url or ""))
    elif many:
        identity = article_id("entry", path, title, published or "")
    else:
        identity = article_id("path", path)
    return Article(
        id=identity,
        title=title,
        text=text,
        url=url or canonical,
        publisher=publisher,
        authors=_names(raw.authors),
        published_at=published,
        modified_at=_date(raw.modified, "modification", path, line),
        section=_optional(raw.section),
        language=_language(raw.language, path, line),
        source_format=source_format,
        source_path=path,
    )


def article_id(kind: str, *parts: str) -> str:
    """Return a stable id: a hash, never a path, so that it is safe in addresses and file names."""
    # The unit separator cannot occur in normalised parts, so different parts never make one string.
    tagged = "\x1f".join(("sourceline-article-1", kind, *parts))
    return "a_" + hashlib.sha256(tagged.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def check_length(text: str, path: str, line: int | None = None) -> None:
    """Raise `ReaderError` when `text` is longer than an article can be."""
    if len(text) > MAX_TEXT:
        raise ReaderError(path, f"longer than {MAX_TEXT:,} characters ({len(text):,}); split it into articles", line)


def safe_url(value: str) -> str | None:
    """Return `value` when it is an http(s) address without tricks, else None: pages will link to it."""
    url = value.strip()
    if len(url) > _MAX_URL or not url.isprintable() or re.search(r"[\s<>\"\\]", url):
        return None
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return None
    # A user name before the host makes one site look like another.
    good = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and port_is_valid
    return url if good else None


def _same_address(url: str) -> str:
    """What stays of an address when the ways to reach the same article are taken off; for ids only."""
    parts = urlsplit(url)
    query = [(key, value) for key, value in parse_qsl(parts.query, True) if not _TRACKING.fullmatch(key)]
    return f"{(parts.netloc or '').lower()}{parts.path.rstrip('/')}?{urlencode(query)}"


def _url(value: str | None, path: str, line: int | None) -> str | None:
    if value is None or not value.strip():
        return None
    url = safe_url(value)
    if url is None:
        warn(path, f"not an http(s) address, left out: {normalize_line(value, 80)!r}", line)
    return url


def _date(value: object, what: str, path: str, line: int | None) -> str | None:
    if value is None or value == "":
        return None
    parsed = parse_date(value)
    if parsed is None:
        shown = normalize_line(value, 80) if isinstance(value, str) else type(value).__name__
        warn(path, f"{what} date not understood, left out: {shown!r}; write it as 2015-05-19", line)
    return parsed


def _names(authors: tuple[str, ...]) -> tuple[str, ...]:
    names = (normalize_line(author, 100) for author in authors[:20])
    return tuple(dict.fromkeys(name for name in names if name and "://" not in name))


def _optional(value: str | None) -> str | None:
    return (normalize_line(value, 200) or None) if value else None


def _language(value: str | None, path: str, line: int | None) -> str | None:
    if not value or not value.strip():
        return None
    found = _LANGUAGE.fullmatch(value.strip())
    if found is None:
        warn(path, f"language not understood, left out: {normalize_line(value, 40)!r}; write it as en", line)
        return None
    return found[1].lower()


def _title_from(text: str) -> str:
    first = text[: _TITLE_FROM_TEXT * 4].split("\n", 1)[0]
    sentence = re.split(r"(?<=[.!?。！？])\s", first, maxsplit=1)[0]
    return normalize_line(sentence, _TITLE_FROM_TEXT)
