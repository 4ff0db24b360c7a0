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
from itertools import pairwise

from qa.lexical import STOP_WORDS, terms
from qa.times import find_times
from qa.types import Turn

__all__ = ["ASKING", "standalone"]

MOST_TURNS = 20
"""Turns that are read, the latest ones."""
LONGEST_QUESTION = 2000
"""Code points of an earlier question that are read, and of the result."""
LONGEST_ANSWER = 500
"""Code points of an answer that are read: its first sentences name whom it is about."""
LONGEST_TOPIC = 100
"""Code points of what is put in brackets."""
LONGEST_SUBJECT = 8
"""Words of what a question asks the meaning of."""
LONGEST_FRAGMENT = 6
"""Words of a question that is no sentence: "And in May?"."""
FEW_TERMS = 2
"""A question without a name and with no more content words than these carries on a conversation that has one."""
TALE = 3
"""Content words before the sentence that asks, from which it is about them."""
SOME_TERMS = 4
"""Content words, at most, of a question in which "the one" or "the" and a word said before point back."""


_Span = tuple[int, int]

_EVER = date(2999, 12, 31)
"""The day that a question is asked on, so that no time lies ahead: only their places matter here."""
_PERSON = frozenset({"he", "him", "his", "she", "her"})
_THING = frozenset({"it", "its"})
_GROUP = frozenset({"they", "them", "their"})
_PRONOUNS = _PERSON | _THING | _GROUP
_POSSESSIVE = frozenset({"his", "its", "their"})
_STANDING = frozenset({"one", "ones", "former", "latter", "both", "else"})
_COMPARING = frozenset({"other", "others", "another", "same", "more", "such", "then", "similar"})
_ARTICLES = frozenset({"a", "an", "the"})
_AUXILIARIES = frozenset({"am", "is", "are", "was", "were", "do", "does", "did", "has", "have", "had", "can", "could",
                          "will", "would", "shall", "should", "may", "might", "must"})  # fmt: skip
_PREPOSITIONS = frozenset({"in", "on", "at", "by", "for", "from", "to", "of", "with", "about", "against", "after",
                           "before", "during", "since", "until", "near", "between", "among", "like"})  # fmt: skip
_WHO = frozenset({"who", "whom", "whose", "which"})
_WH = _WHO | {"what", "when", "where", "why", "how"}
_MEASURES = frozenset({"many", "much", "long", "far", "often", "old", "big", "large", "exactly", "so", "not", "come"})
_OPENERS = frozenset({"name", "tell", "explain", "describe", "list", "give", "show", "find", "compare", "please",
                      "define", "summarize", "mention"})  # fmt: skip
_IDLE = frozenset({"known", "know", "happen", "happened", "happening", "going", "behind", "say", "said", "way", "ok",
                   "okay"})  # fmt: skip
ASKING = STOP_WORDS | _OPENERS | _AUXILIARIES | _MEASURES | _IDLE
"""Words that a question can have without being about anything."""
_PARTICLES = frozenset({"away", "off", "up", "down", "out", "back"})
_RELATIVE = frozenset({"who", "that", "which", "whose", "with", "in", "of"})
_JOINTS = frozenset({"of", "de", "del", "della", "di", "da", "la", "le", "van", "von", "der", "den", "bin", "al",
                     "el", "&"})  # fmt: skip
"""Small words inside a name."""

