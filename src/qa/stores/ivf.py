"""Inverted lists for many vectors: how many there are, their training, and how many a search looks into."""

from __future__ import annotations

import math
import os
from typing import Any

import faiss as _faiss
import numpy as np

from qa.protocols import FloatArray, IdArray

__all__ = ["choose_probes", "enough_to_train", "ids", "is_whole", "make_index", "parameters", "train"]

faiss: Any = _faiss  # its type stubs lack half of what it has

RECALL = 0.98
_SEED = 1234
_POINTS_PER_LIST = 40
_QUERIES, _DEPTH = 100, 10
_LIKENESS = 0.6


def make_index(dimension: int, expected: int) -> Any:
    """Return an empty inner-product index with about 2 √n lists: half the advised number trains four times as fast."""
    lists = max(1, min(round(2 * math.sqrt(expected)), expected // _POINTS_PER_LIST))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = _SEED
    index.cp.niter = 8
    index.cp.spherical = True
    index.cp.max_points_per_centroid = _POINTS_PER_LIST
    index.cp.min_points_per_centroid = 1  # fewer than 39 only earn a warning on standard output
    return index


def enough_to_train(index: Any) -> int:
    """Vectors after which waiting for more no longer makes better lists."""
    return int(index.nlist) * _POINTS_PER_LIST


def train(index: Any, vectors: FloatArray) -> None:
    """Train on vectors of length 1; with fewer of them than lists, there are fewer lists."""
    if len(vectors) < index.nlist:
        smaller = make_index(index.d, len(vectors))
        index.nlist = smaller.nlist
        index.replace_invlists(faiss.ArrayInvertedLists(index.nlist, index.code_size), True)
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    index.train(vectors)


def choose_probes(index: Any) -> None:
    """Set how many lists a search looks into: the fewest (a power of two) with recall@10 of at least .98.

    Questions are not stored vectors: each query here is a stored vector turned away to a cosine of .6.
    """
    queries = _questions(index)
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    depth = min(_DEPTH, index.ntotal)
    exact = index.search(queries, depth, params=faiss.SearchParametersIVF(nprobe=index.nlist))[1]
    probes = 1
    while probes < index.nlist:
        found = index.search(queries, depth, params=faiss.SearchParametersIVF(nprobe=probes))[1]
        hits = sum(len(np.intersect1d(a, b)) for a, b in zip(exact, found, strict=True))
        if hits >= RECALL * exact.size:
            break
        probes = min(2 * probes, index.nlist)
    index.nprobe = probes


def parameters(index: Any, among: IdArray | None) -> Any:
    """Return FAISS's search parameters; a filtered search looks into every list, else it could come back empty."""
    if among is None:
        return None
    selector = faiss.IDSelectorBatch(among)
    if type(index) is faiss.IndexIVFFlat:
        return faiss.SearchParametersIVF(sel=selector, nprobe=index.nlist)
    return faiss.SearchParameters(sel=selector)


def ids(index: Any) -> IdArray:
    """Return every id of a flat or an inverted index."""
    if type(index) is faiss.IndexIDMap2:
        return np.asarray(faiss.vector_to_array(index.id_map), dtype=np.int64)
    lists = index.invlists
    parts = [
        faiss.rev_swig_ptr(lists.get_ids(i), lists.list_size(i)).copy()
        for i in range(index.nlist)
        if lists.list_size(i)
    ]
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, dtype=np.int64)


def is_whole(index: Any) -> bool:
    """Whether all parts of a parsed index fit together."""
    quantizer = faiss.downcast_index(index.quantizer)
    lists = faiss.downcast_InvertedLists(index.invlists)
    return bool(
        index.metric_type == faiss.METRIC_INNER_PRODUCT
        and type(quantizer) is faiss.IndexFlatIP
        and type(lists) is faiss.ArrayInvertedLists
        and quantizer.d == index.d
        and quantizer.ntotal in (index.nlist, 0 if index.ntotal == 0 else index.nlist)
        and index.nlist == lists.nlist
        and index.code_size == lists.code_size == 4 * index.d
        and lists.compute_ntotal() == index.ntotal
        and 1 <= index.nprobe <= index.nlist
        and index.direct_map.type == faiss.DirectMap.NoMap
    )


def _questions(index: Any) -> FloatArray:
    """Return up to 100 vectors of length 1 near stored ones, the same for the same store."""
    random = np.random.default_rng(_SEED)
    lists = index.invlists
    sizes = np.array([lists.list_size(i) for i in range(index.nlist)])
    chosen = np.sort(random.choice(index.ntotal, size=min(_QUERIES, index.ntotal), replace=False))
    ends = np.cumsum(sizes)
    rows = []
    for position in chosen:
        number = int(np.searchsorted(ends, position, side="right"))
        offset = int(position - (ends[number] - sizes[number]))
        code = faiss.rev_swig_ptr(lists.get_single_code(number, offset), index.code_size)
        rows.append(code.copy().view(np.float32))
    stored = np.stack(rows)
    noise = random.standard_normal(stored.shape, dtype=np.float32)
    noise -= np.einsum("ij,ij->i", noise, stored)[:, None] * stored
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return np.ascontiguousarray(_LIKENESS * stored + math.sqrt(1 - _LIKENESS**2) * noise, dtype=np.float32)
