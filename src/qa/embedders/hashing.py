"""A deterministic embedder without a model, for tests: words hashed to signed dimensions."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from qa.protocols import FloatArray

__all__ = ["HashingEmbedder"]

_WORD = re.compile(r"\w+|[^\w\s]")


class HashingEmbedder:
    """Texts that share words are close; nothing is downloaded or learned. A token is a word or a mark."""

    def __init__(self, dimension: int = 256, max_tokens: int = 254) -> None:
        self.name = "hashing"
        self.dimension = dimension
        self.max_tokens = max_tokens
        self.fingerprint = {
            "model": self.name,
            "backend": "hashing-1",
            "dimension": str(dimension),
            "max_tokens": str(max_tokens),
        }

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Words and punctuation marks of each text."""
        return [len(_WORD.findall(text)) for text in texts]

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Return (n, dimension) float32, rows of length 1."""
        return np.stack([self.embed_query(text) for text in texts]) if texts else self._empty()

    def embed_query(self, text: str) -> FloatArray:
        """Return (dimension,) float32 of length 1; text without words gets the first axis."""
        tokens = _WORD.findall(text.casefold())[: self.max_tokens]
        vector = np.zeros(self.dimension, dtype=np.float64)
        # Sorted: floating-point sums depend on their order, and equal bags of words should be equal to the bit.
        for word, count in sorted(Counter(token for token in tokens if token[0].isalnum()).items()):
            place, sign = _place(word, self.dimension)
            vector[place] += sign * (1.0 + np.log(count))
        length = float(np.linalg.norm(vector))
        if length == 0.0:
            vector[0] = length = 1.0
        return (vector / length).astype(np.float32)

    def _empty(self) -> FloatArray:
        return np.empty((0, self.dimension), dtype=np.float32)


@lru_cache(maxsize=65_536)
def _place(word: str, dimension: int) -> tuple[int, float]:
    digest = int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return (digest >> 1) % dimension, 1.0 if digest & 1 else -1.0