_ENDING = " ?!.,;:"
_WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*")
_ABOUT = re.compile(r"\s*\(about: (?P<topic>.*)\)$")
_LEAD = re.compile(
    r"(?:(?:and|but|or|so|then|also|ok|okay|well)\b[\s,]*)*(?P<about>(?:what|how)\s+(?:about|of)\b\s*)?", re.IGNORECASE
)
_DEFINITION = re.compile(
    r"(?:(?:what|who)\s+(?:is|are|was|were)|(?:(?:can|could)\s+you\s+)?(?:please\s+)?"
    r"(?:tell\s+me\s+(?:more\s+)?about|explain|describe))\s+(?P<subject>.+)",
    re.IGNORECASE,
)
_DID = re.compile(r"(?<!\w)(?:do|does|did)\s+", re.IGNORECASE)
_EVENT = re.compile(r"\b(?:happen|occur|take place|took place|do(?:ing|ne)? (?:it|that|this)\b)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")
_CLAUSE_END = re.compile(r"[,.;:?!](?=\s)|\b(?:and|but|or|if|because|when|while|since|so)\b", re.IGNORECASE)
_SHIFT = re.compile(
    r"by the way\b|(?:changing|to change) the (?:subject|topic)|(?:speaking|talking) (?:of|about)\b", re.IGNORECASE
)
_NAME = re.compile(rf"(?:(?P<preposition>{'|'.join(sorted(_PREPOSITIONS))})\s+)?(?:the\s+)?(?P<name>.+)", re.IGNORECASE)
_REACTION = re.compile(r"\b(?:do|say|think|react|respond|reply|comment)\W*$", re.IGNORECASE)
_PLURAL = re.compile(r"[^\W_]{3,}s\b")
_PLACED = re.compile(r"\b(?:in|at|near|from)\s+(?:the\s+)?$", re.IGNORECASE)
"""Before a place: "it" is rather what happened there."""
_BEFORE_NOUN = re.compile(rf"\b(?:{'|'.join(sorted(_PREPOSITIONS))}|is|are|was|were) the $", re.IGNORECASE)
_EXPLETIVE = re.compile(
    r"\b(?:(?:is|was|isn['’]t|wasn['’]t)\s+it|it\s+(?:is|was|be))\s+(?:\w+\s+){1,3}(?:that|to|for|if|when|whether)\b"
    r"|\bit\s+(?:takes?|took|means?|rain|snow|seems?|appears?)\b"
    r"|\bit\s+like\s+(?:to|in|for)\b|\bit(?:\s+is|['’]s)\s+(?:better|best|important|clear|likely|true|good|bad)\b",
    re.IGNORECASE,
)
_SILENT = (
    _EXPLETIVE,
    re.compile(r"“[^“”]*”|\"[^\"]*\"|‘[^‘’]*’(?!\w)|(?<!\w)'[^']*'(?!\w)"),
    re.compile(r"\b(?:that|this)\s+(?:means?|case)\b", re.IGNORECASE),
)
"""Words that point nowhere: quoted ones, "is it true that", "how long does it take", "in that case"."""


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
                said.append(_Exchange(_resolve(asked, said) or asked, said[-1].focus if said else ""))
        elif said:
            said[-1].answered(" ".join(turn.content[:LONGEST_ANSWER].split()))
    resolved = _resolve(question, said)
    if resolved is not None and _resolve(resolved, said) is not None:
        resolved = _bracketed(question, said)  # A name alone did not make it plain.
    return None if resolved is None or len(resolved) > LONGEST_QUESTION else resolved


