"""Statements and their sources, with what people or their making say of them: is the support check right?

    frank  summaries of news by machines, judged by people sentence by sentence (Pagnoni et al., FRANK, NAACL 2021);
           they have no capitals, so names get those of the article
    qags   one-sentence summaries of BBC news, three votes each (Wang et al., Asking and Answering Questions to Evaluate
           the Factual Consistency of Summaries, ACL 2020)
    fever  claims by people on Wikipedia with the sentences that support or refute them (see `qa.datasets.fever`)
    edits  sentences of the starter corpus, edited so that they still say the same, or something else

A summary comes with its whole article; like an answer it cites at most three sentences of it: those that together have
most of its content terms, chosen one by one.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qa.datasets.base import Evaluated, Request
from qa.datasets.detokenize import detokenize
from qa.datasets.edits import Pair, Place, edited_pairs
from qa.datasets.fever import is_held_out, read_claims, read_pages
from qa.datasets.files import Record, data_file, read_records
from qa.entailment import load_support_check
from qa.errors import EvaluationError
from qa.lexical import terms
from qa.readers import read_file, scan_corpus
from qa.report import Report, Scores, describe, latency, summarize
from qa.resources import starter_corpus
from qa.sentences import split_sentences
from qa.types import Article, Sentence, Statement

__all__ = ["Judged", "evaluate_support", "load_judged"]

CITED = 3
SHORTEST = 40
"""Code points of a sentence that is edited."""
CLAIMS = 1000
"""Claims of FEVER's development half that are asked."""


_CAPITAL = re.compile(r"(?<=[a-z,] )[A-Z][\w'’-]*\w")
_WORD = re.compile(r"[a-z][\w'’-]*\w")


class _Frank(Record):
    hash: str
    dataset: str
    Factuality: float
    article: str
    summary: str


class _Vote(Record):
    response: str


class _Voted(Record):
    sentence: str
    responses: tuple[_Vote, ...]


