"""The oracle: every cosine, by numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qa.protocols import FileSink, FloatArray, IdArray
from qa.types import Hit


class BruteForceStore:
    kind = "brute-force"

    def __init__(self) -> None:
        self.rows: dict[int, FloatArray] = {}

    def add(self, ids: Sequence[int], vectors: FloatArray) -> None:
        self.rows.update(zip(ids, vectors, strict=True))

    def remove(self, ids: Sequence[int]) -> None:
        for number in ids:
            self.rows.pop(number, None)

    def search(self, vector: FloatArray, k: int, among: IdArray | None = None) -> list[Hit]:
        allowed = self.rows if among is None else [number for number in set(among.tolist()) if number in self.rows]
        query = vector.astype(np.float64)
        scored = [Hit(number, float(self.rows[number].astype(np.float64) @ query)) for number in allowed]
        return sorted(scored, key=lambda hit: (-hit.score, hit.chunk_id))[:k]

    def __len__(self) -> int:
        return len(self.rows)

    def save(self, files: FileSink) -> None:
        raise NotImplementedError
