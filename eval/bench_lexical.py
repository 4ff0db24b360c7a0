"""Measure the lexical index against SQLite FTS5: quality, query time, size, load, and the cost of adding one article.

    python eval/bench_lexical.py --articles articles.jsonl.gz --questions questions.jsonl.gz --squad dev-v2.0.json.gz

Articles and questions in the format of github.com/realtimeqa/realtimeqa_public (``title``, ``text``; ``question``,
``answer``), SQuAD 2.0 as published. Each is optional; the timings need the first two. Candidates take turns, query by
query, so that a busy machine slows all of them alike: compare ratios. Results go to standard output as Markdown.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import resource
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qa.lexical import STOP_WORDS, LexicalIndex

Search = Callable[[str, int], list[int]]
CHUNK_WORDS = 90
ARTICLE_CHUNKS = 20


def lines(path: Path) -> Iterable[Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def chunk_texts(articles: Iterable[Any]) -> list[str]:
    """Title and about 90 words of whole sentences; a rough splitter will do here."""
    texts: list[str] = []
    for article in articles:
        chunk: list[str] = []
        words = 0
        for sentence in re.split(r"\n+|(?<=[.!?])[\"”’)]*\s+(?=[\"“‘(]?[A-Z0-9])", article["text"]):
            count = len(sentence.split())
            if words and words + count > CHUNK_WORDS:
                texts.append(f"{article['title']}\n{' '.join(chunk)}")
                chunk, words = [], 0
            chunk.append(sentence.strip())
            words += count
        if words:
            texts.append(f"{article['title']}\n{' '.join(chunk)}")
    return texts


class Folder:
    """Generation files in a plain folder, synced, unverified."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, data: bytes) -> None:
        with (self.path / name).open("wb") as file:
            file.write(data)
            os.fsync(file.fileno())

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


class Numpy:
    """The lexical index of this project."""

    name = "qa.lexical"

    def __init__(self, folder: Path, texts: Sequence[str]) -> None:
        self.folder = folder
        index = LexicalIndex.empty()
        index.add(range(len(texts)), texts)
        index.save(Folder(folder))
        self.load()

    def load(self) -> None:
        self.index = LexicalIndex.load(Folder(self.folder))

    def search(self, question: str, k: int) -> list[int]:
        return [hit.chunk_id for hit in self.index.search(question, k)]

    def add_article(self, folder: Path, first: int, texts: Sequence[str]) -> None:
        index = LexicalIndex.load(Folder(self.folder))
        index.add(range(first, first + len(texts)), texts)
        index.save(Folder(folder))


class Fts5:
    """SQLite FTS5: contentless, words of the question quoted and joined by OR."""

    name = "SQLite FTS5"

    def __init__(self, folder: Path, texts: Sequence[str]) -> None:
        self.file = folder / "catalog.sqlite"
        with sqlite3.connect(self.file) as connection:
            connection.execute("CREATE VIRTUAL TABLE lexical USING fts5(body, content='', tokenize='porter unicode61')")
            connection.executemany("INSERT INTO lexical(rowid, body) VALUES (?, ?)", enumerate(texts))
            connection.execute("INSERT INTO lexical(lexical) VALUES ('optimize')")
        connection.close()
        self.load()

    def load(self) -> None:
        self.connection = sqlite3.connect(self.file)

    def search(self, question: str, k: int) -> list[int]:
        words = [word for word in dict.fromkeys(re.findall(r"\w+", question.casefold())) if word not in STOP_WORDS]
        match = " OR ".join(f'"{word}"' for word in words)
        sql = "SELECT rowid FROM lexical WHERE lexical MATCH ? ORDER BY rank, rowid LIMIT ?"
        return [row[0] for row in self.connection.execute(sql, (match, k))] if words else []

    def add_article(self, folder: Path, first: int, texts: Sequence[str]) -> None:
        copy = folder / "catalog.sqlite"
        shutil.copyfile(self.file, copy)
        with sqlite3.connect(copy) as connection:
            connection.executemany("INSERT INTO lexical(rowid, body) VALUES (?, ?)", enumerate(texts, first))
        connection.close()
        with copy.open("rb") as file:
            os.fsync(file.fileno())


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def answer_recall(search: Search, texts: Sequence[str], questions: Sequence[Any], k: int) -> float:
    """Share of questions with an answer string, case-folded, in one of the first k chunks, title included."""
    found = 0
    for question in questions:
        answers = [answer.casefold() for answer in question["answer"]]
        chunks = [texts[number].casefold() for number in search(question["question"], k)]
        found += any(answer in chunk for answer in answers for chunk in chunks)
    return found / len(questions)


