"""Building the index: what changed in the corpus is read, split, chunked, embedded and stored as a new generation.

"Incremental" means that nothing unchanged is read, split or embedded again; the generation itself is always written
whole, so that readers see all of a build or nothing of it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qa.catalog import CATALOG_FILE, Catalog, ChunkedArticle, FileRecord, chunk_id, writing
from qa.chunks import chunk_sentences, embedding_text, title_context
from qa.embedders import CachingEmbedder, canary_vectors
from qa.errors import ReaderError, StorageError
from qa.lexical import LexicalIndex
from qa.protocols import Embedder, VectorStore
from qa.readers import FileReading, SourceFile, load_file, parse_file, read_file, scan_corpus
from qa.sentences import split_sentences
from qa.settings import Settings
from qa.snapshot import Snapshot, build_fingerprint, open_folder
from qa.storage import Builder, Generation, GenerationWriter
from qa.stores import create_store, load_store, store_kind
from qa.types import Article, Chunk, Sentence

__all__ = ["BuildPlan", "BuildReport", "build_index", "plan_build", "resolve_versions"]

Progress = Callable[[str, int, int], None]
"""Called with a stage (reading, splitting, embedding, writing), how many are done and how many there are."""

FAILED_KEPT = 200
"""Files and records that could not be read and that the generation itself names; of more it keeps the count."""
EMBED_BLOCK = 256
"""Chunks embedded between two progress reports; their vectors go to the cache together, so a kill costs one block."""


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """Article ids by what has to happen to them, each ascending."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did. `generation` is the one that is live now; `built` tells whether this build made it.

    `full` says why everything was built again (None: incremental). `oversized` counts sentences longer than a chunk,
    of which the model reads only the beginning.
    """

    generation: int
    built: bool
    full: str | None
    plan: BuildPlan
    failed: tuple[ReaderError, ...]
    warnings: tuple[str, ...]
    ignored: tuple[str, ...]
    counts: dict[str, int]
    embedded: int
    from_cache: int
    oversized: int
    seconds: float
    stages: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values; articles are counted, not listed."""
        return {
            "generation": self.generation,
            "built": self.built,
            "full": self.full,
            "articles": {name: len(getattr(self.plan, name)) for name in ("added", "changed", "removed", "unchanged")},
            "failed": _failed(self.failed),
            "warnings": list(self.warnings),
            "ignored": list(self.ignored),
            "counts": self.counts,
            "embedded": self.embedded,
            "from_cache": self.from_cache,
            "oversized": self.oversized,
            "seconds": round(self.seconds, 3),
            "stages": {name: round(seconds, 3) for name, seconds in self.stages.items()},
        }


def _failed(problems: Iterable[ReaderError]) -> list[dict[str, Any]]:
    return [{"path": e.path, "line": e.line, "reason": e.reason} for e in problems]


def plan_build(wanted: Mapping[str, str], have: Mapping[str, str]) -> BuildPlan:
    """Compare content hashes by article id: what the corpus holds with what the index holds."""
    return BuildPlan(
        added=tuple(sorted(wanted.keys() - have.keys())),
        changed=tuple(sorted(i for i in wanted.keys() & have.keys() if wanted[i] != have[i])),
        removed=tuple(sorted(have.keys() - wanted.keys())),
        unchanged=tuple(sorted(i for i in wanted.keys() & have.keys() if wanted[i] == have[i])),
    )


