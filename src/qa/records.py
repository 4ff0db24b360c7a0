"""What the server keeps: its latest answers in memory; shared answers and feedback on the disk.

    records/
      answers/ans_….json   one shared answer; its address outlives the server
      feedback.jsonl       one rating a line, only ever appended to

An answer that is given out again is compared with the live generation first: nothing of a removed article leaves here.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from qa.contract import (
    AnswerReply,
    AnswerText,
    AskRequest,
    CitationOut,
    Day,
    FeedbackReply,
    FeedbackRequest,
    FiltersIn,
    ProblemField,
    SegmentOut,
    SharedReply,
    SourceOut,
)
from qa.engine import Engine
from qa.errors import ArticleNotFound
from qa.files import FileLayer, OsFiles, append_line, read_file, write_file
from qa.problems import ProblemError
from qa.replies import new_id, now_utc

__all__ = ["FEEDBACK_FILE", "WITHHELD", "Cited", "Rating", "Recalled", "Records", "compare", "read_ratings"]

REMEMBERED = 1000
"""Answers kept in memory."""
REFUSALS = 50
"""Questions without an answer that the operator's page can show."""
SHARED = 10_000
"""Answers kept on the disk, at most."""
FEEDBACK_BYTES = 50_000_000
"""Size of the feedback file, at most."""
ANSWER_BYTES = 4_000_000
"""A file that is larger is no shared answer."""

FEEDBACK_FILE = "feedback.jsonl"
WITHHELD = "This sentence is withheld: its article was removed."

_DOWN = b'"rating":"down"'
"""In a line of feedback, only a thumb down: inside its texts quotation marks are escaped."""
_ID = re.compile(r"ans_[0-9A-HJKMNP-TV-Z]{26}")

_log = logging.getLogger("qa.server")


class _Kept(BaseModel):
    """An answer with what was asked for, as it lies on the disk."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    asked: AskRequest
    reply: AnswerReply


class Cited(BaseModel):
    """A sentence that the rated answer cited."""

    model_config = ConfigDict(frozen=True)

    n: int
    article_id: str
    sentence_id: str
    quote: str
    sha256: str


class Rating(BaseModel):
    """One line of the feedback file. All but the rating itself comes from the server's own copy of the answer."""

    model_config = ConfigDict(frozen=True)

    id: str
    time: str
    answer_id: str
    rating: Literal["up", "down"]
    citation: int | None
    reasons: tuple[str, ...]
    comment: str
    question: str
    resolved_question: str | None
    filters: FiltersIn
    as_of: Day | None
    dates: bool
    generation: int
    status: str
    cited: tuple[Cited, ...]


@dataclass(frozen=True, slots=True)
class Recalled:
    """An answer given out again, compared with the live generation; `shared`: it lies on the disk."""

    asked: AskRequest
    reply: AnswerReply
    shared: bool


