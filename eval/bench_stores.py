"""Query time and recall of the exact and the approximate store, one thread, by number of vectors.

    python eval/bench_stores.py [40000 400000 1000000]

Vectors are made up, with the spread of real ones: topics in 32 directions, and noise. Questions stand at a cosine of
about .6 from a stored vector.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from qa.protocols import FloatArray, VectorStore
from qa.settings import StoreSettings
from qa.stores import create_store

DIMENSION, K, QUESTIONS = 384, 10, 100


def unit(rows: FloatArray) -> FloatArray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make(count: int) -> tuple[FloatArray, FloatArray]:
    """Return (count, 384) vectors and (100, 384) questions."""
    random = np.random.default_rng(7)
    axes = random.standard_normal((32, DIMENSION), dtype=np.float32) / np.sqrt(np.float32(DIMENSION))
    topics = random.standard_normal((2000, 32), dtype=np.float32)
    vectors = np.empty((count, DIMENSION), dtype=np.float32)
    for start in range(0, count, 50_000):
        block = vectors[start : start + 50_000]
        own = topics[random.integers(0, 2000, len(block))] + 0.7 * random.standard_normal((len(block), 32), np.float32)
        block[:] = unit(own @ axes + 0.15 * random.standard_normal(block.shape, dtype=np.float32))
    near = vectors[random.choice(count, QUESTIONS, replace=False)]
    return vectors, unit(0.6 * near + 0.8 * unit(random.standard_normal(near.shape, dtype=np.float32)))


def fill(store: VectorStore, vectors: FloatArray) -> float:
    """Add all in blocks; return seconds."""
    start = time.perf_counter()
    for at in range(0, len(vectors), 20_000):
        block = vectors[at : at + 20_000]
        store.add(range(at, at + len(block)), block)
    return time.perf_counter() - start


def milliseconds(store: VectorStore, questions: FloatArray) -> list[float]:
    times = []
    for question in questions:
        start = time.perf_counter()
        store.search(question, K)
        times.append(1000 * (time.perf_counter() - start))
    return times


def main() -> None:
    for count in [int(number) for number in sys.argv[1:]] or [40_000, 400_000, 1_000_000]:
        vectors, questions = make(count)
        exact = create_store(StoreSettings(approximate_above=count), DIMENSION, count)
        lists = create_store(StoreSettings(approximate_above=0), DIMENSION, count)
        filled = fill(exact, vectors), fill(lists, vectors)
        started = time.perf_counter()
        lists.save(type("Sink", (), {"write": staticmethod(lambda name, data: None)})())
        tuned = time.perf_counter() - started
        del vectors
        times: dict[str, list[float]] = {"exact": [], "lists": []}
        for part in np.array_split(questions, 5):  # interleaved: other work on the machine meets both alike
            times["exact"] += milliseconds(exact, part)
            times["lists"] += milliseconds(lists, part)
        found = [
            len({hit.chunk_id for hit in exact.search(q, K)} & {hit.chunk_id for hit in lists.search(q, K)})
            for q in questions
        ]
        index = lists._index
        print(
            f"{count:9,d} vectors: "
            f"exact {statistics.median(times['exact']):.1f} ms (fastest {min(times['exact']):.1f}), "
            f"lists {statistics.median(times['lists']):.2f} ms (fastest {min(times['lists']):.2f}), "
            f"recall@10 {sum(found) / (K * QUESTIONS):.3f}, {index.nprobe} of {index.nlist} lists; "
            f"adding {filled[0]:.1f} s and {filled[1]:.1f} s, choosing and writing {tuned:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
