"""The catalog of one generation: articles, sentences with offsets, chunks and source files, in one SQLite file.

SQLite serves as a file format: a builder changes its own copy, then the file is sealed and never written again.
Readers open it immutable, one connection per thread. Sentence and chunk texts are not stored: they are slices of the
article's text, so they cannot disagree with it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from qa.errors import ArticleNotFound, IndexDamaged, StorageError
from qa.protocols import IdArray
from qa.types import Article, Chunk, Filters, Sentence

__all__ = ["CATALOG_FILE", "Catalog", "ChunkedArticle", "FileRecord", "chunk_id", "iso_day", "writing"]

CATALOG_FILE = "catalog.sqlite"

_SCHEMA = """
CREATE TABLE articles (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    url TEXT,
    publisher TEXT,
    publisher_folded TEXT,
    authors TEXT NOT NULL,
    published_at TEXT,
    published_on TEXT,
    modified_at TEXT,
    section TEXT,
    section_folded TEXT,
    language TEXT,
    language_folded TEXT,
    source_format TEXT NOT NULL,
    source_path TEXT NOT NULL,
    content_sha256 TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX articles_published_on ON articles (published_on);
CREATE TABLE sentences (
    article INTEGER NOT NULL REFERENCES articles (key),
    position INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    PRIMARY KEY (article, position)
) WITHOUT ROWID;
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    article INTEGER NOT NULL REFERENCES articles (key),
    first INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    tokens INTEGER NOT NULL
);
CREATE INDEX chunks_article ON chunks (article);
CREATE TABLE files (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, articles TEXT NOT NULL, problems TEXT NOT NULL,
    warnings TEXT NOT NULL);
"""

_ARTICLE_COLUMNS = (
    "id, title, text, url, publisher, authors, published_at, modified_at, section, language, source_format, source_path"
)
# SQLite's default limit of bound values is 32,766; far fewer keep each statement small.
_BATCH = 500


def chunk_id(article_id: str, first: int) -> int:
    """The id of the chunk that starts at sentence `first`: 63 bits of a hash.

    Made from content, not from a counter, so that an index has the same ids, and equal scores the same order, whether
    it was built at once or article by article.
    """
    digest = hashlib.sha256(f"{article_id}#{first}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what SQLite raises while a catalog is being written (disk full, I/O error) into `StorageError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"{path}: {error}; the index that was live stays live") from None


@dataclass(frozen=True, slots=True)
class ChunkedArticle:
    """An article with its sentences and chunks, ready to be stored."""

    article: Article
    sentences: Sequence[Sentence]
    chunks: Sequence[Chunk]


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What one source file gave when it was last parsed.

    `articles` are (id, content_sha256, precedence) of every article in the file, also of those that lost to a newer
    version in another file. `problems` are (line or None, reason).
    """

    path: str
    sha256: str
    articles: tuple[tuple[str, str, str], ...]
    problems: tuple[tuple[int | None, str], ...]
    warnings: tuple[str, ...]


