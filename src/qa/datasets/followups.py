"""Follow-up questions: what the question that is derived from a conversation gains over the last one alone.

MTRAG (Katsis et al., A Multi-Turn RAG Benchmark, 2025) has conversations of people on four subjects, and what a person
made of each question so that it stands alone. Its corpora are not needed: a question is compared with the person's. The
project's own conversations are on the starter corpus and have gold sentences.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from qa.cases import Case, case_of, gated
from qa.datasets.base import Evaluated, Request
from qa.datasets.corpus import corpus_engine
from qa.datasets.files import Record, data_file, read_records
from qa.datasets.realtimeqa import quiz_engine
from qa.embedders import load_embedder
from qa.engine import Engine
from qa.errors import EvaluationError
from qa.evaluation import articles_by_path, score_rankings
from qa.followups import standalone
from qa.gold import Gold, Question, load_questions, resolve
from qa.lexical import terms
from qa.metrics import recall_at, token_f1
from qa.protocols import FloatArray
from qa.report import Report, Scores, describe, index_facts, latency, summarize
from qa.resources import starter_corpus
from qa.types import Answer, Turn

__all__ = ["FollowUp", "evaluate_conversations", "evaluate_followups", "load_followups"]

FOLDER = "followups"
DOMAINS = ("clapnq", "cloud", "fiqa", "govt")
CONVERSATIONS = Path("eval/followups.jsonl")
DEPTH = 10
LONGEST = 2000
"""Code points of a question that can be asked."""
ALIKE = 0.8
"""F1 of the content terms from which the person left the last question as it was."""
SPEAKER = "|user|:"


class _Turn(Record):
    id: str = Field(alias="_id")
    text: str


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A question, the questions before it, oldest first, and what a person made of it."""

    id: str
    domain: str
    before: tuple[str, ...]
    last: str
    rewrite: str


def load_followups(request: Request) -> list[FollowUp]:
    """Read the questions that are not the first of their conversation. Raises `DataMissing` and `EvaluationError`."""
    found: list[FollowUp] = []
    for domain in DOMAINS:
        columns = [_column(request, domain, name) for name in ("questions", "lastturn", "rewrite")]
        for identity, said in columns[0].items():
            if any(identity not in column for column in columns):
                raise EvaluationError(f"{FOLDER}/{domain}: {identity} has no rewrite or no last turn")
            *before, last = said
            if before and request.split in ("all", _split(identity)):
                found.append(FollowUp(identity, domain, tuple(before), last, columns[2][identity][-1]))
    if not found:
        raise EvaluationError(f"{FOLDER} has no questions of split {request.split}: dev, test or all")
    return found


def _column(request: Request, domain: str, name: str) -> dict[str, tuple[str, ...]]:
    path = data_file(request.data, FOLDER, f"{domain}/{domain}_{name}.jsonl")
    turns = {record.id: record.text.split(SPEAKER)[1:] for record in read_records(path, _Turn)}
    if empty := [identity for identity, said in turns.items() if not said]:
        raise EvaluationError(f"{path}: {empty[0]} has no turn of a user")
    return {identity: tuple(turn.strip() for turn in said) for identity, said in turns.items()}


def _split(identity: str) -> str:
    """The half of a conversation: ``dev`` was looked at while the rules were made, ``test`` was not."""
    conversation = identity.partition("<::>")[0]
    return "test" if hashlib.sha256(conversation.encode()).digest()[0] % 2 else "dev"


def evaluate_followups(request: Request) -> Evaluated:
    """Compare the last question, simple joins, and the derived question with what a person made of it."""
    followups = load_followups(request)
    embedder = load_embedder(request.settings.embedding, request.settings.paths.cache, prepare=True)
    scored: dict[str, Scores] = {}
    with quiz_engine(request) as engine:

        def looked_up(question: str) -> tuple[FloatArray, list[int]]:
            found = engine.search(question, k=DEPTH, dates=False).passages
            return embedder.embed_query(question), [passage.chunk.id for passage in found]

        for number, followup in enumerate(followups, start=1):
            history = [Turn("user", earlier) for earlier in followup.before]
            derived = standalone(followup.last, history)
            wanted, ideal = looked_up(followup.rewrite)
            scores: Scores = {}
            for name, question in _asked(followup.last, followup.before, derived).items():
                vector, found = looked_up(question)
                scores[f"followup.f1.{name}"] = (_shared(question, followup.rewrite), 1)
                scores[f"followup.cosine.{name}"] = (float(np.dot(vector, wanted)), 1)
                scores[f"followup.overlap@10.{name}"] = (recall_at(found, ideal, DEPTH), 1)
            alike = _shared(followup.last, followup.rewrite) >= ALIKE
            for name in ("f1", "cosine", "overlap@10"):
                gain = scores[f"followup.{name}.derived"][0] - scores[f"followup.{name}.last"][0]
                for part in ("", f".{followup.domain}", *([] if alike else [".needed"])):
                    scores[f"followup.{name}.gain{part}"] = (gain, 1)
            scored[followup.id] = scores | _changed(derived, needed=not alike)
            request.progress("asking", number, len(followups))
        status = engine.status()
    about = describe(
        "followups",
        [followup.domain for followup in followups],
        request.settings,
        splits=[request.split],
        **index_facts(status, ()),
    )
    return Evaluated(Report(about, summarize(scored), {}, scored), ())


