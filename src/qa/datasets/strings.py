"""Whether a text bears an answer string."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["bears", "folded", "stands_in"]

_STRAIGHT = str.maketrans(dict.fromkeys("‘’‚‛′`´", "'") | dict.fromkeys("“”„‟″«»", '"'))


def folded(text: str) -> str:
    """Return the text as answers are looked for in it: straight quotes, single spaces, case folded.

    Nothing else is folded: a dash, an accent or a full stop has to stand as in the answer.
    """
    return " ".join(text.translate(_STRAIGHT).split()).casefold()


def stands_in(plain: str, answer: str) -> bool:
    """Whether an answer stands in folded text: without quotation marks around it, as whole words.

    A side of the answer that ends in a letter or digit must not touch another one: ``10%`` stands in ``10%,`` but not
    in ``110%``. An answer without any sign but quotation marks stands nowhere.
    """
    wanted, pattern = _finder(answer)
    return wanted in plain and pattern.search(plain) is not None


def bears(text: str, answers: tuple[str, ...]) -> bool:
    """Whether one of the answers stands in the text."""
    plain = folded(text)
    return any(stands_in(plain, answer) for answer in answers)


@lru_cache(maxsize=4096)
def _finder(answer: str) -> tuple[str, re.Pattern[str]]:
    """The folded answer, which is found fast, and the pattern that sees to it that it is whole words."""
    wanted = folded(answer).strip("'\" ")
    before = r"(?<!\w)" if wanted[:1].isalnum() else ""
    after = r"(?!\w)" if wanted[-1:].isalnum() else ""
    return wanted, re.compile(before + re.escape(wanted) + after if wanted else r"(?!)")
