"""Follow-ups: from a new question and what was said before, the question that can be asked by itself. No model.

Rules look for what points back: pronouns, "that attack", "the group", a bare "Why?", "And in May?", "What about
Estonia?". Where one name alone can be meant, it takes the pronoun's place; where a time or a name is exchanged, the
earlier question is asked with the new one; else what the conversation is about is put behind the question, in
brackets. Every word but "about" was said in the conversation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from qa.lexical import STOP_WORDS, terms
from qa.times import find_times
from qa.types import Turn

__all__ = ["standalone"]

MOST_TURNS = 20
"""Turns that are read, the latest ones."""
LONGEST_QUESTION = 2000
"""Code points of an earlier question that are read, and of the result."""
LONGEST_ANSWER = 500
"""Code points of an answer that are read: its first sentences name whom it is about."""
LONGEST_TOPIC = 200
"""Code points of what is put in brackets."""
FEW_TERMS = 3
"""A question without a name and with no more content words than these carries the conversation on."""


def standalone(question: str, history: Sequence[Turn]) -> str | None:
    """Return a question that asks by itself what `question` asks after `history`, oldest turn first.

    None: it stands alone already. Earlier questions are resolved in their order, so a chain of follow-ups keeps its
    subject. Never raises; the result has at most `LONGEST_QUESTION` code points.
    """
    said: list[_Exchange] = []
    for turn in history[-MOST_TURNS:]:
        if turn.role == "user":
            asked = " ".join(turn.content[:LONGEST_QUESTION].split())
            if asked:
                said.append(_Exchange(_resolve(asked, said) or asked))
        elif said:
            said[-1] = _Exchange(said[-1].question, " ".join(turn.content[:LONGEST_ANSWER].split()))
    return _resolve(question, said)


@dataclass(frozen=True, slots=True)
class _Exchange:
    """An earlier question as it was understood, and the beginning of its answer."""

    question: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        return self.text.lower()


_Span = tuple[int, int]

_EVER = date(2999, 12, 31)
"""Only where expressions of time stand matters here, so that none may lie ahead."""
_PERSON = frozenset({"he", "him", "his", "she", "her"})
_THING = frozenset({"it", "its"})
_GROUP = frozenset({"they", "them", "their"})
_POSSESSIVE = frozenset({"his", "its", "their"})
_OTHERS = frozenset({"one", "ones", "else", "other", "others", "another", "same", "both", "former", "latter", "more",
                     "such", "then", "similar"})  # fmt: skip
"""Words that compare with what was said before."""
_AUXILIARIES = frozenset({"am", "is", "are", "was", "were", "do", "does", "did", "has", "have", "had", "can", "could",
                          "will", "would", "shall", "should", "may", "might", "must"})  # fmt: skip
_WH = frozenset({"who", "whom", "whose", "what", "which", "when", "where", "why", "how"})
_MEASURES = frozenset({"many", "much", "long", "far", "often", "old", "big", "large", "exactly", "so", "not", "come"})
_PREPOSITIONS = frozenset({"in", "on", "at", "by", "for", "from", "to", "of", "with", "about", "against", "after",
                           "before", "during", "since", "until", "near", "between", "among", "like"})  # fmt: skip
_OPENERS = frozenset({"name", "tell", "explain", "describe", "list", "give", "show", "find", "compare", "please",
                      "define", "summarize", "mention"})  # fmt: skip
_JOINTS = frozenset({"of", "de", "del", "della", "di", "da", "la", "le", "van", "von", "der", "den", "bin", "al",
                     "el", "&"})  # fmt: skip
_EVENT = re.compile(r"\b(?:happen|occur|take place|took place|start|begin|began|end|over)", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*")
_LEAD = re.compile(
    r"(?:(?:and|but|or|so|then|also|ok|okay|well)\b[\s,]*)*(?P<about>(?:what|how)\s+(?:about|of)\b\s*)?", re.IGNORECASE
)
_ABOUT = re.compile(r"\s*\(about: (?P<topic>.*)\)$", re.DOTALL)
_EXPLETIVE = re.compile(
    r"\bit\s+(?:(?:\w+\s+){1,3}(?:that|to|for|if|when|whether)|take|takes|took|mean|means|rain|snow)\b|"
    r"\bit\s+like\s+(?:to|in|for)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"“[^“”]*”|\"[^\"]*\"|‘[^‘’]*’(?!\w)|(?<!\w)'[^']*'(?!\w)")


def _resolve(question: str, said: Sequence[_Exchange]) -> str | None:
    if not said or _ABOUT.search(question):
        return None
    result = _fragment(question, said[-1]) or _pointed(question, said)
    if result is None or len(result) > LONGEST_QUESTION or result == question:
        return None
    return result


def _words(text: str) -> list[_Word]:
    return [_Word(match.group(), *match.span()) for match in _WORD.finditer(text)]


def _times(text: str) -> list[_Span]:
    return [(found.start, found.end) for found in find_times(text, _EVER)]


def _within(word: _Word, spans: Sequence[_Span]) -> bool:
    return any(start <= word.start < end for start, end in spans)


def _names(text: str, known: frozenset[str] = frozenset()) -> list[_Span]:
    """The places of the names in a text, by their capitals, without a possessive's ending.

    A capital that opens a sentence makes a name only beside others, or of a `known` word (case-folded).
    """
    words = _words(text)
    titled = sum(w.low in STOP_WORDS and w.text.istitle() and w.text != "I" for w in words[1:])
    if text.isupper() or titled > 1:  # Everything has a capital, so it tells nothing.
        return []
    times = _times(text)
    found: list[_Span] = []
    at = 0
    while at < len(words):
        if not _capital(words[at], text) or _within(words[at], times):
            at += 1
            continue
        stop = at + 1
        while stop < len(words) and text[words[stop - 1].end : words[stop].start] == " ":
            joined = words[stop].low in _JOINTS and stop + 1 < len(words)
            following = stop + 1 if joined else stop
            if not _capital(words[following], text) or _bare(words[stop - 1]) != words[stop - 1].text:
                break
            stop = following + 1
        last = _bare(words[stop - 1])
        alone = stop == at + 1 and _opens(text, words[at].start)
        if not alone or _striking(words[at].text) or last.lower() in known:
            found.append((words[at].start, words[stop - 1].start + len(last)))
        at = stop
    return found


def _capital(word: _Word, text: str) -> bool:
    if not any(c.isupper() for c in word.text) or re.fullmatch(r"I(?:['’].*)?", word.text):
        return False
    plain = word.low.split("'")[0].split("’")[0]
    if plain in STOP_WORDS or plain in _WH or (plain in _OPENERS and _opens(text, word.start)):
        return word.text.isupper() and len(word.text) > 1
    return True


def _striking(word: str) -> bool:
    """Whether a word looks like a name at the beginning of a sentence, too: ``ANOM``, ``LockBit``, ``Conti's``."""
    return (word.isupper() and len(word) > 1) or any(c.isupper() for c in word[1:]) or _bare(word) != word


