"""Which term stands in which chunk, and how often: arrays in one canonical order, and the file that holds them.

Terms are ordered by their UTF-8 bytes and the postings of a term by chunk id, so that equal content gives equal bytes,
however it came in. Changing means merging sorted arrays into new ones: nothing is changed in place.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa.errors import IndexDamaged
from qa.protocols import IdArray

__all__ = ["Postings", "PostingsBuilder"]

_MAGIC = b"SLPOST\x00\x01"
_HEADER = struct.Struct("<8s4Q")
_MOST = np.iinfo(np.uint16).max


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """An immutable inverted index. A chunk's row is its place among the sorted ids."""

    ids: IdArray
    """(chunks,) int64, ascending."""
    lengths: NDArray[np.int32]
    """(chunks,) terms per chunk."""
    term_ends: NDArray[np.int64]
    """(terms,) where the bytes of each term end in `term_bytes`."""
    ends: NDArray[np.int64]
    """(terms,) where the postings of each term end in `rows` and `counts`."""
    rows: NDArray[np.int32]
    """(postings,) rows, ascending within a term."""
    counts: NDArray[np.uint16]
    """(postings,) occurrences of the term in the chunk, at most 65,535."""
    term_bytes: bytes
    """The UTF-8 of all terms, ascending, without anything between them."""

    @classmethod
    def empty(cls) -> Postings:
        """Return postings of no chunks."""
        return cls.from_bytes(_HEADER.pack(_MAGIC, 0, 0, 0, 0))

    def to_bytes(self) -> bytes:
        """Return the file: a header with four sizes, then the arrays little-endian, widest first, then the terms."""
        sizes = (len(self.ids), len(self.ends), len(self.rows), len(self.term_bytes))
        arrays = [_little(getattr(self, name), kind) for name, kind, _ in _LAYOUT]
        return b"".join([_HEADER.pack(_MAGIC, *sizes), *arrays, self.term_bytes])

    @classmethod
    def from_bytes(cls, data: bytes) -> Postings:
        """Read what `to_bytes` made, without copying. Raises `IndexDamaged` on anything else."""
        if len(data) < _HEADER.size or not data.startswith(_MAGIC):
            raise IndexDamaged("the lexical index does not start as one: rebuild the index")
        sizes = _HEADER.unpack_from(data)[1:]
        arrays: dict[str, NDArray[Any]] = {}
        at = _HEADER.size
        for name, kind, which in _LAYOUT:
            end = at + sizes[which] * np.dtype(kind).itemsize
            if end > len(data):
                raise IndexDamaged(f"the lexical index ends inside {name}: rebuild the index")
            arrays[name] = np.frombuffer(data, kind, sizes[which], at)
            at = end
        if len(data) - at != sizes[3]:
            raise IndexDamaged("the lexical index is longer or shorter than it says: rebuild the index")
        postings = cls(**arrays, term_bytes=data[at:])
        postings._check()
        return postings

    def _check(self) -> None:
        """Refuse arrays that would make a search fail or read another term's postings."""
        sound = (
            bool((self.ids[1:] > self.ids[:-1]).all() and (self.ids >= 0).all())
            and _partitions(self.term_ends, len(self.term_bytes))
            and _partitions(self.ends, len(self.rows))
            and bool((self.lengths >= 0).all() and (self.counts > 0).all())
            and bool(((self.rows >= 0) & (self.rows < len(self.ids))).all())
        )
        if sound and len(self.rows):
            rising = self.rows[1:] > self.rows[:-1]
            rising[self.ends[:-1] - 1] = True
            sound = bool(rising.all())
        if not sound:
            raise IndexDamaged("the arrays of the lexical index contradict each other: rebuild the index")

    def __contains__(self, chunk_id: object) -> bool:
        place = int(np.searchsorted(self.ids, chunk_id))  # type: ignore[call-overload]
        return place < len(self.ids) and bool(self.ids[place] == chunk_id)

    def term(self, number: int) -> bytes:
        """Return the UTF-8 of a term by its number."""
        return self.term_bytes[self.term_ends[number - 1] if number else 0 : self.term_ends[number]]

    def place(self, term: bytes) -> tuple[int, bool]:
        """Return the number of a term and True, or where it would stand and False."""
        number = bisect_left(range(len(self.ends)), term, key=self.term)
        return number, number < len(self.ends) and self.term(number) == term

    def of(self, term: str) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
        """Return rows and counts of a term; both empty when no chunk has it."""
        number, known = self.place(term.encode())
        span = slice(self.ends[number - 1] if number else 0, self.ends[number]) if known else slice(0)
        return self.rows[span], self.counts[span]

    def without(self, gone: Sequence[int]) -> Postings:
        """Return the postings of the other chunks; terms that nothing has any more go too."""
        stays = ~np.isin(self.ids, np.asarray(sorted(gone), np.int64))
        kept = stays[self.rows]
        frequencies = np.add.reduceat(kept, _starts(self.ends), dtype=np.int64) if len(kept) else self.ends
        used = frequencies > 0
        widths = np.diff(self.term_ends, prepend=0)
        letters = np.frombuffer(self.term_bytes, np.uint8)[np.repeat(used, widths)]
        renumbered = np.cumsum(stays, dtype=np.int32) - 1
        return Postings(
            ids=self.ids[stays],
            lengths=self.lengths[stays],
            term_ends=np.cumsum(widths[used]),
            ends=np.cumsum(frequencies[used]),
            rows=renumbered[self.rows[kept]].astype(np.int32),
            counts=self.counts[kept],
            term_bytes=letters.tobytes(),
        )

    def merged(self, other: Postings) -> Postings:
        """Return the postings of the chunks of both, which must not share an id. Fast when `other` is the small one."""
        if not len(self.ids):
            return other
        ids = np.sort(np.concatenate([self.ids, other.ids]))
        rows, other_rows = np.searchsorted(ids, self.ids), np.searchsorted(ids, other.ids)
        terms = _merge_terms(self, other)
        keys = _keys(self, terms.numbers, rows)
        other_keys = _keys(other, terms.other_numbers, other_rows)
        # The keys of both are sorted and no key stands in both, so one insertion keeps the order.
        places = np.searchsorted(keys, other_keys)
        frequencies = np.zeros(len(terms.ends), np.int64)
        frequencies[terms.numbers] += np.diff(self.ends, prepend=0)
        frequencies[terms.other_numbers] += np.diff(other.ends, prepend=0)
        return Postings(
            ids=ids,
            lengths=np.insert(self.lengths, np.searchsorted(self.ids, other.ids), other.lengths),
            term_ends=terms.ends,
            ends=np.cumsum(frequencies),
            rows=(np.insert(keys, places, other_keys) & 0xFFFFFFFF).astype(np.int32),
            counts=np.insert(self.counts, places, other.counts),
            term_bytes=terms.text,
        )


