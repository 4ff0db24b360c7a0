"""Requests about a topic: "Tell me about X" and "latest on X" ask what X is, and their other words are no search terms.

Rules alone decide, and only where a whole question has such a form; any other is left as it is.
"""

from __future__ import annotations

import re

__all__ = ["plain_question"]

_POLITE = (
    r"(?:(?:please|hey|hi|so|and|now|ok(?:ay)?)[,\s]+)*(?:(?:can|could|would|will)\s+(?:you|we)\s+(?:please\s+)?)?"
)
_NEW = r"(?:(?:very\s+)?latest|newest|(?:most\s+)?recent|new|current|breaking|last)"
_NEWS = (
    r"(?:news|updates?|developments?|info(?:rmation)?|reports?|stories|story|word|headlines?|details?|facts?|background"
    r"|coverage|status|overview|summary|state\s+of\s+play|something|anything|everything|all|more|a\s+bit)"
)
_ABOUT = r"(?:about|on|regarding|concerning|with|of|from|around)"
_FORMS = tuple(
    re.compile(rf"{_POLITE}(?:{form})\s+(?P<topic>\S.*)", re.IGNORECASE | re.DOTALL)
    for form in (
        rf"(?:tell|give|show|get|brief)\s+(?:me|us)(?:\s+(?:(?:the|some|any|an?)\s+)?(?:{_NEW}\s+)?{_NEWS})?\s+{_ABOUT}",
        r"(?:tell|show)\s+(?:me|us)(?=\s+(?:who|what|when|where|which|why|how)\b)",
        r"(?:explain|describe|outline|summari[sz]e)(?:\s+to\s+(?:me|us))?",
        r"what\s+(?:do|did|can)\s+(?:you|we|they|the\s+articles)\s+(?:know|say|tell\s+(?:me|us)|have)\s+(?:about|on|of)",
        r"what(?:\s+is|\s+was|[’']?s)\s+(?:known|said|reported|written)\s+(?:about|on|of)",
        rf"(?:what(?:\s+is|\s+are|[’']?s)\s+|(?:is|are)\s+there\s+|do\s+(?:you|we)\s+have\s+|have\s+you\s+)?"
        rf"(?:(?:the|any|some)\s+)?(?:{_NEW}\s+)?{_NEWS}\s+(?:about|on|regarding|concerning|with|from|around)",
        rf"(?:what(?:\s+is|\s+are|[’']?s)\s+)?(?:the\s+)?{_NEW}\s+(?:about|on|regarding|concerning|with|from)",
        r"what(?:\s+is|[’']?s)\s+(?:new|up|happening|going\s+on)\s+(?:about|on|with|in|at|around)",
    )
)
_LAST = re.compile(
    rf"(?P<topic>\S.*?)[,:]?\s+(?:the\s+)?(?:{_NEW}\s+)?(?:news|updates?|headlines|latest|background|overview|explained)",
    re.IGNORECASE | re.DOTALL,
)
_END = re.compile(r"(?:,?\s+please)?[?!.\s]*\Z", re.IGNORECASE)
_QUESTION = re.compile(
    r"(?:who(?:se|m)?|what|when|where|which|why|how|whether|if|is|are|was|were|do|does|did|has|have|had|can|could|will"
    r"|would|should|may|might|in|on|at|to|for|by)\b",
    re.IGNORECASE,
)
"""What begins a question of its own."""


def plain_question(text: str) -> str:
    """Return the question that a request about a topic comes to: ``What is Stuxnet?`` for ``Tell me about Stuxnet``.

    A question inside such a request is asked by itself: ``Tell me who found Stuxnet`` is ``who found Stuxnet``. Text
    without the form of a request is returned as it is.
    """
    asked = _END.sub("", text.strip(), count=1)
    for form in _FORMS:
        if found := form.fullmatch(asked):
            topic = found["topic"]
            return topic if _QUESTION.match(topic) else f"What is {topic}?"
    found = None if _QUESTION.match(asked) else _LAST.fullmatch(asked)
    return f"What is {found['topic']}?" if found else text
