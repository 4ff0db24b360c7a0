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
from qa.protocols import FloatArray
from qa.scorers.encoding import MAX_CHARACTERS
from qa.types import Passage, SentenceScore

__all__ = ["CrossEncoderModel", "CrossEncoderScorer"]


class CrossEncoderModel:
    """A cross-encoder on this machine: pairs of texts to logits. Behind a lock: torch models are not thread-safe."""

    def __init__(self, name: str) -> None:
        """Load from this machine alone: no download, no code from the folder. Raises `ModelError`."""
        source = find_model(name)
        self.name = source.name
        self._lock = threading.Lock()
        logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
        from sentence_transformers import CrossEncoder
        from transformers.utils import logging as transformers_logging

        # Its own level is set when it is imported; a bar and a report are no place for an error of one line.
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]

        try:
            self._model: Any = CrossEncoder(str(source.folder), local_files_only=True, trust_remote_code=False)
            saved_as = self._model.config.architectures or ["a model of no known kind"]
            names = self._model.config.id2label
        except Exception as error:  # whatever a model's files can raise
            raise ModelError(f"cannot load cross-encoder {source.name} from {source.folder}: {error}") from error
        if type(self._model.transformers_model).__name__ not in saved_as:
            # It would get a head of random weights, and nobody would see it.
            raise ModelError(
                f"{source.name} was saved as {', '.join(saved_as)}, which judges no pairs: name a cross-encoder"
            )
        self.labels = tuple(str(names.get(place, place)) for place in range(self._model.num_labels))
        """What each logit of a pair stands for, as the model's files say."""

    def fits(self, first: str, second: str) -> bool:
        """Whether the model reads a pair to its end."""
        with self._lock:
            pieces: list[int] = self._model.tokenizer(first, second, truncation=False, verbose=False)["input_ids"]
            most: int = self._model.max_seq_length
        return len(pieces) <= most

    def logits(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        """Return (n, labels) float32; of a pair that does not fit, the end is not read."""
        from torch import nn

        with self._lock:
            logits: FloatArray = self._model.predict(
                list(pairs), activation_fn=nn.Identity(), show_progress_bar=False
            ).reshape(len(pairs), len(self.labels))
        return logits


class CrossEncoderScorer:
    """Scores question and sentence (under its title) as a pair."""

    def __init__(self, name: str) -> None:
        """Load as `CrossEncoderModel` does. Raises `ModelError`, also for a model of several logits."""
        self._model = CrossEncoderModel(name)
        self.name = self._model.name
        if len(self._model.labels) != 1:
            raise ModelError(f"{self.name} gives {len(self._model.labels)} scores a pair; one that gives 1 is needed")

    def score(self, question: str, passages: Sequence[Passage]) -> Generator[list[SentenceScore]]:
        """Yield the scores of each passage's sentences, in their order."""
        asked = readable_start(question, MAX_CHARACTERS)
        for passage in passages:
            texts = [embedding_text(passage.article.title, sentence.text) for sentence in passage.sentences]
            pairs = [(asked, readable_start(text, MAX_CHARACTERS)) for text in texts]
            yield [SentenceScore(logit) for logit in self._model.logits(pairs)[:, 0].tolist()] if pairs else []
