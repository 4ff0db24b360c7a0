"""BM25 over chunks: words to terms, and a question to the chunks that share its rarer terms.

    score(q, d) = Σ over the distinct terms t of q:  idf(t) · tf / (tf + K1 · (1 - B + B · |d| / mean |d|))
    idf(t)      = ln(1 + (N - df + 0.5) / (df + 0.5))

Robertson & Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), as Lucene has it: never negative,
without the constant factor K1 + 1. The index stores counts and applies the formula when it is asked, because document
frequencies and the mean length change with every article.
"""

from __future__ import annotations

import functools
import math
import re
import threading
import unicodedata
from collections.abc import Sequence

import numpy as np
from snowballstemmer.english_stemmer import EnglishStemmer

from qa.errors import StoreError
from qa.postings import Postings, PostingsBuilder
from qa.protocols import FileSink, FileSource, IdArray
from qa.types import Hit

__all__ = ["LEXICAL", "LexicalIndex", "is_invisible", "one_slip", "terms", "words"]

LEXICAL = "bm25-numpy-1"
"""Names terms, formula and file format, for the manifest: change it with any of them."""
FILE = "lexical.bin"
K1 = 1.2
B = 0.75
MAX_WORD = 64
"""Code points: a longer run of letters and digits is read in pieces of this length."""

_STOP_WORDS = (
    "a about above after again against all also am an and any are as at be because been before being below between both"
    " but by can could d did do does doing don down during each few for from further had has have having he her here"
    " hers herself him himself his how i if in into is it its itself just ll m me more most my myself no nor not now o"
    " of off on once only or other our ours ourselves out over own re s same she should so some such t than that the"
    " their theirs them themselves then there these they this those through to too under until up ve very was we were"
    " what when where which while who whom whose why will with would you your yours yourself yourselves"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())

_stemmer = EnglishStemmer()  # By name, in pure Python: the package's factory takes a native one where it finds one.
_stemmer_lock = threading.Lock()


def terms(text: str) -> list[str]:
    """Return the index terms of a text in reading order: folded, without stop words, stemmed as English.

    Case, accents and compatibility forms fold away, and ``U.S.`` is ``us``. Linear in the length of the text.
    """
    found = map(_term, words().findall(text))
    return [term for term in found if term]


