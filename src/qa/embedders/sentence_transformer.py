"""Any sentence-transformers model on any torch device. The only file that imports sentence_transformers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from qa.embedders.models import ModelSource
from qa.embedders.onnx import CHARACTERS_PER_TOKEN, readable_start
from qa.errors import ModelError
from qa.protocols import FloatArray

__all__ = ["SentenceTransformerEmbedder", "load_sentence_transformer"]


class SentenceTransformerEmbedder:
    """One model behind a lock: it is not safe under concurrent threads.

    Equal text gives an equal vector up to float rounding (about 1e-6): the matrix kernels depend on the batch's shape.
    """

    def __init__(self, source: ModelSource, device: str = "cpu", batch_size: int = 32) -> None:
        self._model = load_sentence_transformer(source, device)
        self._lock = threading.Lock()
        self._batch_size = batch_size
        self._tokenizer: Any = self._model.tokenizer
        marks = len(self._tokenizer("", add_special_tokens=True)["input_ids"])
        self.name = source.name
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self.max_tokens = int(self._model.max_seq_length or self._tokenizer.model_max_length) - marks
        self.fingerprint = {
            "model": source.name,
            "revision": source.revision,
            "weights_sha256": source.weights_sha256,
            "tokenizer_sha256": source.tokenizer_sha256,
            "config_sha256": source.config_sha256,
            "dimension": str(self.dimension),
            "pooling": "+".join(type(module).__name__ for module in self._model),
            "normalised": "true",
            "max_tokens": str(self.max_tokens),
            "query_prompt": self._model.prompts.get("query", ""),
            "document_prompt": self._model.prompts.get("document", ""),
            "backend": "sentence_transformer",
        }

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without truncation and without start and end marks."""
        if not texts:
            return []
        with self._lock:
            return [len(ids) for ids in self._tokenizer(list(texts), add_special_tokens=False, verbose=False).input_ids]

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Return (n, dimension) float32, rows of length 1, in the order of `texts`."""
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        with self._lock:  # `encode` sorts by length itself
            return self._encode(self._model.encode_document, [self._start(text) for text in texts])

    def embed_query(self, text: str) -> FloatArray:
        """Return (dimension,) float32 of length 1."""
        with self._lock:
            vector: FloatArray = self._encode(self._model.encode_query, [self._start(text)])[0]
            return vector

    def _start(self, text: str) -> str:
        return readable_start(text, CHARACTERS_PER_TOKEN * self.max_tokens)

    def _encode(self, encode: Any, texts: list[str]) -> FloatArray:
        return np.asarray(
            encode(texts, batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False),
            dtype=np.float32,
        )


def load_sentence_transformer(source: ModelSource, device: str = "cpu", attention: str = "sdpa") -> Any:
    """Load a model from its folder alone: no download, no code from the folder. Raises `ModelError`."""
    for name in ("sentence_transformers", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(
            str(source.folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"attn_implementation": attention},
        )
    except Exception as error:  # whatever a model's files can raise
        raise ModelError(f"cannot load embedding model {source.name} from {source.folder}: {error}") from error
