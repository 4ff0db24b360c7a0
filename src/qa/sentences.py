"""Sentence spans of English news text, in code points.

Every stop is looked at once, with a bounded window on both sides, so the time grows linearly with the text. Blank
lines, bullets and headings bound the units in which stops are judged; the words around a stop decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

# Recorded in the index: spans from another version do not fit the stored ones, so a change here forces a rebuild.
SPLITTER = "news-1"


def _words(table: str) -> frozenset[str]:
    return frozenset(table.split())


# --- words before a stop, as they are usually written; text in capitals matches too ---------------------------------

# A name or a number follows: these never end a sentence before a capital.
_NEVER = _words("""
Mr Mrs Ms Mx Dr Drs Prof Profs Messrs Mme Mmes Mlle Rev Revs Hon Fr Msgr Ven Sens Sen Rep Reps Gov Govs Pres Amb Atty
Gen Gens Lt Lts Col Cols Sgt Sgts Capt Cpt Maj Cmdr Cdr Adm Cpl Pvt Pfc Spc Brig Ens Insp Supt Det Asst Assoc Dep Cllr
Ald Wm Geo Thos Chas Jas Mt Ft vs v cf viz approx ca
e.g i.e a.k.a d.b.a c.f P.S N.B
""")

# A number follows, or else it is an ordinary word ("The answer was no. The board voted again.").
_NUMBERED = _words("""
No Nos no nos Art Arts art arts para paras Para Paras p pp Vol Vols vol vols Fig Figs fig figs Ch ch Chap chap Eq Op op
Pt pt ed eds Tel tel ext Ext Rm Apt Rs Bk c b d s
""")

# Ends a sentence only before a word that seldom stands inside a name ("the U.S. The next", "U.S. President Biden").
_SOMETIMES = _words("""
Inc Corp Ltd Co Cos Bros LLC Plc plc Assn Dept Univ Inst Gov't Govt Jr Sr Esq Ret Sec Div Dist St Ste Ave Blvd Rd Hwy
Rte Sq Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thur Thurs Fri Sat
Ala Ariz Ark Calif Colo Conn Del Fla Ga Ill Ind Kan Ky La Mass Md Mich Minn Miss Mo Mont Neb Nev Okla Ore Pa Penn Tenn
Tex Va Vt Wash Wis Wyo al ft hrs oz lb lbs tbsp tsp mph Ph.D Ed.D M.Sc B.Sc Ll.B Lit.D
""")

_KIND = {
    form: kind
    for kind, words in (("never", _NEVER), ("numbered", _NUMBERED), ("sometimes", _SOMETIMES))
    for word in words
    for form in (word, word.upper() if len(word) > 1 else word)
}
_CLOCK = _words("a.m p.m A.M P.M am pm AM PM")
_EXCLAIMED_NAMES = _words("Yahoo Jeopardy Yum Guess Hello Hola Panic Oklahoma Mamma")
# "plan B.", "Gen Z.": after these a single letter is no initial.
_LABELS = _words("""
plan vitamin hepatitis group grade class type category schedule appendix exhibit section part figure table side team
option phase point block wing gate level series model gen generation title annex division pool court influenza strep
""")
_BEFORE_I = _words("and than as am was do did nor or so if")
_BEFORE_ORDINAL = _words("the der die das den dem am im")

# --- words after a stop ---------------------------------------------------------------------------------------------

_STARTERS = _words("""
a an the this that these those it he she they we you i his her its their our my your who what when where why how which
in on at by for from with after before as if while since until during despite although though because unless once
and but or so yet nor however meanwhile also then there here now today yesterday still even only not no both each some
many most several all another other such according asked is are was were do does did has have had
""")
_LOWER_STARTERS = _words("a an the this he she it they we you there")
_AFTER_CLOCK = _words("""
monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun
january february march april may june july august september october november december
jan feb mar apr jun jul aug sep sept oct nov dec
eastern central mountain pacific greenwich est edt et cst cdt ct mst mdt mt pst pdt pt gmt utc bst cet cest ist jst
local
""")
# Speech verbs that tie a named speaker to the quoted question or exclamation before: “Stop!” Holt said.
_ATTRIBUTION = re.compile(
    r"(?!(?:I|He|She|They|We|You|It)\b)(?:[A-Z][\w’'-]{0,24}\.?\s{1,3}){1,5}"
    r"(?:(?:said|says|added|wrote|tweeted|told\s\w{1,20})(?:[.,;:]|\s(?:in|at|on|to|as|of|during|after|before|when|while)\b)"
    r"|(?:acknowledged|asked|asks|cried|exclaimed|joked|quipped|recalled|replied|screamed|shouted|wondered|yelled)\b)"
)
# Web addresses and handles start a sentence in lower case.
_LOWER_START = re.compile(r"https?://|www\.|[@#]\w|[a-z]{1,2}[A-Z]")

# --- marks ------------------------------------------------------------------------------------------------------------

_CJK_STOPS = "。！？｡"  # no white space follows them
_CAPITAL_STARTER = "|".join(sorted(word.capitalize() for word in _STARTERS))
_STOP = re.compile(  # possessive, bounded repeats ("{0,40}+"): nothing is kept for backtracking
    rf"(?P<run>[.!?…‥؟।॥۔{_CJK_STOPS}]+(?:[ \u00a0]\.+(?!\w)){{0,40}}+)"  # also the spaced ellipsis ". . ."
    r"(?P<close>(?:[\"'”’»›)\]}」』）】]|[ ][”»)\]}]|[ ]\"(?!\S)){0,40}+)"
    # Footnote marks belong to the sentence before: "end.[3]", "end. [3]", "end.³", "end.3 Next", "end. 3 The next".
    r"(?P<note>(?:[ ]?\[(?:\d{1,3}|[a-z]|note \d{1,2}|citation needed)\]){1,40}+|[⁰¹²³⁴-⁹†‡]+"
    rf"|\d{{1,2}}(?=\s{{1,4}}[\"“‘]?[A-Z])|[ ]\d{{1,2}}(?=\s(?:{_CAPITAL_STARTER})\s))?"
    r"(?P<gap>\s*)"
)
_NEXT = re.compile(r"(?P<lead>[^\w,;:/&=+|%]{0,8})(?P<word>[^\W_]{0,24})")
_TAIL = re.compile(r"[\w.&'’]*\Z")
_WORD = re.compile(r"\w")
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_WORD_OR_YEAR = re.compile(r"[^\W\d_]{3,}|\d{4}")
_ENUMERATOR = re.compile(r"\(?(?:\d{1,3}(?:\.\d{1,3}){0,3}|[A-Za-z]|[ivxIVX]{1,4})\)?")
_JOINED = re.compile(r"[“‘(]?([A-Z][a-z]{0,12})\s")
_LOOK_BEHIND = 64  # code points; longer words are no abbreviations

# --- lines ------------------------------------------------------------------------------------------------------------

_LINE = re.compile(r"\S(?:[^\n]*\S)?")
_BULLET = re.compile(r"[•◦▪‣●■·*]\s")
_ITEM = re.compile(r"(?P<dash>[-–—])\s|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})[.)]\s")
_NARROWEST_PROSE = 40  # code points: nobody wraps news narrower,
_WIDEST_PROSE = 120  # or wider: such line breaks were meant


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Split normalised text (NFC, line ends "\\n") into sentences.

    Returns half-open spans in code points, in order, disjoint, without white space at either end. All that is not white
    space lies in exactly one span.
    """
    return [span for start, end in _units(text) for span in _sentences(text, start, end)]


