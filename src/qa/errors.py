"""Every error that Sourceline raises on purpose, by what the caller can do about it.

    QAError                 a message for the user: the offending value and the way out
    ├── SettingsError       a setting is unknown or out of range: fix the named key
    ├── ReaderError         one file or record cannot be read: the build goes on without it
    ├── ModelError          the embedding model, scorer or cross-encoder cannot be loaded or made
    ├── LanguageModelError  no language model is set, or the one that is cannot be used now
    ├── StoreError          a vector store was given or holds something impossible
    ├── StorageError        a file operation under index/ failed (disk full, permission, I/O)
    ├── IndexMissing        there is no index yet: build one
    ├── IndexMismatch       the index was made by another model, format or setting: rebuild
    ├── IndexDamaged        bytes under index/ are not the bytes that were written
    ├── IndexBusy           another process is building right now
    ├── QuestionError       the question cannot be asked as it stands
    ├── ArticleNotFound     no such article in the generation that answers
    ├── Stopped             nobody waits for the answer any more: its work ends early
    ├── CitationError       an answerer cited a sentence that it was not given (a bug, never data)
    └── EvaluationError     the questions file, its gold or a baseline cannot be used
        └── DataMissing     a data set of others is not on this machine

The command line prints one line and exits with `exit_code`; the server maps each class to a problem document.
"""

from __future__ import annotations

__all__ = [
    "ArticleNotFound",
    "CitationError",
    "DataMissing",
    "EvaluationError",
    "IndexBusy",
    "IndexDamaged",
    "IndexMismatch",
    "IndexMissing",
    "LanguageModelError",
    "ModelError",
    "QAError",
    "QuestionError",
    "ReaderError",
    "SettingsError",
    "Stopped",
    "StorageError",
    "StoreError",
]


class QAError(Exception):
    """Base of all errors whose message is meant for the user."""

    exit_code = 1


class SettingsError(QAError):
    """A setting is unknown, malformed or out of range; the message names its key."""

    exit_code = 2


class ReaderError(QAError):
    """One file, or one record of a file, cannot be turned into an article, or the corpus folder cannot be read."""

    def __init__(self, path: str, reason: str, line: int | None = None) -> None:
        self.path = path
        self.line = line
        self.reason = reason
        super().__init__(f"{path}:{line}: {reason}" if line else f"{path}: {reason}")


class ModelError(QAError):
    """A model for embedding, scoring or the support check cannot be found, verified, loaded or made."""

    exit_code = 4


class LanguageModelError(QAError):
    """There is no language model, or it did not give what was asked of it. The message repeats nothing of its reply."""


class StoreError(QAError):
    """A vector store was asked for, or holds, something impossible."""


class StorageError(QAError):
    """A file operation under the index folder failed; nothing that was live has changed."""


class IndexMissing(QAError):
    """There is no index yet."""

    exit_code = 4


class IndexMismatch(QAError):
    """The index was made with another model, format or setting than the one in force."""

    exit_code = 4


class IndexDamaged(QAError):
    """Bytes under the index folder are not the bytes that were written there."""

    exit_code = 6


class IndexBusy(QAError):
    """Another process holds the builder's lock."""


class QuestionError(QAError):
    """The question is empty, too long or not text."""

    exit_code = 2


class ArticleNotFound(QAError):
    """No article with this id in the generation that answers."""


class Stopped(QAError):
    """Nobody waits for the answer any more, so its work has ended early. Raised by whoever listens to the progress."""


class CitationError(QAError):
    """An answerer returned a sentence that is not in the passages it was given."""


class EvaluationError(QAError):
    """A questions file, its gold sentences or a baseline cannot be used."""


class DataMissing(EvaluationError):
    """A data set that others publish is not where it was looked for; the message says where it comes from."""

    exit_code = 4
