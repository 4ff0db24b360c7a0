"""Any sentence-transformers cross-encoder, by name or path, for those who have one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Sequence
from typing import Any

from qa.chunks import embedding_text
from qa.embedders.models import find_model
from qa.embedders.onnx import readable_start
from qa.errors import ModelError
from qa.scorers.encoding import MAX_CHARACTERS
from qa.types import Passage, SentenceScore

__all__ = ["CrossEncoderScorer"]


class CrossEncoderScorer:
    """Scores question and sentence (under its title) as a pair. Behind a lock: torch models are not thread-safe."""

    def __init__(self, name: str) -> None:
        """Load from this machine alone: no download, no code from the folder. Raises `ModelError`."""
        source = find_model(name)
        self.name = source.name
        self._lock = threading.Lock()
        for logger in ("sentence_transformers", "transformers"):
            logging.getLogger(logger).setLevel(logging.ERROR)
        from sentence_transformers import CrossEncoder

        try:
            self._model: Any = CrossEncoder(str(source.folder), local_files_only=True, trust_remote_code=False)
        except Exception as error:  # whatever a model's files can raise
            raise ModelError(f"cannot load cross-encoder {source.name} from {source.folder}: {error}") from error
        if self._model.num_labels != 1:
            raise ModelError(f"{source.name} gives {self._model.num_labels} scores a pair; one that gives 1 is needed")

    def score(self, question: str, passages: Sequence[Passage]) -> Generator[list[SentenceScore]]:
        """Yield the scores of each passage's sentences, in their order."""
        asked = readable_start(question, MAX_CHARACTERS)
        for passage in passages:
            texts = [embedding_text(passage.article.title, sentence.text) for sentence in passage.sentences]
            pairs = [(asked, readable_start(text, MAX_CHARACTERS)) for text in texts]
            yield [SentenceScore(logit) for logit in self._predict(pairs)]

    def _predict(self, pairs: list[tuple[str, str]]) -> list[float]:
        from torch import nn

        if not pairs:
            return []
        with self._lock:
            logits = self._model.predict(pairs, activation_fn=nn.Identity(), show_progress_bar=False)
        return list(logits.tolist())
