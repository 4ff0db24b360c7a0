"""Measure the sentence splitter: python eval/bench_sentences.py en_gum-ud-dev.conllu[.gz]

Prints, per genre of the English GUM treebank, precision, recall and F1 of the sentence boundaries inside paragraphs and
the share of sentences found exactly, then the speed and how the time grows on hostile text. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qa.sentences import SPLITTER, split_sentences

GET_DATA = (
    "{path} is not here: skipped the treebank. Universal Dependencies English GUM is public at "
    "https://github.com/UniversalDependencies/UD_English-GUM (some of its texts are for non-commercial use only)."
)
# Written and edited text; the others are transcripts of speech, or letters.
EDITED = ("academic", "bio", "essay", "fiction", "news", "textbook", "voyage", "whow")

Span = tuple[int, int]
Splitter = Callable[[str], list[Span]]

HOSTILE = {
    "digits": "1234567890",
    "digits and dots": "1.",
    "numbers": "3.14 ",
    "dots": ".",
    "spaced dots": ". ",
    "dots of one word": "a.",
    "initials": "A. ",
    "letters": "x. ",
    "one word": "word",
    "one cap": "W",
    "round brackets": "(",
    "closing brackets": ")",
    "stop and brackets": ".)",
    "square brackets": "[1]",
    "notes": "a.[1]",
    "straight quotes": '"',
    "curly quotes": "“”",
    "stops and quotes": '." ',
    "spaced quotes": '. "',
    "apostrophes": "a'",
    "spaces": " ",
    "stop and spaces": ".         ",
    "no-break spaces": "\u00a0",
    "newlines": "\n",
    "newline and spaces": "\n   ",
    "short lines": "a\n",
    "bullets": "- \n",
    "items": "1. a\n",
    "exclamations": "! ",
    "questions": "?!",
    "quoted shouts": "A!” B ",
    "ellipses": "… ",
    "combining marks": "e\u0301\u0323",
    "CJK stops": "。",
    "emoji": "\U0001f600! ",
    "abbreviations": "Mr. ",
    "U.S.": "U.S. ",
    "dashes": "—. ",
    "commas": ", ",
    "capitals": "A b. C ",
    "zero width": "\u200b.",
}


@dataclass(frozen=True, slots=True)
class Document:
    """One article: paragraphs joined by blank lines, and where its sentences are."""

    genre: str
    text: str
    sentences: list[Span]
    ends_of_paragraphs: frozenset[int]


def documents(path: Path) -> Iterator[Document]:
    """Rebuild the raw texts of a GUM file in CoNLL-U."""
    raw = path.read_bytes()
    conllu = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    for block in conllu.split("# newdoc id = GUM_")[1:]:
        paragraphs: list[list[tuple[str, bool]]] = []
        for sentence in block.split("\n\n"):
            if "# text = " not in sentence:
                continue
            if "\n# newpar\n" in "\n" + sentence or not paragraphs:
                paragraphs.append([])
            last_token = sentence.rstrip().rsplit("\n", 1)[-1]
            body = sentence.split("# text = ", 1)[1].split("\n", 1)[0].strip()
            paragraphs[-1].append((body, "SpaceAfter=No" not in last_token))
        yield _document(block.split("_", 1)[0], paragraphs)


def _document(genre: str, paragraphs: list[list[tuple[str, bool]]]) -> Document:
    text, sentences, ends = "", [], []
    for paragraph in paragraphs:
        for body, space_after in paragraph:
            sentences.append((len(text), len(text) + len(body)))
            text += body + (" " if space_after else "")
        ends.append(sentences[-1][1])
        text = text.rstrip() + "\n\n"
    return Document(genre, text, sentences, frozenset(ends))


@dataclass(slots=True)
class Count:
    """Boundaries inside paragraphs (true, found, right) and sentences (all, found exactly)."""

    gold: int = 0
    found: int = 0
    right: int = 0
    sentences: int = 0
    exact: int = 0

    def add(self, document: Document, spans: list[Span]) -> None:
        gold = {end for _, end in document.sentences} - document.ends_of_paragraphs
        found = {end for _, end in spans} - document.ends_of_paragraphs
        self.gold += len(gold)
        self.found += len(found)
        self.right += len(gold & found)
        self.sentences += len(document.sentences)
        self.exact += len(set(document.sentences) & set(spans))

    def line(self, name: str) -> str:
        precision, recall = self.right / max(1, self.found), self.right / max(1, self.gold)
        f1 = 2 * self.right / max(1, self.gold + self.found)
        exact = self.exact / max(1, self.sentences)
        return f"{name:<16}{self.sentences:>9}{precision:>10.3f}{recall:>8.3f}{f1:>7.3f}{exact:>8.3f}"


def measure(path: Path, split: Splitter = split_sentences) -> None:
    counts: dict[str, Count] = defaultdict(Count)
    for document in documents(path):
        spans = split(document.text)
        groups = [document.genre, "all genres"] + (["edited genres"] if document.genre in EDITED else [])
        for group in groups:
            counts[group].add(document, spans)
    print(f"{'genre':<16}{'sentences':>9}{'precision':>10}{'recall':>8}{'F1':>7}{'exact':>8}")
    for name in sorted(counts.keys() - {"edited genres", "all genres"}) + ["edited genres", "all genres"]:
        print(counts[name].line(name))
    print("edited genres: " + ", ".join(EDITED))


def speed(path: Path, split: Splitter = split_sentences) -> None:
    text = "".join(document.text for document in documents(path))
    print(f"{len(text) / _seconds(split, text) / 1e6:.1f} million characters per second, one thread")


def growth(split: Splitter = split_sentences, size: int = 300_000) -> None:
    """Compare the time for `size` and `2 * size` code points: 2 is linear, 4 is quadratic."""
    ratios: dict[str, float] = {}
    speeds: dict[str, float] = {}
    for name, piece in HOSTILE.items():
        text = (piece * (2 * size // len(piece) + 1))[: 2 * size]
        for _ in range(4):
            # Some families take milliseconds, where chance alone gives a high ratio; a true one stays when repeated.
            twice = _seconds(split, text)
            ratios[name] = min(ratios.get(name, float("inf")), twice / _seconds(split, text[:size]))
            if ratios[name] < 2.3:
                break
        speeds[name] = 2 * size / twice / 1e6
    worst, slowest = max(ratios, key=ratios.__getitem__), min(speeds, key=speeds.__getitem__)
    print(f"{len(HOSTILE)} hostile families: worst T(2n)/T(n) = {ratios[worst]:.2f} ({worst}), n = {size:,};")
    print(f"slowest {speeds[slowest]:.2f} million characters per second ({slowest})")


def _seconds(split: Splitter, text: str, repeats: int = 3) -> float:
    """Take the best processor time, which other work on the machine disturbs least."""
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        split(text)
        best = min(best, time.process_time() - began)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("path", type=Path, help="a GUM file in CoNLL-U, plain or gzipped")
    path = parser.parse_args().path
    print(f"splitter {SPLITTER}")
    if path.exists():
        measure(path)
        speed(path)
    else:
        print(GET_DATA.format(path=path))
    growth()


if __name__ == "__main__":
    main()
