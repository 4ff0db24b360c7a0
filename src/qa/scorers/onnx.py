"""The scorer that ships with Sourceline: six small transformer layers in int8, run by onnxruntime.

It reads passages whole, so that a sentence is judged with its neighbours and its title. The vectors of the word pieces
are the embedding model's own, which training left alone: they are read in place from the packaged all-MiniLM-L6-v2, and
only the layers (scorers/model/, see its README) ship here. Every passage runs alone, for the reasons of
`qa.embedders.onnx`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa.embedders.models import DEFAULT_MODEL, find_model
from qa.embedders.onnx import open_session
from qa.errors import ModelError
from qa.protocols import FloatArray
from qa.scorers.encoding import Encoded, Encoder
from qa.types import Passage, SentenceScore

__all__ = ["ANSWERS", "END", "START", "OnnxScorer", "read_scores", "word_vectors"]

MODEL = Path(__file__).parent / "model" / "scorer.onnx"
MODEL_SHA256 = "b0777a85d9d8f52e641b3eb03a6595c817e064dca2d44275b274b9133b601a62"

START, END, ANSWERS = range(3)
"""What the model says of each word piece, as logits."""
SPAN_PIECES = 24
"""Longest short answer in word pieces."""
UNREAD = SentenceScore(answers=-20.0)
"""The score of a sentence that did not fit."""
_WORD_VECTORS = "embeddings.word_embeddings.weight"


class OnnxScorer:
    """Scores sentences. Thread-safe; passages run side by side on all cores."""

    name = "sourceline-scorer-1"

    def __init__(self, model: bytes, folder: Path) -> None:
        """`folder`: the packaged embedding model. Use `load`."""
        self._session = open_session(model)
        self._vectors = word_vectors(folder / "model.safetensors")
        self._encoder = Encoder((folder / "tokenizer.json").read_text(encoding="utf-8"))
        self._threads = os.cpu_count() or 1

    @classmethod
    def load(cls) -> OnnxScorer:
        """Load the shipped layers, checked by hash. Raises `ModelError`."""
        try:
            data = MODEL.read_bytes()
        except OSError as error:
            raise ModelError(f"cannot read the scorer {MODEL}: {error.strerror}; reinstall it") from None
        found = hashlib.sha256(data).hexdigest()
        if found != MODEL_SHA256:
            raise ModelError(f"{MODEL} has SHA-256 {found}, this version has {MODEL_SHA256}: reinstall it")
        return cls(data, find_model(DEFAULT_MODEL, verify=False).folder)

    def score(self, question: str, passages: Sequence[Passage]) -> Generator[list[SentenceScore]]:
        """Yield the scores of each passage's sentences, in their order; closed, it drops what is not being read yet."""

        def read(passage: Passage) -> list[SentenceScore]:
            encoded = self._encoder.encode(question, passage.article.title, [s.text for s in passage.sentences])
            scores = read_scores(encoded, self._run(encoded))
            return scores + [UNREAD] * (len(passage.sentences) - len(scores))

        with ThreadPoolExecutor(self._threads, "score") as pool:
            yield from pool.map(read, passages)

    def _run(self, encoded: Encoded) -> FloatArray:
        given = {
            "vectors": self._vectors[encoded.ids][None],
            "types": np.array([encoded.types], dtype=np.int64),
        }
        logits: FloatArray = self._session.run(None, given)[0][0]
        return logits


def read_scores(encoded: Encoded, logits: FloatArray) -> list[SentenceScore]:
    """Turn logits (length, 3) into the score of each sentence that was read.

    The margin of a span compares it with "no answer here", which the model puts at [CLS] (as Devlin et al. 2019 do for
    SQuAD 2.0).
    """
    nothing = float(logits[0, START] + logits[0, END])
    scores = []
    for start, mark, offsets in zip(encoded.starts, encoded.marks, encoded.offsets, strict=True):
        answers = float(logits[mark, ANSWERS])
        if start == mark:
            scores.append(SentenceScore(answers))
            continue
        ends = logits[start:mark, START][:, None] + logits[None, start:mark, END]
        ends = np.where(_spans(mark - start), ends, -np.inf)
        first, last = divmod(int(ends.argmax()), mark - start)
        span = (offsets[first][0], offsets[last][1])
        scores.append(SentenceScore(answers, float(ends[first, last]) - nothing, span))
    return scores


def _spans(length: int) -> NDArray[np.bool_]:
    """Which pairs of first and last piece are spans, (length, length)."""
    everywhere = np.ones((length, length), dtype=bool)
    return np.triu(everywhere) & np.tril(everywhere, SPAN_PIECES - 1)


def word_vectors(path: Path) -> NDArray[np.float32]:
    """The table of word piece vectors, (vocabulary, dimension), mapped from a safetensors file, not read into memory.

    The format: eight bytes little-endian with the header's length, the header in JSON, the tensors' bytes.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError(f"a header of {length:,} bytes")
            about: dict[str, Any] = json.loads(file.read(length))[_WORD_VECTORS]
        if about["dtype"] != "F32":
            raise ModelError(f"{path} has word vectors of type {about['dtype']}, F32 expected")
        rows, dimension = about["shape"]
        return np.memmap(path, np.float32, "r", 8 + length + about["data_offsets"][0], (rows, dimension))
    except (OSError, ValueError, LookupError, TypeError, OverflowError) as error:
        raise ModelError(f"cannot read the word vectors of {path}: {error!r}") from None
