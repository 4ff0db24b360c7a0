"""The run time of a prepared model: onnxruntime and tokenizers, nothing heavier.

Every text runs alone. int8 quantization takes the scale of its activations over the whole input, so in a batch a vector
would depend on its neighbours and on padding; alone, equal text gives an equal vector to the bit, and nothing is spent
on padding. Threads run texts side by side instead: onnxruntime lets go of the interpreter lock.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from qa.errors import ModelError
from qa.protocols import FloatArray

__all__ = ["ABOUT", "MODEL", "TOKENIZER", "OnnxEmbedder", "open_session", "readable_start"]

ABOUT, MODEL, TOKENIZER = "export.json", "model.onnx", "tokenizer.json"
FORMAT = 1

CHARACTERS_PER_TOKEN = 64
_TEXTS_PER_TASK = 16
_QUERIES_KEPT = 256


class OnnxEmbedder:
    """A model made by `qa.embedders.export`. All methods are thread-safe."""

    def __init__(self, about: dict[str, Any], model: bytes, tokenizer: bytes, threads: int = 0) -> None:
        """Use `load`. `threads`: for documents; 0 takes every core."""
        self.name = str(about["name"])
        self.dimension = int(about["dimension"])
        self.max_tokens = int(about["max_tokens"])
        self.fingerprint = {str(key): str(value) for key, value in about["fingerprint"].items()}
        # Two tokenizers, never changed after this: changing one while another thread reads it is an error in there.
        self._cutting = _tokenizer(tokenizer)
        self._cutting.enable_truncation(int(about["max_length"]))
        self._counting = functools.cache(lambda: _tokenizer(tokenizer))  # asking counts nothing and starts sooner
        self._session = open_session(model)
        self._threads = threads or os.cpu_count() or 1
        # A question is embedded by retrieval and again by the answerer.
        self._query_vector = functools.lru_cache(_QUERIES_KEPT)(lambda text: self._run(self._tokens([text])[0]))

    @classmethod
    def load(cls, folder: Path, threads: int = 0) -> OnnxEmbedder:
        """Load a prepared model, checked by hash. Raises `ModelError` that names the file at fault."""
        try:
            about = json.loads(_read(folder / ABOUT))
            if about["format"] != FORMAT:
                raise ModelError(f"{folder / ABOUT} has format {about['format']}, this version reads {FORMAT}")
            model, tokenizer = (_verified(folder / name, about["files"][name]) for name in (MODEL, TOKENIZER))
            return cls(about, model, tokenizer, threads)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"prepared model {folder} is damaged: {error!r}") from None

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Word pieces of each text, without truncation and without start and end marks."""
        return [len(e) for e in self._counting().encode_batch_fast([_text(t) for t in texts], add_special_tokens=False)]

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Return (n, dimension) float32, rows of length 1, in the order of `texts`."""
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        # Few texts, as the sentences of one question, are shared out evenly too.
        per_task = max(1, min(_TEXTS_PER_TASK, -(-len(texts) // self._threads)))

        def embed(start: int) -> None:
            part = texts[start : start + per_task]
            for row, tokens in enumerate(self._tokens(part), start):
                vectors[row] = self._run(tokens)

        starts = range(0, len(texts), per_task)
        if len(starts) < 2 or self._threads == 1:
            for start in starts:
                embed(start)
        else:
            with ThreadPoolExecutor(min(self._threads, len(starts)), "embed") as pool:
                list(pool.map(embed, starts))
        return vectors

    def embed_query(self, text: str) -> FloatArray:
        """Return (dimension,) float32 of length 1."""
        return self._query_vector(text).copy()

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        limit = CHARACTERS_PER_TOKEN * self.max_tokens
        return [e.ids for e in self._cutting.encode_batch_fast([readable_start(t, limit) for t in texts])]

    def _run(self, tokens: list[int]) -> FloatArray:
        vector: FloatArray = self._session.run(None, {"input_ids": np.array([tokens], dtype=np.int64)})[0][0]
        return vector


def _tokenizer(data: bytes) -> Tokenizer:
    tokenizer = Tokenizer.from_str(data.decode())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def readable_start(text: str, characters: int) -> str:
    """Return what a model can read of a text at most: tokenizers cut only after tokenizing all of it."""
    return _text(text[:characters])


def _text(text: str) -> str:
    """Replace lone surrogates, which are no text to a tokenizer."""
    return text.encode("utf-8", "replace").decode("utf-8")


def open_session(model: bytes) -> Any:
    """Open a model for one thread at a time and input. Raises `ModelError`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            model,
            options,
            providers=["CPUExecutionProvider"],
            # Its kernel took nine times as long as the addition and the normalization that it fuses (onnxruntime 1.31).
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as error:  # noqa: BLE001  (onnxruntime has a dozen classes for it and no common base)
        raise ModelError(f"onnxruntime cannot load the model: {error}") from None


def _verified(path: Path, expected: str) -> bytes:
    data = _read(path)
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise ModelError(f"{path} has SHA-256 {found}, it was written with {expected}")
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"prepared model is damaged: cannot read {path}: {error.strerror}") from None
