"""Text fragments against a matcher that follows the specification step by step and finds every match."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from qa.fragments import CONTEXT, ENDS, LONGEST, text_fragment
from qa.readers import parse_file
from qa.sentences import split_sentences

Place = tuple[int, int]
"""Paragraph, and character in its text with single spaces."""

WORDS = [
    "no",
    "No",
    "rates",
    "rose",
    "rosé",
    "it's",
    "3.5",
    "R&D",
    "well-known",
    "a,b",
    "“no”",
    "—",
    "Straße",
    "strasse",
]
STOPS = [".", "?", "!", "…", ".”", ""]


@dataclass(frozen=True)
class Directive:
    prefix: str
    start: str
    end: str
    suffix: str


def parse(fragment: str) -> Directive:
    parts = fragment.split(",")
    prefix = parts.pop(0)[:-1] if parts[0].endswith("-") else ""
    suffix = parts.pop()[1:] if parts[-1].startswith("-") else ""
    start, end = [*parts, ""][:2]
    assert len(parts) in (1, 2)
    return Directive(*map(unquote, (prefix, start, end, suffix)))


def plain(text: str) -> list[str]:
    """Per character: its letters without case and accents, as the collation at primary strength sees them."""
    kept = (unicodedata.normalize("NFD", c.casefold()) for c in text)
    return ["".join(c for c in one if not unicodedata.combining(c)) for one in kept]


def is_boundary(text: str, at: int) -> bool:
    """Unicode's default word boundaries (UAX 29), as far as the words of these tests need them."""
    if at in (0, len(text)):
        return True
    before, after = text[at - 1], text[at]
    if before.isalnum() and after.isalnum():
        return False
    around = text[max(at - 2, 0) : at + 2]
    marks = "'’.,:"
    if before in marks and after.isalnum() and at >= 2 and around[0].isalnum():
        return False
    return not (before.isalnum() and after in marks and at + 1 < len(text) and text[at + 1].isalnum())


def occurrences(text: str, query: str, first: int = 0) -> Iterator[tuple[int, int]]:
    wanted = "".join(plain(query))
    pieces = plain(text)
    for start in range(first, len(text)):
        for end in range(start + 1, len(text) + 1):
            found = "".join(pieces[start:end])
            if found == wanted:
                yield start, end
            if not wanted.startswith(found):
                break


def skip_white(blocks: list[str], place: Place) -> Place | None:
    """The next place that is not white space; it may be in the next paragraph."""
    block, at = place
    while block < len(blocks):
        while at < len(blocks[block]):
            if not blocks[block][at].isspace():
                return block, at
            at += 1
        block, at = block + 1, 0
    return None


def all_matches(blocks: list[str], wanted: Directive) -> set[tuple[Place, Place]]:
    """Every range that the directive can mean: a browser marks the first."""
    found = set()
    for block, text in enumerate(blocks):
        for start, end in occurrences(text, wanted.prefix or wanted.start):
            if not is_boundary(text, start):
                continue
            begins: Place | None = (block, start)
            if wanted.prefix:
                begins = skip_white(blocks, (block, end))
            if begins is None:
                continue
            own = blocks[begins[0]]
            for at, stop in occurrences(own, wanted.start, begins[1]):
                if at != begins[1]:
                    break
                if (wanted.end or not wanted.suffix) and not is_boundary(own, stop):
                    continue
                place = _ending(blocks, wanted, (begins[0], stop))
                if place:
                    found.add((begins, place))
    return found


def _ending(blocks: list[str], wanted: Directive, after: Place) -> Place | None:
    if not wanted.end:
        return after if _followed(blocks, wanted.suffix, after) else None
    for block in range(after[0], len(blocks)):
        text = blocks[block]
        for start, end in occurrences(text, wanted.end, after[1] if block == after[0] else 0):
            bounded = is_boundary(text, start) and (wanted.suffix or is_boundary(text, end))
            if bounded and _followed(blocks, wanted.suffix, (block, end)):
                return block, end
    return None


def _followed(blocks: list[str], suffix: str, after: Place) -> bool:
    if not suffix:
        return True
    place = skip_white(blocks, after)
    if place is None:
        return False
    text = blocks[place[0]]
    return any(at == place[1] and is_boundary(text, end) for at, end in occurrences(text, suffix, place[1]))


sentences = st.builds(
    lambda words, stop, white: white.join(words) + stop,
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4)
    | st.lists(st.sampled_from(WORDS), min_size=60, max_size=75),
    st.sampled_from(STOPS),
    st.sampled_from([" ", "\n", "  "]),
)
texts = st.lists(st.lists(st.tuples(sentences, st.sampled_from([" ", "\n", ""])), min_size=1, max_size=5), min_size=1,
                 max_size=4)  # fmt: skip


@profile(max_examples=400)
@given(texts, st.data())
def test_what_is_marked_is_the_sentence_and_nothing_else_can_be(
    paragraphs: list[list[tuple[str, str]]], data: st.DataObject
) -> None:
    text, spans = "", []
    for paragraph in paragraphs:
        text += "\n\n" if text else ""
        for number, (sentence, white) in enumerate(paragraph):
            spans.append((len(text), len(text) + len(sentence)))
            text += sentence + (white if number + 1 < len(paragraph) else "")
    start, end = data.draw(st.sampled_from(spans))
    check(text, start, end)