def one_slip(word: str, other: str) -> bool:
    """Whether a letter more, less or other, or two exchanged with each other, make one word of the other."""
    if abs(len(word) - len(other)) > 1 or word == other:
        return False
    at = next((at for at, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    one, two = word[at:], other[at:]
    exchanged = one[:2] == two[1::-1] and one[2:] == two[2:]
    return exchanged or one[1:] == two[1:] or one[1:] == two or one == two[1:]


def is_invisible(character: str) -> bool:
    """Whether a character is a control or format character, half a pair, private, or assigned to nothing."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn")


@functools.cache
def words() -> re.Pattern[str]:
    """What finds words: runs of letters, digits and marks that combine (not in ``\\w``), or dotted initials."""
    marks = "".join(chr(code) for code in range(0x300, 0xFFFF) if unicodedata.category(chr(code))[0] == "M")
    part = rf"[\w{marks}]"
    # Runs of two and more stand first: most words are, and initials start with one letter alone.
    return re.compile(rf"{part}{{2,{MAX_WORD}}}|(?<!{part})[A-Za-z](?:\.[A-Za-z]){{1,7}}(?!{part})|{part}")


@functools.lru_cache(maxsize=1 << 17)
def _term(word: str) -> str:
    """Return the term of one word; empty for a stop word."""
    folded = unicodedata.normalize("NFKD", word.replace(".", "").replace("_", "")).casefold()
    if not folded.isascii():
        # Once more, because folding makes new compatibility forms and marks.
        folded = unicodedata.normalize("NFKD", folded)
        folded = "".join(char for char in folded if not "\u0300" <= char <= "\u036f")
    if folded in STOP_WORDS:
        return ""
    with _stemmer_lock:  # It keeps the word that it works on in itself.
        return str(_stemmer.stemWord(folded))


class LexicalIndex:
    """BM25 over the terms of all chunks.

    Changing it is for the builder alone: `add` and `remove` take note, and whatever reads merges first. A loaded index
    has nothing to merge, so any number of threads may search it.
    """

    def __init__(self, postings: Postings) -> None:
        self._waiting = PostingsBuilder()
        self._gone: set[int] = set()
        self._set(postings)

    @classmethod
    def empty(cls) -> LexicalIndex:
        """Return an index without chunks."""
        return cls(Postings.empty())

    @classmethod
    def load(cls, files: FileSource) -> LexicalIndex:
        """Read what `save` wrote. Raises `IndexDamaged` when the file is no such index."""
        return cls(Postings.from_bytes(files.read(FILE)))

    def save(self, files: FileSink) -> None:
        """Write the whole index as one file; equal content gives equal bytes. Raises `StorageError`."""
        files.write(FILE, self._merged().to_bytes())

    def add(self, ids: Sequence[int], texts: Sequence[str]) -> None:
        """Add chunks. Raises `StoreError` on a known or negative id, or on unequal numbers."""
        if len(ids) != len(texts):
            raise StoreError(f"{len(ids)} ids for {len(texts)} texts")
        for chunk_id, text in zip(ids, texts, strict=True):
            if chunk_id < 0 or self._holds(chunk_id):
                raise StoreError(f"chunk id {chunk_id} is {'negative' if chunk_id < 0 else 'in the index already'}")
            self._waiting.add(chunk_id, terms(text))

    def remove(self, ids: Sequence[int]) -> None:
        """Remove chunks; unknown ids are ignored."""
        if not self._waiting.ids.keys().isdisjoint(ids):
            self._merged()
        self._gone.update(chunk_id for chunk_id in ids if chunk_id in self._postings)

    def search(self, question: str, k: int, among: IdArray | None = None) -> list[Hit]:
        """Return at most k hits, best first, equal scores by ascending id; none without an indexed term.

        `among`: only these ids (unknown ones are ignored). Raises `StoreError` on k < 1.
        """
        if k < 1:
            raise StoreError(f"k must be at least 1, got {k}")
        postings = self._merged()
        scores = self._scores(sorted(set(terms(question))))
        if among is not None:
            scores[~np.isin(postings.ids, among)] = 0
        rows = np.flatnonzero(scores)
        if len(rows) > k:
            least = np.partition(scores[rows], len(rows) - k)[len(rows) - k]
            rows = rows[scores[rows] >= least]
        # Rows stand by ascending id, so a stable sort settles ties.
        rows = rows[np.argsort(-scores[rows], kind="stable")][:k]
        return [Hit(int(postings.ids[row]), float(scores[row])) for row in rows]

    def idf(self, term: str) -> float:
        """Return the weight of a term as `terms` gives it; the highest there is for one that no chunk has."""
        return self._idf(len(self._merged().of(term)[0]))

    def __contains__(self, term: str) -> bool:
        """Whether any chunk has a term."""
        return len(self._merged().of(term)[0]) > 0

    def similar(self, term: str, most: int) -> tuple[str, list[int]] | None:
        """Return the commonest term that is one slip away, and at most so many chunks that have it; None without one.

        Terms with another first letter are not looked at: few slips are made there, and the others are many.
        """
        postings = self._merged()
        first = term[:1].encode()
        numbers = range(postings.place(first)[0], postings.place(first + b"\xff")[0])
        near = [found for number in numbers if one_slip(term, found := postings.term(number).decode())]
        if not near:
            return None
        rows, best = max(((postings.of(found)[0], found) for found in near), key=lambda item: (len(item[0]), item[1]))
        return best, [int(number) for number in postings.ids[rows[:most]]]

    def __len__(self) -> int:
        return len(self._merged().ids)

    def _idf(self, frequency: int) -> float:
        return math.log(1 + (len(self._postings.ids) - frequency + 0.5) / (frequency + 0.5))

    def _scores(self, asked: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """(chunks,) float64. Sums in the order of `asked`, so that equal content gives equal scores."""
        scores = np.zeros(len(self._norms))
        for term in asked:
            rows, counts = self._postings.of(term)
            scores[rows] += self._idf(len(rows)) * (counts / (counts + self._norms[rows]))
        return scores

    def _holds(self, chunk_id: int) -> bool:
        return chunk_id in self._waiting.ids or (chunk_id in self._postings and chunk_id not in self._gone)

    def _merged(self) -> Postings:
        if self._gone or self._waiting.ids:
            postings = self._postings.without(sorted(self._gone)) if self._gone else self._postings
            postings = postings.merged(self._waiting.postings())
            self._waiting, self._gone = PostingsBuilder(), set()
            self._set(postings)
        return self._postings

    def _set(self, postings: Postings) -> None:
        mean = float(postings.lengths.mean()) if len(postings.ids) else 1.0
        self._postings = postings
        # What a count competes with, per chunk. A mean of 0 needs every length 0, and then nothing is ever looked up.
        self._norms = K1 * (1 - B + B * postings.lengths / (mean or 1.0))
