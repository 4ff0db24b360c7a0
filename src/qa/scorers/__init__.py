"""Scorers: how well each sentence of some passages answers a question. The only factory for them."""

from __future__ import annotations

from qa.protocols import Scorer

__all__ = ["SHIPPED", "load_scorer"]

SHIPPED = "sourceline"
"""The scorer that comes with the package."""


def load_scorer(name: str) -> Scorer | None:
    """Load the shipped scorer, none ("none"), or a sentence-transformers cross-encoder by name or path.

    Raises `ModelError` when the model is not there or not the one that it should be.
    """
    if name == "none":
        return None
    if name == SHIPPED:
        from qa.scorers.onnx import OnnxScorer

        return OnnxScorer.load()
    from qa.scorers.cross_encoder import CrossEncoderScorer

    return CrossEncoderScorer(name)
