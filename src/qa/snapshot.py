"""One generation of the index, opened: what a question is answered from. Immutable, shared by many threads."""

from __future__ import annotations

from typing import Any

from qa.catalog import CATALOG_FILE, Catalog
from qa.chunks import CHUNKER
from qa.embedders import check_canaries, check_fingerprint
from qa.errors import IndexDamaged, IndexMismatch
from qa.lexical import FILE as LEXICAL_FILE
from qa.lexical import LEXICAL, LexicalIndex
from qa.protocols import Embedder, VectorStore
from qa.readers import READER_VERSION
from qa.sentences import SPLITTER
from qa.settings import Settings
from qa.storage import Generation, IndexFolder
from qa.stores import VECTORS_FILE, load_store

__all__ = ["Snapshot", "build_fingerprint", "open_folder"]


def build_fingerprint(settings: Settings, embedder: Embedder) -> dict[str, Any]:
    """Everything besides the articles that decides what stands in an index: equal fingerprint, equal index."""
    chunk_tokens = min(settings.chunks.max_tokens, embedder.max_tokens)
    return {
        "reader": READER_VERSION,
        "splitter": SPLITTER,
        "chunker": CHUNKER,
        "chunk_tokens": str(chunk_tokens),
        "overlap_sentences": str(settings.chunks.overlap_sentences),
        "lexical": LEXICAL,
        "embedding": dict(embedder.fingerprint),
    }


def open_folder(settings: Settings) -> IndexFolder:
    """The index folder; what a snapshot or a builder reads whole is read and hashed once."""
    return IndexFolder(settings.paths.index, hold=(VECTORS_FILE, LEXICAL_FILE))


class Snapshot:
    """The catalog, the vectors and the lexical index of one generation, checked against each other."""

    def __init__(self, generation: Generation, catalog: Catalog, store: VectorStore, lexical: LexicalIndex) -> None:
        self.generation = generation
        self.catalog = catalog
        self.store = store
        self.lexical = lexical
        self.counts: dict[str, int] = generation.about["counts"]

    @classmethod
    def open(cls, generation: Generation, embedder: Embedder) -> Snapshot:
        """Open a verified generation for questions embedded by `embedder`; the snapshot then owns it.

        Raises `IndexMismatch` if it was made with another embedding model or lexical format, `IndexDamaged` if its
        files do not belong together. Chunk settings may differ: they matter to the next build only.
        """
        built = generation.about.get("fingerprint", {})
        check_fingerprint(embedder, built.get("embedding", {}))
        if built.get("lexical") != LEXICAL:
            raise IndexMismatch(
                f"index generation {generation.number} has lexical format {built.get('lexical')}, this program reads "
                f"{LEXICAL}: run `qa index`"
            )
        check_canaries(embedder, generation.about["canaries"])
        catalog = Catalog.open(generation.file(CATALOG_FILE))
        store = load_store(generation.about["store"], generation)
        lexical = LexicalIndex.load(generation)
        snapshot = cls(generation, catalog, store, lexical)
        snapshot._check_counts()
        return snapshot

    def close(self) -> None:
        """Close the catalog and release the generation."""
        self.catalog.close()
        self.generation.close()

    def _check_counts(self) -> None:
        counted = self.catalog.counts()
        seen = {**counted, "vectors": len(self.store), "lexical": len(self.lexical)}
        expected = {**self.counts, "vectors": self.counts["passages"], "lexical": self.counts["passages"]}
        if seen != expected:
            raise IndexDamaged(
                f"generation {self.generation.number} does not fit together (found {seen}, expected {expected}): "
                "run `qa index --full`"
            )
