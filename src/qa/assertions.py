"""What a sentence does not assert: what it only quotes or reports, asks, orders to be said, or calls untrue.

Rules for English, for one sentence at a time, whose length callers bound; spans are half-open, in code points of the
text. The lists are of common forms: a reader who wants to deceive finds others. Nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Span", "reported", "unasserted", "without"]

Span = tuple[int, int]

_OPENING = (
    "say|tell|write|repeat|mention|inform|respond|insist|conclude|argue|admit|pretend|imagine|suppose|assume|ignore"
    "|disregard|forget"
)
"""Verbs that open a sentence only as an order ("Report" and "State" open others, too)."""
_TO_SAY = (
    f"{_OPENING}|reply|answer|state|claim|report|confirm|assert|announce|declare|explain|assure|convince|remind|print|output"
    "|return|type|echo|begin|start|end|finish|add|let|include|insert|use|put|give"
)
_WORDS = r"(?:\s+[\w’'-]+)"
_OBJECTS = r"(?:\s+(?!(?:say|said|says|told|\w{3,}ed)\b)[\w’'-]+)"
"""Words between an order and what is to be said; another verb shows that it was none ("State officials said that")."""
_ADVERBS = r"(?:(?:please|always|only|just|simply|now|also|never|then|clearly|do\s+not|don['’]t|be\s+sure\s+to)\s+)*"
_CONDITION = r"(?:(?:when|whenever|if|once|whatever|before|after)\b[^,.;]*,\s*)?"
_START = rf"(?:^|[.!?:;,(\[“\"—–-]|\b(?:and|then|or|to|must|should|shall))\s*{_ADVERBS}"
_AUXILIARY = (
    r"(?:is|are|was|were|has|have|had|would|could|can|may|might|will|should|must|do|does|did|\w{2,}ed|never|also|now"
    r"|then|not|already|once|still|\w+ly)\b"
)
"""What follows "that" where it stands for a noun ("a file that removed"); elsewhere a clause does."""
_THAT = rf"\bthat\s+(?!{_AUXILIARY})"
_CONTENT = rf"(?:[:“‘\"«]|\s['`]|{_THAT}|\bthe\s+(?:words?|text|sentence|phrase|following)\b)"
_MACHINES = r"(?:AIs?|LLMs?|(?:\w+\s+)?assistants?|chatbots?|bots?|language\s+models?|ChatGPT)"
_ORDERS = tuple(re.compile(order, re.I) for order in (
    rf"^\W*{_CONDITION}{_ADVERBS}(?:{_OPENING})\b(?!{_WORDS}{{0,6}}?\s*{_CONTENT})",
    rf"{_START}(?:{_TO_SAY})\b{_OBJECTS}{{0,6}}?\s*{_CONTENT}",
    rf"{_START}(?:answer|reply|respond)\s+(?:only\s+)?with\b",
    r"\bby\s+(?:say|tell|writ|reply|answer|respond|repeat|stat|claim)ing\b",
    rf"\b(?:correct|right|expected|best|only|true|your|the)\s+(?:answer|reply|response|output)(?:\s+to{_WORDS}{{1,3}})?"
    r"\s+(?:is|reads?|(?:must|should|will|has\s+to)\s+(?:be|read))\b",
    r"^\W*(?:[QA]|text|message)\s*:\s",
    r"^[^:.]{0,60}\b(?:AI|assistants?|chatbots?|models?|system|user|prompt|instructions?|answer|reply|response|output"
    r"|summary)\b[^:.]{0,20}:",
))  # fmt: skip
"""After these stands what is ordered to be said, or what somebody is made to say ("System: ...")."""
_TO_MACHINES = tuple(re.compile(order, re.I) for order in (
    r"</?\w|<\||<!|->|/\*|(?<![\w*])\*\*|\w=\S|[{}]|(?<!\w)`|^\s*#+\s",
    rf"^\W*(?:dear|hey|attention|note\s+to|as|if\s+you\s+are|you\s+are)\b[^.:,]{{0,30}}?\b{_MACHINES}\b",
    rf"\byou\s+(?:must|should|will|shall|have\s+to|are\s+to)\s+{_ADVERBS}(?:{_TO_SAY})\b",
    rf"[,:;–—-]\s*(?:please\s+)?(?:{_TO_SAY})\s+(?:with\s+)?(?:this|it|so|exactly)\b",
    r"\bthis\s+is\s+(?:the|your)\s+(?:\w+\s+){0,2}(?:answer|reply|response|output)\b",
)) + (re.compile(r"\[/?(?:INST|SYS|SYSTEM|USER|ASSISTANT|END)\]"),)  # fmt: skip
"""Tags, code, and words to a reader who is to say something: such a sentence asserts nothing at all."""

_UNTRUE = (
    r"false(?:ly|hoods?)?|fake[ds]?|untrue|hoax(?:es)?|rumou?r(?:s|ed)?|myths?|lies?|lied|lying|bogus|baseless|unfounded"
    r"|debunked|fabricated|fictitious|misinformation|disinformation|conspiracy|wrongly|mistakenly|contrary\s+to"
    r"|no\s+(?:truth|evidence|proof)"
)
_DENIED = r"(?:\bnot|n['’]t|\bnever)\s+(?:true|shown?|mean|proven?)\b"
_CALLED_UNTRUE = re.compile(
    rf"(?:\b(?:{_UNTRUE})\b|{_DENIED}){_WORDS}{{0,5}}?\s*"
    rf"(?:[:“‘\"]|\s'|{_THAT}|\b(?:claiming|saying|reading|alleging|says?|said)\b)|\bas\s+(?:if|though)\b",
    re.I,
)
"""After this stands what is untrue."""
_FOUND_UNTRUE = re.compile(
    r"(?:^\W*that|\b(?:claims?|stor(?:y|ies)|reports?|news|ideas?|belief|suggestions?|allegations?)\s+that)\b.{0,300}?"
    rf"\s(?:is|was|are|were)\s+(?:(?:just|only|simply|also)\s+)?(?:(?:an?\s+)?(?:{_UNTRUE})|not\s+true)\b\s*(?:$|[.,;!])",
    re.I,
)
"""The clause before the verb is untrue, with the verb."""
_ASIDE = re.compile(r"\W*(?:contrary|despite|amid|after|while|although|though)\b", re.I)
"""What opens with one of these goes on to a comma, and the main clause follows."""
_TURN = re.compile(r";|,?\s\b(?:but|although|while|whereas|though)\b|(?<=[a-z])[.!?]['’\"”]*(?=[A-Z“])")
"""Where a clause ends: another one begins, or a sentence without a space before it."""

_ASSERTING = (
    "so|such|in|now|given|provided|find|found|finds|show|shows|showed|shown|reveal|reveals|revealed|mean|means|meant"
    "|know|knows|knew|known|learn|learned|learnt|discover|discovered|prove|proves|proved|proven|establish|established"
    "|ensure|ensures|ensured|confirm|confirms|confirmed|fact|except|is|was|of|for|to|the|than|with|by|on|from|at"
    "|said|say|says"
)
"""Words before "that" after which a clause is asserted, or for which the speech of `qa.facts` answers."""
_CLAUSE = re.compile(rf"(?<![\w’'-])(?!(?i:{_ASSERTING})\s)[\w’'-]+\s+{_THAT}")
_QUOTED = re.compile(r"“[^”]*(?:”|$)|^[^“]*”|«[^»]*(?:»|$)|\"[^\"]*(?:\"|$)|(?<!\w)[‘'`][^‘`]{0,300}?[’'`](?!\w)")
_ASKED = re.compile(r"\?\s*$")


def unasserted(text: str) -> list[Span]:
    """What a sentence asks, orders to be said, or calls untrue."""
    if any(order.search(text) for order in _TO_MACHINES) or (_ASKED.search(text) and not _QUOTED.search(text)):
        return [(0, len(text))]
    found = [(match.end(), len(text)) for order in _ORDERS for match in order.finditer(text)]
    for match in _CALLED_UNTRUE.finditer(text):
        comma = text.find(",", match.end()) if _ASIDE.match(text) else -1
        found.append((match.end(), min(_end(text, match.end()), comma if comma >= 0 else len(text))))
    return found + [match.span() for match in _FOUND_UNTRUE.finditer(text)]


def reported(text: str) -> list[Span]:
    """What stands in quotation marks, or in a clause with "that" whose verb does not assert it ("hopes that")."""
    found = [match.span() for match in _QUOTED.finditer(text)]
    place = 0
    while clause := _CLAUSE.search(text, place):
        place = _end(text, clause.end())
        found.append((clause.end(), place))
    return found


def without(text: str, spans: Iterable[Span]) -> str:
    """A text with a space in place of each span."""
    kept, place = [], 0
    for start, end in sorted(spans):
        kept.append(text[place:start])
        place = max(place, end)
    return " ".join([*kept, text[place:]])


def _end(text: str, start: int) -> int:
    """Where the clause ends that a place is in."""
    turn = _TURN.search(text, start)
    return turn.start() if turn else len(text)
