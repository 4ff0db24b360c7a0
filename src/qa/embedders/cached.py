"""The embedding cache: no text is embedded twice. Vectors by content and model, in one SQLite file; safe to delete."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from qa.protocols import Embedder, FloatArray

__all__ = ["CachingEmbedder"]

_log = logging.getLogger(__name__)
_BATCH = 500
_BUSY_SECONDS = 10.0


class CachingEmbedder:
    """An embedder that remembers. For the builder: one thread embeds documents; queries pass through.

    `hits` counts texts whose vectors were known, `embedded` those that had to be made. A cache that cannot be read or
    written costs time, never a build: it is made anew or done without, with a warning.
    """

    def __init__(self, embedder: Embedder, path: Path) -> None:
        self._embedder = embedder
        self._path = path
        self.name = embedder.name
        self.dimension = embedder.dimension
        self.max_tokens = embedder.max_tokens
        self.fingerprint = embedder.fingerprint
        self.hits = 0
        self.embedded = 0
        self._prefix = hashlib.sha256(json.dumps(embedder.fingerprint, sort_keys=True).encode()).digest()
        self._connection = self._open()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Token counts, as the embedder's."""
        return self._embedder.count_tokens(texts)

    def embed_query(self, text: str) -> FloatArray:
        """The embedder's query vector; not cached."""
        return self._embedder.embed_query(text)

    def embed_documents(
        self, texts: Sequence[str], on_progress: Callable[[int, int], None] | None = None
    ) -> FloatArray:
        """Return (n, dimension) float32 as the embedder does, making only what is not known yet."""
        keys = [self._key(text) for text in texts]
        known = self._load(list(dict.fromkeys(keys)))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            vectors = self._embedder.embed_documents(list(missing.values()))
            made = dict(zip(missing, vectors, strict=True))
            self._store(made)
            known.update(made)
        self.embedded += len(missing)
        self.hits += len(texts) - len(missing)
        if on_progress:
            on_progress(len(texts), len(texts))
        return np.stack([known[key] for key in keys]) if keys else np.empty((0, self.dimension), np.float32)

    def close(self) -> None:
        """Close the cache file."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(self._prefix + text.encode("utf-8", "surrogatepass")).digest()

    def _load(self, keys: Sequence[bytes]) -> dict[bytes, FloatArray]:
        found: dict[bytes, FloatArray] = {}
        size = self.dimension * 4
        if self._connection is None:
            return found
        try:
            for start in range(0, len(keys), _BATCH):
                batch = keys[start : start + _BATCH]
                marks = ",".join("?" * len(batch))
                rows = self._connection.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", batch)
                found.update(
                    (key, np.frombuffer(vector, dtype="<f4").astype(np.float32))
                    for key, vector in rows
                    if isinstance(vector, bytes) and len(vector) == size
                )
        except sqlite3.Error as error:
            self._give_up(error)
        return found

    def _store(self, vectors: dict[bytes, FloatArray]) -> None:
        if self._connection is None:
            return
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def _open(self) -> sqlite3.Connection | None:
        for attempt in ("as it is", "anew"):
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, check_same_thread=False)
                connection.execute("PRAGMA journal_mode = WAL")
                # Losing the last vectors to a power cut costs their embedding, nothing else.
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID"
                )
                return connection
            except (sqlite3.Error, OSError) as error:
                _log.warning("embedding cache %s cannot be opened %s: %s", self._path, attempt, error)
                if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                    self._path.unlink(missing_ok=True)  # not a database: nothing in it can be of use
        return None

    def _give_up(self, error: sqlite3.Error) -> None:
        _log.warning("embedding cache %s is not used any further: %s", self._path, error)
        self.close()