def resolve_versions(records: Iterable[FileRecord]) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Choose one version of each article: the last modified or published, then the last path.

    Returns (content hash, path) by article id, and a warning for each version that lost.
    """
    best: dict[str, tuple[str, str, str]] = {}
    warnings: list[str] = []
    for record in records:
        for article_id, content, precedence in record.articles:
            candidate = (precedence, record.path, content)
            current = best.get(article_id)
            if current is not None:
                kept, lost = max(current, candidate)[1], min(current, candidate)[1]
                warnings.append(f"{lost}: the same article stands in {kept}, which is used")
            best[article_id] = candidate if current is None else max(current, candidate)
    return {article_id: (content, path) for article_id, (_, path, content) in best.items()}, warnings


def build_index(
    settings: Settings, embedder: Embedder, *, full: bool = False, progress: Progress | None = None
) -> BuildReport:
    """Bring the index up to date with the corpus; return what was done.

    Raises `IndexBusy` when another build runs, `ReaderError` when the corpus folder cannot be read, `StorageError`
    when the index cannot be written. In every case the generation that was live stays live.
    """
    cached = CachingEmbedder(embedder, settings.paths.cache / "embeddings.sqlite")
    with open_folder(settings).builder() as builder:
        return _Build(settings, cached, builder, full, progress or (lambda *_: None)).run()


def _differences(built: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> list[str]:
    """Name each differing entry of two fingerprints, as ``embedding.model: 'a' was 'b'``."""
    found: list[str] = []
    for key in sorted(built.keys() | wanted.keys()):
        old, new = built.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}: {new!r} was {old!r}")
    return found


class _Build:
    """One run of `build_index`; it holds what the stages hand to each other."""

    def __init__(
        self, settings: Settings, embedder: CachingEmbedder, builder: Builder, full: bool, progress: Progress
    ) -> None:
        self.settings = settings
        self.embedder = embedder
        self.builder = builder
        self.progress = progress
        self.fingerprint = build_fingerprint(settings, embedder)
        self.full = self._full_reason(full)
        self.parent = None if self.full else builder.parent
        self.readings: dict[str, FileReading] = {}
        self.stages: dict[str, float] = {}
        self.started = self.stage_started = time.perf_counter()

    def run(self) -> BuildReport:
        """Do the build; see `build_index`."""
        scan = scan_corpus(self.settings.paths.corpus)
        known, have = self._known()
        self.sources = {source.path: source for source in scan.files}
        records, unread = self._read(known)
        versions, duplicates = resolve_versions(records)
        plan = plan_build({article_id: content for article_id, (content, _) in versions.items()}, have)
        self._refuse_to_empty(plan)
        self._mark("reading")
        self.problems = (
            *scan.problems,
            *unread,
            *(ReaderError(r.path, why, n) for r in records for n, why in r.problems),
        )
        self.warnings = (*duplicates, *(f"{r.path}: {warning}" for r in records for warning in r.warnings))
        self.ignored = scan.ignored
        # A parent that only stands in for a damaged generation is not live for good: a new one has to take its place.
        changed = plan.added or plan.changed or plan.removed or self.builder.degraded
        if self.parent and not changed and records == list(known.values()):
            return self._report(self.parent.number, False, plan, self.parent.about["counts"], 0)
        articles = list(self._articles([*plan.added, *plan.changed], versions))
        writer = self.builder.begin()
        try:
            with writing(writer.path(CATALOG_FILE)):
                counts, oversized = self._write(writer, plan, articles, records)
        except BaseException:
            writer.abandon()
            raise
        return self._report(writer.number, True, plan, counts, oversized)

    def _report(
        self, generation: int, built: bool, plan: BuildPlan, counts: dict[str, int], oversized: int
    ) -> BuildReport:
        return BuildReport(
            generation=generation,
            built=built,
            full=self.full,
            plan=plan,
            failed=self.problems,
            warnings=self.warnings,
            ignored=self.ignored,
            counts=counts,
            embedded=self.embedder.embedded,
            from_cache=self.embedder.hits,
            oversized=oversized,
            seconds=time.perf_counter() - self.started,
            stages=self.stages,
        )

    def _full_reason(self, asked: bool) -> str | None:
        if self.builder.parent is None:
            return "first build"
        if changed := _differences(self.builder.parent.about.get("fingerprint", {}), self.fingerprint):
            return "; ".join(changed)
        return "asked for" if asked else None

    def _known(self) -> tuple[dict[str, FileRecord], dict[str, str]]:
        """What the parent generation knows of files and articles; nothing when everything is built again."""
        if self.parent is None:
            return {}, {}
        catalog = Catalog.open(self.parent.file(CATALOG_FILE))
        try:
            return catalog.files(), catalog.content_hashes()
        finally:
            catalog.close()

    def _read(self, known: Mapping[str, FileRecord]) -> tuple[list[FileRecord], list[ReaderError]]:
        """Parse what is new or changed; take what an unchanged file gave from the parent generation.

        A file that gives nothing now, but did before, keeps what it gave: an unreadable file is no deletion.
        """
        records: list[FileRecord] = []
        unread: list[ReaderError] = []
        for done, (path, source) in enumerate(self.sources.items()):
            self.progress("reading", done, len(self.sources))
            before = known.get(path)
            try:
                record = self._record(source, before)
            except ReaderError as error:
                record = FileRecord(path, "", (), ((error.line, error.reason),), ())
            if record is not before and not record.articles and before and before.articles:
                unread += [
                    ReaderError(path, f"{why}; the version indexed before is kept", n) for n, why in record.problems
                ]
                record = before
            records.append(record)
        self.progress("reading", len(self.sources), len(self.sources))
        return records, unread

    def _record(self, source: SourceFile, before: FileRecord | None) -> FileRecord:
        data = load_file(self.settings.paths.corpus, source)
        digest = hashlib.sha256(data).hexdigest()
        if before and before.sha256 == digest:
            return before
        reading = self.readings[source.path] = parse_file(data, source.path)
        return FileRecord(
            source.path,
            digest,
            tuple((a.id, a.content_sha256, a.modified_at or a.published_at or "") for a in reading.articles),
            tuple((problem.line, problem.reason) for problem in reading.problems),
            reading.warnings,
        )

    def _refuse_to_empty(self, plan: BuildPlan) -> None:
        """A corpus folder that is suddenly empty is far more often a lost mount than a wish."""
        if plan.removed and not (plan.added or plan.changed or plan.unchanged):
            raise StorageError(
                f"{self.settings.paths.corpus} holds no article any more, but the index has {len(plan.removed)}: "
                "nothing was changed; run `qa index --full` to empty the index"
            )

    def _articles(self, ids: Sequence[str], versions: Mapping[str, tuple[str, str]]) -> Iterator[Article]:
        """The new and changed articles, from the version of each that was chosen."""
        for article_id in sorted(ids):
            content, path = versions[article_id]
            if path not in self.readings:  # an unchanged file whose version won because a newer one went away
                self.readings[path] = read_file(self.settings.paths.corpus, self.sources[path])
            article = next(
                (a for a in self.readings[path].articles if a.id == article_id and a.content_sha256 == content), None
            )
            if article is None:
                raise ReaderError(path, "changed while it was being read: run `qa index` again")
            yield article

    def _write(
        self, writer: GenerationWriter, plan: BuildPlan, articles: Sequence[Article], records: Sequence[FileRecord]
    ) -> tuple[dict[str, int], int]:
        catalog = self._open_catalog(writer)
        try:
            gone = [i for article_id in (*plan.removed, *plan.changed) for i in catalog.remove(article_id)]
            added, oversized = self._chunk(catalog, articles)
            catalog.put_files(records)
            counts = catalog.counts()
            oldest, newest = catalog.date_range()
            self._mark("splitting")
            store = self._vectors(catalog, counts["passages"], gone, added)
        finally:
            catalog.close()
        self._mark("embedding")
        lexical = LexicalIndex.load(self.parent) if self.parent else LexicalIndex.empty()
        lexical.remove(gone)
        lexical.add([number for number, _ in added], [text for _, text in added])
        self.progress("writing", 0, 1)
        writer.seal(CATALOG_FILE)
        store.save(writer)
        lexical.save(writer)
        about = {
            "fingerprint": self.fingerprint,
            "counts": counts,
            "oldest": oldest,
            "newest": newest,
            "store": {"kind": store.kind, "dimension": self.embedder.dimension, "count": len(store)},
            "canaries": canary_vectors(self.embedder),
            "embedding_model": self.embedder.name,
            "failed": {"count": len(self.problems), "first": _failed(self.problems[:FAILED_KEPT])},
        }
        writer.commit(about, self._self_check([article.id for article in articles]))
        self.progress("writing", 1, 1)
        self._mark("writing")
        return counts, oversized

    def _open_catalog(self, writer: GenerationWriter) -> Catalog:
        if self.parent is None:
            return Catalog.create(writer.path(CATALOG_FILE))
        return Catalog.open_copy(writer.copy_from(self.parent, CATALOG_FILE))

    def _chunk(self, catalog: Catalog, articles: Sequence[Article]) -> tuple[list[tuple[int, str]], int]:
        """Split, chunk and store articles; return (id, text to embed) of each chunk, and how many are oversized."""
        texts: list[tuple[int, str]] = []
        oversized = 0
        budget = min(self.settings.chunks.max_tokens, self.embedder.max_tokens)
        for done, article in enumerate(articles):
            self.progress("splitting", done, len(articles))
            sentences = [
                Sentence(article.id, index, start, end, article.text[start:end])
                for index, (start, end) in enumerate(split_sentences(article.text))
            ]
            counts = self.embedder.count_tokens([title_context(article.title), *(s.text for s in sentences)])
            drafts = chunk_sentences(
                article.title, sentences, self.embedder, budget, self.settings.chunks.overlap_sentences, counts
            )
            chunks = [
                Chunk(chunk_id(article.id, d.first), article.id, d.first, d.stop, d.start, d.end, d.token_count)
                for d in drafts
            ]
            catalog.put(ChunkedArticle(article, sentences, chunks))
            texts += [(c.id, embedding_text(article.title, article.text[c.start : c.end])) for c in chunks]
            oversized += sum(c.token_count > budget for c in chunks)
        self.progress("splitting", len(articles), len(articles))
        return texts, oversized

    def _vectors(
        self, catalog: Catalog, total: int, gone: Sequence[int], added: Sequence[tuple[int, str]]
    ) -> VectorStore:
        """The parent's vectors without what is gone and with what is new, or all anew when the store's kind changes.

        Anew still embeds nothing twice: the vectors come from the embedding cache.
        """
        kind = store_kind(self.settings.store, total)
        if self.parent is not None and self.parent.about["store"]["kind"] == kind:
            store = load_store(self.parent.about["store"], self.parent)
            store.remove(gone)
        else:
            store = create_store(self.settings.store, self.embedder.dimension, total)
            added = _all_texts(catalog) if self.parent is not None else added
        for start in range(0, len(added), EMBED_BLOCK):
            self.progress("embedding", start, len(added))
            block = added[start : start + EMBED_BLOCK]
            store.add([number for number, _ in block], self.embedder.embed_documents([text for _, text in block]))
        self.progress("embedding", len(added), len(added))
        return store

    def _self_check(self, changed: Sequence[str]) -> Callable[[Generation], None]:
        """Open the new generation as a reader would, and hold every new sentence against its offsets."""

        def check(generation: Generation) -> None:
            snapshot = Snapshot.open(generation, self.embedder)
            try:
                for article_id in changed:
                    snapshot.catalog.check_article(article_id)
            finally:
                snapshot.catalog.close()

        return check

    def _mark(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[stage] = now - self.stage_started
        self.stage_started = now


def _all_texts(catalog: Catalog) -> list[tuple[int, str]]:
    """(id, text to embed) of every chunk in a catalog."""
    found = catalog.chunks(catalog.chunk_ids().tolist())
    return [
        (number, embedding_text(article.title, article.text[chunk.start : chunk.end]))
        for number, (chunk, article) in found.items()
    ]
