"""Cases: what happened to one question of an evaluation, and at which step its answer was lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from qa.types import Answer, Passage, Sentence

__all__ = ["LOSSES", "Case", "Loss", "case_of", "gated"]

Loss = Literal["not retrieved", "not chosen", "refused", "wrongly answered"]
LOSSES: tuple[Loss, ...] = ("not retrieved", "not chosen", "refused", "wrongly answered")
"""No passage bears the answer; no chosen sentence does; the confidence is too low; no article has it, yet answered."""


@dataclass(frozen=True, slots=True)
class Case:
    """One question with its gold, and what was found: passages and chosen sentences, each with whether it bears gold.

    `chosen` are the sentences of the answer, or what it would have been without the threshold of confidence.
    """

    id: str
    question: str
    gold: tuple[str, ...]
    as_of: date | None
    confidence: float
    answered: bool
    loss: Loss | None
    passages: tuple[tuple[Passage, bool], ...]
    chosen: tuple[tuple[Sentence, bool], ...]


def gated(answer: Answer, threshold: float) -> Answer:
    """The answer as it would be with this threshold of confidence, of one that was given with a lower threshold.

    A language model is asked from a threshold of its own: what it wrote stands.
    """
    if answer.answer_model or answer.confidence >= threshold:
        return answer
    return replace(
        answer,
        status="not_found",
        reason="low_confidence",
        statements=(),
        citations=(),
        articles=(),
        closest=(),
        short_answer=None,
    )


def case_of(
    identity: str,
    gold: Sequence[str],
    as_of: date | None,
    answer: Answer,
    threshold: float,
    bears: Callable[[Sentence], bool] | None,
) -> Case:
    """Follow an answer that was given without a threshold; `bears` tells gold sentences, None: there are none."""
    own = {sentence.key: sentence for passage in answer.passages for sentence in passage.sentences}
    marked = bears or (lambda _: False)
    passages = tuple((passage, any(map(marked, passage.sentences))) for passage in answer.passages)
    chosen = tuple(
        (sentence, marked(sentence))
        for sentence in (own[citation.article_id, citation.sentence_index] for citation in answer.citations)
    )
    answered = gated(answer, threshold).status == "answered"
    loss: Loss | None = None
    if bears is None:
        loss = "wrongly answered" if answered else None
    elif not any(found for _, found in passages):
        loss = "not retrieved"
    elif not any(found for _, found in chosen):
        loss = "not chosen"
    elif not answered:
        loss = "refused"
    return Case(identity, answer.question, tuple(gold), as_of, answer.confidence, answered, loss, passages, chosen)
