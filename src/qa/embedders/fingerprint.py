"""What makes vectors comparable, and the check that an index and the model in force go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from qa.errors import IndexMismatch
from qa.protocols import Embedder

__all__ = ["CANARIES", "canary_vectors", "check_canaries", "check_fingerprint"]

CANARIES = (
    "The ferry to the islands was cancelled on Tuesday because of high winds.",
    "Who won the election for mayor, and by how many votes?",
    "Quarterly profit rose 12% to $3.4 billion.",
)
"""Texts whose vectors are stored with an index. They never change: old indexes hold their vectors."""

_CLOSEST = 0.999
_CLOSEST_INT8 = 0.98
"""int8 activations turn another processor's last float bits into other roundings: .994 was seen for the same model."""


def canary_vectors(embedder: Embedder) -> list[list[float]]:
    """Return the vectors of the canary texts, for the manifest."""
    return [[float(value) for value in row] for row in embedder.embed_documents(CANARIES)]


def check_fingerprint(embedder: Embedder, stored: Mapping[str, str]) -> None:
    """Raise `IndexMismatch` that names both models when anything that makes vectors comparable differs."""
    found = embedder.fingerprint
    different = sorted(key for key in {*found, *stored} if found.get(key) != stored.get(key))
    if different:
        both = ", ".join(f"{key} {_short(stored.get(key))} there, {_short(found.get(key))} here" for key in different)
        raise IndexMismatch(
            f"the index was made with {stored.get('model', 'an unknown model')}, settings name {embedder.name} "
            f"({both}): run `qa index --full`"
        )


def check_canaries(embedder: Embedder, stored: Sequence[Sequence[float]]) -> None:
    """Raise `IndexMismatch` unless the model in force gives each canary text the vector that it had.

    The cosine must be .999 or more; of an int8 model .98, because another processor rounds otherwise.
    """
    vectors = embedder.embed_documents(CANARIES).astype(np.float64)
    if len(stored) != len(CANARIES) or any(len(row) != embedder.dimension for row in stored):
        shape = f"{len(stored)} x {len(stored[0]) if stored else 0}"
        raise IndexMismatch(
            f"the index holds canary vectors of shape {shape}, {embedder.name} gives {len(CANARIES)} x "
            f"{embedder.dimension}: run `qa index --full`"
        )
    closest = _CLOSEST_INT8 if "int8" in embedder.fingerprint.get("backend", "") else _CLOSEST
    cosines = np.einsum("ij,ij->i", vectors, np.asarray(stored, dtype=np.float64))
    if not np.all(cosines >= closest):
        raise IndexMismatch(
            f"the index was made with another model than {embedder.name}: its canary texts have other vectors "
            f"(lowest cosine {cosines.min():.4f}, at least {closest} expected): run `qa index --full`"
        )


def _short(value: str | None) -> str:
    return "(none)" if value is None else (value[:12] if len(value) == 64 else value)
