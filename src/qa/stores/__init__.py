"""Vector stores: where the nearest vectors are found. The only factories for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qa.errors import StoreError
from qa.protocols import FileSource, VectorStore
from qa.settings import StoreSettings

__all__ = ["VECTORS_FILE", "create_store", "load_store", "store_kind"]

VECTORS_FILE = "vectors.faiss"
"""What a store that keeps its vectors in the generation writes."""


def store_kind(settings: StoreSettings, expected: int) -> str:
    """Return the kind that `create_store` makes: a loaded store of another kind cannot be carried on with."""
    from qa.stores.faiss import FLAT, IVF  # heavy: only those who search pay for it

    return IVF if expected > settings.approximate_above else FLAT


def create_store(settings: StoreSettings, dimension: int, expected: int) -> VectorStore:
    """Return an empty store for about `expected` vectors of one dimension."""
    from qa.stores.faiss import FaissStore

    return FaissStore.create(store_kind(settings, expected), dimension, expected)


def load_store(about: Mapping[str, Any], files: FileSource) -> VectorStore:
    """Return the store that a manifest describes by `kind`, `dimension` and `count`.

    Raises `StoreError` when the file holds something else, `IndexDamaged` when it is not what was written.
    """
    from qa.stores.faiss import FLAT, IVF, FaissStore

    try:
        kind, dimension, count = str(about["kind"]), int(about["dimension"]), int(about["count"])
    except (KeyError, TypeError, ValueError):
        raise StoreError(f"store description {dict(about)!r} lacks kind, dimension or count") from None
    if kind not in (FLAT, IVF):
        raise StoreError(f"unknown vector store {kind!r}; this version knows {FLAT}, {IVF}: run `qa index --full`")
    return FaissStore.load(kind, dimension, count, files)
