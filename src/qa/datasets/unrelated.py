"""Questions of 2023 asked of corpora that cannot know the answers: the starter corpus and the BBC of 2004-05.

Greene & Cunningham, Practical Solutions to the Problem of Diagonal Dominance in Kernel Document Clustering (ICML 2006),
published the articles of the BBC. Whatever is answered is wrong, but for what had happened by then.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from qa.cases import Case, case_of, gated
from qa.datasets.base import Evaluated, Request
from qa.datasets.corpus import corpus_engine, write_corpus
from qa.datasets.files import data_file
from qa.datasets.realtimeqa import load_quiz
from qa.errors import EvaluationError
from qa.evaluation import score_refusal
from qa.report import Report, Scores, describe, latency, summarize
from qa.resources import starter_corpus
from qa.types import Answer

__all__ = ["evaluate_out_of_corpus"]


def evaluate_out_of_corpus(request: Request) -> Evaluated:
    """Ask the questions of RealTime QA of both corpora; the share that is answered should be nothing."""
    questions = load_quiz(request)
    archive = data_file(request.data, "newswire", "bbc.tar.gz")
    corpora = {
        "starter": starter_corpus(),
        "bbc": write_corpus(request.settings.paths.cache, "bbc", _files(archive)),
    }
    threshold = request.settings.answers.min_confidence
    scored: dict[str, Scores] = {}
    cases: list[Case] = []
    answers: list[Answer] = []
    counts = dict.fromkeys(("articles", "sentences", "passages"), 0)
    models: set[str] = set()
    for name, corpus in corpora.items():
        with corpus_engine(replace(request, index=None), name, corpus) as engine:
            for number, question in enumerate(questions, start=1):
                found = engine.ask(question.question, as_of=question.as_of)
                answers.append(found)
                identity = f"{name}:{question.id}"
                scores = score_refusal(gated(found, threshold))
                scored[identity] = scores | {f"false_answer.{name}": scores["false_answer"]}
                cases.append(case_of(identity, (), question.as_of, found, threshold, None))
                request.progress(f"asking {name}", number, len(questions))
            status = engine.status()
            counts = {key: count + getattr(status, key) for key, count in counts.items()}
            models.add(status.embedding_model or "")
    about = describe(
        "out-of-corpus",
        [identity.partition(":")[0] for identity in scored],
        request.settings,
        **counts,
        embedding_model=", ".join(sorted(models)),
        answerer=", ".join(sorted({answer.answerer for answer in answers})),
    )
    report = Report(about, summarize(scored), latency([answer.timings_ms for answer in answers]), scored)
    return Evaluated(report, tuple(cases))


def _files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The texts of the archive, by section and number."""
    try:
        with tarfile.open(archive) as members:
            for member in members:
                parts = Path(member.name).parts
                file = members.extractfile(member) if member.isfile() else None
                if file and len(parts) == 3 and parts[2].endswith(".txt") and ".." not in parts:
                    yield f"{parts[1]}/{parts[2]}", file.read()
    except (OSError, EOFError, tarfile.TarError) as error:
        raise EvaluationError(f"cannot read {archive}: {error}") from None
