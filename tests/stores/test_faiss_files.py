"""Files that are not what the manifest says, or not what FAISS would write."""

from __future__ import annotations

from typing import Any

import faiss as _faiss
import numpy as np
import pytest

from qa.errors import StoreError
from qa.settings import StoreSettings
from qa.stores import VECTORS_FILE, create_store, load_store

from .test_contract import DIMENSION, KINDS, Files, filled, random_vectors

faiss: Any = _faiss


def load(data: bytes, kind: str = "faiss-flat", count: int = 50, dimension: int = DIMENSION) -> object:
    return load_store({"kind": kind, "dimension": dimension, "count": count}, Files({VECTORS_FILE: data}))


def saved(kind: str) -> bytes:
    files = Files()
    filled(kind, range(50), random_vectors(50))[0].save(files)
    return files[VECTORS_FILE]


def serialized(index: Any) -> bytes:
    return faiss.serialize_index(index).tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "wrong",
    [{"count": 49}, {"count": 51}, {"dimension": DIMENSION + 1}, {"kind": "other"}],
    ids=["fewer", "more", "dimension", "kind"],
)
def test_refuses_what_the_manifest_does_not_say(kind: str, wrong: dict[str, Any]) -> None:
    if "kind" in wrong:
        wrong = {"kind": next(other for other in KINDS if other != kind)}
    with pytest.raises(StoreError, match=rf"holds {kind} with 50 vectors of dimension 24, the manifest says .*--full"):
        load(saved(kind), **{"kind": kind, **wrong})


@pytest.mark.parametrize(
    "index",
    [
        faiss.IndexFlatIP(DIMENSION),
        faiss.IndexIDMap2(faiss.IndexFlatL2(DIMENSION)),
        faiss.IndexIDMap(faiss.IndexFlatIP(DIMENSION)),
        faiss.IndexHNSWFlat(DIMENSION, 8, faiss.METRIC_INNER_PRODUCT),
        faiss.IndexIDMap2(faiss.IndexScalarQuantizer(DIMENSION, faiss.ScalarQuantizer.QT_8bit)),
        faiss.IndexIVFFlat(faiss.IndexFlatL2(DIMENSION), DIMENSION, 4, faiss.METRIC_L2),
    ],
    ids=["flat", "L2", "IDMap", "HNSW", "quantized", "IVF-L2"],
)
def test_refuses_other_indexes(index: Any) -> None:
    index.train(random_vectors(50))
    if isinstance(index, faiss.IndexIDMap):
        index.add_with_ids(random_vectors(50), np.arange(50))
    else:
        index.add(random_vectors(50))
    with pytest.raises(StoreError, match="holds an index of class"):
        load(serialized(index), count=50)


@pytest.mark.parametrize("kind", KINDS)
def test_refuses_every_truncation(kind: str) -> None:
    data = saved(kind)
    for size in [*range(0, len(data), 97), len(data) - 1]:
        with pytest.raises(StoreError, match="is not a FAISS index|holds"):
            load(data[:size], kind)


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bytes_are_refused_or_only_change_values(kind: str) -> None:
    """Generations are checked by hash before they come here; this is the second wall."""
    data = saved(kind)
    random = np.random.default_rng(0)
    query = random_vectors(1, seed=1)[0]
    for position in [*range(64), *random.integers(0, len(data), 200).tolist()]:
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(random.integers(8))
        try:
            store: Any = load(bytes(damaged), kind)
        except StoreError:
            continue
        assert len(store.search(query, 5)) <= 5


@pytest.mark.parametrize("about", [{}, {"kind": "faiss-flat"}, {"kind": "faiss-flat", "dimension": "x", "count": 1}])
def test_refuses_an_incomplete_description(about: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="lacks kind, dimension or count"):
        load_store(about, Files())


def test_refuses_an_unknown_kind() -> None:
    with pytest.raises(StoreError, match="unknown vector store 'milvus'"):
        load_store({"kind": "milvus", "dimension": 3, "count": 0}, Files())


def test_limits_what_a_file_may_claim() -> None:
    create_store(StoreSettings(), DIMENSION, 0)
    data = saved("faiss-flat")
    load(data)
    assert faiss.get_deserialization_vector_byte_limit() == len(data)