class _Qags(Record):
    article: str
    summary_sentences: tuple[_Voted, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """Statements that were judged as one: `factuality` is the share of them that is faithful, 1 if all of it is."""

    id: str
    source: str
    kind: str
    factuality: float
    statements: tuple[Statement, ...]
    articles: dict[str, Article]


def load_judged(request: Request) -> list[Judged]:
    """Read what can be checked for a split; without a data folder, the edits alone.

    Raises `DataMissing` and `EvaluationError`.
    """
    readers = (_edits,) if request.data is None else (_edits, _frank, _qags, _fever)
    found = [judged for reader in readers for judged in reader(request)]
    if not found:
        raise EvaluationError(f"there is no split {request.split}: dev, test or all")
    return found


def _wanted(request: Request, text: str) -> bool:
    """Whether what has this text is in the split: ``dev`` was looked at, ``test`` was not."""
    half = "test" if hashlib.sha256(text.encode()).digest()[0] % 2 else "dev"
    return request.split in ("all", half)


def _frank(request: Request) -> Iterator[Judged]:
    for number, record in enumerate(
        read_records(data_file(request.data, "faithfulness", "frank-valid.jsonl.gz"), _Frank)
    ):
        if _wanted(request, record.hash):
            text = record.summary.replace("\\'", "'")
            capital = _capitals(record.article)
            said = [_recased(detokenize(part), capital) for part in text.split(" . ") if part.strip(" .")]
            article, sentences = _split(record.hash, record.article)
            statements = tuple(Statement(one, _best(one, sentences)) for one in said)
            yield Judged(
                f"frank.{number}", "frank", record.dataset, record.Factuality, statements, {article.id: article}
            )


def _capitals(text: str) -> dict[str, str]:
    """The words that a text always writes with a capital, also within a sentence, by their small form."""
    inside = {word.lower(): word for word in _CAPITAL.findall(text)}
    return {small: word for small, word in inside.items() if not re.search(rf"\b{re.escape(small)}\b", text)}


def _recased(text: str, capitals: dict[str, str]) -> str:
    """A summary without capitals with those of its article: the sets lack them, the statements of an answer do not."""
    return _WORD.sub(lambda match: capitals.get(match.group(), match.group()), text)


def _qags(request: Request) -> Iterator[Judged]:
    if request.split not in ("test", "all"):
        return
    for number, record in enumerate(read_records(data_file(request.data, "faithfulness", "qags-xsum.jsonl.gz"), _Qags)):
        article, sentences = _split(f"qags.{number}", record.article)
        statements = tuple(Statement(one.sentence, _best(one.sentence, sentences)) for one in record.summary_sentences)
        faithful = [
            2 * sum(v.response == "yes" for v in one.responses) > len(one.responses) for one in record.summary_sentences
        ]
        yield Judged(article.id, "qags", "xsum", sum(faithful) / len(faithful), statements, {article.id: article})


def _fever(request: Request) -> Iterator[Judged]:
    pages = {}
    for page in read_pages(request.data):
        name = detokenize(page.doc.replace("_", " "))
        sentences = []
        start = 0
        for index, text in enumerate(map(detokenize, page.sentences)):
            sentences.append(Sentence(page.doc, index, start, start + len(text), text))
            start += len(text) + 1
        pages[page.doc] = Article(page.doc, name, " ".join(s.text for s in sentences)), sentences
    asked = 0
    for claim in read_claims(request.data):
        evidence = claim.evidence[0] if claim.evidence else ()
        named = {name for name, _, _ in evidence}
        held = all(map(is_held_out, named))
        if not named or not named <= pages.keys() or request.split not in ("all", "test" if held else "dev"):
            continue
        asked += not held
        if held or asked <= CLAIMS:
            sources = tuple(s for name, first, stop in evidence for s in pages[name][1][first:stop])
            articles = {name: pages[name][0] for name in named}
            statement = Statement(claim.claim, sources)
            yield Judged(
                f"fever.{claim.id}",
                "fever",
                claim.label.lower(),
                float(claim.label == "SUPPORTS"),
                (statement,),
                articles,
            )


def _edits(request: Request) -> Iterator[Judged]:
    root = starter_corpus()
    places = []
    for source in scan_corpus(root).files:
        for article in read_file(root, source).articles:
            if not _wanted(request, article.id):
                continue
            _, sentences = _split(article.id, article.text)
            places += [
                Place(article, sentence, sentences)
                for sentence in sentences
                if len(sentence.text) >= SHORTEST and sentence.text[-1] in ".”"
            ]
    for number, pair in enumerate(edited_pairs(places)):
        yield _of_pair(number, pair)


def _of_pair(number: int, pair: Pair) -> Judged:
    statement = Statement(pair.statement, pair.sources)
    return Judged(
        f"edits.{number}", "edits", pair.kind, float(pair.faithful), (statement,), {pair.article.id: pair.article}
    )


def _split(identity: str, text: str) -> tuple[Article, tuple[Sentence, ...]]:
    spans = enumerate(split_sentences(text))
    return Article(identity, "", text), tuple(Sentence(identity, n, s, e, text[s:e]) for n, (s, e) in spans)


def evaluate_support(request: Request) -> Evaluated:
    """Check every statement as the settings say. What has several passes when all of them do.

    Raises `ModelError` for a cross-encoder that cannot be used, and as `load_judged` does.
    """
    check = load_support_check(request.settings.support)
    judged = load_judged(request)
    scored: dict[str, Scores] = {}
    timings = []
    for number, one in enumerate(judged, start=1):
        started = time.perf_counter()
        supports = [check(statement, one.articles) for statement in one.statements]
        timings.append({"check": (time.perf_counter() - started) * 1000 / max(len(supports), 1)})
        scored[one.id] = _score(one, [support.label == "supported" for support in supports])
        request.progress("checking", number, len(judged))
    about = describe(
        "support",
        [one.source for one in judged],
        request.settings,
        splits=[request.split],
        articles=len({article_id for one in judged for article_id in one.articles}),
        sentences=sum(len(one.statements) for one in judged),
        embedding_model="no embedding model",
        answerer=f"rules and {model}" if (model := request.settings.support.cross_encoder) else "rules",
    )
    return Evaluated(Report(about, summarize(scored), latency(timings), scored), ())


def _score(one: Judged, passed: Sequence[bool]) -> Scores:
    faithful, passes = one.factuality == 1, all(passed)
    wrong, name = (not passes, "false_drop") if faithful else (passes, "false_pass")
    kinds = (one.source, f"edits.{one.kind}") if one.source == "edits" else (one.source,)
    scores: Scores = {f"support.{name}.{kind}": (float(wrong), 1) for kind in kinds}
    scores[f"support.balanced_accuracy.{one.source}"] = (float(passes), float(faithful))
    for name in (one.source, f"{one.source}.{one.kind}") if one.source == "frank" else (one.source,):
        scores[f"support.correlation.{name}"] = (sum(passed) / max(len(passed), 1), one.factuality)
    return scores


def _best(statement: str, sentences: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """The sentences that a statement is held against: each next one adds most of the terms that are still missing."""
    missing = set(terms(statement))
    own = {sentence: frozenset(terms(sentence.text)) for sentence in sentences}
    chosen: list[Sentence] = []
    while own and missing and len(chosen) < CITED:
        best = max(own, key=lambda sentence: (len(own[sentence] & missing), -sentence.index))
        if chosen and not own[best] & missing:
            break
        missing -= own.pop(best)
        chosen.append(best)
    return tuple(sorted(chosen, key=lambda sentence: sentence.index))