def quality(candidates: Sequence[type[Numpy | Fts5]], texts: Sequence[str], questions: Sequence[Any]) -> None:
    print("| candidate | answer recall@1 | @5 | @10 |\n|---|---|---|---|")
    for candidate in candidates:
        with tempfile.TemporaryDirectory() as folder:
            search = candidate(Path(folder), texts).search
            print(f"| {candidate.name} |", *(f"{answer_recall(search, texts, questions, k):.3f} |" for k in (1, 5, 10)))


def squad_quality(candidates: Sequence[type[Numpy | Fts5]], path: Path) -> None:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    asked = [(qa["question"], number) for number, paragraph in enumerate(paragraphs) for qa in paragraph["qas"]]
    print("| candidate | own paragraph recall@1 | @5 |\n|---|---|---|")
    for candidate in candidates:
        with tempfile.TemporaryDirectory() as folder:
            search = candidate(Path(folder), [paragraph["context"] for paragraph in paragraphs]).search
            found = [sum(gold in search(text, k) for text, gold in asked) / len(asked) for k in (1, 5)]
            print(f"| {candidate.name} |", *(f"{share:.3f} |" for share in found))


def timings(texts: Sequence[str], questions: Sequence[Any], size: int) -> None:
    # Beyond what there is, chunks repeat with one word of their own each.
    many = [texts[i % len(texts)] + (f" zq{i}" if i >= len(texts) else "") for i in range(size)]
    print(f"\n{size:,} chunks\n\n| candidate | index s | MB | load ms | query ms | p95 | add article ms |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as top:
        folders = {candidate: Path(top, candidate.__name__) for candidate in (Numpy, Fts5)}
        made: list[tuple[Numpy | Fts5, float]] = []
        for candidate, folder in folders.items():
            folder.mkdir()
            start = time.perf_counter()
            made.append((candidate(folder, many), time.perf_counter() - start))
        asked: dict[str, list[float]] = {index.name: [] for index, _ in made}
        for question in questions:
            for index, _ in made:
                asked[index.name].append(seconds(partial(index.search, question["question"], 100)))
        for (index, built), folder in zip(made, folders.values(), strict=True):
            times = sorted(asked[index.name][len(questions) // 10 :])
            added = []
            for turn in range(5):
                target = Path(top, f"{type(index).__name__}-{turn}")
                target.mkdir()
                added.append(seconds(partial(index.add_article, target, size, many[:ARTICLE_CHUNKS])))
            megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
            loads = statistics.median(seconds(index.load) for _ in range(3))
            print(
                f"| {index.name} | {built:.1f} | {megabytes:.1f} | {loads * 1e3:.1f} "
                f"| {statistics.median(times) * 1e3:.2f} | {times[int(len(times) * 0.95)] * 1e3:.2f} "
                f"| {statistics.median(added) * 1e3:.0f} |"
            )
    print(
        f"\nhighest memory of the process so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--squad", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4_000, 40_000, 400_000])
    given = parser.parse_args()
    if given.articles and given.questions:
        texts, questions = chunk_texts(lines(given.articles)), list(lines(given.questions))
        print(f"{len(texts):,} chunks, {len(questions)} questions\n")
        quality((Numpy, Fts5), texts, questions)
        for size in given.sizes:
            timings(texts, questions, size)
    if given.squad:
        print()
        squad_quality((Numpy, Fts5), given.squad)


if __name__ == "__main__":
    main()