class _Exchange:
    """An earlier question as it was understood, and the beginning of its answer.

    `main` is the question without its brackets and `topic` what stands in them; `named` are the names in it. `focus` is
    what it asks the meaning of, or what an exchange before did and it names again.
    """

    def __init__(self, question: str, focus: str = "") -> None:
        self.question = question
        found = _ABOUT.search(question)
        self.main = question[: found.start()] if found else question
        self.topic = found["topic"] if found else ""
        self.named = _distinct(question)
        self.focus = self.subject() or (focus if focus in self.main else "")
        self.answered("")

    def answered(self, answer: str) -> None:
        """Take note of the answer."""
        self.answer = answer
        self.answer_named = [name for name in _distinct(answer) if name not in self.named]

    def about(self) -> str:
        """What it is about: what stands in brackets, or the question without the words that ask."""
        topic = self.topic or self.subject()
        if not topic:
            main = next((s for s in reversed(_SENTENCE_END.split(self.main)) if terms(s)), self.main)
            told = [word for word in _words(main) if word.low not in ASKING or word.low in _PARTICLES]
            first = next((word for word in told if word.low not in ASKING), None)
            topic = _DID.sub("", main[first.start : told[-1].end]) if first else ""
        return topic if len(topic) <= LONGEST_TOPIC else topic[:LONGEST_TOPIC].rpartition(" ")[0]

    def subject(self) -> str:
        """What it asks the meaning of: ``the Three Rivers team`` of "What is the Three Rivers team?"."""
        match = _DEFINITION.fullmatch(self.main)
        words = _words(match["subject"]) if match else []
        if not match or not 0 < len(words) <= LONGEST_SUBJECT or any(w.low in _AUXILIARIES | _WH for w in words):
            return ""
        # Without an article it may be no noun: "What was seized from Hydra?", "What is going on?"
        noun = words[0].text[0].isupper() or words[0].low in _ARTICLES
        if not noun and any(w.low in STOP_WORDS | _IDLE or w.low.endswith(("ed", "ing")) for w in words):
            return ""
        return match["subject"].rstrip(_ENDING) if terms(match["subject"]) else ""


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        return self.text.lower()


def _resolve(question: str, said: Sequence[_Exchange]) -> str | None:
    if not said or _ABOUT.search(question):
        return None
    return _fragment(question, said) or _pointed(question, said)


def _words(text: str) -> list[_Word]:
    return [_Word(match.group(), *match.span()) for match in _WORD.finditer(text)]


def _times(text: str) -> list[_Span]:
    return [(found.start, found.end) for found in find_times(text, _EVER)]


def _covered(spans: Sequence[_Span]) -> frozenset[int]:
    """Every place in any of the spans."""
    return frozenset(place for start, end in spans for place in range(start, end))


def _names(text: str, known: frozenset[str] = frozenset()) -> list[_Span]:
    """The places of the names in a text, by their capitals, without a possessive's ending.

    A capital that opens a sentence makes a name only beside others, or of a `known` word (case-folded).
    """
    words = _words(text)
    titled = sum(w.low in STOP_WORDS and w.text.istitle() and w.text != "I" for w in words[1:])
    if text.isupper() or titled > 1:  # Everything has a capital, so it tells nothing.
        return []
    times = _covered(_times(text))
    found: list[_Span] = []
    at = 0
    while at < len(words):
        if not _capital(words[at], text) or words[at].start in times:
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


def _bracketed(question: str, said: Sequence[_Exchange]) -> str | None:
    """The question with what the latest exchange that says it is about; a single plain word says little."""
    topics = [topic for exchange in reversed(said) if (topic := exchange.about())]
    topic = next(
        (topic for topic in topics if len(set(terms(topic))) > 1 or _names(f"on {topic}")), "".join(topics[:1])
    )
    return f"{question} (about: {topic})" if topic else None


def _fragment(question: str, said: Sequence[_Exchange]) -> str | None:
    """A question that is only a time, a name or a question word, put to the earlier question."""
    lead = _LEAD.match(question)
    rest = question[lead.end() :].strip(_ENDING) if lead else question.strip(_ENDING)
    words = _words(rest)
    if not words:
        return None
    if all(w.low in _WH or w.low in _MEASURES for w in words):
        return _bracketed(question, said)
    if len(words) > LONGEST_FRAGMENT or words[0].low in _WH | _AUXILIARIES | _OPENERS:
        return None
    asked = next((exchange for exchange in reversed(said) if terms(exchange.main)), said[-1])
    changed = _with_time(rest, asked.main) or _with_name(rest, asked.main)
    if changed:
        return changed + asked.question[len(asked.main) :]
    leads = lead is not None and (lead["about"] or (lead.end() and _name_of(rest)))
    return _bracketed(question, said) if leads else None


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


