"""Every store against every cosine computed by numpy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.errors import StoreError
from qa.protocols import FloatArray, VectorStore
from qa.settings import StoreSettings
from qa.stores import create_store, load_store, store_kind
from qa.types import Hit

from .brute import BruteForceStore

DIMENSION = 24
KINDS = {"faiss-flat": StoreSettings(), "faiss-ivf": StoreSettings(approximate_above=0)}


class Files(dict[str, bytes]):
    """The files of one generation, in memory."""

    def write(self, name: str, data: bytes) -> None:
        self[name] = data

    def read(self, name: str) -> bytes:
        return self[name]


def random_vectors(count: int, seed: int = 0) -> FloatArray:
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def tied_vectors(count: int, seed: int = 0) -> FloatArray:
    """Vectors of four halves each: their cosines are quarters, exact in any arithmetic, so that most are tied."""
    random = np.random.default_rng(seed)
    rows = np.zeros((count, DIMENSION), dtype=np.float32)
    for row in rows:
        row[random.choice(8, 4, replace=False)] = random.choice([0.5, -0.5], 4)
    return rows


def reload(store: VectorStore) -> VectorStore:
    files = Files()
    store.save(files)
    return load_store({"kind": store.kind, "dimension": DIMENSION, "count": len(store)}, files)


def filled(kind: str, ids: Iterable[int], vectors: FloatArray) -> tuple[VectorStore, BruteForceStore]:
    """A saved and loaded store (its lists are then all looked into) and the oracle, with equal content."""
    numbers = list(ids)
    store, oracle = create_store(KINDS[kind], DIMENSION, len(numbers)), BruteForceStore()
    for at in range(0, len(numbers), 90):
        store.add(numbers[at : at + 90], vectors[at : at + 90])
    oracle.add(numbers, vectors)
    return store, oracle


def assert_same(found: Sequence[Hit], expected: Sequence[Hit]) -> None:
    """Equal but for float rounding: scores by rank, and ids wherever scores are further apart than rounding."""
    assert len(found) == len(expected)
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=2e-6)
    for rank, (hit, other) in enumerate(zip(found, expected, strict=True)):
        neighbours = expected[max(rank - 1, 0) : rank + 2]
        if sum(abs(other.score - near.score) < 4e-6 for near in neighbours) == 1 and rank < len(expected) - 1:
            assert hit.chunk_id == other.chunk_id


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_finds_what_numpy_finds(kind: str) -> None:
    ids = np.random.default_rng(1).permutation(5000)[:700] * 7
    store, oracle = filled(kind, ids.tolist(), random_vectors(700))
    if kind == "faiss-ivf":
        store._index.nprobe = store._index.nlist
    for query in random_vectors(40, seed=2):
        for k in (1, 10, 100):
            assert_same(store.search(query, k), oracle.search(query, k))
    assert store.kind == kind


def test_approximate_lists_find_nearly_all_with_the_probes_they_choose() -> None:
    store, oracle = filled("faiss-ivf", range(4000), random_vectors(4000))
    loaded = reload(store)
    queries = random_vectors(50, seed=5)
    hits = sum(
        len({h.chunk_id for h in loaded.search(q, 10)} & {h.chunk_id for h in oracle.search(q, 10)}) for q in queries
    )
    assert hits >= 0.95 * 500
    assert 1 <= loaded._index.nprobe <= loaded._index.nlist > 10


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 70), st.sampled_from(list(KINDS)))
def test_ties_come_by_ascending_id(seed: int, count: int, k: int, kind: str) -> None:
    ids = np.random.default_rng(seed).permutation(1000)[:count].tolist()
    vectors = tied_vectors(count, seed)
    store, oracle = filled(kind, ids, vectors)
    among = np.array(ids[::2] + [5000], dtype=np.int64)
    if kind == "faiss-flat":
        assert store.search(vectors[0], k) == oracle.search(vectors[0], k)
    assert store.search(vectors[0], k, among) == oracle.search(vectors[0], k, among)


def test_duplicates_are_all_found_the_lowest_ids_first(kind: str) -> None:
    vectors = random_vectors(300)
    vectors[50:250] = vectors[3]
    store, _ = filled(kind, range(299, -1, -1), vectors[::-1])
    same = [3, *range(50, 250)]
    for k in (1, 5, 64, 201):
        assert [hit.chunk_id for hit in store.search(vectors[3], k)] == same[:k]


def test_among_is_exact_and_ignores_unknown_ids(kind: str) -> None:
    store, oracle = filled(kind, range(0, 1200, 2), random_vectors(600))
    random = np.random.default_rng(4)
    for size in (1, 3, 50, 900):
        among = random.choice(1500, size, replace=False)
        query = random_vectors(1, seed=size)[0]
        assert_same(store.search(query, 20, among), oracle.search(query, 20, among))
    assert store.search(query, 5, np.array([], dtype=np.int64)) == []
    assert store.search(query, 5, np.array([1, 99_999])) == []
    assert len(store.search(query, 5, np.array([4, 4, 4]))) == 1


def test_more_than_there_are(kind: str) -> None:
    store, oracle = filled(kind, range(5), random_vectors(5))
    query = random_vectors(1, seed=9)[0]
    assert_same(store.search(query, 50, np.arange(5)), oracle.search(query, 50))
    empty = create_store(KINDS[kind], DIMENSION, 0)
    assert empty.search(query, 3) == [] and len(empty) == 0


def test_what_is_saved_is_what_is_loaded(kind: str) -> None:
    store, _ = filled(kind, range(500), random_vectors(500))
    loaded = reload(store)
    for query in random_vectors(10, seed=3):
        assert loaded.search(query, 10) == store.search(query, 10)
    assert (loaded.kind, len(loaded)) == (kind, 500)
    first, second = Files(), Files()
    loaded.save(first)
    loaded.save(second)
    assert first == second


def test_an_empty_store_is_saved_and_filled_later(kind: str) -> None:
    loaded = reload(create_store(KINDS[kind], DIMENSION, 0))
    vectors = random_vectors(200)
    loaded.add(range(200), vectors)
    assert loaded.search(vectors[7], 1)[0].chunk_id == 7
    assert len(reload(loaded)) == 200


def test_a_loaded_store_is_carried_on_with(kind: str) -> None:
    """What an incremental build does: everything but what changed is reused."""
    vectors, fresh = random_vectors(600), random_vectors(100, seed=8)
    store, oracle = filled(kind, range(600), vectors)
    store = reload(store)
    for part in (store, oracle):
        part.remove([*range(0, 300, 3), 77_777])
        part.add([*range(0, 300, 3)], fresh)
        part.remove([599, 599])
    store = reload(store)
    assert len(store) == len(oracle) == 599
    everything = np.arange(600)
    for query in random_vectors(20, seed=6):
        assert_same(store.search(query, 30, everything), oracle.search(query, 30))


def test_removing_everything(kind: str) -> None:
    store, _ = filled(kind, range(100), random_vectors(100))
    store.remove(range(100))
    store = reload(store)
    assert len(store) == 0 and store.search(random_vectors(1)[0], 3) == []


def test_large_ids(kind: str) -> None:
    ids = [2**62 + number for number in range(50)]
    store, oracle = filled(kind, ids, random_vectors(50))
    query = random_vectors(1, seed=1)[0]
    assert_same(reload(store).search(query, 50, np.array(ids)), oracle.search(query, 50))


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        ([3], random_vectors(1), "vector id 3 is already in the store"),
        ([900, 901, 900], random_vectors(3), "vector id 900 is already in the store"),
        ([900], np.ones((1, DIMENSION + 1), dtype=np.float32), rf"shape \(1, 25\), the store takes \(1, {DIMENSION}\)"),
        ([900, 901], random_vectors(1), r"shape \(1, 24\), the store takes \(2, 24\)"),
        ([900], random_vectors(1)[0], r"shape \(24,\)"),
        ([900], np.full((1, DIMENSION), np.nan, dtype=np.float32), "not of length 1, or not a number"),
        ([900], np.full((1, DIMENSION), np.inf, dtype=np.float32), "not of length 1"),
        ([900], 2 * random_vectors(1), "not of length 1"),
        ([900], np.zeros((1, DIMENSION), dtype=np.float32), "not of length 1"),
        ([-1], random_vectors(1), "vector id -1 is negative"),
    ],
)
@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
def test_refuses_to_add(kind: str, ids: list[int], vectors: FloatArray, message: str) -> None:
    store, _ = filled(kind, range(100), random_vectors(100))
    with pytest.raises(StoreError, match=message):
        store.add(ids, vectors)
    assert len(store) == 100
    store.add([900], random_vectors(1, seed=1))  # a refusal leaves nothing behind


@pytest.mark.parametrize(
    ("vector", "k", "message"),
    [
        (random_vectors(1)[0], 0, "k must be 1 or more, not 0"),
        (np.ones(DIMENSION - 1, dtype=np.float32), 1, r"shape \(1, 23\)"),
        (np.full(DIMENSION, np.nan, dtype=np.float32), 1, "not a number"),
    ],
)
def test_refuses_to_search(kind: str, vector: FloatArray, k: int, message: str) -> None:
    store, _ = filled(kind, range(100), random_vectors(100))
    with pytest.raises(StoreError, match=message):
        store.search(vector, k)


def test_searching_from_many_threads(kind: str) -> None:
    store, _ = filled(kind, range(2000), random_vectors(2000))
    store = reload(store)
    queries = random_vectors(64, seed=11)
    alone = [store.search(query, 10) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda query: store.search(query, 10), queries)) == alone


def test_the_same_vectors_make_the_same_bytes(kind: str) -> None:
    made = []
    for _ in range(2):
        files = Files()
        filled(kind, range(1500), random_vectors(1500))[0].save(files)
        made.append(files)
    assert made[0] == made[1]


def test_the_kind_follows_the_number_of_vectors() -> None:
    assert store_kind(StoreSettings(approximate_above=100), 100) == "faiss-flat"
    assert store_kind(StoreSettings(approximate_above=100), 101) == "faiss-ivf"
