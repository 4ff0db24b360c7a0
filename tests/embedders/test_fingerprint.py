"""An index made by another model is refused, and the message names both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from qa.embedders import canary_vectors, check_canaries, check_fingerprint
from qa.embedders.fingerprint import CANARIES, _short
from qa.embedders.hashing import HashingEmbedder
from qa.errors import IndexMismatch
from qa.protocols import FloatArray

BASE = {
    "model": "all-MiniLM-L6-v2",
    "revision": "1110a243",
    "weights_sha256": "53" * 32,
    "tokenizer_sha256": "be" * 32,
    "config_sha256": "05" * 32,
    "dimension": "256",
    "pooling": "mean",
    "normalised": "true",
    "max_tokens": "254",
    "query_prompt": "",
    "document_prompt": "",
    "backend": "onnx-none-1",
}


class Stub(HashingEmbedder):
    """A model whose fingerprint and vectors can be made to differ from the base model's."""

    def __init__(self, bend: Any = None, **changes: str) -> None:
        super().__init__()
        self.fingerprint = {**BASE, **changes}
        self.name = self.fingerprint["model"]
        self.dimension = int(self.fingerprint["dimension"])
        self._bend = bend

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        vectors = super().embed_documents(texts)
        if self._bend is None:
            return vectors
        bent = np.asarray(self._bend(vectors), dtype=np.float32)
        return bent / np.linalg.norm(bent, axis=1, keepdims=True)


FINGERPRINTS: dict[str, dict[str, str]] = {
    "another model": {"model": "bge-small-en"},
    "another revision": {"revision": "c5f93f70"},
    "other weights, same dimension": {"weights_sha256": "ab" * 32},
    "truncated weights": {"weights_sha256": "cd" * 32},
    "another tokenizer": {"tokenizer_sha256": "ab" * 32},
    "another configuration": {"config_sha256": "ab" * 32},
    "another dimension": {"dimension": "255"},
    "other pooling": {"pooling": "cls"},
    "other normalisation": {"normalised": "false"},
    "another length": {"max_tokens": "126"},
    "a query prefix": {"query_prompt": "query: "},
    "a passage prefix": {"document_prompt": "passage: "},
    "another backend": {"backend": "sentence_transformer"},
    "another quantization": {"backend": "onnx-int8-1"},
    "another exporter": {"backend": "onnx-none-2"},
}


@pytest.mark.parametrize("changes", FINGERPRINTS.values(), ids=FINGERPRINTS)
def test_another_fingerprint_is_refused(changes: dict[str, str]) -> None:
    (key, value), *_ = changes.items()
    with pytest.raises(IndexMismatch) as caught:
        check_fingerprint(Stub(**changes), BASE)
    message = str(caught.value)
    assert "made with all-MiniLM-L6-v2" in message and Stub(**changes).name in message
    assert f"{key} {_short(BASE[key])} there, {_short(value)} here" in message
    assert message.endswith("run `qa index --full`")


@pytest.mark.parametrize("missing", ["weights_sha256", "pooling"])
def test_an_incomplete_fingerprint_is_refused(missing: str) -> None:
    stored = {key: value for key, value in BASE.items() if key != missing}
    with pytest.raises(IndexMismatch, match=rf"{missing} \(none\) there"):
        check_fingerprint(Stub(), stored)
    with pytest.raises(IndexMismatch, match="made with an unknown model, settings name all-MiniLM-L6-v2"):
        check_fingerprint(Stub(), {})


def test_a_fingerprint_that_says_more_is_refused() -> None:
    with pytest.raises(IndexMismatch, match=r"truncation left there, \(none\) here"):
        check_fingerprint(Stub(), {**BASE, "truncation": "left"})


def test_the_same_fingerprint_passes() -> None:
    check_fingerprint(Stub(), dict(BASE))


def noise(size: float) -> Any:
    return lambda v: v + size * np.random.default_rng(1).standard_normal(v.shape) / np.sqrt(v.shape[1])


# The fingerprint is equal, the vectors are not: what a fingerprint fails to say, the canaries catch.
SWAPS: dict[str, Any] = {
    "dimensions in another order": lambda v: np.roll(v, 1, axis=1),
    "opposite sign": lambda v: -v,
    "a shift, as from other pooling": lambda v: v + 0.05,
    "slightly other weights": noise(0.06),
    "one text differs": lambda v: np.vstack([v[:2], np.roll(v[2:], 3, axis=1)]),
}


@pytest.mark.parametrize("bend", SWAPS.values(), ids=SWAPS)
def test_other_vectors_are_refused(bend: Any) -> None:
    stored = canary_vectors(Stub())
    with pytest.raises(IndexMismatch, match=r"another model than all-MiniLM-L6-v2.*lowest cosine .*qa index --full"):
        check_canaries(Stub(bend), stored)


@pytest.mark.parametrize(
    "stored",
    [[], [[1.0]], [[0.0] * 255] * len(CANARIES), [[0.0] * 256] * (len(CANARIES) - 1)],
    ids=["none", "one value", "another dimension", "too few"],
)
def test_canaries_of_another_shape_are_refused(stored: list[list[float]]) -> None:
    with pytest.raises(IndexMismatch, match=rf"holds canary vectors of shape .*gives {len(CANARIES)} x 256"):
        check_canaries(Stub(), stored)


def test_canaries_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(IndexMismatch, match="lowest cosine nan"):
        check_canaries(Stub(), [[float("nan")] * 256] * len(CANARIES))


def test_the_same_vectors_pass_and_float_noise_does_too() -> None:
    stored = canary_vectors(Stub())
    check_canaries(Stub(), stored)
    check_canaries(Stub(noise(1e-3)), stored)


def test_int8_models_may_round_otherwise_on_another_processor() -> None:
    check_canaries(Stub(noise(0.1), backend="onnx-int8-1"), canary_vectors(Stub()))
    with pytest.raises(IndexMismatch):
        check_canaries(Stub(noise(0.3), backend="onnx-int8-1"), canary_vectors(Stub()))
