"""Data sets that ask a corpus: its index, built in the cache when it is not up to date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qa.datasets.base import Request
from qa.embedders import load_embedder
from qa.engine import Engine
from qa.errors import EvaluationError
from qa.index import build_index
from qa.settings import Settings

__all__ = ["corpus_engine", "write_corpus"]


@contextmanager
def corpus_engine(request: Request, name: str, corpus: Path | None) -> Iterator[Engine]:
    """An engine over an index of the `corpus`, without a threshold of confidence (see `qa.cases.gated`).

    The index lies in the cache under ``eval/<name>``, and what is unchanged is not built again. Without a corpus, the
    index of the request, else of the settings, is opened as it is; what keeps it from being opened is raised by the
    first question. Raises `EvaluationError` when an older generation has to stand in for a damaged one.
    """
    settings = request.settings
    paths = settings.paths
    if request.index is not None:
        paths = paths.model_copy(update={"index": request.index})
    elif corpus is not None:
        paths = paths.model_copy(update={"corpus": corpus, "index": paths.cache / "eval" / name / "index"})
        _build(settings.model_copy(update={"paths": paths}), request)
    ungated = settings.answers.model_copy(update={"min_confidence": 0.0})
    engine = Engine.open(settings.model_copy(update={"paths": paths, "answers": ungated}))
    try:
        status = engine.status()
        if status.state == "degraded":
            raise EvaluationError(f"an older generation stands in for the index ({status.reason}): build it again")
        yield engine
    finally:
        engine.close()


def write_corpus(cache: Path, name: str, files: Iterable[tuple[str, bytes]]) -> Path:
    """Write the files of a corpus (relative path and bytes) to the cache where they differ; return its folder."""
    folder = cache / "eval" / name / "corpus"
    try:
        for path, data in files:
            target = folder / path
            if not target.is_file() or target.read_bytes() != data:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
    except OSError as error:
        raise EvaluationError(f"cannot write the corpus to {folder}: {error}") from None
    return folder


def _build(settings: Settings, request: Request) -> None:
    embedder = load_embedder(settings.embedding, settings.paths.cache, prepare=True)
    build_index(settings, embedder, progress=request.progress)
