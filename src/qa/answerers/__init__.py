"""Answerers: passages become statements."""

from __future__ import annotations

from collections.abc import Callable

from qa.answerers.extractive import ExtractiveAnswerer
from qa.answerers.llm import LLMAnswerer
from qa.llm import LanguageModel
from qa.protocols import Answerer, Embedder, Scorer, SupportCheck
from qa.settings import AnswersSettings
from qa.tokens import load_prompt_tokens

__all__ = ["load_answerers", "load_extractive"]


def load_extractive(
    settings: AnswersSettings, embedder: Embedder, idf: Callable[[str], float], scorer: Scorer | None
) -> ExtractiveAnswerer:
    """Return the answerer that quotes; `idf` weighs an index term in the generation that is searched."""
    return ExtractiveAnswerer(embedder, idf, scorer, settings.min_confidence)


def load_answerers(
    settings: AnswersSettings,
    embedder: Embedder,
    idf: Callable[[str], float],
    scorer: Scorer | None,
    model: LanguageModel | None,
    check: SupportCheck,
) -> dict[str, Answerer]:
    """Return every answerer that can be used, by name: `llm` with a language model, `extractive` always."""
    extractive = load_extractive(settings, embedder, idf, scorer)
    if model is None:
        return {extractive.name: extractive}
    writer = LLMAnswerer(extractive, model, load_prompt_tokens(None, embedder), check)
    return {extractive.name: extractive, writer.name: writer}
