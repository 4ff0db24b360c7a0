"""Questions with gold sentences, asked of an engine: rankings, citations, refusals and time, as a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from qa.cases import Case, case_of, gated
from qa.engine import ArticleView, Engine
from qa.errors import EvaluationError
from qa.gold import Gold, Key, Question, resolve
from qa.metrics import citation_precision, citation_recall, exact_match, ndcg_at, reciprocal_rank, token_f1
from qa.report import Report, Scores, describe, index_facts, latency, summarize
from qa.types import Answer, Passage, Sentence

__all__ = [
    "articles_by_path",
    "evaluate",
    "score_answer",
    "score_chosen",
    "score_confidence",
    "score_rankings",
    "score_refusal",
    "score_short",
]

DEPTH = 50
"""Passages looked at in each ranking; MRR is 0 beyond it."""
CUTS = (1, 3, 5, 10)
RISKS = ("aurc", "risk@10%", "risk@25%", "risk@50%", "risk@75%")


def score_rankings(rankings: Mapping[str, Sequence[Passage]], gold: Gold) -> Scores:
    """Score each ranking of passages by the gold sentences that they hold.

    Recall@k is `citation_recall` of the sentences in the first k passages. For MRR and nDCG a passage is relevant when
    it holds a gold sentence; the ideal has all relevant passages seen in any of the rankings, and one for each gold
    sentence in none of them.
    """
    held = {
        passage.chunk.id: frozenset(sentence.key for sentence in passage.sentences)
        for ranking in rankings.values()
        for passage in ranking
    }
    relevant = {chunk for chunk, keys in held.items() if keys & gold.keys}
    seen = frozenset[Key]().union(*held.values())
    missing = sum(piece.isdisjoint(seen) for piece in gold.pieces)
    gains = {**dict.fromkeys(relevant, 1.0), **{-1 - number: 1.0 for number in range(missing)}}
    scores: Scores = {}
    for name, passages in rankings.items():
        ranking = [passage.chunk.id for passage in passages]
        for k in CUTS:
            first = frozenset[Key]().union(*(held[chunk] for chunk in ranking[:k]))
            scores[f"{name}.recall@{k}"] = (citation_recall(first, gold.pieces, gold.needs), 1)
        scores[f"{name}.mrr"] = (reciprocal_rank(ranking, relevant), 1)
        scores[f"{name}.ndcg@10"] = (ndcg_at(ranking, gains, 10), 1)
    return scores


def score_answer(answer: Answer, gold: Gold, expected: str) -> Scores:
    """Score the answer to an answerable question. A refusal has no precision, and a recall of 0."""
    cited = {(citation.article_id, citation.sentence_index) for citation in answer.citations}
    answered = answer.status == "answered"
    recall = citation_recall(cited, gold.pieces, gold.needs)
    scores: Scores = {"answered": (float(answered), 1), "false_refusal": (float(not answered), 1)}
    if cited:
        precision = citation_precision(cited, gold.keys)
        scores["citation.precision"] = (precision * len(cited), len(cited))
        scores["citation.precision.macro"] = (precision, 1)
    scores["citation.recall"] = (recall * gold.needs, gold.needs)
    scores["citation.recall.macro"] = (recall, 1)
    if answered and expected:
        scores["answer.f1"] = (token_f1(answer.text, expected), 1)
    return scores


def score_refusal(answer: Answer) -> Scores:
    """Score the answer to an unanswerable question: any is false."""
    answered = float(answer.status == "answered")
    return {"answered": (answered, 1), "false_answer": (answered, 1)}


def score_chosen(case: Case, cuts: Sequence[int]) -> Scores:
    """Score whether gold is among the first k sentences that were chosen, and among those that were cited."""
    scores: Scores = {}
    for k in cuts:
        hit = any(bears for _, bears in case.chosen[:k])
        scores[f"chosen.hit@{k}"] = (float(hit), 1)
        scores[f"cited.hit@{k}"] = (float(hit and case.answered), 1)
    return scores


def score_confidence(case: Case, *, answerable: bool) -> Scores:
    """Score the confidence in what was chosen; right is what holds gold."""
    right = any(bears for _, bears in case.chosen)
    scores: Scores = {
        "auroc.answerable": (case.confidence, float(answerable)),
        "auroc.right": (case.confidence, float(right)),
        **{name: (case.confidence, float(not right)) for name in RISKS},
    }
    if right:
        scores["right.kept"] = (float(case.answered), 1)
    if case.answered:
        scores["right.answered"] = (float(right), 1)
    return scores


def score_short(given: str, answers: Sequence[str]) -> Scores:
    """Score a short answer (empty: none given) by the best of the right ones; without any, giving none is right.

    Rajpurkar, Jia & Liang, Know What You Don't Know (ACL 2018).
    """
    exact = max(exact_match(given, answer) for answer in answers or ("",))
    shared = max(token_f1(given, answer) for answer in answers or ("",))
    scores: Scores = {"short.em": (exact, 1), "short.f1": (shared, 1)}
    if answers:
        scores |= {"short.em.answerable": (exact, 1), "short.f1.answerable": (shared, 1)}
    if given:
        scores["short.em.given"] = (exact, 1)
    return scores


def evaluate(
    engine: Engine,
    questions: Sequence[Question],
    *,
    dataset: str = "starter",
    threshold: float | None = None,
    passages: int | None = None,
    max_sentences: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Report, list[Case]]:
    """Ask every question and measure the rankings, the answers and the time; return the report and what happened.

    `threshold` is the confidence from which an answer counts as given, by default the engine's own. An engine that was
    opened without a threshold shows what it would have answered below it, too. `progress` is called with how many are
    done and how many there are. Raises `EvaluationError` when a gold sentence is not in the index or the index changes
    meanwhile, and as `Engine.ask` does.
    """
    limit = engine.settings.answers.min_confidence if threshold is None else threshold
    status = engine.status()
    articles = articles_by_path(engine, {relevant.path for question in questions for relevant in question.relevant})
    golds = [resolve(question, articles) for question in questions]
    scored: dict[str, Scores] = {}
    cases: list[Case] = []
    answers: list[Answer] = []
    for number, (question, gold) in enumerate(zip(questions, golds, strict=True), start=1):
        found = engine.ask(question.question, passages=passages, max_sentences=max_sentences, as_of=question.as_of)
        if found.generation != status.generation:
            raise EvaluationError(f"the index changed from generation {status.generation} to {found.generation}")
        answer = gated(found, limit)
        answers.append(answer)
        case = case_of(question.id, _expected(question), question.as_of, found, limit, _bearing(gold))
        cases.append(case)
        if gold.pieces:
            rankings = engine.rankings(question.question, DEPTH, as_of=question.as_of)
            scores = score_rankings(rankings, gold) | score_answer(answer, gold, question.answer)
            scores |= score_chosen(case, (1, 3))
        else:
            scores = score_refusal(answer)
        scored[question.id] = scores | score_confidence(case, answerable=bool(gold.pieces))
        if progress:
            progress(number, len(questions))
    settings = engine.settings
    about = describe(
        dataset,
        [question.kind for question in questions],
        settings.model_copy(update={"answers": settings.answers.model_copy(update={"min_confidence": limit})}),
        splits=sorted({question.split for question in questions}),
        **index_facts(status, answers),
        generation=status.generation,
        dropped=sum(answer.dropped for answer in answers),
        passages_asked=passages,
        max_sentences=max_sentences,
    )
    return Report(about, summarize(scored), latency([answer.timings_ms for answer in answers]), scored), cases


def _bearing(gold: Gold) -> Callable[[Sentence], bool] | None:
    keys = gold.keys
    return (lambda sentence: sentence.key in keys) if keys else None


def _expected(question: Question) -> tuple[str, ...]:
    return tuple(sentence for relevant in question.relevant for sentence in relevant.sentences)


def articles_by_path(engine: Engine, paths: set[str]) -> dict[str, list[ArticleView]]:
    """Return the indexed articles of some source files, for `resolve`."""
    found: dict[str, list[ArticleView]] = {path: [] for path in paths}
    for article_id in engine.article_ids() if paths else ():
        view = engine.article(article_id)
        if view.article.source_path in found:
            found[view.article.source_path].append(view)
    return found