def check(text: str, start: int, end: int) -> str | None:
    """Whether the fragment is there when it must be, and marks what it should; returned."""
    blocks = [" ".join(block.split()) for block in text.split("\n\n")]

    def place(at: int) -> Place:
        before = text[:at].split("\n\n")
        return len(before) - 1, len(" ".join((before[-1] + "|").split())) - 1

    first, last = place(start), (place(end - 1)[0], place(end - 1)[1] + 1)
    fragment = text_fragment(text, start, end)
    if fragment is None:
        if first[0] == last[0] and end - start <= LONGEST:
            whole = all_matches(blocks, Directive("", " ".join(text[start:end].split()), "", ""))
            others = whole - {(first, last)}
            squeezed = "".join(plain("".join(text[start:end].split())))
            alone = "".join(plain("".join(text.split()))).count(squeezed) == 1
            assert others or not alone or not whole, "it is unique as it stands"
        return None
    assert fragment.isascii() and "&" not in fragment
    assert all_matches(blocks, parse(fragment)) == {(first, last)}, (fragment, text[start:end])
    return fragment


@pytest.mark.parametrize(
    ("marked", "fragment"),
    [
        ("⟦Rates rose.⟧ They fell.", "Rates%20rose."),
        ("⟦A well-known firm, R&D⟧", "A%20well%2Dknown%20firm%2C%20R%26D"),
        ("⟦Two\nlines  and\ttabs⟧", "Two%20lines%20and%20tabs"),
        ("⟦“Ça va?”⟧", "%E2%80%9C%C3%87a%20va%3F%E2%80%9D"),
        ("⟦50% #1 =x⟧", "50%25%20%231%20%3Dx"),
        # Words before, words after, and both; these may be in the paragraph beside it
        ("Ada spoke. ⟦No.⟧ Bo sat. No.", "spoke.-,No."),
        ("Bo won. ⟦It rained.⟧\n\nAda won. It rained.", "It%20rained.,-Ada"),
        ("Bo spoke. No. Di. Bo spoke. ⟦No.⟧ Cy. No. Cy.", "spoke.-,No.,-Cy."),
        ("One\n\nBo won.\n\nIt rained.\n\nAda won.\n\n⟦It rained.⟧", "Ada%20won.-,It%20rained."),
        # But not in two, and a line may be a paragraph elsewhere
        ("Bo\n\nwon.\n\nIt rained.\n\nAda\n\nwon.\n\n⟦It rained.⟧", None),
        ("Bo\nwon.\nIt rained.\n\nAda\nwon.\n⟦It rained.⟧", None),
        # Case and accents do not tell sentences apart
        ("⟦It rained in Rosé.⟧ IT RAINED IN ROSE.", "It%20rained%20in%20Ros%C3%A9.,-IT"),
        # A part of a word is no word, but a page may break words elsewhere
        ("⟦No.⟧ Casino. End.", "No.,-Casino."),
        # No word ends here
        ("⟦The end.⟧The bank fell.", "The%20end.,-The"),
        ("The end.⟦The bank fell.⟧", "end.-,The%20bank%20fell."),
        ("No.\n\nNo.\n\n⟦No.⟧\n\nNo.\n\nNo.", None),
    ],
)
def test_the_shortest_fragment_that_marks_it_alone(marked: str, fragment: str | None) -> None:
    start, end = marked.index("⟦"), marked.index("⟧") - 1
    assert check(marked.replace("⟦", "").replace("⟧", ""), start, end) == fragment


def test_a_long_sentence_is_given_by_its_ends() -> None:
    middle = " ".join(f"word{n}" for n in range(60))
    one = f"Ada and Bo went out {middle} when it was night at last."
    assert check(one, 0, len(one)) == "Ada%20and%20Bo%20went%20out,it%20was%20night%20at%20last."
    # Its beginning stands before it too, or its end inside it: words around it help, or else more words.
    other = f"Ada and Bo went out to sea. {one}"
    assert check(other, 28, len(other)) == "sea.-,Ada%20and%20Bo%20went%20out,it%20was%20night%20at%20last."
    inside = f"Ada was told then that it was night at last. {middle} and so it was night at last."
    assert check(inside, 0, len(inside)) == "Ada%20was%20told%20then%20that%20it,so%20it%20was%20night%20at%20last."
    # Equal ones differ in what stands around them.
    twice = f"Cy slept. {one} Di slept.\n\n{one}"
    assert check(twice, 10, 10 + len(one)) == "Cy%20slept.-,Ada%20and%20Bo%20went%20out,it%20was%20night%20at%20last."
    assert ENDS == 5


def test_a_span_over_paragraphs_is_given_by_its_ends() -> None:
    text = "He came.\n\nShe saw him\n\nand left. He stayed."
    start, end = text.index("She"), text.index(" He stayed")
    assert check(text, start, end) == "She%20saw,and%20left."


@pytest.mark.parametrize(("apart", "marked"), [(CONTEXT, True), (CONTEXT + 1, False)])
def test_sentences_that_differ_only_far_away_cannot_be_told_apart(apart: int, marked: bool) -> None:
    same = " ".join(chr(ord("a") + n) for n in range(apart - 1))
    text = f"x {same} No.\n\ny {same} No."
    assert (check(text, len(text) - 3, len(text)) is not None) == marked


def test_nearly_every_sentence_of_the_starter_corpus_can_be_marked() -> None:
    corpus = Path(__file__).parents[1] / "corpus"
    found = [
        text_fragment(article.text, start, end)
        for path in sorted(corpus.rglob("*.*"))
        for article in parse_file(path.read_bytes(), path.name).articles
        for start, end in split_sentences(article.text)
    ]
    assert len(found) > 500 and found.count(None) <= 0.01 * len(found)
