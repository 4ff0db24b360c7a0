"""The composition root: settings become an engine that answers questions from the live generation.

The engine follows the index folder: `reload_if_changed` swaps in a new generation while questions go on. Each question
pins the snapshot that it started with and uses nothing else until its answer is made.
"""

from __future__ import annotations

import logging
import threading
import time
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice

from qa.answerers import load_answerers
from qa.catalog import iso_day
from qa.citations import cite, cited_short_answer
from qa.embedders import load_embedder
from qa.entailment import load_support_check
from qa.errors import (
    CitationError,
    IndexMissing,
    LanguageModelError,
    ModelError,
    QAError,
    QuestionError,
    ReaderError,
)
from qa.followups import standalone
from qa.lexical import is_invisible
from qa.llm import load_language_model
from qa.protocols import Answerer, Embedder, Listener, Scorer, SupportCheck
from qa.retrieval import Retriever
from qa.rewriting import Rewriter
from qa.scorers import load_scorer
from qa.settings import Settings
from qa.snapshot import Snapshot, open_folder
from qa.suggestions import beginnings, follow_ups
from qa.times import outdated_note, time_note
from qa.tokens import load_prompt_tokens
from qa.types import (
    Answer,
    Article,
    Begun,
    Filters,
    Note,
    Passage,
    Progress,
    Reason,
    Sentence,
    Statement,
    TimeScope,
    Turn,
    Usage,
    Writer,
    Written,
)

__all__ = ["ArticleView", "Engine", "IndexStatus", "SearchResult"]

MAX_QUESTION = 2000
"""Code points; checked before a question reaches a tokenizer, whose time grows with the whole text."""

