"""What speaks for a sentence before any model reads it: its words, the kind of thing it holds, its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from qa.lexical import terms
from qa.types import Article, Passage, Sentence

__all__ = ["Candidate", "Question", "candidates", "spell_out", "words"]

MIN_TERMS = 2
SAME_BEGINNING = 5
"""Letters in which forms of one name agree."""

_NUMBER = (
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|half|dozens?|hundreds?|thousands?|millions?|billions?)\b"
)
_EXPECTED = (
    (re.compile(r"\bwho(?:se|m)?\b", re.I), re.compile(r"\b[^\W\d_a-z]\w+ (?:[^\W\d_a-z]\w*\.? )?[^\W\d_a-z]\w+")),
    (
        re.compile(r"\bwhen\b|\b(?:what|which) (?:year|date|day|month)\b", re.I),
        re.compile(
            r"\b(?:1[5-9]|20)\d\d\b|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:january|february|march|april|may"
            r"|june|july|august|september|october|november|december)\b",
            re.I,
        ),
    ),
    (
        re.compile(
            r"\bhow (?:many|much|long|old|often|far|large|big)\b|\b(?:number|percent|share|amount|level|fine|count)\b",
            re.I,
        ),
        re.compile(_NUMBER, re.I),
    ),
    (
        re.compile(r"\bwhere\b|\b(?:what|which|whose) (?:city|country|countries|place|town|state|capital)\b", re.I),
        re.compile(r"\b(?:in|at|from|near|to|across|of) (?:the )?[^\W\d_a-z]\w+"),
    ),
    (
        re.compile(r"\bwhy\b", re.I),
        re.compile(r"\b(?:because|after|due to|since|to (?:protect|prevent|avoid|stop))\b", re.I),
    ),
)
_NAME = re.compile(r"(?<!\w)(?:[^\W\d_a-z][\w'’.-]*\w|\d[\w.,'’-]*\w|\d)")
_ACRONYM = re.compile(r"(?<![\w.&-])[A-Z]{3,6}(?![\w.&-])")
_SMALL = r"\s+(?:(?:of|the|and|for|on|in|against|to)\s+)*"
_LIST_ITEM = re.compile(r"[-*•–]\s|\(?\w{1,2}[.)]\s")
_BOILERPLATE = re.compile(
    r"^(?:read more|sign up|subscribe|click here|related:|photo(?:graph)?:|image:|file photo|advertisement|share this"
    r"|all rights reserved|follow us|watch:|copyright\b|correction:|more:|contributing:|see also|hear more|getty images"
    r"|listen to|editor[’']s note:)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that could be a statement: its terms, and features by name."""

    sentence: Sentence
    passage: Passage
    terms: frozenset[str]
    features: dict[str, float]


class Question:
    """What a question asks for: its terms with weights, the kind of thing that answers it, the names that it gives."""

    def __init__(self, text: str, idf: Callable[[str], float]) -> None:
        self.text = text
        self.weights = {term: max(idf(term), 0.1) for term in terms(text)}
        self._total = sum(self.weights.values()) or 1.0
        self._expected = next((pattern for asked, pattern in _EXPECTED if asked.search(text)), None)

    def coverage(self, found: frozenset[str] | set[str]) -> float:
        """The share of the question's weight that some terms cover."""
        return sum(weight for term, weight in self.weights.items() if term in found) / self._total

    def fits(self, text: str) -> float:
        """1 if a text holds the kind of thing that is asked for, -1 if not, 0 if the question shows no kind."""
        if self._expected is None:
            return 0.0
        # A name or number that the question itself gives is no answer to it.
        return 1.0 if any(self._is_new(match.group()) for match in self._expected.finditer(text)) else -1.0

    def _is_new(self, text: str) -> bool:
        found = terms(text)
        return not found or any(term not in self.weights for term in found)

    @cached_property
    def names(self) -> frozenset[str]:
        """Terms of the words that begin with a capital or a digit, the question's first word left out."""
        found = [match for match in _NAME.finditer(self.text) if match.start() > 0]
        return frozenset(term for match in found for term in terms(match.group()))

    def missing(self, found: frozenset[str] | set[str]) -> float:
        """The share, by weight, of the question's names and numbers that are not among some terms.

        Names that begin alike count as the same: Estonia is there for an Estonian.
        """
        beginnings = {term[:SAME_BEGINNING] for term in found if len(term) >= SAME_BEGINNING}
        missing = [name for name in self.names - found if name.isdigit() or name[:SAME_BEGINNING] not in beginnings]
        total = sum(self.weights.get(name, 1.0) for name in self.names)
        return sum(self.weights.get(name, 1.0) for name in missing) / total if total else 0.0


def spell_out(question: str, texts: Sequence[str]) -> str:
    """Return a question with the acronyms that no text has replaced by the first name in the texts that they stand for.

    A name stands for an acronym when its words begin with those capitals, small words between them aside: a reader asks
    about the HSE, the articles write Health Service Executive.
    """

    def name(acronym: re.Match[str]) -> str:
        letters = _SMALL.join(rf"{letter}\w*" for letter in acronym.group())
        found = next(filter(None, (re.search(rf"(?<!\w){letters}", text) for text in texts)), None)
        return " ".join(found.group().split()) if found else acronym.group()

    if not _ACRONYM.search(question):
        return question
    known = frozenset(term for text in texts for term in terms(text))
    return _ACRONYM.sub(
        lambda found: found.group() if known.issuperset(terms(found.group())) else name(found), question
    )


def words(article: Article) -> frozenset[str]:
    """The terms of an article with its title and the year of its date."""
    return frozenset(terms(f"{article.title}\n{article.text}\n{(article.published_at or '')[:4]}"))


def candidates(asked: Question, passages: Sequence[Passage]) -> list[Candidate]:
    """Each usable sentence once, in the best passage that holds it."""
    found: dict[tuple[str, int], Candidate] = {}
    for rank, passage in enumerate(passages, start=1):
        title = set(terms(passage.article.title))
        own = [frozenset(terms(sentence.text)) for sentence in passage.sentences]
        for place, sentence in enumerate(passage.sentences):
            if sentence.key in found or not _usable(sentence, own[place]):
                continue
            around = title.union(*own[max(place - 1, 0) : place + 2])
            features = {
                "coverage": asked.coverage(own[place]),
                "context": asked.coverage(around),
                "type": asked.fits(sentence.text),
                "rank": 1.0 / rank,
                "recency": passage.recency,
                "dense": passage.dense_score or 0.0,
            }
            found[sentence.key] = Candidate(sentence, passage, own[place], features)
    return list(found.values())


def _usable(sentence: Sentence, found: frozenset[str]) -> bool:
    """Whether a sentence can be a statement: no question, no boilerplate, no headline or link among the paragraphs."""
    end = sentence.text.rstrip("”’\"')]")[-1:]
    unfinished = end.isalnum() and not _LIST_ITEM.match(sentence.text)
    return len(found) >= MIN_TERMS and end != "?" and not unfinished and not _BOILERPLATE.match(sentence.text)
