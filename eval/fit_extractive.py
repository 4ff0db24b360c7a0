"""Fit the two logistic models of `qa.answerers.extractive` on development questions; print them for the source file.

The first says how probably a sentence answers, the second how probably the answer that begins with the best one is
right. They are fitted on the development halves of the project's own questions and, with ``--data``, on every other
question of RealTime QA, where a sentence answers that bears an answer string. Also printed: what each threshold of
confidence would cost on each set. No test question is read.

    python eval/fit_extractive.py --data FOLDER
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

from qa.answerers import load_extractive
from qa.answerers.extractive import CONFIDENCE, EMBEDDED_SENTENCES, WEIGHTS, ExtractiveAnswerer, Model, ScoredSentence
from qa.datasets.base import Request
from qa.datasets.corpus import corpus_engine, write_corpus
from qa.datasets.files import data_file, read_text
from qa.datasets.realtimeqa import FOLDER, load_quiz
from qa.datasets.strings import bears
from qa.embedders import load_embedder
from qa.engine import Engine
from qa.evaluation import articles_by_path
from qa.gold import load_questions, resolve
from qa.resources import starter_corpus
from qa.scorers import load_scorer
from qa.settings import load_settings
from qa.snapshot import Snapshot, open_folder
from qa.types import Sentence

RIDGE = 1.0
DEEPEST = 60
"""Sentences of a question that are learned from; the rest are far from answering and many."""
STATEMENTS = 3


@dataclass
class Group:
    """A question with its scored sentences, best first, and whether each bears gold; none does without an answer."""

    name: str
    question: str
    answerable: bool
    scored: list[ScoredSentence]
    gold: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder that holds realtimeqa-2023q1")
    parser.add_argument("--scorer", default="sourceline", help="as the setting answers.scorer")
    options = parser.parse_args()
    request = Request(load_settings({"answers": {"scorer": options.scorer}}), options.data)
    groups = list(starter(request))
    if options.data:
        groups += realtimeqa(request)
    kind = "embedding" if options.scorer == "none" else "scorer"
    questions = [group for group, _ in groups]
    sentences = fit_sentences(questions, WEIGHTS[kind])
    rescore(questions, sentences)
    print(f"{len(questions)} questions, {sum(len(group.scored) for group in questions)} sentences")
    print(f'WEIGHTS["{kind}"] =', shown(sentences))
    doubts = [answerer.doubts(group.question, group.scored[0]) for group, answerer in groups]
    right = np.array([group.gold[:STATEMENTS].any() for group in questions], dtype=float)
    names = [name for name in CONFIDENCE[kind] if name != "bias"]
    rows = np.array([[item[name] for name in names] for item in doubts])
    weights, bias = fit(rows, right)
    print(f'CONFIDENCE["{kind}"] =', shown(dict(zip(names, weights, strict=True)) | {"bias": bias}))
    thresholds(questions, right > 0, 1 / (1 + np.exp(-(rows @ weights + bias))))


def starter(request: Request) -> Iterator[tuple[Group, ExtractiveAnswerer]]:
    """The development questions of the project, and those with something exchanged."""
    with corpus_engine(request, "starter", starter_corpus()) as engine:
        answerer = answerer_of(engine)
        for name in ("questions", "swapped"):
            asked = [item for item in load_questions(Path(f"eval/{name}.jsonl")) if item.split == "dev"]
            articles = articles_by_path(engine, {relevant.path for item in asked for relevant in item.relevant})
            for item in asked:
                gold = resolve(item, articles).keys

                def is_gold(sentence: Sentence, gold: frozenset[tuple[str, int]] = gold) -> bool:
                    return sentence.key in gold

                yield group(name, engine, answerer, item.question, None, bool(gold), is_gold), answerer


def realtimeqa(request: Request) -> Iterator[tuple[Group, ExtractiveAnswerer]]:
    """Every other question of RealTime QA, as of its day."""
    articles = read_text(data_file(request.data, FOLDER, "articles.jsonl.gz"))
    corpus = write_corpus(request.settings.paths.cache, FOLDER, [("articles.jsonl", articles.encode("utf-8"))])
    with corpus_engine(request, FOLDER, corpus) as engine:
        answerer = answerer_of(engine)
        for item in load_quiz(request)[::2]:

            def is_gold(sentence: Sentence, answers: tuple[str, ...] = item.answers) -> bool:
                return bears(sentence.text, answers)

            # A string that no passage holds cannot be learned from: the question counts as unanswerable.
            yield group("realtimeqa", engine, answerer, item.question, item.as_of, True, is_gold), answerer


def answerer_of(engine: Engine) -> ExtractiveAnswerer:
    """The answerer that the engine uses."""
    settings = engine.settings
    embedder = load_embedder(settings.embedding, settings.paths.cache, prepare=False)
    snapshot = Snapshot.open(open_folder(settings).open_current(), embedder)
    return load_extractive(settings.answers, embedder, snapshot.lexical.idf, load_scorer(settings.answers.scorer))


def group(
    name: str,
    engine: Engine,
    answerer: ExtractiveAnswerer,
    question: str,
    as_of: date | None,
    answerable: bool,
    is_gold: Callable[[Sentence], bool],
) -> Group:
    scored = answerer.score(question, engine.search(question, as_of=as_of).passages)[:DEEPEST]
    if "cosine" in scored[0].features:
        scored = scored[:EMBEDDED_SENTENCES]  # the others were not compared
    gold = np.array([answerable and is_gold(item.sentence) for item in scored])
    return Group(name, question, answerable, scored, gold)


def fit_sentences(groups: list[Group], model: Model) -> Model:
    """Shared weights for all sets, each with a bias of its own: sets differ in how often a sentence bears gold."""
    names = [name for name in model if name != "bias"]
    sets = sorted({group.name for group in groups})
    rows, labels = [], []
    for item in groups:
        own = [float(item.name == name) for name in sets[1:]]
        rows += [[scored.features[name] for name in names] + own for scored in item.scored]
        labels += item.gold.tolist()
    weights, bias = fit(np.array(rows), np.array(labels, dtype=float))
    own = np.append(0.0, weights[len(names) :])
    return dict(zip(names, weights, strict=False)) | {"bias": bias + own.mean()}


def rescore(groups: list[Group], model: Model) -> None:
    """Order the sentences of each question by a model."""
    for item in groups:
        logits = np.array(
            [model["bias"] + sum(w * s.features[n] for n, w in model.items() if n != "bias") for s in item.scored]
        )
        order = np.argsort(-logits, kind="stable")
        probabilities = 1 / (1 + np.exp(-logits))
        item.scored = [replace(item.scored[i], probability=float(probabilities[i])) for i in order]
        item.gold = item.gold[order]


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


def thresholds(groups: list[Group], right: np.ndarray, confidence: np.ndarray) -> None:
    """For each set: the share answered of what has no answer, and the share kept of the right answers."""
    for name in sorted({item.name for item in groups}):
        own = np.array([item.name == name for item in groups])
        none = own & np.array([not item.gold.any() for item in groups])
        print(f"\n{name}: {(own & right).sum()} right answers, {none.sum()} questions without gold among the sentences")
        for threshold in np.arange(0.1, 0.75, 0.05):
            print(
                f"  {threshold:.2f}  answered {(confidence[none] >= threshold).mean():.3f}"
                f"  kept {(confidence[own & right] >= threshold).mean():.3f}"
            )


def shown(model: Model) -> dict[str, float]:
    return {name: round(float(value), 2) for name, value in model.items()}


if __name__ == "__main__":
    main()
