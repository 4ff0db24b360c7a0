"""The embedding cache: nothing twice, nothing wrong, and never an error."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from qa.embedders.cached import CachingEmbedder
from qa.embedders.hashing import HashingEmbedder
from qa.protocols import FloatArray

TEXTS = ["copper fell", "the strike ended", "", "copper fell", "São Paulo", "\ud800"]
DISTINCT = 5


class Recording(HashingEmbedder):
    """Remembers what it was asked to embed."""

    def __init__(self, dimension: int = 64) -> None:
        super().__init__(dimension)
        self.asked: list[list[str]] = []

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        self.asked.append(list(texts))
        return super().embed_documents(texts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "embeddings.sqlite"


EXPECTED = HashingEmbedder(64).embed_documents(TEXTS)


def check(path: Path, hits: int, embedded: int) -> Recording:
    """Embed all texts through the file and hold vectors and counts against what they must be."""
    inner = Recording()
    cached = CachingEmbedder(inner, path)
    assert np.array_equal(cached.embed_documents(TEXTS), EXPECTED)
    assert (cached.hits, cached.embedded) == (hits, embedded)
    cached.close()
    return inner


def test_no_text_is_embedded_twice(path: Path) -> None:
    first = check(path, hits=1, embedded=DISTINCT)
    assert sorted(sum(first.asked, [])) == sorted(set(TEXTS))
    second = check(path, hits=len(TEXTS), embedded=0)
    assert second.asked == []


@pytest.mark.parametrize("dimension", [32, 64])
def test_another_model_has_its_own_vectors(path: Path, dimension: int) -> None:
    check(path, hits=1, embedded=DISTINCT)
    other = Recording(dimension)
    other.fingerprint = {**other.fingerprint, "weights_sha256": "ab"}
    cached = CachingEmbedder(other, path)
    assert np.array_equal(cached.embed_documents(TEXTS), HashingEmbedder(dimension).embed_documents(TEXTS))
    assert len(sum(other.asked, [])) == cached.embedded == DISTINCT
    cached.close()
    check(path, hits=len(TEXTS), embedded=0)


def test_progress_counts_what_is_found_then_what_is_made(path: Path) -> None:
    CachingEmbedder(Recording(), path).embed_documents(["text 3", "text 8"])
    heard: list[tuple[int, int]] = []
    cached = CachingEmbedder(Recording(), path, on_progress=lambda *now: heard.append(now), batch_size=4)
    cached.embed_documents([f"text {number}" for number in range(12)])
    assert heard == [(2, 12), (6, 12), (10, 12), (12, 12)]


def test_what_was_embedded_before_a_failure_is_kept(path: Path) -> None:
    class Failing(Recording):
        def embed_documents(self, texts: Sequence[str]) -> FloatArray:
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().embed_documents(texts)

    texts = [f"text {number}" for number in range(12)]
    with pytest.raises(KeyboardInterrupt):
        CachingEmbedder(Failing(), path, batch_size=4).embed_documents(texts)
    again = CachingEmbedder(Recording(), path)
    again.embed_documents(texts)
    assert (again.hits, again.embedded) == (8, 4)


def test_questions_are_not_kept(path: Path) -> None:
    cached = CachingEmbedder(Recording(), path)
    assert np.array_equal(cached.embed_query("who?"), HashingEmbedder(64).embed_query("who?"))
    cached.embed_documents(["who?"])
    assert cached.embedded == 1


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: b"not a database, but long enough to be taken for one " * 100,
        lambda data: data[:100],
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff" * 100 + data[100:],
        lambda data: data[:4096] + b"\x7f" * (len(data) - 4096),
    ],
    ids=["empty", "text", "header", "half", "no header", "pages"],
)
def test_a_damaged_file_costs_time_only(path: Path, change: Callable[[bytes], bytes]) -> None:
    check(path, hits=1, embedded=DISTINCT)
    rewrite(path, change)
    cached = CachingEmbedder(Recording(), path)
    assert np.array_equal(cached.embed_documents(TEXTS), EXPECTED)
    cached.close()
    check(path, hits=len(TEXTS), embedded=0)  # and is whole again


def test_a_vector_that_changed_on_disk_is_made_again(path: Path) -> None:
    check(path, hits=1, embedded=DISTINCT)
    with sqlite3.connect(path) as connection:
        vector = bytearray(connection.execute("SELECT vector FROM vectors").fetchone()[0])
        vector[5] ^= 1
        connection.execute("UPDATE vectors SET vector = ? WHERE rowid = 1", (bytes(vector),))
        connection.execute("UPDATE vectors SET vector = 'short' WHERE rowid = 2")
    connection.close()
    cached = CachingEmbedder(Recording(), path)
    assert np.array_equal(cached.embed_documents(TEXTS), EXPECTED)
    assert cached.embedded == 2
    check(path, hits=len(TEXTS), embedded=0)


def test_a_file_of_another_version_is_started_anew(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")
    connection.close()
    check(path, hits=1, embedded=DISTINCT)
    check(path, hits=len(TEXTS), embedded=0)


def test_a_place_that_cannot_be_written_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    check(tmp_path / "file" / "embeddings.sqlite", hits=1, embedded=DISTINCT)
    assert "cannot be used" in caplog.text
    (tmp_path / "folder.sqlite").mkdir()
    check(tmp_path / "folder.sqlite", hits=1, embedded=DISTINCT)


def test_a_locked_file_is_done_without(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qa.embedders.cached._WAIT_SECONDS", 0.05)
    check(path, hits=1, embedded=DISTINCT)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    check(path, hits=1, embedded=DISTINCT)
    assert "locked" in caplog.text
    other.execute("ROLLBACK")
    other.close()
    check(path, hits=len(TEXTS), embedded=0)


def test_threads_share_one_cache(path: Path) -> None:
    cached = CachingEmbedder(Recording(), path, batch_size=8)
    texts = [f"text {number}" for number in range(64)]
    results: list[FloatArray] = []
    threads = [threading.Thread(target=lambda: results.append(cached.embed_documents(texts))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(np.array_equal(result, results[0]) for result in results)
    assert (cached.hits, cached.embedded) == (3 * 64, 64)


SCRIPT = """
import sys
from pathlib import Path
from qa.embedders.cached import CachingEmbedder
from qa.embedders.hashing import HashingEmbedder
cached = CachingEmbedder(HashingEmbedder(64), Path(sys.argv[1]), batch_size=4)
for start in range(0, 400, 20):
    cached.embed_documents([f"text {number}" for number in range(start, start + 20)])
"""


def test_two_processes_share_one_file(path: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)], stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    cached = CachingEmbedder(Recording(), path)
    texts = [f"text {number}" for number in range(400)]
    assert np.array_equal(cached.embed_documents(texts), HashingEmbedder(64).embed_documents(texts))
    assert cached.embedded == 0
