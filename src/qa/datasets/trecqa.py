"""TrecQA development set: questions, each with sentences of newswire that were judged as answers or not.

Wang, Smith & Mitamura, What is the Jeopardy Model? (EMNLP 2007), in the form of Yao et al., Answer Extraction as
Sequence Tagging with Tree Edit Distance (NAACL 2013). The file looks like XML and is none: nothing in it is escaped. Of
the lines of a question or sentence the first has the tokens, divided by tabs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qa.datasets.base import Evaluated, Request
from qa.datasets.detokenize import detokenize
from qa.datasets.files import data_file, read_text
from qa.datasets.ranking import Asked, Document, Ranked, evaluate_ranking, score_ranking
from qa.errors import EvaluationError
from qa.report import Scores

__all__ = ["evaluate_trecqa"]

_PAIRS = re.compile(r"^<QApairs id='([^'\n]*)'>\n(.*?)^</QApairs>", re.M | re.S)
_ENTRY = re.compile(r"^<(question|positive|negative)>\n(.*)\n", re.M)


def evaluate_trecqa(request: Request) -> Evaluated:
    """Rank the candidate sentences of each question, every one an article of its own."""
    path = data_file(request.data, "trecqa", "dev.xml.gz")
    parsed = list(_parse(read_text(path)))
    if not parsed:
        raise EvaluationError(f"{path}: no <QApairs>")
    documents = [document for _, documents in parsed for document in documents]
    return evaluate_ranking("trecqa", documents, [asked for asked, _ in parsed], request, _score)


def _parse(text: str) -> Iterator[tuple[Asked, list[Document]]]:
    for number, found in enumerate(_PAIRS.finditer(text)):
        entries = [(entry[1], detokenize(entry[2])) for entry in _ENTRY.finditer(found[2])]
        name = f"{number}:{found[1]}"
        sentences = [(label, sentence) for label, sentence in entries if label != "question"]
        documents = [Document(f"{name}:{place}", "", (sentence,)) for place, (_, sentence) in enumerate(sentences)]
        gold = frozenset((f"{name}:{place}", 0) for place, (label, _) in enumerate(sentences) if label == "positive")
        kind = "mixed" if 0 < len(gold) < len(sentences) else "all positive" if gold else "all negative"
        question = next((sentence for label, sentence in entries if label == "question"), "")
        yield Asked(name, question, tuple(document.id for document in documents), gold, kind), documents


def _score(asked: Asked, ranked: Ranked) -> Scores:
    """Clean: questions with positive and negative sentences. Raw: all that have a positive one."""
    if not asked.gold:
        return {}
    scores = score_ranking(ranked, asked.gold)
    raw = {f"{name}.raw": scores[name] for name in ("sentence.map", "sentence.mrr")}
    return scores | raw if asked.kind == "mixed" else raw
