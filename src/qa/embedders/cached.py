"""A cache around an embedder: no text is embedded twice by the same model.

Disposable, so nothing about it is ever an error: what cannot be read is embedded, what cannot be written is not kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import sqlite3
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from qa.protocols import Embedder, FloatArray

__all__ = ["CachingEmbedder"]

_log = logging.getLogger(__name__)
_SCHEMA = 1
_NOT_OURS = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_KEYS_PER_READ = 500
_WAIT_SECONDS = 10.0


class CachingEmbedder:
    """Takes vectors from an SQLite file by text and model, embeds the rest and keeps it after each batch.

    Thread-safe, and safe beside other processes on the same file. Over all calls, `embedded` counts the
    vectors that had to be made and `hits` the texts that needed none. `on_progress(done, total)` hears of the distinct
    texts of a call: first those found, then batch by batch.
    """

    def __init__(
        self,
        embedder: Embedder,
        path: Path,
        on_progress: Callable[[int, int], None] | None = None,
        batch_size: int = 256,
    ) -> None:
        self._embedder = embedder
        self.name = embedder.name
        self.dimension = embedder.dimension
        self.max_tokens = embedder.max_tokens
        self.fingerprint = embedder.fingerprint
        self.on_progress = on_progress
        self.hits = 0
        self.embedded = 0
        self._batch_size = batch_size
        self._model = hashlib.sha256(json.dumps(embedder.fingerprint, sort_keys=True).encode()).digest()
        self._lock = threading.Lock()
        self._file = _VectorFile(path, embedder.dimension)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count as the embedder does."""
        return self._embedder.count_tokens(texts)

    def embed_query(self, text: str) -> FloatArray:
        """Embed a question; questions are not kept."""
        return self._embedder.embed_query(text)

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Return (n, dimension) float32, rows of length 1, in the order of `texts`."""
        keys = [self._key(text) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        with self._lock:
            vectors = self._file.read(list(wanted))
            missing = [key for key in wanted if key not in vectors]
            self.hits += len(texts) - len(missing)
            self._report(len(vectors), len(wanted))
            for start in range(0, len(missing), self._batch_size):
                batch = missing[start : start + self._batch_size]
                made = self._embedder.embed_documents([wanted[key] for key in batch])
                vectors.update(zip(batch, made, strict=True))
                self.embedded += len(batch)
                self._file.write(batch, made)
                self._report(len(vectors), len(wanted))
        result = np.empty((len(keys), self.dimension), dtype=np.float32)
        for row, key in enumerate(keys):
            result[row] = vectors[key]
        return result

    def close(self) -> None:
        """Close the file; embedding goes on without it."""
        with self._lock:
            self._file.close()

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(self._model + text.encode("utf-8", "surrogatepass")).digest()

    def _report(self, done: int, total: int) -> None:
        if self.on_progress is not None and total:
            self.on_progress(done, total)


class _VectorFile:
    """Vectors by key in SQLite. A file that is not ours is replaced, one that cannot be used is done without."""

    def __init__(self, path: Path, dimension: int) -> None:
        self._path = path
        self._dimension = dimension
        self._connection: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except (OSError, sqlite3.Error) as error:
            self._recover(error)

    def read(self, keys: Sequence[bytes]) -> dict[bytes, FloatArray]:
        """Return what is known of `keys`; a row whose checksum is wrong is not known."""
        found: dict[bytes, FloatArray] = {}
        try:
            for start in range(0, len(keys) if self._connection else 0, _KEYS_PER_READ):
                found.update(self._read(keys[start : start + _KEYS_PER_READ]))
        except sqlite3.Error as error:
            self._recover(error)
        return found

    def write(self, keys: Sequence[bytes], vectors: FloatArray) -> None:
        """Keep vectors by key, durably, in one transaction."""
        rows = [(key, zlib.crc32(data), data) for key, data in zip(keys, map(_pack, vectors), strict=True)]
        try:
            if self._connection:
                with self._connection as connection:
                    connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            self._recover(error)

    def close(self) -> None:
        """Close the file; later reads find nothing, later writes do nothing."""
        if self._connection is not None:
            # An error here would be one about what was already written or given up.
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _open(self) -> None:
        # The rollback journal, not WAL: two processes that write are safe in every SQLite version, and one file it is.
        self._connection = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, check_same_thread=False)
        with self._connection as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            if connection.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA:
                connection.execute("DROP TABLE IF EXISTS vectors")
            connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, crc INTEGER, vector BLOB)")
            connection.execute(f"PRAGMA user_version = {_SCHEMA}")

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, FloatArray]:
        assert self._connection is not None
        marks = ",".join("?" * len(keys))
        rows = self._connection.execute(f"SELECT key, crc, vector FROM vectors WHERE key IN ({marks})", keys)
        return {key: _unpack(data) for key, crc, data in rows if self._is_whole(crc, data)}

    def _is_whole(self, crc: object, data: object) -> bool:
        return isinstance(data, bytes) and len(data) == 4 * self._dimension and zlib.crc32(data) == crc

    def _recover(self, error: Exception) -> None:
        """Start an empty file where this one is no database of ours; else go on without."""
        self.close()
        if getattr(error, "sqlite_errorcode", None) in _NOT_OURS:
            _log.warning("embedding cache %s is damaged (%s): starting an empty one", self._path, error)
            try:
                self._path.unlink(missing_ok=True)
                self._open()
                return
            except (OSError, sqlite3.Error) as again:
                error = again
        self.close()
        _log.warning("embedding cache %s cannot be used (%s): going on without it", self._path, error)


def _pack(vector: FloatArray) -> bytes:
    return vector.astype("<f4").tobytes()


def _unpack(data: bytes) -> FloatArray:
    return np.frombuffer(data, dtype="<f4").astype(np.float32)
