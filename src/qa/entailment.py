"""The support check that the settings name: the rules alone, or the rules and a cross-encoder behind them."""

from __future__ import annotations

import logging
import math
from functools import lru_cache, partial

import numpy as np

from qa.embedders.onnx import readable_start
from qa.errors import ModelError
from qa.protocols import SupportCheck
from qa.scorers.cross_encoder import CrossEncoderModel
from qa.settings import SupportSettings
from qa.support import check_support

__all__ = ["CrossEncoderEntailment", "load_support_check"]

MOST_READ = 20_000
"""Code points of premise and statement that are tokenized: what is longer fits into no model that is quick enough."""
REMEMBERED = 2048
"""Pairs whose probability is kept: a statement is checked when it is written, when it is shown, and at the end."""

_log = logging.getLogger(__name__)


def load_support_check(settings: SupportSettings) -> SupportCheck:
    """Return the check to use. Raises `ModelError` when the cross-encoder is not there or cannot judge entailment."""
    if not settings.cross_encoder:
        return check_support
    try:
        entails = CrossEncoderEntailment(settings.cross_encoder)
    except ModelError as error:
        raise ModelError(f"support.cross_encoder: {error}") from error
    return partial(check_support, entails=entails, min_entailment=settings.min_entailment)


class CrossEncoderEntailment:
    """How likely a premise says a statement, by a cross-encoder. Safe to use from several threads."""

    def __init__(self, name: str) -> None:
        """Load a model of one logit, or of several with one called "entailment". Raises `ModelError`."""
        self._model = CrossEncoderModel(name)
        self._place = self._find_entailment()
        self._remembered = lru_cache(REMEMBERED)(self._probability)

    def __call__(self, premise: str, statement: str) -> float | None:
        """Return a probability; None for a pair that the model cannot read to its end, or where it fails."""
        try:
            return self._remembered(premise, statement)
        except Exception:  # noqa: BLE001 - whatever torch can raise: nothing may pass because of it
            _log.exception("support.cross_encoder failed, so a statement is left out")
            return None

    def _find_entailment(self) -> int | None:
        labels = [label.casefold() for label in self._model.labels]
        if len(labels) == 1:
            return None
        if labels.count("entailment") != 1:
            raise ModelError(
                f"{self._model.name} gives {', '.join(self._model.labels)}: name a model that gives one score, or one "
                f"of whose labels is entailment (`id2label` in its config.json names them)"
            )
        return labels.index("entailment")

    def _probability(self, premise: str, statement: str) -> float | None:
        """Sigmoid of the one logit, or softmax over the labels at "entailment". Raises where that is no number."""
        if len(premise) + len(statement) > MOST_READ:
            return None
        pair = readable_start(premise, MOST_READ), readable_start(statement, MOST_READ)
        if not self._model.fits(*pair):
            return None
        logits = self._model.logits([pair])[0].astype(np.float64)
        if self._place is None:
            # The softmax over a logit and 0 is its sigmoid.
            logits = np.append(logits, 0.0)
        weights = np.exp(logits - logits.max())
        probability = float(weights[self._place or 0] / weights.sum())
        if not math.isfinite(probability):
            raise ValueError(f"the logits are {logits.tolist()}")
        return probability