def _with_name(rest: str, asked: str) -> str | None:
    """The earlier question with another name, where it is plain which one it takes the place of."""
    preposition, name = _name_of(rest) or ("", "")
    old = _names(asked)
    if not name or any(asked[start:end].lower() == name.lower() for start, end in old):
        return None
    if preposition:
        old = [span for span in old if re.search(rf"\b{preposition}\s+(?:the\s+)?$", asked[: span[0]], re.IGNORECASE)]
        if not old:
            return _added(asked, rest)
    old = [(start, end) for start, end in old if _shape(asked[start:end]) == _shape(name)]
    if len(old) != 1:
        return None
    start, end = old[0]
    return asked[:start] + name + asked[end:]


def _name_of(rest: str) -> tuple[str, str] | None:
    """The preposition, if any, and the name that a fragment consists of."""
    match = _NAME.fullmatch(rest)
    name = match["name"] if match else ""
    whole = name[:1].isupper() and _names(f"in {name}") == [(3, 3 + len(name))]
    return (match["preposition"] or "", name) if match and whole else None


def _shape(name: str) -> tuple[bool, int]:
    """What names of the same kind share: whether they are initials, and how many words they have."""
    return name.isupper(), len(name.split())


def _added(asked: str, more: str) -> str:
    body = asked.rstrip(" ?!.")
    return f"{body} {more}{asked[len(body) :].strip() or '?'}"


def _pointed(question: str, said: Sequence[_Exchange]) -> str | None:
    """A question with words that point back, or with too few of its own to be asked alone."""
    known = frozenset(w.low for exchange in said for n in exchange.named + exchange.answer_named for w in _words(n))
    known -= STOP_WORDS
    names = _names(question, known)
    silent = _covered([m.span() for pattern in _SILENT for m in pattern.finditer(question)] + _times(question))
    words = [word for word in _words(question) if word.start not in silent]
    # Behind a name or a clause of its own, or a tale before the sentence that asks, a pronoun points there.
    start, stop = _asking_sentence(question)
    telling = [word for word in words if word.low not in ASKING]
    if sum(word.end <= start for word in telling) >= TALE:
        return None
    name_end = names[0][0] if names else len(question)
    first = next((word.end for word in telling if word.start >= start), stop)
    match = _CLAUSE_END.search(question, first)
    clause_end = match.start() if match else stop
    for index, word in enumerate(words):
        after = words[index + 1] if index + 1 < len(words) else None
        free = word.start < name_end or (after is None and word.start < clause_end)
        if not free or not start <= word.start < stop:
            continue
        if word.low in _PRONOUNS and word.start < clause_end:
            if word.low != "their" or not _PLURAL.search(question[: word.start]):
                return _replaced(question, word, after, said, alone=word.start < name_end)
        elif _demonstrative(word, words[index - 1] if index else None, after):
            return _bracketed(question, said)
    if names:
        new = not any(question[a:b] in said[-1].question for a, b in names)
        return _bracketed(question, said) if new and _REACTION.search(question) else None
    alone = clause_end < stop or _SHIFT.match(question) or not _unfinished(question, words, known, said[-1])
    return None if alone else _bracketed(question, said)


def _unfinished(question: str, words: Sequence[_Word], known: frozenset[str], last: _Exchange) -> bool:
    """Whether a question without a name or a pronoun says too little to be asked alone."""
    own = len({term for word in words if word.low not in ASKING for term in terms(word.text)})
    if own <= SOME_TERMS and (_repeats(words, last) or any(word.low in _STANDING for word in words)):
        return True
    if any(word.low in known for word in words) or _EXPLETIVE.search(question):
        return False
    if _DEFINITION.fullmatch(question) and not any(word.low == "the" for word in words):
        return False
    if last.named or any(word.low in _COMPARING for word in words):
        return own <= FEW_TERMS
    no_verb = bool(words) and words[0].low in _WH and not any(word.low in _AUXILIARIES for word in words)
    return own <= int(no_verb)  # "Why so high?"


