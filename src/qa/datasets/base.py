"""What every data set takes and gives: a request becomes a report and the cases that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qa.cases import Case
from qa.report import Report
from qa.settings import Settings

__all__ = ["Dataset", "Evaluated", "Progress", "Request"]

Progress = Callable[[str, int, int], None]
"""Called with a stage, how many are done and how many there are."""


@dataclass(frozen=True, slots=True)
class Request:
    """How a data set is to be measured.

    `data` is the folder with the data of others, `questions` a file that stands in for the questions of the project,
    `split` one of its splits or ``all``. `index` is an index to measure as it is, else one is built in the cache.
    """

    settings: Settings
    data: Path | None = None
    questions: Path | None = None
    split: str = "all"
    index: Path | None = None
    progress: Progress = lambda stage, done, total: None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The report on a data set, and what happened to each of its questions, in their order."""

    report: Report
    cases: tuple[Case, ...]


class Dataset(Protocol):
    """One data set: it reads its questions, has them answered, and scores the answers."""

    def __call__(self, request: Request) -> Evaluated:
        """Measure. Raises `DataMissing` when its files are not there, `EvaluationError` when they cannot be used."""
        ...