class Records:
    """Remembers, shares and takes feedback. Safe to use from several threads."""

    def __init__(self, engine: Engine, files: FileLayer | None = None) -> None:
        settings = engine.settings
        self.folder = settings.paths.records
        self.sharing = settings.server.sharing
        self.feedback = settings.server.feedback
        self._engine = engine
        self._files = files or OsFiles()
        self._kept: dict[str, _Kept] = {}
        self._refused: deque[AnswerReply] = deque(maxlen=REFUSALS)
        self._lock = threading.Lock()  # guards _kept and _refused
        self._writing = threading.Lock()  # one thread writes at a time

    def remember(self, asked: AskRequest, reply: AnswerReply) -> None:
        """Keep an answer that was just given; the oldest one makes room. Passages and earlier turns are not kept."""
        kept = _Kept(asked=asked.model_copy(update={"history": []}), reply=reply.model_copy(update={"passages": None}))
        with self._lock:
            self._kept[reply.id] = kept
            if len(self._kept) > REMEMBERED:
                del self._kept[next(iter(self._kept))]
            if reply.not_found:
                self._refused.append(kept.reply)

    def recall(self, answer_id: str) -> Recalled:
        """Give an answer out again, remembered or shared. Raises `ProblemError` (answer-not-found) and `QAError`."""
        kept, shared = self._find(answer_id)
        return Recalled(kept.asked, self._now(kept.reply), shared)

    def share(self, answer_id: str) -> SharedReply:
        """Keep an answer on the disk. Raises `ProblemError`: answer-not-found, records-full."""
        with self._writing:
            kept, shared = self._find(answer_id)
            if not shared:
                # As it is now: what was removed since the answer is not written to the disk anew.
                self._write(answer_id, kept.model_copy(update={"reply": self._now(kept.reply)}))
        return SharedReply(answer_id=answer_id, url=f"/a/{answer_id}")

    def rate(self, feedback: FeedbackRequest) -> FeedbackReply:
        """Write a rating down. Raises `ProblemError`: answer-not-found, validation, records-full."""
        kept, _ = self._find(feedback.answer_id)
        reply = self._now(kept.reply)
        if feedback.citation is not None and feedback.citation not in [citation.n for citation in reply.citations]:
            field = ProblemField(pointer="/citation", detail="The answer has no citation of this number.")
            raise ProblemError("validation", "1 field was refused.", [field])
        rating = _rating(feedback, kept.asked, reply)
        path = self.folder / FEEDBACK_FILE
        with self._writing, _full_if_unwritable():
            self._make_folder(self.folder)
            if not append_line(path, rating.model_dump_json(ensure_ascii=True).encode("ascii"), FEEDBACK_BYTES):
                raise ProblemError("records-full")
        return FeedbackReply(id=rating.id, answer_id=rating.answer_id)

    def refusals(self) -> list[AnswerReply]:
        """The latest questions that nothing was found for, newest first, compared with the live generation."""
        with self._lock:
            refused = list(self._refused)
        return [self._now(reply) for reply in reversed(refused)]

    def low_rated(self, n: int) -> list[Rating]:
        """The latest `n` thumbs down, newest first."""
        down = (line for line in reversed(_lines(self.folder / FEEDBACK_FILE)) if _DOWN in line)
        return list(islice(filter(None, map(_parse, down)), n))

    def knows(self, answer_id: str) -> bool:
        """Whether the answer can be given out again."""
        try:
            self._find(answer_id)
        except ProblemError:
            return False
        return True

    def _find(self, answer_id: str) -> tuple[_Kept, bool]:
        # The pattern keeps every other path out: ids become file names.
        if _ID.fullmatch(answer_id):
            stored = self._read(answer_id) if self.sharing else None
            with self._lock:
                kept = stored or self._kept.get(answer_id)
            if kept:
                return kept, stored is not None
        raise ProblemError("answer-not-found")

    def _now(self, reply: AnswerReply) -> AnswerReply:
        mentioned = [*reply.citations, *reply.also_found, *(reply.not_found.closest if reply.not_found else ())]
        contexts = [segment.context for segment in reply.answer.segments if segment.context]
        return compare(
            reply,
            {it.article_id: self._text(it.article_id) for it in [*mentioned, *contexts]},
            self._engine.status().generation,
        )

    def _text(self, article_id: str) -> str | None:
        try:
            return self._engine.article(article_id).article.text
        except ArticleNotFound:
            return None

    def _path(self, answer_id: str) -> Path:
        return self.folder / "answers" / f"{answer_id}.json"

    def _read(self, answer_id: str) -> _Kept | None:
        path = self._path(answer_id)
        try:
            kept = _Kept.model_validate_json(read_file(self._files, path, ANSWER_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            _log.warning("the shared answer %s cannot be read: %s", path, error)
            return None
        return kept if kept.reply.id == answer_id else None

    def _write(self, answer_id: str, kept: _Kept) -> None:
        path = self._path(answer_id)
        temporary = path.with_suffix(".tmp")
        with _full_if_unwritable():
            self._make_folder(self.folder)
            self._make_folder(path.parent)
            if sum(name.endswith(".json") for name in self._files.listdir(path.parent)) >= SHARED:
                raise ProblemError("records-full")
            with suppress(FileNotFoundError):  # left behind by a server that died
                self._files.unlink(temporary)
            write_file(self._files, temporary, kept.model_dump_json().encode())
            self._files.replace(temporary, path)
            self._files.sync_folder(path.parent)

    def _make_folder(self, path: Path) -> None:
        with suppress(FileExistsError):
            self._files.mkdir(path)


def compare(reply: AnswerReply, texts: Mapping[str, str | None], generation: int | None) -> AnswerReply:
    """An answer as it may be given out now: what comes from removed articles is withheld, what changed is marked.

    `texts` has the live text of every article that the answer mentions, None for one that was removed; `generation` is
    the live one.
    """
    citations = [_compared(citation, texts[citation.article_id]) for citation in reply.citations]
    gone = {citation.n for citation in citations if citation.state == "gone"}
    gone_articles = {citation.article_id for citation in citations if citation.state == "gone"}
    short, missed = reply.short_answer, reply.not_found
    return reply.model_copy(
        update={
            "answer": _answer_text(reply, gone, texts),
            "short_answer": None if short and short.citation in gone else short,
            "citations": citations,
            "sources": [_blank(s) if s.article_id in gone_articles else s for s in reply.sources],
            "not_found": missed
            and missed.model_copy(update={"closest": [c for c in missed.closest if texts[c.article_id] is not None]}),
            "also_found": [found for found in reply.also_found if texts[found.article_id] is not None],
            # They are made from articles; which ones is not known any more.
            "follow_ups": reply.follow_ups if generation == reply.engine.generation else [],
        }
    )


def _compared(citation: CitationOut, text: str | None) -> CitationOut:
    if text is None or citation.state == "gone":
        withheld = {"quote": "", "original_url": None, "verified": False, "state": "gone"}
        return citation.model_copy(update=withheld)
    same = text[citation.source_start : citation.source_end] == citation.quote
    return citation.model_copy(
        update={"verified": same and citation.support.label == "supported", "state": "current" if same else "changed"}
    )


def _answer_text(reply: AnswerReply, gone: set[int], texts: Mapping[str, str | None]) -> AnswerText:
    quotes = {citation.n: citation.quote for citation in reply.citations}
    segments: list[SegmentOut] = []
    marked: list[str] = []
    at = 0
    for segment in reply.answer.segments:
        # A sentence stays if an article that is still there says it in the same words.
        still = any(quotes[n] == segment.text for n in segment.citations if n not in gone)
        text = WITHHELD if gone.intersection(segment.citations) and not still else segment.text
        context = segment.context
        if context and texts[context.article_id] is None:
            context = None
        changes = {"start": at, "end": at + len(text), "text": text, "context": context}
        segments.append(segment.model_copy(update=changes))
        marked.append(text + "".join(f"[{n}]" for n in segment.citations))
        at += len(text) + 1
    return AnswerText(
        text=" ".join(segment.text for segment in segments), text_with_markers=" ".join(marked), segments=segments
    )


def _blank(source: SourceOut) -> SourceOut:
    return SourceOut(
        article_id=source.article_id,
        title="",
        publisher=None,
        authors=[],
        url=None,
        published_at=None,
        modified_at=None,
        section=None,
        language=None,
        content_sha256=source.content_sha256,
        cited_by=source.cited_by,
        duplicates=[],
    )


def _rating(feedback: FeedbackRequest, asked: AskRequest, reply: AnswerReply) -> Rating:
    return Rating(
        id=new_id("fb_"),
        time=now_utc(),
        answer_id=reply.id,
        rating=feedback.rating,
        citation=feedback.citation,
        reasons=tuple(dict.fromkeys(feedback.reasons)),
        comment=feedback.comment,
        question=reply.question,
        resolved_question=reply.resolved_question,
        filters=asked.filters,
        # Without a day of the asker's, the one that the answer was found for.
        as_of=reply.dates.as_of if reply.dates else asked.as_of,
        dates=asked.dates,
        generation=reply.engine.generation,
        status=reply.status,
        cited=tuple(
            Cited(
                n=citation.n,
                article_id=citation.article_id,
                sentence_id=citation.sentence_ids[0],
                quote=citation.quote,
                sha256=citation.quote_sha256,
            )
            for citation in reply.citations
        ),
    )


@contextmanager
def _full_if_unwritable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _log.exception("the records cannot be written")
        raise ProblemError("records-full", f"The folder `paths.records` cannot be written: {error.strerror}.") from None


def read_ratings(path: Path) -> list[Rating]:
    """Every rating of a feedback file, oldest first; none without the file. A torn line is passed over.

    Raises `OSError`.
    """
    return [rating for rating in map(_parse, _lines(path)) if rating]


def _lines(path: Path) -> list[bytes]:
    try:
        return [line for line in path.read_bytes().split(b"\n") if line]
    except FileNotFoundError:
        return []


def _parse(line: bytes) -> Rating | None:
    try:
        return Rating.model_validate_json(line)
    except ValidationError:
        _log.warning("a line of %s is no rating", FEEDBACK_FILE)
        return None
