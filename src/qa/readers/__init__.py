"""Files in the corpus folder → `Article`. The rest of the system sees only what this file exports.

    scan_corpus(root) ─▶ load_file(root, source) ─▶ parse_file(data, path) ─▶ FileReading

Adding a format: a file here with a class like `PlainReader`, its line in `_readers`, its line in the contract test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from qa.errors import ReaderError
from qa.protocols import ArticleReader
from qa.readers.files import MAX_FILE_BYTES, CorpusScan, SourceFile, load_file, scan_folder
from qa.readers.html import HtmlReader
from qa.readers.markdown import MarkdownReader
from qa.readers.notes import collect_warnings
from qa.readers.plain import PlainReader
from qa.readers.records import RecordsReader
from qa.types import Article

__all__ = [
    "MAX_FILE_BYTES",
    "READERS",
    "READER_VERSION",
    "CorpusScan",
    "FileReading",
    "SourceFile",
    "load_file",
    "parse_file",
    "read_file",
    "scan_corpus",
]

READER_VERSION = "1"
"""Changes whenever the same bytes may give another article; an index made with another value is parsed afresh."""
_MAX_NAMED = 100
"""Bad records, and warnings, of one file that are named one by one; the rest is counted."""


@dataclass(frozen=True, slots=True)
class FileReading:
    """All that came out of one file. `sha256` is that of its bytes: equal hash and reader version, equal reading."""

    sha256: str
    articles: tuple[Article, ...]
    problems: tuple[ReaderError, ...] = ()
    warnings: tuple[str, ...] = ()


def _readers() -> tuple[ArticleReader, ...]:
    return (
        PlainReader(),
        MarkdownReader(),
        HtmlReader(),
        RecordsReader(),
    )


READERS: Mapping[str, ArticleReader] = {suffix: reader for reader in _readers() for suffix in reader.suffixes}


def scan_corpus(root: Path) -> CorpusScan:
    """List the files under `root` that a reader knows, sorted by path; everything else is named, nothing is opened.

    Raises `ReaderError` when there is no such folder.
    """
    return scan_folder(root, READERS.keys())


def parse_file(data: bytes, path: str) -> FileReading:
    """Read the articles in `data`. Never raises for what the bytes hold: that is in `problems`."""
    articles: list[Article] = []
    problems: list[ReaderError] = []
    left_out = 0
    with collect_warnings() as warnings:
        try:
            for entry in READERS[PurePosixPath(path).suffix.casefold()].read(data, path):
                if isinstance(entry, Article):
                    articles.append(entry)
                elif len(problems) < _MAX_NAMED:
                    problems.append(entry)
                else:
                    left_out += 1
        except ReaderError as error:
            problems.append(error)
    if left_out:
        problems.append(ReaderError(path, f"{left_out:,} more records cannot be read"))
    if len(warnings) > _MAX_NAMED:
        warnings[_MAX_NAMED:] = [f"{path}: {len(warnings) - _MAX_NAMED:,} more warnings"]
    return FileReading(hashlib.sha256(data).hexdigest(), tuple(articles), tuple(problems), tuple(warnings))


def read_file(root: Path, source: SourceFile) -> FileReading:
    """Load and parse one file. Raises `ReaderError` when its bytes cannot be had."""
    return parse_file(load_file(root, source), source.path)
