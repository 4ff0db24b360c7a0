"""Fit the weights of `qa.answerers.extractive` on the development questions; print them for the source file.

Logistic regression with a small ridge over the sentences that the answerer compares with the question by embedding:
does the sentence hold gold? Also prints what each threshold of confidence would cost. The test questions are not read.

    qa index --index build/eval-index && python eval/fit_extractive.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from qa.answerers.extractive import BIAS, EMBEDDED_SENTENCES, FEATURES, WEIGHTS, ExtractiveAnswerer
from qa.embedders import load_embedder
from qa.engine import Engine
from qa.evaluation import articles_by_path
from qa.gold import Question, load_questions, resolve
from qa.settings import load_settings
from qa.snapshot import Snapshot
from qa.storage import IndexFolder

RIDGE = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, default=Path("build/eval-index"))
    parser.add_argument("--questions", type=Path, default=Path("eval/questions.jsonl"))
    options = parser.parse_args()
    questions = [question for question in load_questions(options.questions) if question.split == "dev"]
    groups = collect(options.index, questions)
    features, labels = (np.concatenate(parts) for parts in zip(*groups, strict=True))
    weights, bias = fit(features, labels)
    print(f"{len(questions)} questions, {len(labels)} sentences, {labels.sum()} of them gold")
    print("WEIGHTS =", np.round(weights, 2).tolist(), "for", ", ".join(FEATURES))
    print("BIAS =", round(bias, 2))
    answerable = np.array([bool(question.relevant) for question in questions])
    for name, w, b in (("as fitted", weights, bias), ("as in the source", WEIGHTS, BIAS)):
        best = np.array([float((1 / (1 + np.exp(-(rows @ w + b)))).max()) for rows, _ in groups])
        print(f"\n{name}: threshold, share answered of the unanswerable, share refused of the answerable")
        for threshold in np.quantile(best, [0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5]):
            wrong, lost = (best[~answerable] >= threshold).mean(), (best[answerable] < threshold).mean()
            print(f"  {threshold:.3f}  {wrong:.2f}  {lost:.2f}")


def collect(index: Path, questions: list[Question]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Features (n, 6) and labels (n,) of the compared sentences of each question."""
    settings = load_settings({"paths": {"index": index}})
    embedder = load_embedder(settings.embedding, settings.paths.cache, prepare=False)
    engine = Engine(settings, embedder)
    engine.reload_if_changed()
    snapshot = Snapshot.open(IndexFolder(index).open_current(), embedder)
    answerer = ExtractiveAnswerer(embedder, snapshot.lexical.idf, 0.0)
    articles = articles_by_path(engine, {relevant.path for question in questions for relevant in question.relevant})
    groups = []
    for question in questions:
        gold = resolve(question, articles).keys
        scored = answerer.score(question.question, engine.search(question.question).passages)[:EMBEDDED_SENTENCES]
        groups.append(
            (np.array([item.features for item in scored]), np.array([item.sentence.key in gold for item in scored]))
        )
    return groups


def fit(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Ridge logistic regression by Newton's method on standardised features; weights for the raw ones."""
    mean, deviation = features.mean(0), features.std(0) + 1e-9
    rows = np.c_[(features - mean) / deviation, np.ones(len(features))].astype(np.float64)
    penalty = np.r_[np.full(features.shape[1], RIDGE), 1e-6]
    weights = np.zeros(rows.shape[1])
    for _ in range(50):
        probability = 1 / (1 + np.exp(-rows @ weights))
        gradient = rows.T @ (probability - labels) + penalty * weights
        hessian = (rows.T * (probability * (1 - probability))) @ rows + np.diag(penalty)
        weights -= np.linalg.solve(hessian, gradient)
    return weights[:-1] / deviation, float(weights[-1] - (weights[:-1] * mean / deviation).sum())


if __name__ == "__main__":
    main()
