"""The support check: do the cited sentences say the statement? It runs on every statement of every answer.

A statement that repeats its sources word for word is supported by the article's own text. Any other passes only if
nothing in it speaks against that: every number, date, name, negation, quantity, direction and speaker has to be
found in the cited sentences, and most of its other words. The rules are for English; where a source is in
another language, they do not hold, and the statement is not checked. docs/decisions/support.md has the
reasons and how often it is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import combinations

from qa.assertions import reported, unasserted, without
from qa.facts import Facts, Name, Number, Scope, days_meant, listed, read_facts
from qa.lexical import terms
from qa.types import Article, Check, Statement, Support

__all__ = ["check_support"]

LONGEST = 2000
"""Code points of a statement in other words that is checked: a longer one is no sentence, and is not supported."""
MOST_READ = 10_000
"""Code points of a source that statements in other words are held against: it bounds the time, also of hostile text."""
MOST_NAMES = 24
"""Words of names whose order is looked at; a sentence of news has fewer."""
MIN_COVERAGE = 0.8
"""Share of a statement's content terms that the cited sentences must have; fitted, see docs/decisions/support.md."""
MIN_TOLD = 0.3
"""The same share, of what the sentences tell themselves, for a statement that leaves out who said it."""
MIN_OWN = 0.6
"""The same share that the sentences must have without the headline, of all but names."""
MIN_CLAUSE = 0.34
CLAUSE_FROM = 3
"""The same share for each clause with as many content terms: what is added to a sentence must not hide behind it."""
CLOSE = Fraction(1, 20)
"""How far a rounded number may be from the one that it stands for, as a share of it."""
MIN_LENGTH = 4
"""Letters that a name shares with the people of its country, and of a word that a prefix turns into its opposite."""

_QUOTES = str.maketrans(dict.fromkeys('‘’‚‛`´"“”„‟«»', "'") | dict.fromkeys("‐‑‒–—―", "-"))
_ENGLISH = re.compile(r"\b(?:the|of|and|is|are|for|that|by|with|has|have|had|it|they|said)\b", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]+")
ENGLISH_FROM = 8
"""Words without one of the commonest of English from which an article counts as one in another language."""
BEGINNING = 2000
"""Code points of an article by which its language is told where it is not given."""

_SAME = (
    frozenset(listed("us usa america american americans")),
    frozenset(listed("uk britain british briton britons")),
    frozenset(["eu", "european"]),
    *(frozenset(pair.split()) for pair in (
        "poland polish poles pole", "finland finnish finns", "spain spanish spaniards", "wales welsh", "ireland irish",
        "denmark danish danes dane", "france french", "switzerland swiss", "netherlands dutch", "sweden swedish swedes",
        "turkey turkish turks turkiye", "greece greek greeks", "germany german germans", "scotland scottish scots",
        "england english", "czechia czech czechs", "iceland icelandic", "kyiv kiev", "thailand thai",
        "argentina argentine",
        "philippines filipino philippine filipinos", "serbia serb serbian serbs", "croatia croat croatian croats",
    )),
)  # fmt: skip
_STANDING_IN = frozenset(listed("he she it they his her its their him them this these who"))
_COUNTRY = ("", "a", "e", "ey", "y", "an", "way", "en", "ain", "o", "um", "us")
_PEOPLE = ("n", "an", "ian", "ean", "ese", "ish", "i", "is", "egian", "ns", "ans", "ians")