def evaluate_conversations(request: Request) -> Evaluated:
    """Ask the project's own follow-ups of the starter corpus: alone, joined, derived, and in their own words."""
    path = request.questions or CONVERSATIONS
    questions = [question for question in load_questions(path) if request.split in ("all", question.split)]
    if not questions or not all(question.after and question.relevant for question in questions):
        raise EvaluationError(
            f"{path}: no questions of split {request.split}, or one without `after` or gold sentences"
        )
    threshold = request.settings.answers.min_confidence
    scored: dict[str, Scores] = {}
    cases: list[Case] = []
    answers: list[Answer] = []
    with corpus_engine(request, "starter", starter_corpus()) as engine:
        articles = articles_by_path(engine, {relevant.path for question in questions for relevant in question.relevant})
        for number, question in enumerate(questions, start=1):
            gold = resolve(question, articles)
            found = engine.ask(question.question, history=_conversation(engine, question, threshold))
            answers.append(found)
            scores = _changed(found.resolved_question, needed=question.standalone is not None)
            asked = _asked(question.question, question.after, found.resolved_question)
            for name, text in {**asked, "own": question.standalone or question.question}.items():
                recall, cited = _score(engine, text, gold, threshold)
                scores |= {f"followup.recall@5.{name}": (recall, 1), f"followup.cited.{name}": (cited, 1)}
            for name in ("recall@5", "cited"):
                gain = scores[f"followup.{name}.derived"][0] - scores[f"followup.{name}.last"][0]
                scores[f"followup.{name}.gain"] = (gain, 1)
            scored[question.id] = scores
            cases.append(_case(question, found, gold, threshold))
            request.progress("asking", number, len(questions))
        status = engine.status()
    about = describe(
        "conversations",
        ["alone" if question.standalone is None else "dependent" for question in questions],
        request.settings,
        splits=sorted({question.split for question in questions}),
        **index_facts(status, answers),
    )
    report = Report(about, summarize(scored), latency([answer.timings_ms for answer in answers]), scored)
    return Evaluated(report, tuple(cases))


def _case(question: Question, found: Answer, gold: Gold, threshold: float) -> Case:
    expected = [sentence for relevant in question.relevant for sentence in relevant.sentences]
    return case_of(question.id, expected, None, found, threshold, lambda sentence: sentence.key in gold.keys)


def _asked(last: str, before: Sequence[str], derived: str | None) -> Mapping[str, str]:
    """The question by itself, behind the one before, behind all before, and derived; as much as can be asked."""
    asked = {
        "last": last,
        "previous": f"{before[-1]} {last}",
        "all": " ".join([*before, last]),
        "derived": derived or last,
    }
    return {name: question[-LONGEST:] for name, question in asked.items()}


def _shared(question: str, other: str) -> float:
    return token_f1(" ".join(terms(question)), " ".join(terms(other)))


def _changed(derived: str | None, *, needed: bool) -> Scores:
    return {"followup.resolved": (float(bool(derived)), 1)} if needed else {"followup.kept": (float(not derived), 1)}


def _conversation(engine: Engine, question: Question, threshold: float) -> list[Turn]:
    """The questions before, each with the answer that it gets in this conversation."""
    history: list[Turn] = []
    for earlier in question.after:
        answer = gated(engine.ask(earlier, history=history), threshold)
        history += [Turn("user", earlier), Turn("assistant", answer.text)]
    return history


def _score(engine: Engine, question: str, gold: Gold, threshold: float) -> tuple[float, float]:
    """The recall of gold sentences in the first five passages, and whether one is cited."""
    recall = score_rankings(engine.rankings(question, DEPTH), gold)["fused.recall@5"][0]
    answer = gated(engine.ask(question), threshold)
    return recall, float(any((c.article_id, c.sentence_index) in gold.keys for c in answer.citations))
