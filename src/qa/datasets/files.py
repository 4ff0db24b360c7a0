"""The files of data sets that others publish: where they are expected, and where the originals are."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from qa.errors import DataMissing, EvaluationError

__all__ = ["ORIGINALS", "Record", "data_file", "read_records", "read_text"]

ORIGINALS = {
    "realtimeqa-2023q1": "https://github.com/realtimeqa/realtimeqa_public",
    "multirc": "https://www.eraserbenchmark.com (MultiRC)",
    "trecqa": "http://cs.jhu.edu/~xuchen/packages/jacana-qa-naacl2013-data-results.tar.bz2",
    "squad2-half": "https://rajpurkar.github.io/SQuAD-explorer (development set of 2.0)",
    "fever": "https://www.eraserbenchmark.com (FEVER)",
    "followups": "https://github.com/IBM/mt-rag-benchmark (human/retrieval_tasks)",
    "faithfulness": "https://github.com/artidoro/frank and https://github.com/W4ngatang/qags",
    "newswire": "http://mlg.ucd.ie/datasets/bbc.html (raw text files)",
}
"""Folder below the data folder to the place where the data come from."""


class Record(BaseModel):
    """One line of a data set; fields that are not read are ignored."""

    model_config = ConfigDict(frozen=True)


R = TypeVar("R", bound=Record)


def data_file(data: Path | None, folder: str, name: str) -> Path:
    """Return the path of a file of a data set. Raises `DataMissing`, which says where it comes from."""
    place = f"; eval/README.md says what it holds, the original is at {ORIGINALS[folder]}"
    if data is None:
        raise DataMissing(f"{folder}/{name} is needed: name the folder it is in with --data or SOURCELINE_DATA{place}")
    path = data / folder / name
    if not path.is_file():
        raise DataMissing(f"no {folder}/{name} in {data}{place}")
    return path


def read_text(path: Path) -> str:
    """Return the text of a file, of a gzip file if its name ends in ``.gz``. Raises `EvaluationError`."""
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read {path}: {error}") from None


def read_records(path: Path, kind: type[R]) -> Iterator[R]:
    """Read JSON Lines. Raises `EvaluationError` with path and line for what is no such record."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                yield kind.model_validate_json(line)
            except ValidationError as error:
                problem = error.errors()[0]
                where = ".".join(str(part) for part in problem["loc"])
                raise EvaluationError(f"{path}:{number}: {where + ': ' if where else ''}{problem['msg']}") from None