def _units(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans that no sentence crosses: paragraphs, and the headings and list items within them."""
    for lines in _paragraphs(text):
        # A line of one word (a URL) overflows any width.
        width = max((end - start for start, end in lines if " " in text[start:end]), default=0)
        begin = lines[0][0]
        for line, following in pairwise(lines):
            if _breaks(text, line, following, width):
                yield begin, line[1]
                begin = following[0]
        yield begin, lines[-1][1]


def _paragraphs(text: str) -> Iterator[list[tuple[int, int]]]:
    """Yield the trimmed lines of each paragraph."""
    lines: list[tuple[int, int]] = []
    for match in _LINE.finditer(text):
        if lines and text.count("\n", lines[-1][1], match.start()) > 1:
            yield lines
            lines = []
        lines.append(match.span())
    if lines:
        yield lines


def _breaks(text: str, line: tuple[int, int], following: tuple[int, int], width: int) -> bool:
    """Tell whether a line break ends a sentence whatever stands before it; `width` is the paragraph's widest line."""
    start, end = following
    if _BULLET.match(text, start, end):
        return True
    first_word = text[start : min(end, start + width + 1)].split(None, 1)[0]
    # Whoever wraps lines breaks where the next word does not fit. Where it would have fitted, the break was meant.
    fits = line[1] - line[0] + 1 + len(first_word) <= width
    meant = fits or not _NARROWEST_PROSE <= width <= _WIDEST_PROSE
    item = _ITEM.match(text, start, end)
    if item:
        after_dash = item["dash"] is not None and text[item.end() : item.end() + 1].isupper()
        return meant or after_dash or text[line[1] - 1] in ":;"
    return meant and not text[start].islower()


def _sentences(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the sentences of one unit."""
    word_at = -1  # where the first word at or after `begin` starts: marks alone are no sentence
    for stop in _STOP.finditer(text, begin, end):
        if word_at < begin:
            word = _WORD.search(text, begin, end)
            word_at = word.start() if word else end
        if word_at >= stop.start() or stop.end() >= end or not _ends(text, begin, stop, end):
            continue
        word = _WORD.search(text, stop.end(), end)
        if word is None:
            break
        word_at = word.start()
        yield begin, stop.start("gap")
        begin = stop.end()
    yield begin, end


def _ends(text: str, begin: int, stop: re.Match[str], end: int) -> bool:
    """Tell whether a sentence that starts at `begin` ends with this stop."""
    run, close, note = stop["run"], stop["close"], stop["note"]
    start = stop.start()
    if not stop["gap"]:
        return run[-1] in _CJK_STOPS or _runs_into_next(text, begin, stop, end)
    if note and note.isdecimal() and not _is_plain(text, begin, start):
        return False
    if close and text[start - 1 : start] in ("(", "["):
        return False  # "(!)", "[...]"
    following = _NEXT.match(text, stop.end(), end)
    assert following is not None  # every part of the pattern may be empty
    word = following["word"]
    if not word:
        return text[following.end()] not in ",;:/&=+|%" if following.end() < end else True
    if word[0].islower() and not _LOWER_START.match(text, stop.end(), end):
        # Careless copy: "the end. it was late".
        return run == "." and word in _LOWER_STARTERS and _is_plain(text, begin, start)
    if run == ".":
        return _full_stop_ends(text, begin, stop, following)
    if run[0] in ".…‥" and run[-1] in ".…‥":
        return word != "I"
    if close:
        return not _ATTRIBUTION.match(text, stop.end(), min(end, stop.end() + 96))
    return _last_words(text, begin, start)[1] not in _EXCLAIMED_NAMES or _is_starter(text, following)


def _full_stop_ends(text: str, begin: int, stop: re.Match[str], following: re.Match[str]) -> bool:
    """Decide on a single "." before a word that is not in lower case."""
    previous, last = _last_words(text, begin, stop.start())
    if not last:
        return True
    if stop.start() - begin <= 16 and _ENUMERATOR.fullmatch(text, begin, stop.start()):
        return False  # "1. Close the gate."
    word, starter = following["word"], _is_starter(text, following)
    dashed = any(mark in "-–—" for mark in following["lead"])  # "ALBANY, N.Y. – The"
    if last in _CLOCK:
        return not (dashed or word[0].isdecimal() or word.lower() in _AFTER_CLOCK)
    if last[-1].isdecimal():
        return not (last.isdecimal() and len(last) < 3 and previous.lower() in _BEFORE_ORDINAL)
    if len(last) == 1 and last.isupper():
        return starter or previous.lower().rstrip(":") in _LABELS or (last == "I" and previous in _BEFORE_I)
    kind = _kind(last)
    if kind == "never":
        return False
    if kind == "numbered":
        return not word[0].isdecimal()
    if kind == "sometimes":
        return stop["close"][:1] in ("”", '"') or (starter and not dashed)
    return True


def _kind(word: str) -> str | None:
    """Name the table that `word`, the token before a full stop, belongs to; None for an ordinary word."""
    kind = _KIND.get(word)
    if kind or "." not in word:
        return kind
    parts = word.split(".")
    if all(len(part) == 1 and part.isalpha() for part in parts):
        return "sometimes"  # "U.S", "J.K"
    return _KIND.get(parts[-1])  # "Lt.Col"


def _is_starter(text: str, following: re.Match[str]) -> bool:
    word = following["word"]
    return word.lower() in _STARTERS and not (len(word) == 1 and text.startswith(".", following.end()))  # "K. A. Jones"


def _last_words(text: str, begin: int, start: int) -> tuple[str, str]:
    """Return the two words before `start`, the second empty if white space stands between it and the stop."""
    if text[start - 1].isspace():
        return "", ""
    words = text[max(begin, start - _LOOK_BEHIND) : start].rsplit(None, 2)
    tail = _TAIL.search(words[-1])
    return words[-2] if len(words) > 1 else "", tail[0] if tail else ""


def _is_plain(text: str, begin: int, start: int) -> bool:
    """Tell whether an ordinary word in lower case stands before the stop: "the claim.3 Nobody", not "no.3 Monday"."""
    last = _last_words(text, begin, start)[1]
    return last.islower() and _LETTERS.fullmatch(last) is not None and last not in _KIND


def _runs_into_next(text: str, begin: int, stop: re.Match[str], end: int) -> bool:
    """Decide where no white space follows: "The market fell.The bank", but not "Node.js" or "example.com"."""
    if stop["note"] or any(mark in "\"'" for mark in stop["close"]):
        return False
    joined = _JOINED.match(text, stop.end(), end)
    if joined is None or (stop["run"][0] not in "?!" and joined[1].lower() not in _STARTERS):
        return False
    return _WORD_OR_YEAR.fullmatch(_last_words(text, begin, stop.start())[1]) is not None