class Catalog:
    """Reads a catalog; `create` and `open_copy` give one that can also be changed, by one thread."""

    def __init__(self, path: Path, *, immutable: bool) -> None:
        self._path = path
        self._immutable = immutable
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Catalog:
        """Open a sealed catalog for reading from any thread."""
        return cls(path, immutable=True)

    @classmethod
    def create(cls, path: Path) -> Catalog:
        """Make an empty catalog for a builder."""
        catalog = cls(path, immutable=False)
        catalog._connection().executescript(_SCHEMA)
        return catalog

    @classmethod
    def open_copy(cls, path: Path) -> Catalog:
        """Open a builder's private copy of a sealed catalog for changing."""
        return cls(path, immutable=False)

    def close(self) -> None:
        """Commit a builder's changes and close every connection."""
        with self._lock:
            for connection in self._opened:
                if not self._immutable:
                    connection.commit()
                connection.close()
            self._opened.clear()

    # Changing

    def put(self, chunked: ChunkedArticle) -> None:
        """Store an article, its sentences and chunks; an article with the same id is replaced."""
        article = chunked.article
        self.remove(article.id)
        connection = self._connection()
        cursor = connection.execute(
            f"INSERT INTO articles ({_ARTICLE_COLUMNS}, published_on, publisher_folded, section_folded,"
            " language_folded, content_sha256) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (*_row(article), iso_day(article.published_at), _fold(article.publisher), _fold(article.section),
             _fold(article.language), article.content_sha256),
        )  # fmt: skip
        key = cursor.lastrowid
        connection.executemany(
            "INSERT INTO sentences VALUES (?,?,?,?)",
            ((key, sentence.index, sentence.start, sentence.end) for sentence in chunked.sentences),
        )
        connection.executemany(
            "INSERT INTO chunks VALUES (?,?,?,?,?,?,?)",
            ((c.id, key, c.first, c.stop, c.start, c.end, c.token_count) for c in chunked.chunks),
        )

    def remove(self, article_id: str) -> list[int]:
        """Forget an article; return the ids of its chunks (none for an unknown article)."""
        connection = self._connection()
        row = connection.execute("SELECT key FROM articles WHERE id = ?", (article_id,)).fetchone()
        if row is None:
            return []
        removed = [i for (i,) in connection.execute("SELECT id FROM chunks WHERE article = ?", row)]
        connection.execute("DELETE FROM chunks WHERE article = ?", row)
        connection.execute("DELETE FROM sentences WHERE article = ?", row)
        connection.execute("DELETE FROM articles WHERE key = ?", row)
        return removed

    def put_files(self, records: Iterable[FileRecord]) -> None:
        """Replace the record of all source files."""
        connection = self._connection()
        connection.execute("DELETE FROM files")
        connection.executemany(
            "INSERT INTO files VALUES (?,?,?,?,?)",
            ((r.path, r.sha256, json.dumps(r.articles), json.dumps(r.problems), json.dumps(r.warnings))
             for r in records),
        )  # fmt: skip

    # Reading

    def files(self) -> dict[str, FileRecord]:
        """Every source file by path."""
        rows = self._connection().execute("SELECT path, sha256, articles, problems, warnings FROM files ORDER BY path")
        return {path: _file_record(path, *rest) for path, *rest in rows}

    def content_hashes(self) -> dict[str, str]:
        """Content hash by article id."""
        return dict(self._connection().execute("SELECT id, content_sha256 FROM articles ORDER BY id"))

    def article_ids(self) -> list[str]:
        """All article ids, ascending."""
        return [i for (i,) in self._connection().execute("SELECT id FROM articles ORDER BY id")]

    def article(self, article_id: str) -> Article:
        """Return one article. Raises `ArticleNotFound`."""
        row = self._connection().execute(f"SELECT {_ARTICLE_COLUMNS} FROM articles WHERE id = ?", (article_id,))
        found = row.fetchone()
        if found is None:
            raise ArticleNotFound(f"no article {article_id[:40]!r} in this index; it may have been removed")
        return _article(found)

    def articles(self) -> Iterator[Article]:
        """Every article, by id, one at a time."""
        for article_id in self.article_ids():
            yield self.article(article_id)

    def newest(self, n: int) -> list[Article]:
        """The `n` most recently published articles, newest first."""
        rows = self._connection().execute(
            f"SELECT {_ARTICLE_COLUMNS} FROM articles ORDER BY published_on DESC, published_at DESC, id LIMIT ?", (n,)
        )
        return [_article(row) for row in rows]

    def sentences(self, article: Article, first: int = 0, stop: int | None = None) -> tuple[Sentence, ...]:
        """The sentences `first` to ``stop - 1`` of an article (all by default), as slices of its text."""
        rows = self._connection().execute(
            'SELECT position, start, "end" FROM sentences WHERE article = (SELECT key FROM articles WHERE id = ?)'
            " AND position >= ? AND position < ? ORDER BY position",
            (article.id, first, 1 << 31 if stop is None else stop),
        )
        return tuple(Sentence(article.id, i, start, end, article.text[start:end]) for i, start, end in rows)

    def chunks(self, ids: Sequence[int]) -> dict[int, tuple[Chunk, Article]]:
        """Chunks by id with their articles. Raises `IndexDamaged` if one is unknown."""
        found: dict[int, tuple[Chunk, Article]] = {}
        articles: dict[str, Article] = {}
        for batch in _batches(ids):
            marks = ",".join("?" * len(batch))
            rows = self._connection().execute(
                'SELECT c.id, c.first, c.stop, c.start, c."end", c.tokens, a.id'
                f" FROM chunks c JOIN articles a ON a.key = c.article WHERE c.id IN ({marks})",
                batch,
            )
            for number, first, stop, start, end, tokens, article_id in rows:
                article = articles.get(article_id) or articles.setdefault(article_id, self.article(article_id))
                found[number] = (Chunk(number, article_id, first, stop, start, end, tokens), article)
        if missing := set(ids) - found.keys():
            raise IndexDamaged(f"the catalog does not know chunk {min(missing)}: run `qa index --full`")
        return found

    def chunk_ids(self, filters: Filters | None = None) -> IdArray:
        """Ids of all chunks, or of those whose articles pass the filters, ascending."""
        where, values = _where(filters or Filters())
        rows = self._connection().execute(
            f"SELECT c.id FROM chunks c JOIN articles a ON a.key = c.article WHERE {where} ORDER BY c.id", values
        )
        return np.fromiter((i for (i,) in rows), dtype=np.int64)

    def chunk_days(self) -> tuple[IdArray, IdArray]:
        """Ids of all chunks, ascending, and the days (proleptic ordinals) of their articles; 0 without a date."""
        articles = self._connection().execute("SELECT key, published_on FROM articles")
        days = {key: date.fromisoformat(day).toordinal() if day else 0 for key, day in articles}
        chunks = self._connection().execute("SELECT id, article FROM chunks ORDER BY id").fetchall()
        ids = np.array([number for number, _ in chunks], dtype=np.int64)
        return ids, np.array([days[article] for _, article in chunks], dtype=np.int64)

    def counts(self) -> dict[str, int]:
        """Numbers of articles, sentences, passages (chunks) and files."""
        tables = {"articles": "articles", "sentences": "sentences", "passages": "chunks", "files": "files"}
        return {
            name: self._connection().execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for name, table in tables.items()
        }

    def date_range(self) -> tuple[str | None, str | None]:
        """Oldest and newest day of publication."""
        oldest, newest = (
            self._connection().execute("SELECT min(published_on), max(published_on) FROM articles").fetchone()
        )
        return oldest, newest

    def publishers(self) -> tuple[str, ...]:
        """Every outlet, alphabetically."""
        rows = self._connection().execute(
            "SELECT DISTINCT publisher FROM articles WHERE publisher IS NOT NULL ORDER BY publisher"
        )
        return tuple(name for (name,) in rows)

    def outlets(self) -> dict[str, int]:
        """How many articles each outlet has, most first, then alphabetically."""
        rows = self._connection().execute(
            "SELECT publisher, COUNT(*) FROM articles WHERE publisher IS NOT NULL"
            " GROUP BY publisher ORDER BY COUNT(*) DESC, publisher"
        )
        return dict(rows)

    def check_article(self, article_id: str) -> None:
        """Hold an article against its content hash and every sentence and chunk against its offsets.

        Raises `IndexDamaged` that names the article and what does not fit.
        """
        article = self.article(article_id)
        (stored,) = self._connection().execute("SELECT content_sha256 FROM articles WHERE id = ?", (article_id,))
        if stored[0] != article.content_sha256:
            raise IndexDamaged(f"article {article_id}: text or metadata is not what was indexed")
        sentences = self.sentences(article)
        end = 0
        for index, sentence in enumerate(sentences):
            gap = article.text[end : sentence.start]
            if sentence.index != index or sentence.start < end or gap.strip() or sentence.text != sentence.text.strip():
                raise IndexDamaged(f"article {article_id}: sentence {index} does not fit the text")
            end = sentence.end
        if end > len(article.text) or article.text[end:].strip():
            raise IndexDamaged(f"article {article_id}: its sentences do not cover its text")
        rows = self._connection().execute(
            'SELECT first, stop, start, "end" FROM chunks WHERE article = (SELECT key FROM articles WHERE id = ?)',
            (article_id,),
        )
        covered: set[int] = set()
        for first, stop, start, end in rows:
            if not (0 <= first < stop <= len(sentences)) or (start, end) != (
                sentences[first].start,
                sentences[stop - 1].end,
            ):
                raise IndexDamaged(f"article {article_id}: chunk of sentences {first} to {stop} does not fit")
            covered.update(range(first, stop))
        if len(covered) != len(sentences):
            raise IndexDamaged(f"article {article_id}: {len(sentences) - len(covered)} sentences are in no chunk")

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._open()
            self._local.connection = connection
            with self._lock:
                self._opened.append(connection)
        return connection

    def _open(self) -> sqlite3.Connection:
        # check_same_thread is off only so that close() may close what other threads opened.
        if self._immutable:
            uri = f"{self._path.absolute().as_uri()}?mode=ro&immutable=1"
            return sqlite3.connect(uri, uri=True, check_same_thread=False)
        connection = sqlite3.connect(self._path, check_same_thread=False)
        # Until it is sealed the file belongs to a generation that nobody can see: a crash throws it away whole, so
        # neither a journal nor syncing buys anything here. Sealing syncs it once.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        return connection


