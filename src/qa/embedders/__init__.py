"""Embedders: text to vectors of length 1. The only factory for them."""

from __future__ import annotations

import logging
from pathlib import Path

from qa.embedders.cached import CachingEmbedder
from qa.embedders.fingerprint import canary_vectors, check_canaries, check_fingerprint
from qa.errors import ModelError
from qa.protocols import Embedder
from qa.settings import EmbeddingSettings

__all__ = ["CachingEmbedder", "canary_vectors", "check_canaries", "check_fingerprint", "is_prepared", "load_embedder"]

_log = logging.getLogger(__name__)


def load_embedder(settings: EmbeddingSettings, cache: Path, prepare: bool) -> Embedder:
    """Load the embedder that the settings name.

    `prepare=True` (building an index) verifies the model's files and makes its ONNX form under `cache` if need be,
    which takes torch, in another process, and half a minute. `prepare=False` (asking, serving) only loads what was
    made, without torch. Raises `ModelError`.
    """
    if settings.backend == "hashing":
        from qa.embedders.hashing import HashingEmbedder

        return HashingEmbedder()
    from qa.embedders.models import find_model

    if settings.backend == "sentence_transformer":
        from qa.embedders.sentence_transformer import SentenceTransformerEmbedder

        return SentenceTransformerEmbedder(find_model(settings.model), settings.device)
    return _load_onnx(settings, cache, prepare)


def is_prepared(settings: EmbeddingSettings, cache: Path) -> bool:
    """Whether the model can be loaded at once; if not, `load_embedder` with `prepare=True` exports it first."""
    if settings.backend != "onnx":
        return True
    from qa.embedders.export import export_folder
    from qa.embedders.models import find_model
    from qa.embedders.onnx import ABOUT

    return (export_folder(cache, find_model(settings.model, verify=False), settings.quantization) / ABOUT).is_file()


def _load_onnx(settings: EmbeddingSettings, cache: Path, prepare: bool) -> Embedder:
    from qa.embedders.export import export_folder, export_model
    from qa.embedders.models import find_model
    from qa.embedders.onnx import ABOUT, OnnxEmbedder

    source = find_model(settings.model, verify=prepare)
    folder = export_folder(cache, source, settings.quantization)
    if not prepare and not (folder / ABOUT).is_file():
        raise ModelError(f"embedding model {source.name} is not prepared in {cache}: run `qa index`")
    if (folder / ABOUT).is_file():
        try:
            return OnnxEmbedder.load(folder, settings.threads)
        except ModelError as error:
            if not prepare:
                raise ModelError(f"{error}: run `qa index`, which makes it again") from None
            _log.warning("%s: making it again", error)
    export_model(source, settings.quantization, folder)
    return OnnxEmbedder.load(folder, settings.threads)