_LAYOUT = (
    ("ids", "<i8", 0),
    ("term_ends", "<i8", 1),
    ("ends", "<i8", 1),
    ("lengths", "<i4", 0),
    ("rows", "<i4", 2),
    ("counts", "<u2", 2),
)
"""Array, type and which of the four sizes it has. Widest first: every array starts aligned."""


@dataclass(frozen=True, slots=True)
class _MergedTerms:
    text: bytes
    ends: NDArray[np.int64]
    numbers: NDArray[np.int64]
    """(terms of the first,) the number of each in the merged list."""
    other_numbers: NDArray[np.int64]
    """(terms of the second,) likewise."""


def _merge_terms(one: Postings, other: Postings) -> _MergedTerms:
    found = [one.place(other.term(number)) for number in range(len(other.ends))]
    places = np.array([place for place, _ in found], np.int64)
    new = np.array([not known for _, known in found], np.bool_)
    widths = np.insert(np.diff(one.term_ends, prepend=0), places[new], np.diff(other.term_ends, prepend=0)[new])
    numbers = np.arange(len(one.ends)) + np.searchsorted(places[new], np.arange(len(one.ends)), side="right")
    other_numbers = np.empty(len(other.ends), np.int64)
    other_numbers[new] = places[new] + np.arange(np.count_nonzero(new))
    other_numbers[~new] = numbers[places[~new]]
    return _MergedTerms(b"".join(_spliced(one, other, found)), np.cumsum(widths), numbers, other_numbers)


