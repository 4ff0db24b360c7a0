"""JSON: one record, a list of them, or one a line. Bad records are reported and the others read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from qa.errors import ReaderError
from qa.readers.articles import article_id, make_article
from qa.readers.decoding import decode
from qa.readers.fields import from_mapping
from qa.readers.notes import warn
from qa.types import Article

__all__ = ["RecordsReader"]

_LISTS = ("articles", "items", "results", "records", "docs", "data")
"""Where an answer of a news service keeps its articles."""
_BLANK = " \t\n\r"

Found = tuple[object, int | None]
"""A record, or the error in its place, and its line."""


class RecordsReader:
    """Reads ``.json`` and ``.jsonl``: any number of articles a file."""

    suffixes = frozenset({".json", ".jsonl", ".ndjson"})

    def read(self, data: bytes, path: str) -> Iterator[Article | ReaderError]:
        """Yield the articles of the file in its order, and a `ReaderError` in place of each bad record."""
        text = decode(data, path).lstrip("\ufeff")
        read_document = not path.casefold().endswith((".jsonl", ".ndjson")) or text.lstrip(_BLANK).startswith("[")
        source_format = "json" if read_document else "jsonl"
        decoder = _decoder(path)
        found = list(_document(text, decoder, path) if read_document else _lines(text, decoder, path))
        many = not read_document or len(found) != 1 or found[0][1] is not None
        results: list[Article | ReaderError] = []
        nameless: list[int] = []
        for record, line in found:
            try:
                article, has_name = _read_record(record, path, source_format, line, many)
            except ReaderError as error:
                results.append(error)
                continue
            if many and not has_name:
                nameless.append(len(results))
            results.append(article)
        _break_ties(results, nameless)
        yield from results


def _read_record(record: object, path: str, source_format: str, line: int | None, many: bool) -> tuple[Article, bool]:
    """Return the article and whether the record names itself, by an id or an address."""
    if isinstance(record, ReaderError):
        raise record
    if not isinstance(record, dict):
        raise ReaderError(path, f"a record must be an object, not {_kind(record)}", line)
    raw = replace(from_mapping(record), is_wrapped=True)
    article = make_article(raw, path, source_format, line, many)
    return article, bool(raw.record_id or article.url)


def _break_ties(results: list[Article | ReaderError], nameless: list[int]) -> None:
    """Tell apart records of one title and date by their text, whatever their order in the file."""
    articles = {index: entry for index in nameless if isinstance(entry := results[index], Article)}
    uses = Counter(article.id for article in articles.values())
    for index, article in articles.items():
        if uses[article.id] > 1:
            results[index] = replace(article, id=article_id("tied entry", article.id, article.text))


def _lines(text: str, decoder: json.JSONDecoder, path: str) -> Iterator[Found]:
    # Only "\n" ends a line here: U+2028 may stand inside a JSON string, and splitlines() would cut there.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip(_BLANK):
            try:
                yield decoder.decode(line.strip(_BLANK)), number
            except (ValueError, RecursionError) as error:
                yield ReaderError(path, _explain(error), number), number


def _document(text: str, decoder: json.JSONDecoder, path: str) -> Iterator[Found]:
    start = len(text) - len(text.lstrip(_BLANK))
    if text.startswith("[", start):
        yield from _list_items(text, start + 1, decoder, path)
        return
    try:
        record, end = decoder.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise ReaderError(path, _explain(error), getattr(error, "lineno", None)) from None
    if text[end:].strip(_BLANK):
        yield from _lines(text, decoder, path)  # One record a line, under the name of a document.
        return
    entries = (
        next((record[key] for key in _LISTS if isinstance(record.get(key), list)), None)
        if isinstance(record, dict)
        else None
    )
    if entries is not None and isinstance(record, dict) and not from_mapping(record).text:
        yield from ((entry, 1) for entry in entries)
    else:
        yield record, None


def _list_items(text: str, position: int, decoder: json.JSONDecoder, path: str) -> Iterator[Found]:
    """Read a list item by item, so that each has its line and a cut file gives what stands before the cut."""
    line, counted = 1, 0
    while True:
        position = _skip(text, position, _BLANK)
        line, counted = line + text.count("\n", counted, position), position
        if text.startswith("]", position):
            return
        try:
            record, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            yield ReaderError(path, _explain(error) + "; the rest of the file is not read", line), line
            return
        yield record, line
        position = _skip(text, position, _BLANK)
        if text.startswith(",", position):
            position += 1
        elif not text.startswith("]", position):
            yield ReaderError(path, "the list is not closed; the file may be incomplete", line), line
            return


def _skip(text: str, position: int, characters: str) -> int:
    while position < len(text) and text[position] in characters:
        position += 1
    return position


def _decoder(path: str) -> json.JSONDecoder:
    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        record = dict(items)
        if len(record) != len(items):
            warn(path, "a record gives a key twice; the last value counts")
        return record

    return json.JSONDecoder(object_pairs_hook=pairs, parse_constant=lambda name: None, parse_int=_integer, strict=False)


def _integer(digits: str) -> int | str:
    # Python refuses to convert numbers of thousands of digits; no field needs one.
    return int(digits) if len(digits) < 25 else digits


def _explain(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg} (column {error.colno})"
    return "JSON nested too deeply" if isinstance(error, RecursionError) else f"not valid JSON: {error}"


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
