"""FAISS in memory: exact search over a flat index, or approximate search over inverted lists (IVF) for many vectors.

FAISS accepts a known id twice, asserts without a message on a wrong shape and trusts what it parses; this file does
not. Vectors are written through our own file layer, because FAISS's own writer does not report a failed flush.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import Any

import faiss as _faiss
import numpy as np

from qa.errors import StoreError
from qa.protocols import FileSink, FileSource, FloatArray, IdArray
from qa.stores import VECTORS_FILE, ivf
from qa.types import Hit

__all__ = ["FLAT", "IVF", "FaissStore"]

faiss: Any = _faiss  # its type stubs lack half of what it has

FLAT, IVF = "faiss-flat", "faiss-ivf"

_PARSING = threading.Lock()  # FAISS's limits on what it parses are global and not thread-safe.
_LOOP_LIMIT = 1 << 26
_TIE_MARGIN = 8


class FaissStore:
    """Cosine search over vectors of length 1. Searching is thread-safe; changing is for one thread alone."""

    def __init__(self, kind: str, dimension: int, index: Any) -> None:
        """Use `create` or `load`."""
        self.kind = kind
        self.dimension = dimension
        self._index = index
        self._known: set[int] | None = None
        self._untrained: list[tuple[IdArray, FloatArray]] = []

    @classmethod
    def create(cls, kind: str, dimension: int, expected: int) -> FaissStore:
        """Return an empty store; `expected` vectors decide how many lists an approximate one has."""
        if kind == IVF:
            return cls(kind, dimension, ivf.make_index(dimension, expected))
        return cls(kind, dimension, faiss.IndexIDMap2(faiss.IndexFlatIP(dimension)))

    @classmethod
    def load(cls, kind: str, dimension: int, count: int, files: FileSource) -> FaissStore:
        """Parse verified bytes. Raises `StoreError` when they are not a store of this kind, dimension and count."""
        index = _parse(files.read(VECTORS_FILE))
        found = _describe(index)
        if found != (kind, dimension, count):
            raise StoreError(
                f"{VECTORS_FILE} holds {found[0]} with {found[2]} vectors of dimension {found[1]}, the manifest says "
                f"{kind} with {count} of dimension {dimension}: run `qa index --full`"
            )
        return cls(kind, dimension, index)

    def add(self, ids: Sequence[int], vectors: FloatArray) -> None:
        """Add (n, dimension) vectors of length 1. Raises `StoreError` on a known id, a wrong shape or a bad vector."""
        rows = np.asarray(ids, dtype=np.int64)
        checked = _checked(vectors, len(rows), self.dimension)
        known = self._ids()
        new = set(rows.tolist())
        if len(new) != len(rows) or not new.isdisjoint(known):
            twice = sorted(new & known) or sorted(i for i in new if np.count_nonzero(rows == i) > 1)
            raise StoreError(f"vector id {twice[0]} is already in the store")
        if rows.size and rows.min() < 0:
            raise StoreError(f"vector id {rows.min()} is negative")
        known |= new
        if self._index.is_trained:
            self._index.add_with_ids(checked, rows)
        else:
            self._untrained.append((rows, checked.copy()))
            self._train(at_least=ivf.enough_to_train(self._index))

    def remove(self, ids: Sequence[int]) -> None:
        """Remove vectors; unknown ids are ignored."""
        self._train()
        gone = np.asarray(ids, dtype=np.int64)
        known = self._ids()
        if gone.size:
            self._index.remove_ids(faiss.IDSelectorBatch(gone))
            known.difference_update(gone.tolist())

    def search(self, vector: FloatArray, k: int, among: IdArray | None = None) -> list[Hit]:
        """Return at most k hits by cosine in [-1, 1], best first, equal scores by ascending id.

        `among`: only these ids, always exactly. Raises `StoreError` on a wrong dimension, a bad vector or k < 1.
        """
        if k < 1:
            raise StoreError(f"k must be 1 or more, not {k}")
        query = _checked(np.atleast_2d(vector), 1, self.dimension)
        self._train()
        if among is not None:
            among = np.unique(np.asarray(among, dtype=np.int64))
        most = len(self) if among is None else min(len(self), len(among))
        if not most:
            return []
        return _best(self._index, query, min(k, most), most, ivf.parameters(self._index, among))

    def __len__(self) -> int:
        return int(self._index.ntotal) + sum(len(rows) for rows, _ in self._untrained)

    def save(self, files: FileSink) -> None:
        """Write everything that `load` needs into a generation that is being made."""
        self._train()
        if self.kind == IVF and len(self):
            ivf.choose_probes(self._index)
        buffer = io.BytesIO()
        # A callback, not `serialize_index`: that one holds the vectors three times at its peak.
        faiss.write_index(self._index, faiss.PyCallbackIOWriter(buffer.write))
        files.write(VECTORS_FILE, buffer.getvalue())

    def _ids(self) -> set[int]:
        if self._known is None:
            self._known = set(ivf.ids(self._index).tolist())
        return self._known

    def _train(self, at_least: int = 1) -> None:
        """Train the lists and add what waited for it, once `at_least` vectors wait."""
        if sum(len(rows) for rows, _ in self._untrained) < at_least:
            return
        vectors = np.concatenate([part for _, part in self._untrained])
        ivf.train(self._index, vectors)
        self._index.add_with_ids(vectors, np.concatenate([rows for rows, _ in self._untrained]))
        self._untrained.clear()


def _best(index: Any, query: FloatArray, k: int, most: int, parameters: Any) -> list[Hit]:
    """Search with a margin, widened until no tie is cut: FAISS keeps an arbitrary one of equal scores."""
    faiss.omp_set_num_threads(1)  # per calling thread; for one query a team of threads costs more than it saves
    width = min(k + _TIE_MARGIN, most)
    while True:
        scores, ids = (row[0] for row in index.search(query, width, params=parameters))
        found = ids >= 0
        scores, ids = scores[found], ids[found]
        if len(ids) < width or width == most or scores[-1] < scores[k - 1]:
            break
        width = min(2 * width, most)
    order = np.lexsort((ids, -scores))[:k]
    return [Hit(int(ids[i]), float(np.clip(scores[i], -1.0, 1.0))) for i in order]


def _checked(vectors: FloatArray, count: int, dimension: int) -> FloatArray:
    array = np.ascontiguousarray(vectors, dtype=np.float32)
    if array.shape != (count, dimension):
        raise StoreError(f"vectors have shape {array.shape}, the store takes ({count}, {dimension})")
    lengths = np.einsum("ij,ij->i", array, array)
    if not np.all(np.abs(lengths - 1.0) < 1e-3):  # also false for NaN
        raise StoreError("a vector is not of length 1, or not a number")
    return array


def _parse(data: bytes) -> Any:
    with _PARSING:
        faiss.set_deserialization_vector_byte_limit(len(data))
        faiss.set_deserialization_loop_limit(_LOOP_LIMIT)
        try:
            return faiss.read_index(faiss.PyCallbackIOReader(io.BytesIO(data).read))
        except (RuntimeError, MemoryError) as error:
            raise StoreError(f"{VECTORS_FILE} is not a FAISS index: {str(error).splitlines()[0]}") from None


def _describe(index: Any) -> tuple[str, int, int]:
    """Return kind, dimension and count, with every part checked that a search will trust."""
    if type(index) is faiss.IndexIDMap2:
        flat = faiss.downcast_index(index.index)
        whole = type(flat) is faiss.IndexFlatIP and index.id_map.size() == flat.ntotal == index.ntotal
        if whole and flat.d == index.d and flat.codes.size() == 4 * flat.d * flat.ntotal:
            return FLAT, int(index.d), int(index.ntotal)
    elif type(index) is faiss.IndexIVFFlat and ivf.is_whole(index):
        return IVF, int(index.d), int(index.ntotal)
    return f"an index of class {type(index).__name__}", int(index.d), int(index.ntotal)
