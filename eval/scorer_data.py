"""Training examples for the sentence scorer, from SQuAD 2.0 (half of its dev set) and FEVER (as released in ERASER).

An example is a question, a title and consecutive sentences, with what the scorer should say of each sentence: 1
answers, 0 does not, between them is doubt. Both sets are CC BY-SA; nothing else is read, and nothing that they are
measured on (`qa.datasets`). Every epoch draws its own windows and negatives, from a seeded generator.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from qa.datasets import fever, squad2
from qa.lexical import LexicalIndex
from qa.sentences import split_sentences

NEIGHBOURS = 12
"""Paragraphs that BM25 finds for a question, from which its negatives come."""
WINDOW_CHARACTERS = 700
PLAIN = 0.25
"""Share of examples without a title."""

_NAME = r"\b[A-Z][\w'’-]+(?: (?:of |the |de )?[A-Z][\w'’-]+)*"
_ENTITY = re.compile(rf"{_NAME}|\b\d[\d,.]*\d\b|\b\d\b")
_ASKING = re.compile(
    r"(?:Wh(?:at|o|om|ose|en|ere|ich|y)|How|In|On|At|The|An?|Of|By|For|From|To|During|After|Before|Is|Are|Was|Were|Did"
    r"|Does|Do|Has|Have|Had|Can|Could|Name)"
)
"""Words that open questions, written with a capital there, and are no names."""


@dataclass(frozen=True, slots=True)
class Example:
    """`labels` has one number a sentence. `span`: (sentence, start, end) of the answer; None is "no answer here".

    `spanned` is False where the set has no answer spans to learn from.
    """

    question: str
    title: str
    sentences: tuple[str, ...]
    labels: tuple[float, ...]
    span: tuple[int, int, int] | None = None
    spanned: bool = False


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of SQuAD in sentences."""

    title: str
    text: str

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Where each sentence starts and ends in the text."""
        return split_sentences(self.text)

    @cached_property
    def sentences(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]

    def locate(self, answers: Sequence[squad2.Span]) -> tuple[tuple[int, int, int], ...]:
        """(sentence, start, end) of each answer that lies in one sentence."""
        return tuple(
            (number, answer.answer_start - first, answer.answer_start - first + len(answer.text))
            for answer in answers
            for number, (first, last) in enumerate(self.spans)
            if first <= answer.answer_start and answer.answer_start + len(answer.text) <= last
        )


@dataclass(frozen=True)
class Asked:
    """A SQuAD question with its paragraph; `spans` are the annotators' answers, none if it has none.

    `near` is the sentence of the plausible wrong answer of an unanswerable question.
    """

    id: str
    question: str
    paragraph: Paragraph
    spans: tuple[tuple[int, int, int], ...]
    answers: tuple[str, ...]
    near: int | None


def _asked(record: squad2.Question, paragraph: Paragraph) -> Asked:
    plausible = paragraph.locate(record.plausible_answers)
    return Asked(
        record.id,
        " ".join(record.question.split()),
        paragraph,
        paragraph.locate(record.answers),
        tuple(answer.text for answer in record.answers),
        plausible[0][0] if plausible else None,
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """A FEVER claim with one page, and those of its sentences that are evidence."""

    text: str
    page: str
    supported: bool
    evidence: frozenset[int]


def _claims(record: fever.Claim) -> Iterator[Claim]:
    """The claim with each page that holds evidence."""
    evidence: dict[str, set[int]] = {}
    for group in record.evidence:
        for page, start, end in group:
            evidence.setdefault(page, set()).update(range(start, end))
    for page, sentences in evidence.items():
        yield Claim(record.claim, page, record.label == "SUPPORTS", frozenset(sentences))


def untokenize(text: str) -> str:
    """Undo Penn Treebank tokenization as far as reading needs it.

    What is measured goes through `qa.datasets.detokenize`, which knows more: it writes a tenth of FEVER's sentences
    otherwise (straight quotes, joined hyphens). This stays as it is because the shipped scorer learned from it.
    """
    for mark, sign in (("-LRB-", "("), ("-RRB-", ")"), ("-LSB-", "["), ("-RSB-", "]"), ("``", "“"), ("''", "”")):
        text = text.replace(mark, sign)
    text = re.sub(r" ([,.;:!?%)\]”]|'s\b|'re\b|'ve\b|'ll\b|'d\b|'m\b|n't\b|')", r"\1", text)
    return re.sub(r"([(\[“$]) ", r"\1", text)


class Examples:
    """Draws the training examples of an epoch."""

    def __init__(self, data: Path | None) -> None:
        """`data`: the folder with both sets. Raises as `qa.datasets.squad2.read_articles` and `fever.read_pages` do."""
        articles, claims = squad2.read_articles(data), fever.read_claims(data)
        self._pages = {
            page.doc: tuple(map(untokenize, page.sentences))
            for page in fever.read_pages(data)
            if not fever.is_held_out(page.doc)
        }
        self._titles = {name: untokenize(name.replace("_", " ")).split(" (")[0] for name in self._pages}
        self._claims = [claim for record in claims for claim in _claims(record) if claim.page in self._pages]
        self._paragraphs: list[Paragraph] = []
        self._asked: list[Asked] = []
        self._names: dict[str, list[str]] = {}
        for article in articles:
            if article.title not in squad2.HELD_OUT:
                self._read(article)
        index = LexicalIndex.empty()
        index.add(range(len(self._paragraphs)), [f"{p.title}\n{p.text}" for p in self._paragraphs])
        self._near = {
            item.id: [self._paragraphs[hit.chunk_id] for hit in index.search(item.question, NEIGHBOURS)]
            for item in self._asked
        }

    def _read(self, article: squad2.Article) -> None:
        names = self._names.setdefault(title := article.title.replace("_", " "), [])
        for part in article.paragraphs:
            self._paragraphs.append(paragraph := Paragraph(title, part.context))
            for record in part.qas:
                self._asked.append(item := _asked(record, paragraph))
                names += _entities(item.question)

    def epoch(self, seed: int, clozes: int = 0) -> list[Example]:
        """All questions and claims once, each with negatives, and `clozes` made questions, in random order."""
        rng = random.Random(seed)
        drawn = [example for item in self._asked for example in self._of_question(item, rng)]
        drawn += [example for claim in self._claims for example in self._of_claim(claim, rng)]
        texts = [(p.title, tuple(p.sentences)) for p in self._paragraphs]
        texts += [(self._titles[name], sentences) for name, sentences in self._pages.items()]
        for title, sentences in rng.choices(texts, [len(sentences) for _, sentences in texts], k=clozes):
            drawn += _cloze_examples(title, sentences, rng)
        rng.shuffle(drawn)
        return [replace(e, title="") if rng.random() < PLAIN else e for e in drawn]

    def _of_question(self, item: Asked, rng: random.Random) -> Iterator[Example]:
        sentences = item.paragraph.sentences
        question = _varied(item.question, rng)
        if not item.spans:
            around = item.near if item.near is not None else rng.randrange(len(sentences))
            first, last = _window(sentences, around, rng)
            yield self._nothing(question, item.paragraph, first, last)
            return
        answering = {number for number, *_ in item.spans}
        for _ in range(2):
            span = rng.choice(item.spans)
            first, last = _window(sentences, span[0], rng)
            labels = tuple(float(number in answering) for number in range(first, last))
            where = (span[0] - first, *span[1:])
            yield Example(question, item.paragraph.title, tuple(sentences[first:last]), labels, where, True)
        if swapped := self._swapped(item, rng):
            yield self._nothing(swapped, item.paragraph, first, last)
        others = [p for p in self._near[item.id] if p is not item.paragraph and not _holds(p.text, item.answers)]
        if others:
            paragraph = rng.choice(others)
            first, last = _window(paragraph.sentences, rng.randrange(len(paragraph.sentences)), rng)
            yield self._nothing(question, paragraph, first, last)
        rest = [n for n, text in enumerate(sentences) if n not in answering and not _holds(text, item.answers)]
        if rest and rng.random() < 0.4:
            alone = rng.choice(rest)
            yield self._nothing(question, item.paragraph, alone, alone + 1)

    def _nothing(self, question: str, paragraph: Paragraph, first: int, last: int) -> Example:
        sentences = tuple(paragraph.sentences[first:last])
        return Example(question, paragraph.title, sentences, (0.0,) * len(sentences), None, True)

    def _swapped(self, item: Asked, rng: random.Random) -> str | None:
        """The question about another name or number of the same article, one that its paragraph does not hold."""
        own = _entities(item.question)
        if not own:
            return None
        old = rng.choice(own)
        kind = old[0].isdigit()
        text = item.paragraph.text + item.question
        others = [name for name in self._names[item.paragraph.title] if name[0].isdigit() == kind and name not in text]
        return item.question.replace(old, rng.choice(others)) if others else None

    def _of_claim(self, claim: Claim, rng: random.Random) -> Iterator[Example]:
        sentences, title = self._pages[claim.page], self._titles[claim.page]
        question = _as_question(claim.text, title, rng) if claim.supported else claim.text
        # A sentence that refutes a claim is about it and yet does not say it.
        label = 1.0 if claim.supported else 0.5
        evidence = sorted(n for n in claim.evidence if n < len(sentences))
        first, last = _window(sentences, rng.choice(evidence or [0]), rng)
        labels = tuple(label if number in claim.evidence else 0.0 for number in range(first, last))
        yield Example(question, title, sentences[first:last], labels)
        if rng.random() < 0.3:
            other = rng.choice(list(self._pages))
            if self._titles[other] not in claim.text and title not in " ".join(self._pages[other]):
                unrelated = self._pages[other]
                first, last = _window(unrelated, 0, rng)
                yield Example(question, self._titles[other], unrelated[first:last], (0.0,) * (last - first))


_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_KINDS = (
    ("date", re.compile(rf"\b(?:\d{{1,2}} )?(?:{_MONTHS}) (?:\d{{1,2}} ?, ?)?\d{{4}}\b")),
    ("year", re.compile(r"\b(?:1[0-9]|20)\d\d\b(?!s)")),
    ("money", re.compile(r"[$£€] ?\d[\d,.]*\d(?: (?:million|billion|trillion))?")),
    ("share", re.compile(r"\b\d[\d.]*(?: ?%| percent\b)")),
    ("count", re.compile(r"\b\d[\d,]*(?: (?:million|billion))?(?= [a-z]{3,})")),
    ("name", re.compile(_NAME)),
)
_ASKED = {
    "date": ("when", "on what date"),
    "year": ("what year", "which year", "when"),
    "money": ("how much", "what amount", "how much money"),
    "share": ("what percentage", "how much"),
    "count": ("how many",),
}


@lru_cache(maxsize=100_000)
def _spans_of(sentence: str) -> tuple[tuple[str, int, int], ...]:
    """The dates, numbers and names of a sentence as (kind, start, end), none inside another."""
    found: list[tuple[str, int, int]] = []
    for kind, pattern in _KINDS:
        for match in pattern.finditer(sentence):
            start, end = match.span()
            if (start or kind != "name") and all(end <= a or b <= start for _, a, b in found):
                found.append((kind, start, end))
    return tuple(sorted(found, key=lambda span: span[1]))


def _cloze_examples(title: str, sentences: tuple[str, ...], rng: random.Random) -> Iterator[Example]:
    """A question made by asking for a name, date or number of a sentence; and one with another name put in.

    After Lewis, Denoyer and Riedel, Unsupervised Question Answering by Cloze Translation (ACL 2019): a clause of the
    sentence with a question word in place of the answer, some words left out.
    """
    number = rng.randrange(len(sentences))
    spans = _spans_of(sentences[number])
    if not spans:
        return
    kind, start, end = rng.choice(spans)
    question = _cloze(sentences[number], kind, start, end, rng)
    if not question:
        return
    first, last = _window(sentences, number, rng)
    seen, answer = sentences[first:last], sentences[number][start:end]
    labels = tuple(float(place == number) for place in range(first, last))
    if sum(answer in text for text in (question, *seen)) > 1:
        return
    yield Example(question, title, seen, labels, (number - first, start, end), True)
    names = [question[a:b] for k, a, b in _spans_of(question) if k == "name"]
    others = [
        s[a:b] for s in sentences for k, a, b in _spans_of(s) if k == "name" and not any(s[a:b] in t for t in seen)
    ]
    if names and others:
        swapped = question.replace(rng.choice(names), rng.choice(others))
        yield Example(swapped, title, seen, (0.0,) * len(seen), None, True)


def _cloze(sentence: str, kind: str, start: int, end: int, rng: random.Random) -> str | None:
    before, after = re.split(r"[,;(]", sentence[:start])[-1], re.split(r"[,;).]", sentence[end:])[0]
    if len((before + after).split()) < 4:
        return None
    place = re.search(r"\b(?:in|at|near|from|to|across)\s+(?:the\s+)?$", before)
    asked = ("where", "what place", "which country", "which city") if place else ("who", "who", "what", "which", "whom")
    word = rng.choice(_ASKED.get(kind, asked))
    if place and word == "where":
        before = before[: place.start()]
    kept = [
        [w for w in part.split() if w[0].isupper() or w[0].isdigit() or rng.random() > 0.2] for part in (before, after)
    ]
    order = [kept[0], [word], kept[1]] if rng.random() < 0.5 else [[word], kept[0], kept[1]]
    text = " ".join(w for part in order for w in part)
    return f"{text[0].upper()}{text[1:]}?"


def _window(sentences: Sequence[str], within: int, rng: random.Random) -> tuple[int, int]:
    """A run of sentences around one: sometimes it alone, sometimes as many as a passage holds."""
    wanted = rng.choice((1, 1, 1, 2, 3, 3, 4, 5, 6))
    first, last = within, within + 1
    while last - first < wanted and (first > 0 or last < len(sentences)):
        before = first > 0 and (last == len(sentences) or rng.random() < 0.5)
        first, last = (first - 1, last) if before else (first, last + 1)
        if sum(map(len, sentences[first:last])) > WINDOW_CHARACTERS:
            break
    return first, last


def _entities(question: str) -> list[str]:
    """Names and numbers of a question, without the words that open it."""
    found = []
    for match in _ENTITY.finditer(question):
        words = match.group().split()
        while words and _ASKING.fullmatch(words[0]):
            words.pop(0)
        if words:
            found.append(" ".join(words))
    return found


def _holds(text: str, answers: Sequence[str]) -> bool:
    return any(answer.casefold() in text.casefold() for answer in answers)


def _varied(question: str, rng: random.Random) -> str:
    """The question as people also type it."""
    chance = rng.random()
    if chance < 0.05:
        return question.rstrip("? ").lower()
    return question.rstrip("? ") if chance < 0.1 else question


_VERBS = "is|are|was|were|has|have|had|can|could|did|does|will|would"


def _as_question(claim: str, title: str, rng: random.Random) -> str:
    """A claim as it stands, turned into a yes-no question, or asking for its subject."""
    text = claim.rstrip(". ")
    chance = rng.random()
    if not text.startswith(title) or chance < 0.3:
        return claim
    rest = text[len(title) :].strip()
    verb = re.match(rf"({_VERBS})\s+(.+)", rest)
    if verb and chance < 0.6:
        return f"{verb[1].capitalize()} {title} {verb[2]}?"
    return f"{rng.choice(('Who', 'What', 'Which'))} {rest}?" if rest and rest[0].islower() else claim
