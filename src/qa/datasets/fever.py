"""FEVER: claims with the sentences of Wikipedia that support or refute them; a tenth of the documents.

Thorne et al., FEVER (NAACL 2018), as released by DeYoung et al., ERASER (ACL 2020). Only claims whose evidence stands
in documents of the held-out tenth, by a hash of their names, are asked: the other documents are for training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from qa.datasets.base import Evaluated, Request
from qa.datasets.detokenize import detokenize
from qa.datasets.files import Record, data_file, read_records
from qa.datasets.ranking import Asked, Document, Ranked, evaluate_ranking, score_ranking
from qa.report import Scores

__all__ = ["Claim", "Page", "evaluate_fever", "is_held_out", "read_claims", "read_pages"]


class Page(Record):
    """A page of Wikipedia: its name, with underscores for spaces, and its sentences in tokens."""

    doc: str
    sentences: tuple[str, ...]


class Claim(Record):
    """A claim. `label`: SUPPORTS or REFUTES; `evidence`: sets of (page, first sentence, the one after the last)."""

    id: str
    claim: str
    label: str
    evidence: tuple[tuple[tuple[str, int, int], ...], ...]


def read_pages(data: Path | None) -> Iterator[Page]:
    """Read all pages, held out or not. Raises `DataMissing`, and `EvaluationError` for another format."""
    return read_records(data_file(data, "fever", "docs.jsonl.gz"), Page)


def read_claims(data: Path | None) -> Iterator[Claim]:
    """Read all claims. Raises as `read_pages` does."""
    return read_records(data_file(data, "fever", "claims.jsonl.gz"), Claim)


def is_held_out(document: str) -> bool:
    """Whether a document is for measuring: its name's SHA-256 is divisible by ten."""
    return int(hashlib.sha256(document.encode("utf-8")).hexdigest(), 16) % 10 == 0


def evaluate_fever(request: Request) -> Evaluated:
    """Rank the sentences of each claim's documents; a sentence of any set of evidence is gold."""
    pages, claims = read_pages(request.data), read_claims(request.data)
    documents = {
        record.doc: Document(
            record.doc, detokenize(record.doc.replace("_", " ")), tuple(map(detokenize, record.sentences))
        )
        for record in pages
        if is_held_out(record.doc)
    }
    questions = []
    for record in claims:
        named = {name for evidence in record.evidence for name, _, _ in evidence}
        if named and named <= documents.keys():
            gold = frozenset(
                (name, index)
                for evidence in record.evidence
                for name, first, stop in evidence
                for index in range(first, stop)
            )
            kind = record.label.lower()
            questions.append(Asked(record.id, record.claim, tuple(sorted(named)), gold, kind))
    return evaluate_ranking("fever", documents.values(), questions, request, _score)


def _score(asked: Asked, ranked: Ranked) -> Scores:
    return score_ranking(ranked, asked.gold)