def _spliced(one: Postings, other: Postings, found: list[tuple[int, bool]]) -> Iterator[bytes]:
    """Yield the bytes of all terms in order: long stretches of the first with new terms of the second between."""
    at = 0
    for number, (place, known) in enumerate(found):
        if not known:
            upto = int(one.term_ends[place - 1]) if place else 0
            yield one.term_bytes[at:upto]
            yield other.term(number)
            at = upto
    yield one.term_bytes[at:]


def _keys(postings: Postings, numbers: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """(postings,) one sortable number per posting: term, then row, in the numbering of the merged index."""
    of_posting = np.repeat(numbers, np.diff(postings.ends, prepend=0))
    return (of_posting << 32) | rows[postings.rows]


def _starts(ends: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), ends[:-1]])


def _partitions(ends: NDArray[np.int64], total: int) -> bool:
    """True if the ends rise from above 0 to `total`, so that every part holds something."""
    if not len(ends):
        return total == 0
    # Compared, not subtracted: a difference of damaged numbers can overflow to one that looks right.
    return bool((ends[1:] > ends[:-1]).all()) and int(ends[0]) > 0 and int(ends[-1]) == total


def _little(values: NDArray[Any], kind: str) -> bytes:
    return np.ascontiguousarray(values, kind).tobytes()


@dataclass(slots=True)
class PostingsBuilder:
    """Collects chunks in compact form: a full build holds a few bytes per posting, not a Python object."""

    ids: dict[int, None] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _lengths: array[int] = field(default_factory=lambda: array("i"))
    _sizes: array[int] = field(default_factory=lambda: array("q"))
    _terms: array[int] = field(default_factory=lambda: array("q"))
    _counts: array[int] = field(default_factory=lambda: array("H"))

    def add(self, chunk_id: int, terms: Sequence[str]) -> None:
        """Take the terms of one new chunk."""
        counted = Counter(terms)
        numbers = self._numbers
        self._terms.extend(numbers.setdefault(term, len(numbers)) for term in counted)
        self._counts.extend(min(count, _MOST) for count in counted.values())
        self._lengths.append(len(terms))
        self._sizes.append(len(counted))
        self.ids[chunk_id] = None

    def postings(self) -> Postings:
        """Return all that was added, in canonical order."""
        given = np.fromiter(self.ids, np.int64, len(self.ids))
        order = np.argsort(given)
        row_of = np.empty(len(given), np.int64)
        row_of[order] = np.arange(len(given))
        encoded = sorted((term.encode(), number) for term, number in self._numbers.items())
        number_of = np.empty(len(encoded), np.int64)
        number_of[[number for _, number in encoded]] = np.arange(len(encoded))
        keys = (number_of[np.asarray(self._terms)] << 32) | np.repeat(row_of, np.asarray(self._sizes))
        sorting = np.argsort(keys)
        keys = keys[sorting]
        return Postings(
            ids=given[order],
            lengths=np.asarray(self._lengths, np.int32)[order],
            term_ends=np.cumsum([len(term) for term, _ in encoded], dtype=np.int64),
            ends=np.cumsum(np.bincount(keys >> 32, minlength=len(encoded))),
            rows=(keys & 0xFFFFFFFF).astype(np.int32),
            counts=np.asarray(self._counts, np.uint16)[sorting],
            term_bytes=b"".join(term for term, _ in encoded),
        )
