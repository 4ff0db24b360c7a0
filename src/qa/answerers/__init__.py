"""Answerers: passages become statements."""

from __future__ import annotations

from collections.abc import Callable

from qa.answerers.extractive import ExtractiveAnswerer
from qa.protocols import Answerer, Embedder, Scorer
from qa.settings import AnswersSettings

__all__ = ["load_answerer"]


def load_answerer(
    settings: AnswersSettings, embedder: Embedder, idf: Callable[[str], float], scorer: Scorer | None
) -> Answerer:
    """Return the answerer that the settings name; `idf` weighs an index term in the generation that is searched."""
    match settings.answerer:
        case "extractive":
            return ExtractiveAnswerer(embedder, idf, scorer, settings.min_confidence)