_OPPOSITES = (
    ("rise rises rose risen rising increase increases increased increasing grow grows grew grown climb climbs"
     " climbed climbing gain gains gained up jump jumped jumps soar soared raise raised raises double doubled",
     "fall falls fell fallen falling decrease decreases decreased decreasing drop drops dropped shrink shrank"
     " shrunk decline declines declined lose loses lost down plunge plunged lower lowered lowers cut cuts halve"
     " halved"),
    ("more higher larger bigger greater most highest largest biggest",
     "less fewer lower smaller least fewest lowest smallest"),
    ("after following since later", "before prior until ahead earlier"),
    ("win wins won winning victory beat beats defeated", "lose loses lost losing defeat"),
    ("open opens opened opening reopen reopened reopens start starts started begin begins began begun resume"
     " resumed",
     "close closes closed closing shut shuts end ends ended stop stops stopped halt halted suspend suspended"),
    ("accept accepts accepted approve approves approved agree agreed agrees admit admits admitted confirm"
     " confirmed",
     "reject rejects rejected refuse refused refuses deny denies denied decline declined block blocked oppose"
     " opposed"),
    ("allow allows allowed permit permitted legal",
     "ban bans banned forbid forbidden prohibit prohibited bar barred illegal"),
    ("import imports imported buy buys bought purchased", "export exports exported sell sells sold"),
    ("arrive arrives arrived enter enters entered join joins joined",
     "leave leaves left depart departed exit exited quit"),
    ("support supports supported back backed backs",
     "oppose opposes opposed criticise criticised criticize criticized condemn condemned"),
    ("guilty convicted", "innocent acquitted cleared"),
    ("alive survive survives survived", "dead die dies died killed"),
    ("first", "last final"),
    ("north northern", "south southern"),
    ("east eastern", "west western"),
    ("left", "right"),
    ("male man men boy boys husband father son brother", "female woman women girl girls wife mother daughter sister"),
    ("success succeed succeeded successful successfully", "failure fail failed unsuccessful"),
    ("strong stronger strengthen strengthened", "weak weaker weaken weakened"),
    ("hire hires hired appoint appointed", "fire fired sack sacked dismiss dismissed resign resigned"),
    ("public publicly", "private privately secret secretly"),
    ("old older oldest", "young younger youngest new newer"),
    ("early earlier earliest", "late later latest"),
    ("long longer longest", "short shorter shortest"),
    ("inside within", "outside"),
    ("with", "without"),
    ("above over", "below under beneath"),
    ("always", "never sometimes rarely"),
    ("buyer buyers", "seller sellers"),
    ("free freed release released", "arrest arrested detain detained jail jailed"),
    ("fast faster quickly", "slow slower slowly"),
    ("rich richer", "poor poorer"),
    ("for", "against"),
    ("include includes included including", "exclude excludes excluded excluding except"),
    ("attack attacked attacks", "defend defended defends"),
    ("safe safer", "dangerous unsafe"),
    ("profit profits", "loss losses"),
    ("lend lent", "borrow borrowed"),
)  # fmt: skip
_DIRECTIONS = tuple((frozenset(one.split()), frozenset(other.split())) for one, other in _OPPOSITES)
_QUANTITIES = tuple(
    frozenset(words.split())
    for words in ("all every each everyone everybody entire whole always", "most majority mostly mainly largely",
                  "only sole solely alone exclusively just", "both")
)  # fmt: skip
_THE_ARTICLE = frozenset(terms("article author source text"))
_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "de")


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The cited sentences read together, and what their articles say around them."""

    facts: Facts
    single: tuple[Facts, ...]
    context: Facts
    articles: tuple[Article, ...]
    days: tuple[date, ...]
    years: frozenset[int]


def check_support(
    statement: Statement,
    articles: Mapping[str, Article],
    *,
    entails: Callable[[str, str], float | None] | None = None,
    min_entailment: float = 0.5,
) -> Support:
    """Check one statement against the stored text of its sources, `articles` by id. Raises nothing of its own.

    The text is taken from the article by offset, not from the sentence that the answerer handed back. The score is the
    share of the statement's content terms that the sources have: 1 for one that repeats them, 0 for what is not
    supported. With `entails`, which gives the probability that a text says a statement (None: it cannot tell), what
    the rules let pass and does not repeat its sources needs `min_entailment` at least, and that is then its score.
    """
    cited = [
        (articles[source.article_id], articles[source.article_id].text[source.start : source.end])
        for source in statement.sources
        if source.article_id in articles
    ]
    texts = [text for _, text in cited]
    if statement.text in texts:
        return Support("supported", 1.0)
    plain = _plain(statement.text) if len(statement.text) <= LONGEST else ""
    if plain and plain in (*map(_plain, texts), _plain(" ".join(texts))):
        return Support("supported", 1.0)
    if not terms(plain) or not any(map(terms, texts)):
        return Support("unsupported", 0.0, "words")
    if not all(_is_english(article) for article, _ in cited):
        return Support("not_checked", 0.0)
    said = read_facts(statement.text)
    read = [(article, text[:MOST_READ]) for article, text in cited]
    evidence = _evidence(read)
    for check, holds in _CHECKS:
        if not holds(said, evidence):
            return Support("unsupported", 0.0, check)
    if not _is_asserted(statement.text, said, read):
        return Support("unsupported", 0.0, "attribution")
    if entails is None:
        return Support("supported", _coverage(said, evidence))
    probability = entails(_premise(statement, cited), statement.text)
    if probability is None or probability < min_entailment:
        return Support("unsupported", 0.0, "entailment")
    return Support("supported", probability)


def _plain(text: str) -> str:
    """A text with white space and the forms of quotes and dashes made equal."""
    return " ".join(text.translate(_QUOTES).split())


def _premise(statement: Statement, cited: Iterable[tuple[Article, str]]) -> str:
    """The cited sentences in a row; before those of an outlet that the statement names, its name."""
    said = statement.text.casefold()
    named = ((article.publisher or "", text) for article, text in cited)
    return " ".join(f"{name}: {text}" if name and name.casefold() in said else text for name, text in named)


def _is_english(article: Article) -> bool:
    """Whether the rules hold for an article: by its language where that is given, else by its commonest words."""
    if article.language:
        return article.language.casefold().startswith("en")
    beginning = f"{article.title} {article.text[:BEGINNING]}"
    return len(_LETTERS.findall(beginning)) < ENGLISH_FROM or bool(_ENGLISH.search(beginning))


def _evidence(cited: Sequence[tuple[Article, str]]) -> _Evidence:
    articles = tuple(dict.fromkeys(article for article, _ in cited))
    years = frozenset(day.year for day in map(_published, articles) if day)
    single = tuple(read_facts(text) for _, text in cited)
    days = [
        day
        for (article, text), facts in zip(cited, single, strict=True)
        if (published := _published(article))
        for day in days_meant(facts, published)
    ]
    joined = read_facts("\n".join(text for _, text in cited))
    return _Evidence(
        joined, single, read_facts(" . ".join(article.title for article in articles)), articles, tuple(days), years
    )


def _published(article: Article) -> date | None:
    try:
        return date.fromisoformat((article.published_at or "")[:10])
    except ValueError:
        return None


# --- numbers and dates


def _numbers_found(said: Facts, evidence: _Evidence) -> bool:
    """Each number of the statement has one of its own in the sources; nothing that it counts belongs to another one."""
    left = list(evidence.facts.numbers)
    years = evidence.years if not any(map(_is_year, evidence.facts.numbers)) else frozenset()
    for number in said.numbers:
        fitting = [other for other in left if _fits(number, other)]
        if not fitting:
            if _is_year(number) and int(number.value) in years:
                continue
            if number.value == 1 and number.text.lower() == "one" and _counted_once(number, evidence):
                continue
            return False
        own = [other for other in fitting if other.noun == number.noun]
        if not own and number.noun and any(other.noun == number.noun for other in evidence.facts.numbers):
            return False
        left.remove((own or fitting)[0])
    return True


def _is_year(number: Number) -> bool:
    return not number.unit and number.text.isdigit() and 1000 <= number.value < 2200


def _fits(number: Number, other: Number) -> bool:
    if number.unit == "decade" and _is_year(other):
        return number.value <= other.value < number.value + 10
    if number.unit != other.unit or (number.unit == "text" and number.text != other.text):
        return False
    bounds = {number.bound, other.bound}
    if number.value == other.value:
        if "over" in bounds and bounds & {"under", "nearly"}:
            return False
        if number.bound in ("over", "under", "nearly"):
            return number.bound == other.bound or {*bounds} == {"under", "nearly"}
        return other.bound != "under" or number.bound == "under"
    if not number.bound or not _rounded(other.value, number.value):
        return False
    above = other.value > number.value
    return {"over": above, "nearly": not above, "under": not above, "about": True}[number.bound]


def _rounded(value: Fraction, to: Fraction) -> bool:
    """Whether a number is what another one rounds to, at the digits that it gives."""
    if to == 0 or to.denominator != 1:
        return False
    step = 1
    while to % (step * 10) == 0:
        step *= 10
    return abs(value - to) * 2 <= step and abs(value - to) <= CLOSE * to


def _counted_once(number: Number, evidence: _Evidence) -> bool:
    return bool({"a", "an"} & evidence.facts.words) and number.noun in evidence.facts.terms


def _dates_found(said: Facts, evidence: _Evidence) -> bool:
    left = list(evidence.facts.days)
    for day in said.days:
        if day in left:
            left.remove(day)
        elif day not in {(known.month, known.day) for known in evidence.days}:
            return False
    months = evidence.facts.months | {day.month for day in evidence.days}
    weekdays = evidence.facts.weekdays | {
        day.weekday() for day in evidence.days if (day.month, day.day) in evidence.facts.days
    }
    return said.months <= months and said.weekdays <= weekdays


# --- names


def _names_found(said: Facts, evidence: _Evidence) -> bool:
    known, names = evidence.facts.words, evidence.facts.names
    if evidence.facts.words & _STANDING_IN - said.words:
        # A name can stand for "he" or "the agency": that of the headline is likely, one from elsewhere a guess.
        names += evidence.context.names
        known |= {word for name in evidence.context.names for word in name.words}
    if said.speech:
        known |= {word for article in evidence.articles for word in read_facts(article.publisher or "").words}
    return all(_name_found(name, known, names, evidence) for name in said.names)


def _name_found(name: Name, known: Set[str], names: Sequence[Name], evidence: _Evidence) -> bool:
    words = name.words[1:] if name.opens and {*terms(name.words[0])} <= {*evidence.facts.terms} else name.words
    present = [word for word in words if _known_word(word, known)]
    if len(present) < len(words) and not _is_short_for(words, names, evidence.facts.words):
        return bool(present) and any(_completes(name.words, article) for article in evidence.articles)
    return True


def _roles_kept(said: Facts, evidence: _Evidence) -> bool:
    """Whether no two names have changed places around the same words ("A sued B", "B sued A")."""
    own = _places(said)
    for facts in evidence.single:
        theirs = _places(facts)
        both = sorted((place, word) for word, place in own.items() if word in theirs)
        for (first, one), (second, other) in combinations(both[:MOST_NAMES], 2):
            if theirs[other] < theirs[one]:
                here, there = said.sequence[first + 1 : second], facts.sequence[theirs[other] + 1 : theirs[one]]
                turned = ("by" in here) != ("by" in there)
                if not turned and {*terms(" ".join(here))} & {*terms(" ".join(there))} - own.keys():
                    return False
    return True


def _places(facts: Facts) -> dict[str, int]:
    """Where the words of names stand in a text, those that stand there once."""
    words = {word for name in facts.names for word in name.words}
    return {word: facts.sequence.index(word) for word in words if facts.sequence.count(word) == 1}


def _known_word(word: str, known: Set[str]) -> bool:
    if word in known or not terms(word):
        return True
    if any(word in same and same & known for same in _SAME):
        return True
    return any(_same_nation(word, other) or _same_nation(other, word) for other in known if other[:3] == word[:3])


def _same_nation(country: str, people: str) -> bool:
    for place in range(MIN_LENGTH, len(people)):
        if people[place:] in _PEOPLE and country[:place] == people[:place] and country[place:] in _COUNTRY:
            return True
    return False


def _sure(name: Name) -> tuple[str, ...]:
    """The words of a name; none of a single one that opens a sentence, for it may be any word."""
    return () if name.opens and len(name.words) == 1 else name.words


def _is_short_for(words: tuple[str, ...], names: Sequence[Name], known: Set[str]) -> bool:
    """Whether a name is the initials of one of some names, or the other way round."""
    if len(words) == 1:
        return any(len(name.words) > 1 and "".join(word[:1] for word in name.words) == words[0] for name in names)
    return "".join(word[:1] for word in words) in known


def _completes(words: tuple[str, ...], article: Article) -> bool:
    """Whether the article gives a name in this full form somewhere else."""
    full = r"\W{1,3}".join(map(re.escape, words))
    return re.search(rf"(?<!\w){full}(?!\w)", article.text, re.IGNORECASE) is not None


# --- what turns a statement round


def _negations_found(said: Facts, evidence: _Evidence) -> bool:
    """Every negation has one in the sources that bears on the same words, and none of theirs is left out."""
    return _scopes_found(said.negations, evidence.facts.negations) and _kept(
        said, said.negations, evidence.facts, evidence.facts.negations
    )


def _scopes_found(said: Iterable[Scope], found: Sequence[Scope]) -> bool:
    left = list(found)
    for scope in said:
        own = next((other for other in left if set(scope.terms) & set(other.terms) or scope == other), None)
        if own is None:
            return False
        left.remove(own)
    return True


def _kept(said: Facts, own: Sequence[Scope], sources: Facts, scopes: Sequence[Scope]) -> bool:
    """Whether what the sources negate or call possible is so in the statement, too, where it says it at all."""
    covered = {term for scope in own for term in scope.terms}
    for scope in scopes:
        head = scope.terms[:1]
        if head and head[0] in said.terms and head[0] not in covered and sources.terms.count(head[0]) == 1:
            return False
    return True


def _possibility_kept(said: Facts, evidence: _Evidence) -> bool:
    return _kept(said, said.hedges, evidence.facts, evidence.facts.hedges)


def _quantities_found(said: Facts, evidence: _Evidence) -> bool:
    return all(not (words & said.words) or words & evidence.facts.words for words in _QUANTITIES)


def _directions_found(said: Facts, evidence: _Evidence) -> bool:
    """No word stands for its opposite in the sources: rose for fell, before for after, likely for unlikely."""
    sources = evidence.facts
    for pair in _DIRECTIONS:
        for words, opposite in (pair, pair[::-1]):
            more = said.count(words) > sources.count(words)
            if more and said.count(opposite) < sources.count(opposite):
                return False
    known = set(sources.terms)
    return not any(_turned(term, known) for term in set(said.terms) - known)


def _turned(term: str, known: Set[str]) -> bool:
    """Whether a prefix makes a term the opposite of a known one: likely and unlikely."""
    return any(
        (len(term) >= MIN_LENGTH and prefix + term in known)
        or (len(term) >= MIN_LENGTH + len(prefix) and term.startswith(prefix) and term[len(prefix) :] in known)
        for prefix in _PREFIXES
    )


def _speakers_found(said: Facts, evidence: _Evidence) -> bool:
    """Who says it in the statement says it in a source; what the sources only report is not told as a fact."""
    if not said.speech:
        told = {term for facts in evidence.single for term in facts.told}
        return not evidence.facts.speech or _covered(said.terms, told) >= MIN_TOLD
    heard = [speech.speaker for speech in evidence.facts.speech]
    publishers = _publishers(evidence.articles)
    for speech in said.speech:
        if not speech.speaker or speech.speaker & publishers:
            continue
        if not any(not speaker or speaker & speech.speaker for speaker in heard):
            return False
    return True


def _is_asserted(text: str, said: Facts, cited: Sequence[tuple[Article, str]]) -> bool:
    """Whether the sources assert what the statement does, and do not only quote it, order it to be said, or deny it.

    What they do not assert is taken out, and the rest has to support the statement, too. One that says itself that
    something is said, ordered or untrue asserts only the words around it, and the rest has to have those.
    """
    publishers = _publishers(article for article, _ in cited)
    reports = any(not speech.speaker & publishers for speech in said.speech)
    outside = without(text, [*unasserted(text), *reported(text)])
    own = [term for term in terms(outside) if term in said.terms and term not in publishers]
    own = [term for term in own if term in said.told] if reports else own
    rest = []
    for article, source in cited:
        spans, words = unasserted(source), reported(source)
        # A word or two in quotation marks are taken over with their sentence; a statement that is all in them is not.
        inside = {term for start, end in words for term in terms(source[start:end])}
        if own and not reports and _covered(own, inside) >= MIN_COVERAGE:
            spans += words
        rest.append((article, without(source, spans)))
    if rest == cited:
        return True
    evidence = _evidence(rest)
    if not reports and outside == text:
        return all(holds(said, evidence) for _, holds in _CHECKS)
    if not own:
        return bool(evidence.facts.speech or unasserted(text))
    return _covered(own, {*evidence.facts.terms}) >= MIN_COVERAGE


def _publishers(articles: Iterable[Article]) -> set[str]:
    """Terms of who speaks when an article does."""
    return {*_THE_ARTICLE, *(term for article in articles for term in terms(article.publisher or ""))}


# --- the other words


def _coverage(said: Facts, evidence: _Evidence) -> float:
    return _covered(said.terms, _known_terms(said, evidence))


def _covered(own: Sequence[str], known: Set[str]) -> float:
    found = sum(term in known or _known_word(term, known) for term in own)
    return found / len(own) if own else 1.0


def _words_found(said: Facts, evidence: _Evidence) -> bool:
    """Whether the sources and what is written around them have most words, and the sources themselves enough of them.

    What stands around may name what a sentence speaks of; what is said of it has to stand in the sentence.
    """
    known, own = _known_terms(said, evidence), {*evidence.facts.terms}
    lent = _lent_names(said, evidence)
    rest = [term for term in said.terms if term in own or term not in lent]
    clauses = [clause for clause in said.clauses if len(clause) >= CLAUSE_FROM]
    return (
        _covered(said.terms, known) >= MIN_COVERAGE
        and len(rest) >= MIN_TOLD * len(said.terms)
        and _covered(rest, own) >= MIN_OWN
        and all(_covered(clause, known) >= MIN_CLAUSE for clause in clauses)
        and all(_covered([term for term in clause if term in rest], own) >= MIN_CLAUSE for clause in clauses)
    )


def _known_terms(said: Facts, evidence: _Evidence) -> set[str]:
    """The terms of the sources and what is written around them; names were found by their own check."""
    return {*evidence.facts.terms, *evidence.context.terms, *_lent_names(said, evidence)}


def _lent_names(said: Facts, evidence: _Evidence) -> set[str]:
    """The terms of the statement's names, and of the publisher where it speaks."""
    speakers = {term for speech in said.speech for term in speech.speaker}
    return (speakers & _publishers(evidence.articles)) | {
        term for name in said.names for word in _sure(name) for term in terms(word)
    }


_CHECKS: tuple[tuple[Check, Callable[[Facts, _Evidence], bool]], ...] = (
    ("number", _numbers_found),
    ("date", _dates_found),
    ("name", _names_found),
    ("order", _roles_kept),
    ("negation", _negations_found),
    ("possibility", _possibility_kept),
    ("quantity", _quantities_found),
    ("direction", _directions_found),
    ("attribution", _speakers_found),
    ("words", _words_found),
)