def _bare(word: _Word | str) -> str:
    text = word if isinstance(word, str) else word.text
    return re.sub(r"['’]s?$", "", text)


def _opens(text: str, at: int) -> bool:
    before = text[:at].rstrip(" \"'“‘(")
    return not before or before[-1] in ".?!:"


def _split(question: str) -> tuple[str, str]:
    """A question and what stands in its brackets."""
    found = _ABOUT.search(question)
    return (question[: found.start()], found["topic"]) if found else (question, "")


def _topic(exchange: _Exchange) -> str:
    """What an exchange is about: what stands in brackets, or the question without the words that ask."""
    main, topic = _split(exchange.question)
    if topic:
        return topic
    sentences = [s for s in re.split(r"(?<=[.?!])\s+", main) if terms(s)]
    main = sentences[-1] if sentences else main
    words = _words(main)
    first = next((w for w in words if w.low not in STOP_WORDS and w.low not in _OPENERS | _AUXILIARIES | _MEASURES), None)
    if first is None:
        return ""
    topic = main[first.start :].rstrip(" ?!.,;:")
    if len(topic) > LONGEST_TOPIC:
        topic = topic[:LONGEST_TOPIC].rpartition(" ")[0]
    return topic


def _bracketed(question: str, said: Sequence[_Exchange]) -> str | None:
    topic = next(filter(None, map(_topic, reversed(said))), "")
    return f"{question} (about: {topic})" if topic else None


def _fragment(question: str, last: _Exchange) -> str | None:
    """A question that is only a time, a name or a question word, put to the earlier question."""
    lead = _LEAD.match(question)
    rest = question[lead.end() :].strip(" ?!.,") if lead else question.strip(" ?!.,")
    words = _words(rest)
    if not words:
        return None
    if all(w.low in _WH or w.low in _MEASURES for w in words):
        return _bracketed(question, [last])
    if len(words) > 6 or words[0].low in _WH | _AUXILIARIES | _OPENERS:
        return None
    asked, topic = _split(last.question)
    behind = f" (about: {topic})" if topic else ""
    changed = _with_time(rest, asked) or _with_name(rest, words, asked)
    if changed:
        return changed + behind
    return _bracketed(question, [last]) if lead and lead["about"] and not _names(rest) else None


