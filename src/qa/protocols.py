"""The five seams. Each has at least two implementations under one shared contract test.

A reader turns files into articles, an embedder turns text into vectors, a store finds the nearest vectors, a scorer
judges sentences, an answerer turns passages into statements. Adding one: a file in the seam's folder, a branch in its
factory, a line in the contract test's parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qa.errors import ReaderError
from qa.types import Article, Begun, Draft, Hit, Passage, Progress, SentenceScore, Statement, Support, Written

__all__ = [
    "Answerer",
    "ArticleReader",
    "Embedder",
    "FileSink",
    "FileSource",
    "FloatArray",
    "IdArray",
    "Listener",
    "Scorer",
    "SupportCheck",
    "TokenCounter",
    "VectorStore",
]

FloatArray = NDArray[np.float32]
IdArray = NDArray[np.int64]
Listener = Callable[[Begun | Progress | Written], None]
"""Told how an answer comes along; it raises `Stopped` to end the work."""
SupportCheck = Callable[[Statement, Mapping[str, Article]], Support]
"""Says whether the cited sentences say a statement, by the stored text of the articles, by id. Never raises."""


class ArticleReader(Protocol):
    """Reads one file format."""

    suffixes: frozenset[str]
    """Lower-case file name endings with their dot, such as ``.md``."""

    def read(self, data: bytes, path: str) -> Iterator[Article | ReaderError]:
        """Yield the articles of one file, and a `ReaderError` for each record that cannot be one.

        `data` is the whole file; `path` is its POSIX path relative to the corpus, for ids and messages. Raises
        `ReaderError` when the file as a whole cannot be read. Warnings go to the `qa.readers` logger.
        """
        ...


class TokenCounter(Protocol):
    """Counts tokens the way one model counts them."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Token count of each text without truncation and without the model's start and end marks."""
        ...


class Embedder(TokenCounter, Protocol):
    """Turns text into vectors of length 1. Equal text gives an equal vector, whatever else is in the batch."""

    name: str
    """Human-readable model name, such as ``all-MiniLM-L6-v2``."""
    dimension: int
    max_tokens: int
    """The most tokens that the model reads of one text, start and end marks not counted; the rest it ignores."""
    fingerprint: dict[str, str]
    """What makes vectors comparable: model, revision, hashes of weights and tokenizer, pooling, prompts, backend."""

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Return (n, dimension) float32, rows of length 1, in the order of `texts`."""
        ...

    def embed_query(self, text: str) -> FloatArray:
        """Return (dimension,) float32 of length 1."""
        ...


class FileSource(Protocol):
    """The files of one index generation, for reading whole."""

    def read(self, name: str) -> bytes:
        """Return the bytes of one file, already checked against the manifest. Raises `IndexDamaged`."""
        ...


class FileSink(Protocol):
    """The files of one index generation that is being made, for writing whole."""

    def write(self, name: str, data: bytes) -> None:
        """Write and sync one file. Raises `StorageError`."""
        ...


class VectorStore(Protocol):
    """Vectors by id, nearest first. Searching is thread-safe; changing is for the builder alone."""

    kind: str
    """What the manifest records, such as ``faiss-flat``."""

    def add(self, ids: Sequence[int], vectors: FloatArray) -> None:
        """Add (n, dimension) vectors of length 1. Raises `StoreError` on a known id or a wrong shape."""
        ...

    def remove(self, ids: Sequence[int]) -> None:
        """Remove vectors; unknown ids are ignored."""
        ...

    def search(self, vector: FloatArray, k: int, among: IdArray | None = None) -> list[Hit]:
        """Return at most k hits by cosine in [-1, 1], best first, equal scores by ascending id.

        `among`: only these ids (unknown ones are ignored). Raises `StoreError` on a wrong dimension or k < 1.
        """
        ...

    def __len__(self) -> int: ...

    def save(self, files: FileSink) -> None:
        """Write everything that `load` needs into a generation that is being made."""
        ...


class Scorer(Protocol):
    """Reads passages with a question in mind. Equal input gives equal scores, whatever else is scored."""

    name: str

    def score(self, question: str, passages: Sequence[Passage]) -> Generator[list[SentenceScore]]:
        """Yield the scores of each passage's sentences, in their order; once it is closed, nothing more is read."""
        ...


class Answerer(Protocol):
    """Turns passages into statements. It returns sentences it was given, never citations."""

    name: str

    def answer(self, question: str, passages: Sequence[Passage], max_statements: int, listen: Listener) -> Draft:
        """Return a draft whose sources all stand in `passages`; a draft without statements is a refusal.

        `listen` hears of every passage that was read ("ranking"), when the statements are made ("writing"), and of
        each statement by itself where they come one after the other.
        """
        ...