def _row(article: Article) -> tuple[Any, ...]:
    return (article.id, article.title, article.text, article.url, article.publisher, json.dumps(article.authors),
            article.published_at, article.modified_at, article.section, article.language, article.source_format,
            article.source_path)  # fmt: skip


def _article(row: Sequence[Any]) -> Article:
    identity, title, text, url, publisher, authors, *rest = row
    return Article(identity, title, text, url, publisher, tuple(json.loads(authors)), *rest)


def _file_record(path: str, sha256: str, articles: str, problems: str, warnings: str) -> FileRecord:
    return FileRecord(
        path,
        sha256,
        tuple((i, h, p) for i, h, p in json.loads(articles)),
        tuple((line, reason) for line, reason in json.loads(problems)),
        tuple(json.loads(warnings)),
    )


def iso_day(timestamp: str | None) -> str | None:
    """The day of an ISO 8601 time as the source gave it; None for what is no date."""
    if not timestamp:
        return None
    try:
        return date.fromisoformat(timestamp[:10]).isoformat()
    except ValueError:
        return None


def _fold(text: str | None) -> str | None:
    return None if text is None else text.casefold()


def _where(filters: Filters) -> tuple[str, list[str]]:
    clauses, values = ["1"], []
    if filters.published_from:
        clauses.append("a.published_on >= ?")
        values.append(filters.published_from)
    if filters.published_to:
        clauses.append("a.published_on <= ?")
        values.append(filters.published_to)
    for column, wanted in (
        ("publisher_folded", tuple(map(str.casefold, filters.publishers))),
        ("section_folded", tuple(map(str.casefold, filters.sections))),
        ("language_folded", tuple(map(str.casefold, filters.languages))),
        ("id", filters.article_ids),
    ):
        if wanted:
            clauses.append(f"a.{column} IN ({','.join('?' * len(wanted))})")
            values.extend(wanted)
    return " AND ".join(clauses), values


def _batches(ids: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), _BATCH):
        yield [int(i) for i in ids[start : start + _BATCH]]