FOLLOW_UPS = 3
"""Questions that are suggested after an answer, at most."""
BEGINNINGS, NEWEST, TRIED = 5, 60, 20
"""Questions to begin with, the newest articles that they are looked for in, and how many are tried at most."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Passages without an answer, the generation that they come from, and the time that articles were preferred for.

    `resolved_question` is what was searched for in place of a question that misspells a name.
    """

    passages: tuple[Passage, ...]
    generation: int
    timings_ms: dict[str, float]
    scope: TimeScope | None = None
    resolved_question: str | None = None

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a reader should know of them."""
        return (time_note(self.scope),) if self.scope else ()


@dataclass(frozen=True, slots=True)
class ArticleView:
    """One stored article with all its sentences."""

    article: Article
    sentences: tuple[Sentence, ...]
    generation: int


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """What is indexed. `state` is ready, degraded (an older generation answers) or unavailable; `reason` says why."""

    state: str
    reason: str | None
    generation: int | None = None
    built_at: str | None = None
    articles: int = 0
    sentences: int = 0
    passages: int = 0
    oldest: str | None = None
    newest: str | None = None
    embedding_model: str | None = None
    publishers: tuple[str, ...] = ()
    failed: tuple[ReaderError, ...] = ()
    """The first files and records that the build of this generation could not read."""
    failures: int | None = None
    """How many there were; None: that build did not write it down."""


class _Live:
    """A snapshot with what searches it, closed when it is retired and the last question that pinned it is done."""

    def __init__(
        self,
        snapshot: Snapshot,
        retriever: Retriever,
        answerers: dict[str, Answerer],
        check: SupportCheck,
        rewriter: Rewriter | None,
    ) -> None:
        self.snapshot = snapshot
        self.retriever = retriever
        self.answerers = answerers
        self.check = check
        self.rewriter = rewriter
        self.tried: Future[tuple[str, ...]] | None = None
        """Questions to begin with, once someone needs them."""
        self._users = 1  # the engine itself
        self._lock = threading.Lock()

    def acquire(self) -> None:
        with self._lock:
            self._users += 1

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self.snapshot.close()


class Engine:
    """Answers questions. Safe to use from several threads; `open` never fails because of the index."""

    def __init__(self, settings: Settings, embedder: Embedder | None = None) -> None:
        """Use `open`. Without an embedder the one that the settings name is loaded with the first generation.

        Raises `SettingsError` when the settings of the language model do not go together.
        """
        self.settings = settings
        self._embedder = embedder
        self._scorer: Scorer | None = None
        self._check: SupportCheck | None = None
        self._model = load_language_model(settings)
        self._folder = open_folder(settings)
        self._live: _Live | None = None
        self._problem: QAError | None = None
        self._stamp: tuple[int, ...] | None = None
        self._lock = threading.Lock()  # guards _live and _problem
        self._loading = threading.Lock()  # one thread loads at a time

    @classmethod
    def open(cls, settings: Settings) -> Engine:
        """Load the embedding model and the live generation; what is missing is raised by the first question."""
        engine = cls(settings)
        engine.reload_if_changed()
        return engine

    def close(self) -> None:
        """Release the live generation; questions in flight finish."""
        with self._lock:
            live, self._live = self._live, None
            self._problem = IndexMissing("the engine is closed")
        if live:
            live.release()

    def ask(  # noqa: PLR0913 - every one but the question has a default
        self,
        question: str,
        *,
        history: Sequence[Turn] = (),
        passages: int | None = None,
        max_sentences: int | None = None,
        filters: Filters | None = None,
        as_of: date | None = None,
        dates: bool | None = None,
        answerer: Writer = "auto",
        listen: Listener = lambda _: None,
    ) -> Answer:
        """Answer a question, or say that the articles do not.

        `history` has the earlier turns, oldest first: a question that depends on them is answered as `standalone` in
        `qa.followups` resolves it, or as the language model rewrites it where that is set and it writes the answer,
        too. Names that it misspells are asked as the articles write them. `passages` is how many are searched for an
        answer. `as_of` is the day that the question is asked on, by default today, or the newest article's day in an
        archive that is not current. `dates` says whether articles from the time that the question calls for are
        preferred, by default the setting `retrieval.dates`. `answerer` is what writes the answer, by default what the
        setting `answers.answerer` says. `listen` is told what is being done and may end it by raising `Stopped`. Raises
        `QuestionError` for a question that cannot be asked, `LanguageModelError` where `llm` is asked for and no model
        is set, `IndexMissing`, `IndexMismatch`, `IndexDamaged` or `ModelError` when there is nothing to answer from.
        """
        started = time.perf_counter()
        question = check_question(question)
        resolved = standalone(question, history)
        writer = self._writer(answerer)
        with self._pin() as live:
            used, stages = Usage(), {}
            if resolved is not None and writer == "llm" and live.rewriter:
                rewriting = time.perf_counter()
                rewritten, used = live.rewriter.rewrite(question, history, lambda: listen(Progress("searching")))
                resolved = rewritten or resolved
                stages = {"rewrite": (time.perf_counter() - rewriting) * 1000}
            asked = live.retriever.respell(question if resolved is None else check_question(resolved))
            resolved = asked if asked != question else None
            listen(Begun(question, resolved, live.snapshot.generation.number))
            listen(Progress("searching", live.snapshot.counts["articles"]))
            found = live.retriever.retrieve(
                asked, passages or self.settings.retrieval.passages, filters, as_of=as_of, dates=dates
            )
            answering = time.perf_counter()
            listen(Progress("ranking", len(found.passages), passages=found.passages))
            most = max_sentences or self.settings.answers.max_sentences
            tell = _with_citations(listen, found.passages, live.check)
            draft = live.answerers[writer].answer(asked, found.passages, most, tell)
            checking = time.perf_counter()
            listen(Progress("checking", len(draft.statements)))
            cited = cite(draft.statements, found.passages, live.check)
            done = time.perf_counter()
            timings = {
                **stages,
                **found.timings_ms,
                "answer": (checking - answering) * 1000,
                "verify": (done - checking) * 1000,
                "total": (done - started) * 1000,
            }
            answer = Answer(
                question=question,
                status="answered" if cited.statements else "not_found",
                reason=None if cited.statements else _reason(live, found.passages, found.filtered_out),
                statements=cited.statements,
                citations=cited.citations,
                articles=cited.articles,
                passages=found.passages,
                closest=draft.closest,
                answerer="llm" if draft.model else "extractive",
                confidence=draft.confidence,
                dropped=draft.dropped + cited.dropped,
                generation=live.snapshot.generation.number,
                timings_ms={stage: round(value, 2) for stage, value in timings.items()},
                notes=(*_notes(live, found.scope, asked, cited.articles, as_of), *draft.notes),
                short_answer=cited_short_answer(draft.short_answer, cited),
                scope=found.scope,
                resolved_question=resolved,
                answer_model=draft.model,
                usage=used + draft.usage,
            )
            if not answer.statements:
                return answer
            return replace(answer, follow_ups=follow_ups(answer, live.snapshot.lexical, FOLLOW_UPS))

    def search(
        self,
        question: str,
        *,
        k: int | None = None,
        filters: Filters | None = None,
        as_of: date | None = None,
        dates: bool | None = None,
    ) -> SearchResult:
        """Return the passages for a question, best first. Arguments and errors are those of `ask`."""
        question = check_question(question)
        with self._pin() as live:
            asked = live.retriever.respell(question)
            found = live.retriever.retrieve(
                asked, k or self.settings.retrieval.passages, filters, as_of=as_of, dates=dates
            )
            resolved = asked if asked != question else None
            return SearchResult(
                found.passages, live.snapshot.generation.number, found.timings_ms, found.scope, resolved
            )

    def rankings(self, question: str, k: int, *, as_of: date | None = None) -> dict[str, tuple[Passage, ...]]:
        """The first k passages of each ranking (dense, lexical, fused), for evaluation; `as_of` as for `ask`."""
        with self._pin() as live:
            return live.retriever.rankings(check_question(question), k, as_of=as_of)

    def article(self, article_id: str) -> ArticleView:
        """Return one article with its sentences. Raises `ArticleNotFound`."""
        with self._pin() as live:
            article = live.snapshot.catalog.article(article_id)
            sentences = live.snapshot.catalog.sentences(article)
            return ArticleView(article, sentences, live.snapshot.generation.number)

    def article_ids(self) -> list[str]:
        """Every article id, ascending."""
        with self._pin() as live:
            return live.snapshot.catalog.article_ids()

    def suggestions(self, n: int) -> tuple[str, ...]:
        """Questions to begin with on an empty page, then headlines of the newest articles; none without an index.

        The questions are made from the newest articles and tried, in a thread of its own, when this is first called
        for a generation; until that is done there are headlines alone.
        """
        try:
            with self._pin() as live:
                tried = self._tried(live)
                headlines = (article.title for article in live.snapshot.catalog.newest(n))
                return (*tried[:n], *headlines)[:n]
        except QAError:
            return ()

    def _tried(self, live: _Live) -> tuple[str, ...]:
        with self._lock:
            first, live.tried = live.tried is None, live.tried or Future()
        if first:
            live.acquire()
            threading.Thread(target=self._try, args=(live, live.tried), name="suggestions", daemon=True).start()
        return live.tried.result() if live.tried.done() else ()

    def _try(self, live: _Live, tried: Future[tuple[str, ...]]) -> None:
        """Ask questions from the newest articles, and keep those whose answers cite what they were made from."""
        kept: list[str] = []
        try:
            for question, sentence in islice(beginnings(live.snapshot.catalog, NEWEST), TRIED):
                found = live.retriever.retrieve(question, self.settings.retrieval.passages)
                most = self.settings.answers.max_sentences
                draft = live.answerers["extractive"].answer(question, found.passages, most, lambda _: None)
                if any(sentence in statement.sources for statement in draft.statements):
                    kept.append(question)
                if len(kept) == BEGINNINGS:
                    break
        except QAError as error:
            _log.warning("no questions to begin with: %s", error)
        finally:
            tried.set_result(tuple(kept))
            live.release()

    def outlets(self) -> dict[str, int]:
        """How many articles each outlet has, most first; none without an index."""
        try:
            with self._pin() as live:
                return live.snapshot.catalog.outlets()
        except QAError:
            return {}

    def status(self) -> IndexStatus:
        """What is indexed, or why nothing can be asked; never raises."""
        try:
            with self._pin() as live:
                return _status(live.snapshot)
        except QAError as error:
            return IndexStatus("unavailable", str(error))

    def reload_if_changed(self) -> bool:
        """Swap in the live generation if it is another one than before; return whether it did. Never raises.

        Loads in the calling thread. A generation that cannot be opened leaves the one that answers in place.
        """
        with self._loading:
            try:
                stamp = self._folder.stamp()
            except QAError as error:
                _log.warning("the index folder cannot be read: %s", error)
                if self._live:
                    return False
                stamp = None  # opening finds a generation that can stand in, or says what is wrong
            # A model can be prepared later without a change to the index; all else that failed needs one.
            settled = self._live or (self._problem and not isinstance(self._problem, ModelError))
            if stamp == self._stamp and settled:
                return False
            try:
                live = self._load()
            except QAError as error:
                _log.warning("the index cannot be opened: %s", error)
                self._stamp = stamp
                with self._lock:
                    self._problem = error
                return False
            self._stamp = stamp
            with self._lock:
                old, self._live, self._problem = self._live, live, None
            if old:
                old.release()
            return True

    def _load(self) -> _Live:
        generation = self._folder.open_current()
        try:
            if self._embedder is None:
                self._embedder = load_embedder(self.settings.embedding, self.settings.paths.cache, prepare=False)
            if self._scorer is None:
                self._scorer = load_scorer(self.settings.answers.scorer)
            if self._check is None:
                self._check = load_support_check(self.settings.support)
            snapshot = Snapshot.open(generation, self._embedder)
        except BaseException:
            generation.close()
            raise
        retriever = Retriever(
            snapshot.catalog, snapshot.store, snapshot.lexical, self._embedder, self.settings.retrieval
        )
        answerers = load_answerers(
            self.settings.answers, self._embedder, snapshot.lexical.idf, self._scorer, self._model, self._check
        )
        rewriter = (
            Rewriter(self._model, load_prompt_tokens(None, self._embedder))
            if self._model and self.settings.llm.rewrite_follow_ups
            else None
        )
        return _Live(snapshot, retriever, answerers, self._check, rewriter)

    def _writer(self, asked: str) -> str:
        """The answerer that the asker or else the settings name. Raises `LanguageModelError`."""
        wanted = self.settings.answers.answerer if asked == "auto" else asked
        if wanted == "llm" and self._model is None:
            raise LanguageModelError("no language model is set: set llm.base_url and llm.model")
        return "llm" if self._model and wanted != "extractive" else "extractive"

    @contextmanager
    def _pin(self) -> Iterator[_Live]:
        with self._lock:
            live = self._live
            if live is None:
                raise self._problem or IndexMissing(f"no index in {self.settings.paths.index} yet: run `qa index`")
            live.acquire()
        try:
            yield live
        finally:
            live.release()


def check_question(question: str) -> str:
    """Return the question normalised (NFC, single spaces, no control characters).

    Raises `QuestionError` if it is empty, too long, or has no letter or digit.
    """
    if len(question) > MAX_QUESTION:
        raise QuestionError(f"the question has {len(question):,} characters; at most {MAX_QUESTION:,} can be asked")
    visible = "".join(" " if is_invisible(c) else c for c in question)
    cleaned = " ".join(unicodedata.normalize("NFC", visible).split())
    if not any(c.isalnum() for c in cleaned):
        raise QuestionError("the question has no words")
    return cleaned


def _with_citations(listen: Listener, passages: tuple[Passage, ...], check: SupportCheck) -> Listener:
    """Add its citations to each statement that an answerer reports."""
    written: list[Statement] = []

    def tell(report: Begun | Progress | Written) -> None:
        if not isinstance(report, Written):
            listen(report)
            return
        written.append(report.statement)
        cited = cite(written, passages, check)
        if len(cited.statements) < len(written):
            raise CitationError(f"reported a statement that is not supported: {report.statement.text[:80]!r}")
        index = len(written) - 1
        carried = tuple(citation for citation in cited.citations if index in citation.segments)
        listen(Written(report.statement, index, carried, cited.articles))

    return tell


def _reason(live: _Live, passages: tuple[Passage, ...], filtered_out: bool) -> Reason:
    if filtered_out:
        return "filtered_out"
    if live.snapshot.counts["articles"] == 0:
        return "empty_index"
    return "low_confidence" if passages else "no_evidence"


def _notes(
    live: _Live, scope: TimeScope | None, question: str, cited: tuple[Article, ...], as_of: date | None
) -> tuple[Note, ...]:
    present = live.retriever.newest(as_of)
    newest = max(filter(None, (iso_day(article.published_at) for article in cited)), default=None)
    outdated = outdated_note(question, date.fromisoformat(newest), present) if newest and present else None
    return tuple(note for note in (time_note(scope) if scope else None, outdated) if note)


def _status(snapshot: Snapshot) -> IndexStatus:
    generation = snapshot.generation
    failed = generation.about.get("failed", {"count": None, "first": []})
    return IndexStatus(
        state="degraded" if generation.degraded else "ready",
        reason=generation.degraded,
        generation=generation.number,
        built_at=generation.created_at,
        articles=snapshot.counts["articles"],
        sentences=snapshot.counts["sentences"],
        passages=snapshot.counts["passages"],
        oldest=generation.about["oldest"],
        newest=generation.about["newest"],
        embedding_model=generation.about["embedding_model"],
        publishers=snapshot.catalog.publishers(),
        failed=tuple(ReaderError(**problem) for problem in failed["first"]),
        failures=failed["count"],
    )