def _asking_sentence(question: str) -> _Span:
    """The sentence with the first question mark; all of it without one."""
    mark = question.find("?")
    if mark < 0:
        return 0, len(question)
    starts = [match.end() for match in _SENTENCE_END.finditer(question, 0, mark)]
    return starts[-1] if starts else 0, mark


def _replaced(
    question: str, pronoun: _Word, after: _Word | None, said: Sequence[_Exchange], *, alone: bool
) -> str | None:
    """The question with a name for the pronoun; in brackets where it may stand for more than a name."""
    event = pronoun.low in _THING and _EVENT.search(question)
    name = None if event else _antecedent(pronoun.low, said[-1]) if alone else said[-1].subject()
    if not name:
        return _bracketed(question, said)
    if pronoun.low in _POSSESSIVE or (pronoun.low == "her" and after and after.low not in STOP_WORDS):
        name += "’" if name.endswith("s") else "’s"
    before = question[: pronoun.start]
    return before + (name if before else name[0].upper() + name[1:]) + question[pronoun.end :]


def _antecedent(pronoun: str, last: _Exchange) -> str | None:
    """What a pronoun stands for, where it can be only one."""
    if last.topic:
        return None
    opening = "" if last.subject() else next((word.low for word in _words(last.main)), "")
    if pronoun in _PERSON:
        people = [last.focus] if last.focus else [name for name in last.named if _full_name(name)]
        if opening in _WHO:
            people += [name for name in last.answer_named if _full_name(name)] or [""] * (opening != "which")
        return people[0] if len(people) == 1 else None
    if last.focus:
        return None if pronoun in _GROUP and opening in _WHO else last.focus
    if len(last.named) != 1 or _PLACED.search(last.main[: last.main.find(last.named[0])]):
        return None
    # Where the question tells of anything besides the name, the pronoun may stand for that: "Who attacked Albania?"
    name = _phrase(last.named[0], last.main)
    timed = {term for start, end in _times(last.main) for term in terms(last.main[start:end])}
    others = {term for word in _words(last.main) if word.low not in ASKING for term in terms(word.text)}
    return None if others - timed - set(terms(name)) else name


def _distinct(text: str) -> list[str]:
    """The names in a text, each once."""
    return list(dict.fromkeys(text[start:end] for start, end in _names(text)))


def _phrase(name: str, text: str) -> str:
    """A name with its article, and with the noun that it belongs to where nothing follows: ``the LockBit group``."""
    start = text.find(name)
    if not re.search(r"\bthe $", text[:start], re.IGNORECASE):
        return name
    after = text[start + len(name) :]
    noun = re.match(r" [a-z]+(?=[ ?!.]*$)", after) if _BEFORE_NOUN.search(text[:start]) else None
    if noun or not re.match(r" [a-z]", after):
        return f"the {name}{noun.group() if noun else ''}"
    return name


def _full_name(name: str) -> bool:
    """Whether a name may be a person's: of two words and more, none of them initials."""
    words = name.split()
    return len(words) > 1 and not any(word.isupper() and len(word) > 2 for word in words)


def _demonstrative(word: _Word, before: _Word | None, after: _Word | None) -> bool:
    if after and after.text[0].isupper():  # "this Vulnerability Advisor": the name says which.
        return False
    if word.low in ("this", "these"):
        return True
    if word.low == "those":
        return after is None or after.low not in _RELATIVE
    # Else "that" opens a clause: "the group that attacked", "say that".
    opens = before is None or before.low in _AUXILIARIES | _PREPOSITIONS
    return word.low == "that" and (opens or after is None or after.low in _PARTICLES)


def _repeats(words: Sequence[_Word], last: _Exchange) -> bool:
    """Whether "the" stands before a word of the exchange before: "the ransom", "the group"."""
    heard = set(terms(f"{last.question} {last.answer}"))
    return any(word.low == "the" and heard.intersection(terms(after.text)) for word, after in pairwise(words))
