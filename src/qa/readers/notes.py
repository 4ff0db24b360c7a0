"""Warnings about an article that was read all the same: collected for a report, or else logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["collect_warnings", "warn"]

logger = logging.getLogger("qa.readers")

_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


def warn(path: str, message: str, line: int | None = None) -> None:
    """Note something that was guessed, repaired or left out; never a reason to refuse the article."""
    text = f"{path}:{line}: {message}" if line else f"{path}: {message}"
    notes = _collected.get()
    if notes is None:
        logger.warning("%s", text)
    else:
        notes.append(text)


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Gather the warnings of this thread into the yielded list instead of the log."""
    notes: list[str] = []
    token = _collected.set(notes)
    try:
        yield notes
    finally:
        _collected.reset(token)
