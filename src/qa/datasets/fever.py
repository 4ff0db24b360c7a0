"""FEVER: claims with the sentences of Wikipedia that support or refute them; a tenth of the documents.

Thorne et al., FEVER (NAACL 2018), as released by DeYoung et al., ERASER (ACL 2020). Only claims whose evidence stands
in documents of the held-out tenth, by a hash of their names, are asked: the other documents are for training.
"""

from __future__ import annotations

import hashlib

from qa.datasets.base import Evaluated, Request
from qa.datasets.detokenize import detokenize
from qa.datasets.files import Record, data_file, read_records
from qa.datasets.ranking import Asked, Document, Ranked, evaluate_ranking, score_ranking
from qa.report import Scores

__all__ = ["evaluate_fever", "is_held_out"]


class _Document(Record):
    doc: str
    sentences: tuple[str, ...]


class _Claim(Record):
    id: str
    claim: str
    label: str
    evidence: tuple[tuple[tuple[str, int, int], ...], ...]
    """Sets of evidence, each of (document, first sentence, the one after the last)."""


def is_held_out(document: str) -> bool:
    """Whether a document is for measuring: its name's SHA-256 is divisible by ten."""
    return int(hashlib.sha256(document.encode("utf-8")).hexdigest(), 16) % 10 == 0


def evaluate_fever(request: Request) -> Evaluated:
    """Rank the sentences of each claim's documents; a sentence of any set of evidence is gold."""
    sources = data_file(request.data, "fever", "docs.jsonl.gz")
    claims = data_file(request.data, "fever", "claims.jsonl.gz")
    documents = {
        record.doc: Document(
            record.doc, detokenize(record.doc.replace("_", " ")), tuple(map(detokenize, record.sentences))
        )
        for record in read_records(sources, _Document)
        if is_held_out(record.doc)
    }
    questions = []
    for record in read_records(claims, _Claim):
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
