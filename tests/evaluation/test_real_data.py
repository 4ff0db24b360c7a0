"""The published data sets themselves, where they are: what is read of them, by number.

SOURCELINE_DATA=/folder/with/the/sets python -m pytest tests/evaluation/test_real_data.py
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from qa.datasets import Evaluated, Request, evaluate_dataset
from qa.settings import Settings

DATA = os.environ.get("SOURCELINE_DATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="SOURCELINE_DATA names no folder with data sets; see eval/README.md"),
]


@pytest.fixture
def measured(make_settings: Callable[..., Settings], tmp_path: Path) -> Callable[[str], Evaluated]:
    """Measure a data set without a model."""

    def run(name: str) -> Evaluated:
        return evaluate_dataset(name, Request(make_settings(tmp_path), Path(DATA or "")))

    return run


@pytest.mark.parametrize(
    ("name", "kinds", "sentences"),
    [
        ("trecqa", {"all negative": 4, "all positive": 13, "mixed": 65}, 1148),
        ("multirc", {"news": 81, "other": 550}, 783),
        ("fever", {"refutes": 416, "supports": 348}, 647),
        ("squad2", {"answerable": 563, "unanswerable": 720}, None),
    ],
)
def test_the_published_sets_are_read_whole(
    name: str, kinds: dict[str, int], sentences: int | None, measured: Callable[[str], Evaluated]
) -> None:
    found = measured(name)
    assert found.report.about["kinds"] == kinds
    assert sentences in (None, found.report.about["sentences"])
    texts = [sentence.text for case in found.cases for passage, _ in case.passages for sentence in passage.sentences]
    assert not [text for text in texts if re.search(r"-[LR][RSC]B-|``|''| [,;?!](\s|$)| n't\b", text)]
    assert found.report.metrics["sentence.map"].value > 0.5


def test_the_support_check_reads_summaries_and_claims_whole(measured: Callable[[str], Evaluated]) -> None:
    found = measured("support")
    kinds = found.report.about["kinds"]
    assert {name: kinds[name] for name in ("fever", "frank", "qags")} == {"fever": 1764, "frank": 671, "qags": 239}
    for source in ("edits", "fever", "frank", "qags"):
        assert found.report.metrics[f"support.balanced_accuracy.{source}"].low > 0.5
