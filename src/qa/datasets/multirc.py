"""MultiRC validation: questions on documents of several kinds, with the sentences that are needed to answer them.

Khashabi et al., Looking Beyond the Surface (NAACL 2018), as released by DeYoung et al., ERASER (ACL 2020).
"""

from __future__ import annotations

from qa.datasets.base import Evaluated, Request
from qa.datasets.detokenize import detokenize
from qa.datasets.files import Record, data_file, read_records
from qa.datasets.ranking import Asked, Document, Ranked, evaluate_ranking, score_ranking
from qa.metrics import citation_precision, citation_recall
from qa.report import Scores

__all__ = ["evaluate_multirc"]


class _Document(Record):
    doc: str
    sentences: tuple[str, ...]


class _Question(Record):
    doc: str
    question: str
    gold_sentences: tuple[int, ...]


def evaluate_multirc(request: Request) -> Evaluated:
    """Rank the sentences of each question's document, and of all documents; those on news also on their own."""
    documents = data_file(request.data, "multirc", "multirc-val-docs.jsonl.gz")
    questions = data_file(request.data, "multirc", "multirc-val-questions.jsonl.gz")
    return evaluate_ranking(
        "multirc",
        [
            # The names of the documents say nothing that a reader would see.
            Document(record.doc, "", tuple(map(detokenize, record.sentences)))
            for record in read_records(documents, _Document)
        ],
        [
            Asked(
                f"{number}:{record.doc}",
                detokenize(record.question),
                (record.doc,),
                frozenset((record.doc, index) for index in record.gold_sentences),
                "news" if record.doc.startswith("News") else "other",
            )
            for number, record in enumerate(read_records(questions, _Question))
        ],
        request,
        _score,
        pooled=True,
    )


def _score(asked: Asked, ranked: Ranked) -> Scores:
    scores = score_ranking(ranked, asked.gold)
    if asked.kind == "news":
        scores |= {f"{name}.news": scores[name] for name in ("sentence.p@1", "sentence.map")}
    cited = {source.key for statement in ranked.draft.statements for source in statement.sources}
    if cited:
        precision = citation_precision(cited, asked.gold)
        scores["citation.precision"] = (precision * len(cited), len(cited))
        scores["citation.precision.macro"] = (precision, 1)
    recall = citation_recall(cited, [{key} for key in asked.gold], len(asked.gold))
    scores["citation.recall"] = (recall * len(asked.gold), len(asked.gold))
    scores["citation.recall.macro"] = (recall, 1)
    return scores
