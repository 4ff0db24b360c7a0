"""Questions to suggest: made from sentences of the articles, in the words of these sentences, by a few templates.

A template takes a sentence only where its plain form leaves no doubt of the grammar, and a question only where it can
be understood without the article: no pronoun, no "the company", a name to hold on to. Most sentences give nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import islice

from qa.catalog import Catalog
from qa.lexical import STOP_WORDS, LexicalIndex, terms
from qa.types import Answer, Sentence

__all__ = ["beginnings", "follow_ups", "questions"]

SHORTEST, LONGEST = 5, 18
"""Words of a question."""
LONGEST_SENTENCE = 400
"""Code points."""
RARE = 20
"""Passages, about: a word that stands in no more of them finds its article again; Joe Greene alone may not."""
SENTENCES_READ = 60
"""Sentences that questions are looked for in after an answer, which should not wait for them."""


def _words(table: str) -> frozenset[str]:
    return frozenset(table.split())


_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_WEEKDAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_DATE = rf"(?:in (?:{_MONTH} )?(?:19|20)\d\d|on (?:\d\d? {_MONTH}|{_MONTH} \d\d?)(?:,? (?:19|20)\d\d)?|in {_MONTH})"
_WORD = r"(?:[A-Z][\w’'-]*\w|[A-Z]\.)"
_NAME = rf"{_WORD}(?: (?:of |de |van |von )?{_WORD}){{0,5}}"
_PERSON = rf"{_WORD}(?: {_WORD}){{1,2}}"
_NUMBER = (
    r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}|[3-9]\d{3}|(?:\d+(?:\.\d+)? )?(?:million|billion)|[Tt]wo|[Tt]hree|[Ff]our|[Ff]ive"
    r"|[Ss]ix|[Ss]even|[Ee]ight|[Nn]ine|[Tt]en|[Ee]leven|[Tt]welve|[A-Za-z]+teen|[A-Za-z]+ty(?:-[a-z]+)?)"
)
_ABOUT = (
    r"(?:(?:[Mm]ore than|[Aa]bout|[Aa]t least|[Nn]early|[Aa]lmost|[Ss]ome|[Aa]round|[Oo]ver|[Uu]p to|[Rr]oughly"
    r"|[Ff]ewer than|[Oo]nly|[Aa]s many as|[Aa]n estimated) )?"
)
_THINGS = rf"(?P<things>(?:{_WORD} ){{0,2}}(?:[a-z][a-z-]+ ){{0,2}}(?:[a-z][a-z-]*[a-rt-z]s|people|men|women|children))"
_MONEY = r"[$€£]?\d[\d.,]*(?: (?:million|billion|trillion))?(?: (?:euros|dollars|pounds|crowns|bitcoins))?"

_PAST = {
    "accused": "accuse", "acquired": "acquire", "admitted": "admit", "adopted": "adopt", "announced": "announce",
    "approved": "approve", "arrested": "arrest", "attacked": "attack", "backed": "back", "banned": "ban",
    "beat": "beat", "became": "become", "began": "begin", "blamed": "blame", "blocked": "block", "bought": "buy",
    "broke": "break", "built": "build", "called": "call", "charged": "charge", "closed": "close",
    "condemned": "condemn", "convicted": "convict", "created": "create", "criticized": "criticize",
    "criticised": "criticise", "cut": "cut", "declared": "declare", "defeated": "defeat", "delivered": "deliver",
    "denied": "deny", "designed": "design", "directed": "direct", "discovered": "discover", "donated": "donate",
    "endorsed": "endorse", "ended": "end", "entered": "enter", "expanded": "expand", "faced": "face",
    "filed": "file", "fined": "fine", "fired": "fire", "founded": "found", "gave": "give", "granted": "grant",
    "hired": "hire", "hosted": "host", "imposed": "impose", "invaded": "invade", "issued": "issue",
    "joined": "join", "killed": "kill", "launched": "launch", "led": "lead", "left": "leave", "lost": "lose",
    "married": "marry", "met": "meet", "moved": "move", "named": "name", "opened": "open", "ordered": "order",
    "paid": "pay", "passed": "pass", "played": "play", "pleaded": "plead", "produced": "produce",
    "proposed": "propose", "published": "publish", "raised": "raise", "rejected": "reject",
    "released": "release", "replaced": "replace", "resigned": "resign", "retired": "retire", "revealed": "reveal",
    "sentenced": "sentence", "signed": "sign", "sold": "sell", "sued": "sue", "suspended": "suspend",
    "testified": "testify", "took": "take", "unveiled": "unveil", "urged": "urge", "vetoed": "veto",
    "visited": "visit", "voted": "vote", "vowed": "vow", "warned": "warn", "won": "win", "wrote": "write",
}  # fmt: skip
"""Past forms of what people and organisations do, and the plain forms of these verbs."""
_PAID = {"paid": "pay", "raised": "raise", "lost": "lose", "earned": "earn", "donated": "donate", "spent": "spend",
         "invested": "invest", "cost": "cost", "pledged": "pledge", "received": "receive", "owed": "owe"}  # fmt: skip
_NO_AGENT = _words("""
began became broke closed cut ended entered expanded faced gave granted joined killed led left lost moved opened passed
raised replaced revealed took called issued held
""")
"""Of storms, films and days this can be said too."""
_ROLE = re.compile(
    r"\b(?:[a-z]+(?:woman|ologist|ician)|spokesman|chairman|congressman|businessman|policeman|chief|director|president"
    r"|minister|secretary|leader|head|founder|co-founder|professor|lawyer|attorney|analyst|economist|manager|officer"
    r"|executive|CEO|coach|mayor|governor|senator|representative|actor|actress|singer|author|writer|journalist"
    r"|researcher|scientist|doctor|nurse|judge|prosecutor|commissioner|chair|ambassador|engineer|teacher|owner|farmer"
    r"|detective|sheriff|captain|player|quarterback|striker|historian|critic|artist|musician|designer|activist"
    r"|strategist|pollster|consultant|librarian|fellow|scholar|curator|resident|student|reporter|editor|candidate|pilot"
    r"|chef|investigator|trainer|clerk|expert|adviser|advisor|coordinator|administrator|superintendent|investor"
    r"|official|deputy|supervisor|inspector|banker|broker|fisherman|veteran|volunteer|auditor|operator)\b"
)
_THING = re.compile(
    r"(?:an?|the) (?:[\w’'-]+ ){0,4}?(?:company|group|agency|organi[sz]ation|nonprofit|charity|market|marketplace"
    r"|malware|ransomware|botnet|program|programme|app|network|platform|service|firm|startup|law|treaty|convention"
    r"|disease|virus|festival|city|town|village|island|party|university|museum|think tank|bank|airline|retailer"
    r"|manufacturer|union|website|exchange|store|chain|database|project|conference|exercise|river|park|newspaper)"
    r"(?=$| (?:in|of|for|that|which|based|with|where|from|to|on|and|known|called)\b)"
)
_TELLS = r"(?:said|says|told|added|wrote|noted|explained|argued|warned|recalled)"
_PERSON_ASKED = "Who is "
_SHORT = (_PERSON_ASKED, "What is ")
_UNIQUE = _words("world internet pandemic economy public web sea sky sun moon future past")
_PLAIN_NAMES = _words("us u.s uk u.k eu covid-19 ceo ap cnn i")

# What only the rest of the article, or its day, explains.
_REFERS = re.compile(
    r"\b(?:I|he|she|it|they|we|you|him|her|them|us|me|his|hers|its|their|theirs|our|ours|my|your|yours|himself|herself"
    r"|itself|themselves|this|these|those|there|here|such|another|others?|former|latter|both|too|also|then|now|later"
    r"|earlier|today|yesterday|tomorrow|tonight|ago|so|again|however|instead|meanwhile|respectively|already|still|same"
    r"|recently|currently|previously|latest|next|that|which|who|whom|whose|when|where|while|because|if|although|though"
    r"|but|as|since|after|before|until|whether|what|how|than|including|like|via|not|never|no|either|each)\b"
    r"|\b(?:last|past|previous|following) (?:day|night|week|weekend|month|year|season|decade|summer|spring|fall|winter)"
    rf"|[“”\"‘()\[\];:?!—–…/@#*|]|--|\b[Tt]he \d{{1,3}}\b|(?<!\w)['’]|n[’']t\b|\b{_WEEKDAY}s?\b|\band \d",
)
_DATELINE = re.compile(r"(?:[A-Z][A-Z.’' -]+(?:, [A-Z][\w. ]+)?(?: \([A-Z]+\))?|[A-Z][\w ,.]+ \(AP\)) ?[—–-]+ ")
_DAY = re.compile(rf",? (?:(?:early|late) )?(?:on )?{_WEEKDAY}(?: (?:morning|afternoon|evening|night))?(?=[ ,.])")
_CUT = re.compile(
    r", (?=(?:who|which|where|when|while|because|but|with|after|and)\b|[^,]*$)"
    r"| (?:who|which|that|where|when|while|because|after|before|as|but|although|though|since|until|if|including|saying"
    r"|according|whose|whether|so)\b"
)
_ANCHOR = re.compile(r"(?<= )[A-Z][\w’'.-]*\w")
_LOWER_RUN = re.compile(r"\b[Tt]he ((?:[a-z][\w-]* ?)+)(\S?)")


def follow_ups(answer: Answer, lexical: LexicalIndex, most: int) -> tuple[str, ...]:
    """Questions that what was read for an answer answers too, and the answer does not; of each article one.

    Cited articles come first, then the passages in their order; `SENTENCES_READ` are looked at. They are not tried, so
    that a person has a rare name, by which `lexical`, the index that was searched, leads back to the article.
    """
    cited = {(citation.article_id, citation.sentence_index) for citation in answer.citations}
    asked = set(terms(answer.resolved_question or answer.question))
    rare = math.log(max(len(lexical), 1) / RARE)
    first = {article.id for article in answer.articles}
    read = sorted(answer.passages, key=lambda passage: passage.article.id not in first)
    sentences = ((passage.article, sentence) for passage in read for sentence in passage.sentences)
    found: dict[str, str] = {}
    for article, sentence in islice(sentences, SENTENCES_READ):
        if len(found) == most:
            break
        if article.id in found or sentence.key in cited:
            continue
        for question in questions(sentence.text, article.text):
            words = set(terms(question))
            if question in found.values() or words <= asked:
                continue
            if question.startswith(_PERSON_ASKED) and max(map(lexical.idf, words)) < rare:
                continue
            found[article.id] = question
            break
    return tuple(found.values())


def beginnings(catalog: Catalog, articles: int) -> list[tuple[str, Sentence]]:
    """A question from each of the newest articles that give one, with its sentence; those about a person come last."""
    found: dict[str, Sentence] = {}
    for article in catalog.newest(articles):
        made = ((asked, one) for one in catalog.sentences(article) for asked in questions(one.text, article.text))
        new = sorted((pair for pair in made if pair[0] not in found), key=_about_person)
        found.update(new[:1])
    return sorted(found.items(), key=_about_person)


def _about_person(found: tuple[str, Sentence]) -> bool:
    return found[0].startswith(_PERSON_ASKED)


def questions(sentence: str, article: str) -> Iterator[str]:
    """Yield the questions that a sentence of an article answers, the surest kind first; `article` is its text."""
    plain = " ".join(sentence.split())
    if len(plain) > LONGEST_SENTENCE or not plain.endswith((".", ".”")):
        return
    if dateline := _DATELINE.match(plain):
        plain = plain[dateline.end() :]
    if "day" in plain:
        plain = _DAY.sub("", plain)
    for template in _TEMPLATES:
        for name, question in template(plain):
            if _stands_alone(question) and (not name or _is_name(name, article)):
                yield question


def _stands_alone(question: str) -> bool:
    """Whether a question can be understood without the article."""
    body = question[:-1].partition(" ")[2]
    anchors = [found[0] for found in _ANCHOR.finditer(f" {body}") if not _TIME.fullmatch(found[0])]
    return (
        (len(question.split()) >= SHORTEST or question.startswith(_SHORT))
        and len(question.split()) <= LONGEST
        and not _REFERS.search(body)
        and body.split()[-1].lower() not in STOP_WORDS
        and "," not in re.sub(r"\d,\d", "", body)
        and any(anchor.lower() not in _PLAIN_NAMES for anchor in anchors)
        and all(_says_which(found) for found in _LOWER_RUN.finditer(f"{body} "))
    )


def _says_which(the: re.Match[str]) -> bool:
    """Whether a name tells which one "the …" is, unless there is only one."""
    words = the[1].split()
    if words[0] in _UNIQUE:
        return True
    return _LOOSE.isdisjoint(words) and the[2].isupper() and len(words) <= 5


def _is_name(text: str, article: str) -> bool:
    """Whether words with capitals are a whole name, and not the beginning of a sentence or half of a name."""
    words = text.removeprefix("the ").split()
    if any(re.split("['’]", word)[0].lower() in STOP_WORDS for word in words if word[0].isupper()) or _NO_NAME.search(
        text
    ):
        return False
    if len(words) > 1 or any(c.isupper() for c in text[1:]) or text.startswith("the "):
        return True
    return (
        re.search(rf"[a-z,] {re.escape(text)}\b", article) is not None
        and re.search(rf"[A-Z][\w.]+ {re.escape(text)}\b", article) is None
    )


def _cut(text: str) -> str:
    """The words up to the end of the clause, with the space before them; "" for none."""
    kept = _CUT.split(f" {text.strip()}", maxsplit=1)[0].strip(" .,”")
    return f" {kept}" if kept else ""


def _the(name: str) -> str:
    return "the " + name[4:] if name.startswith("The ") else name


Asked = Iterator[tuple[str, str]]
"""A name that has to be one, or nothing, and the question."""


def _how_many(sentence: str) -> Asked:
    """ "Some 41 people were arrested in Poland." → "How many people were arrested in Poland?" """
    if (found := _COUNTED.match(sentence)) and _countable(found["things"]):
        yield "", f"How many {found['things']} {found['verb']}{_cut(found['rest'])}?"


def _how_many_did(sentence: str) -> Asked:
    """ "Halm arrested 41 people in Poland." → "How many people did Halm arrest in Poland?" """
    if (found := _COUNTED_OBJECT.match(sentence)) and _countable(found["things"]):
        who = found["bare"].lower() if found["bare"] else _the(found["who"])
        things, rest = found["things"], _cut(found["rest"])
        if not rest or rest.split()[0] not in _PREPOSITIONS:
            return
        asked = f"{found['have']} {who} {found['verb']}" if found["have"] else f"did {who} {_PAST[found['verb']]}"
        yield "" if who in _BARE else who, f"How many {things} {asked}{rest}?"


def _how_much(sentence: str) -> Asked:
    """ "Hydro paid $41 million for Novelis." → "How much did Hydro pay for Novelis?" """
    if found := _PRICED.match(sentence):
        who, rest = _the(found["who"]), _cut(found["rest"])
        if rest and rest.split()[0] in _PREPOSITIONS:
            yield who, f"How much did {who} {_PAID[found['verb']]}{rest}?"


def _when(sentence: str) -> Asked:
    """ "Hydra was founded in Berlin in 2015." → "When was Hydra founded in Berlin?" """
    if found := _DATED.match(sentence):
        yield _the(found["who"]), f"When {found['was']} {_the(found['who'])} {found['verb']}{found['rest']}?"
    elif found := _DATED_ACT.match(sentence):
        yield _the(found["who"]), f"When did {_the(found['who'])} {_PAST[found['verb']]}{found['rest']}?"


def _where(sentence: str) -> Asked:
    """ "Ada Holt was born in Halm." → "Where was Ada Holt born?" """
    if found := _PLACED.match(sentence):
        yield _the(found["who"]), f"Where {found['was']} {_the(found['who'])} {found['verb']}?"


def _who_is(sentence: str) -> Asked:
    """ "Ada Holt, a lawyer in Halm, said …" → "Who is Ada Holt?" """
    if not _SPEAKS.search(sentence):
        return
    for pattern in (_SAID_APPOSED, _APPOSED_SAID, _TITLED_SAID, _SAID_TITLED, _WHO_CLAUSE):
        found = pattern.search(sentence)
        # A title stands right before the name; an apposition may have its role anywhere.
        titled = pattern in (_TITLED_SAID, _SAID_TITLED)
        if found and _ROLE.search(found["role"].split()[-1] if titled else found["role"]):
            yield found["who"], f"Who is {found['who']}?"
            return


def _who_did(sentence: str) -> Asked:
    """ "Ada Holt won the race in Halm." → "Who won the race in Halm?" """
    if (found := _DONE.match(sentence)) and not found["rest"].startswith("by "):
        yield _the(found["who"]), f"Who {found['verb']}{_cut(found['rest'])}?"
    elif found := _DONE_BY.match(sentence):
        yield _the(found["what"]), f"Who {found['verb']} {_the(found['what'])}{found['rest']}?"


def _what_is(sentence: str) -> Asked:
    """ "Hydra, a market for drugs, …" → "What is Hydra?" """
    found = _DEFINED.match(sentence) or _APPOSED_THING.match(sentence)
    if found and _THING.match(found["kind"]) and not _ROLE.search(found["kind"]):
        yield _the(found["what"]), f"What is {_the(found['what'])}?"


def _countable(things: str) -> bool:
    return not _MEASURE.search(things) and STOP_WORDS.isdisjoint(things.split())


_TIME = re.compile(rf"{_MONTH}|{_WEEKDAY}")
_NO_NAME = re.compile(
    rf"\b(?:{_MONTH}|{_WEEKDAY}|Meanwhile|However|Yet|Still|Many|Most|Several|Last|First|Photo|According|Since|Although"
    r"|Though|Despite|Like|Unlike|Without|Within|Among|Another|Everyone|Whether|Later|Earlier|Early|Late|Around|Nearly"
    r"|Today|Also|Perhaps|Maybe|Even|Instead|Other|Such|Sources?|Officials|Experts|Critics|Police)\b"
)
_MEASURE = re.compile(
    r"\b(?:hundred|thousand|million|billion|percent|points|years|months|weeks|days|hours|minutes|seconds|dollars|euros|pounds"
    r"|degrees|miles|inches|feet|kilometres|kilometers|met(?:re|er)s|tons|tonnes|times|ways|things)\b"
)
_LOOSE = _words("for during with to at on by from")
"""After these a name tells nothing of what stands before: "the city for Mardi Gras"."""
_PREPOSITIONS = _words("in on at from for of to with by near across against between during under over")
_BARE = _words("police officers investigators prosecutors researchers scientists authorities")
_VERBS = "|".join(_PAST)
_ASIDE = r"(?:, [^,]{3,80},)?"
_WHO = rf"(?P<who>(?:The )?{_NAME}){_ASIDE}"
_COUNTED = re.compile(
    rf"{_ABOUT}{_NUMBER} {_THINGS} (?P<verb>were|are|have|had|died|attended|voted|gathered|will|took|worked|live|lived)"
    r"(?P<rest> .+)"
)
_COUNTED_OBJECT = re.compile(
    rf"(?:(?P<bare>{'|'.join(word.capitalize() for word in sorted(_BARE))})|{_WHO}) (?:(?P<have>have|has|had) )?"
    rf"(?P<verb>{_VERBS}) {_ABOUT}{_NUMBER} {_THINGS}(?P<rest>[ ,.].*)"
)
_PRICED = re.compile(rf"{_WHO} (?P<verb>{'|'.join(_PAID)}) {_ABOUT}{_MONEY}(?P<rest>[ ,.].*)")
_DATED = re.compile(
    rf"(?P<who>(?:The )?{_NAME}) (?P<was>was|were) (?P<verb>(?:first )?\w+(?:ed|wn|ilt|orn|und|ld))"
    rf"(?P<rest>(?: [^,]+?)?),? {_DATE}(?:[.]$|, )"
)
_DATED_ACT = re.compile(rf"{_WHO} (?P<verb>{_VERBS})(?P<rest>(?: [^,]+?)?),? {_DATE}(?:[.]$|, )")
_PLACED = re.compile(
    rf"(?P<who>{_NAME}) (?P<was>was|were) (?P<verb>born|arrested|found|killed|founded|detained|buried|held)"
    rf" (?:in|at|near) (?:the )?{_NAME}"
)
_SPEAKS = re.compile(rf" {_TELLS}\b|, who ")
_SAID_APPOSED = re.compile(rf"\b(?:said|says) (?P<who>{_PERSON}), (?P<role>[^,“”]{{6,110}})[.,]")
_APPOSED_SAID = re.compile(rf"(?:^|[,”] )(?P<who>{_PERSON}), (?P<role>[^,“”]{{6,110}}), {_TELLS}\b")
_TITLED_SAID = re.compile(rf"(?P<role>\b[a-z-]+) (?P<who>{_PERSON}) {_TELLS}\b")
_SAID_TITLED = re.compile(rf"\b(?:said|says) (?P<role>(?:the )?(?:[\w’'-]+ ){{0,4}}[a-z-]+) (?P<who>{_PERSON})[.,]")
_WHO_CLAUSE = re.compile(rf"\b(?:said|says|^) ?(?P<who>{_PERSON}), who (?P<role>[^,“”]{{6,80}})[.,]")
_DONE = re.compile(rf"{_WHO} (?P<verb>{'|'.join(verb for verb in _PAST if verb not in _NO_AGENT)})(?P<rest> .+)")
_DONE_BY = re.compile(
    rf"(?P<what>(?:The )?{_NAME}) (?:was|were) (?P<verb>founded|built|created|designed|acquired|bought|sold|arrested"
    rf"|led|directed|produced|published|discovered|killed|sued|sentenced|appointed)(?P<rest>(?: in [^,]+?)?)"
    rf" by (?:the )?{_NAME}"
)
_DEFINED = re.compile(rf"(?P<what>(?:The )?{_NAME}) is (?P<kind>an? [^,]+)")
_APPOSED_THING = re.compile(rf"(?P<what>(?:The )?{_NAME}), (?P<kind>(?:an?|the) [^,]{{6,110}}), (?!{_TELLS}\b)")
_TEMPLATES = (_how_many, _how_many_did, _how_much, _when, _where, _what_is, _who_did, _who_is)