def _with_time(rest: str, asked: str) -> str | None:
    """The earlier question with another time."""
    new = rest if _times(rest) == [(0, len(rest))] else ""
    if not new and _times(f"in {rest}") == [(0, len(rest) + 3)]:
        new = f"in {rest}"
    if not new:
        return None
    old = _times(asked)
    if old:
        start, end = old[0]
        if asked[start:end].split()[0].lower() in _PREPOSITIONS and not rest.startswith(new):
            new = f"{asked[start:end].split()[0]} {rest}"
        return asked[:start] + new + asked[end:]
    return _added(asked, new)


def _with_name(rest: str, words: Sequence[_Word], asked: str) -> str | None:
    """The earlier question with another name, where it is plain which one it takes the place of."""
    preposition = words[0].low if words[0].low in _PREPOSITIONS else ""
    bare = rest[len(preposition) :].strip()
    name = re.sub(r"^the\s+", "", bare, flags=re.IGNORECASE)
    if not name or not name[0].isupper() or _names(f"in {name}") != [(3, 3 + len(name))]:
        return None
    old = _names(asked)
    if any(asked[start:end].lower() == name.lower() for start, end in old):
        return None
    if preposition:
        old = [span for span in old if re.search(rf"\b{preposition}\s+(?:the\s+)?$", asked[: span[0]], re.IGNORECASE)]
        if not old:
            return _added(asked, rest)
    if len(old) != 1:
        return None
    start, end = old[0]
    return asked[:start] + name + asked[end:]


def _added(asked: str, more: str) -> str:
    body = asked.rstrip(" ?!.")
    return f"{body} {more}{asked[len(body):].strip() or '?'}"


def _pointed(question: str, said: Sequence[_Exchange]) -> str | None:
    """A question with words that point back, or too few of its own to be asked alone."""
    known = frozenset(
        word.low
        for exchange in said
        for text in (exchange.question, exchange.answer)
        for start, end in _names(text)
        for word in _words(text[start:end])
    )
    names = _names(question, known)
    own = {w.low for w in _words(question)} & known - STOP_WORDS
    first_name = min((start for start, _ in names), default=len(question))
    masked = [m.span() for pattern in (_QUOTED, _EXPLETIVE) for m in pattern.finditer(question)] + _times(question)
    words = [w for w in _words(question)]
    for index, word in enumerate(words):
        if word.start > first_name:
            break
        if _within(word, masked) or word.low not in _PERSON | _THING | _GROUP:
            continue
        name = None if _EVENT.search(question) and word.low == "it" else _antecedent(word.low, said)
        if name is None:
            return _bracketed(question, said)
        following = words[index + 1] if index + 1 < len(words) else None
        owns = word.low in _POSSESSIVE or (word.low == "her" and following and following.low not in STOP_WORDS)
        if owns:
            name += "’" if name.endswith("s") else "’s"
        return question[: word.start] + name + question[word.end :]
    if any(_demonstrative(words, index) for index, w in enumerate(words) if not _within(w, masked)):
        return _bracketed(question, said)
    if names or own:
        return None
    if any(w.low in _OTHERS for w in words if not _within(w, masked)):
        return _bracketed(question, said)
    if _definite(words, said) or len(set(terms(question))) <= FEW_TERMS:
        return _bracketed(question, said)
    return None


def _antecedent(pronoun: str, said: Sequence[_Exchange]) -> str | None:
    """The name that a pronoun stands for, where it can be only one."""
    for exchange in reversed(said):
        asked, _ = _split(exchange.question)
        in_question = list(dict.fromkeys(asked[a:b] for a, b in _names(asked)))
        in_answer = [n for n in dict.fromkeys(exchange.answer[a:b] for a, b in _names(exchange.answer)) if n not in in_question]
        opening = next((w.low for w in _words(asked)), "")
        if pronoun in _PERSON:
            order = in_answer + in_question if opening in ("who", "whom", "which", "whose") else in_question + in_answer
            people = [n for n in order if " " in n and not any(w.isupper() for w in n.split())]
            if people or in_question:
                return (people or in_question)[0]
            continue
        if len(in_question) == 1:
            return in_question[0]
        return None
    return None


def _demonstrative(words: Sequence[_Word], index: int) -> bool:
    word = words[index].low
    before = words[index - 1].low if index else ""
    after = words[index + 1].low if index + 1 < len(words) else ""
    if word in ("this", "these"):
        return True
    if word == "those":
        return after not in ("who", "that", "which", "whose", "with", "in", "of")
    return word == "that" and (not before or before in _AUXILIARIES | _PREPOSITIONS) or (word == "that" and not after)


def _definite(words: Sequence[_Word], said: Sequence[_Exchange]) -> bool:
    """Whether "the" stands before a word that was said before."""
    heard = {term for exchange in said for term in terms(f"{exchange.question} {exchange.answer}")}
    return any(
        word.low == "the" and heard.intersection(terms(following.text)) for word, following in zip(words, words[1:])
    )
