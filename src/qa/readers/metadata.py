"""What a page says about itself: JSON-LD first, then `meta` elements, then the visible page.

Own code, because extraction libraries give a day where the page gives a time with its zone, and no time of change; in
news, corrections matter.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

from qa.readers.dates import parse_date
from qa.readers.fields import RawArticle, from_mapping, split_byline
from qa.readers.notes import warn
from qa.readers.text import normalize_line

__all__ = ["read_metadata"]

_ARTICLE_TYPES = frozenset(
    {"newsarticle", "article", "reportagenewsarticle", "analysisnewsarticle", "backgroundnewsarticle"}
    | {"opinionnewsarticle", "reviewnewsarticle", "askpublicnewsarticle", "liveblogposting", "blogposting", "report"}
)
_META: dict[str, tuple[str, ...]] = {
    "title": ("og:title", "twitter:title", "dc.title", "dcterms.title", "parsely-title", "title"),
    "publisher": ("og:site_name", "dc.publisher", "dcterms.publisher", "publisher", "application-name", "copyright"),
    "authors": (
        "author",
        "article:author",
        "byl",
        "dc.creator",
        "dcterms.creator",
        "parsely-author",
        "sailthru.author",
    ),
    "published": (
        *("article:published_time", "og:article:published_time", "datepublished", "dc.date.issued", "dcterms.issued"),
        *("parsely-pub-date", "sailthru.date", "pubdate", "publish-date", "publication_date", "dc.date", "date"),
    ),
    "modified": (
        *("article:modified_time", "og:updated_time", "datemodified", "dcterms.modified", "dc.date.modified"),
        *("last-modified", "lastmod"),
    ),
    "section": ("article:section", "og:article:section", "parsely-section", "section"),
    "language": ("dc.language", "dcterms.language", "language", "content-language", "og:locale"),
}
_MAX_ENTRIES = 1000
_WRAPPING = re.compile(r"^\s*(?:<!--|//<!\[CDATA\[|<!\[CDATA\[)|(?:-->|//\]\]>|\]\]>)\s*;?\s*$")


def read_metadata(tree: Any, path: str) -> RawArticle:
    """Return what the parsed page `tree` (lxml) says; `text` is the body that JSON-LD gives, which is mostly empty."""
    meta = _meta(tree)
    canonical = _canonical(tree, meta)
    entry = _choose(list(_linked_data(tree, path)), canonical)
    said = from_mapping(entry)
    publisher = said.publisher or _first(meta, "publisher")
    title = said.title or _first(meta, "title") or _text_of(tree, "h1") or _text_of(tree, "title")
    authors = said.authors or tuple(name for value in _all(meta, "authors") for name in split_byline(value))
    return RawArticle(
        title=_without_site(html.unescape(title), publisher),
        text=html.unescape(said.text),
        url=canonical or said.url,
        publisher=html.unescape(publisher) if publisher else None,
        authors=tuple(html.unescape(name) for name in authors),
        published=_readable(said.published, *_all(meta, "published"), _time_element(tree)),
        modified=_readable(said.modified, *_all(meta, "modified")),
        section=said.section or _first(meta, "section"),
        language=said.language or tree.get("lang") or _first(meta, "language"),
    )


def _meta(tree: Any) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for element in tree.iter("meta"):
        content = element.get("content")
        for attribute in ("property", "name", "itemprop", "http-equiv"):
            name = (element.get(attribute) or "").strip().casefold()
            if name and content and content.strip():
                values.setdefault(name, []).append(content)
    return values


def _all(meta: Mapping[str, list[str]], field: str) -> list[str]:
    """Every value of the first name that is there: a page may name several authors."""
    return next((meta[name] for name in _META[field] if name in meta), [])


def _first(meta: Mapping[str, list[str]], field: str) -> str:
    return next(iter(_all(meta, field)), "")


def _readable(*values: object) -> object:
    """The first value that is a date; failing all, the first, so that the reader can say what it could not read."""
    given = [value for value in values if value]
    return next((value for value in given if parse_date(value)), given[0] if given else None)


def _canonical(tree: Any, meta: Mapping[str, list[str]]) -> str | None:
    base = next(iter(meta.get("og:url", ())), "").strip()
    for element in tree.iter("link"):
        if "canonical" in (element.get("rel") or "").casefold().split() and element.get("href"):
            try:
                return urljoin(base, str(element.get("href")).strip())
            except ValueError:
                return str(element.get("href"))
    return base or None


def _time_element(tree: Any) -> str | None:
    return next((str(time.get("datetime")) for time in tree.iter("time") if time.get("datetime")), None)


def _text_of(tree: Any, tag: str) -> str:
    texts = (" ".join("".join(element.itertext()).split()) for element in tree.iter(tag))
    return next((text for text in texts if text), "")


def _without_site(title: str, publisher: str | None) -> str:
    """ "Bridge reopens - The Ledger" is the headline and the outlet."""
    line = normalize_line(title)
    for separator in (" | ", " - ", " – ", " — "):
        head, found, tail = line.rpartition(separator)
        if found and publisher and tail.casefold() == normalize_line(html.unescape(publisher)).casefold():
            return head
    return title


def _linked_data(tree: Any, path: str) -> Iterator[dict[str, object]]:
    for element in tree.iter("script"):
        if "ld+json" not in (element.get("type") or "").casefold():
            continue
        source = _WRAPPING.sub("", _WRAPPING.sub("", element.text or ""))
        try:
            parsed = json.loads(source, strict=False, parse_int=str, parse_constant=lambda name: None)
        except (ValueError, RecursionError):
            warn(path, "JSON-LD that is not valid JSON was left out")
            continue
        yield from _articles_in(parsed)


def _articles_in(parsed: object) -> Iterator[dict[str, object]]:
    # Lists and @graph only: articles deeper down, as in an ItemList, are those that the page links to.
    waiting, seen = [parsed], 0
    while waiting and seen < _MAX_ENTRIES:
        seen += 1
        entry = waiting.pop(0)
        if isinstance(entry, list):
            waiting = entry[:_MAX_ENTRIES] + waiting
        elif isinstance(entry, dict):
            if "@graph" in entry:
                waiting.insert(0, entry["@graph"])
            kinds = entry.get("@type")
            kinds = kinds if isinstance(kinds, list) else [kinds]
            if any(isinstance(kind, str) and kind.rsplit("/", 1)[-1].casefold() in _ARTICLE_TYPES for kind in kinds):
                yield entry


def _choose(entries: list[dict[str, object]], canonical: str | None) -> dict[str, object]:
    """The entry about this page, by its address; else the first."""
    for entry in entries:
        main = entry.get("mainEntityOfPage")
        main = main.get("@id") if isinstance(main, dict) else main
        if canonical and canonical in (entry.get("url"), entry.get("@id"), main):
            return entry
    return entries[0] if entries else {}
