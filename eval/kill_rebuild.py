"""Kill a rebuild with SIGKILL at random moments while a server answers: no unreadable index, no lost answer.

    python eval/kill_rebuild.py --kills 200 [--seed 7]

Each round changes one file of a small invented corpus and starts a real `qa index`, killed at a random moment, mostly
after its imports. After every kill the index must open, every byte and every offset must verify, and its content must
be exactly the content before or after the change. Meanwhile clients ask a real `qa serve` in a loop: each answer must
be 200, with quotes that are exact slices of the article's text in the generation that answered. The embedder is the
hashing one: what is tested is the order of writes, not the model. The last line sums up; exit code 1 if anything was
wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import Client, Place, Server, end, end_children_on_sigterm, percentile

from qa.catalog import Catalog
from qa.chunks import embedding_text
from qa.embedders.hashing import HashingEmbedder
from qa.errors import IndexMissing, QAError
from qa.readers import read_file, scan_corpus
from qa.snapshot import Snapshot
from qa.storage import IndexFolder

ARTICLES = 24
CLIENTS = 3
PAUSE_SECONDS = 0.01
FIRST_BUILDS = 10
"""One kill in so many hits the very first build of an index."""
FULL_CHECKS = 25
"""`qa verify`, as a user would run it, after every so many kills."""
MOST_TRIES = 3
ROUND_SECONDS = 60.0
SWITCH_SECONDS = 0.025
"""About how long a build takes from its manifest until CURRENT is replaced."""
PLACES = ("Norland", "Osterby", "Halm", "Brisk", "Calder", "Venmark")
THINGS = ("bridge", "tunnel", "harbour", "library", "museum", "reactor", "railway", "airport")

Content = dict[str, str]
"""Content hash by article id."""


def name_of(number: int) -> str:
    return f"{PLACES[number % len(PLACES)]} {THINGS[number % len(THINGS)]} {number}"


def article(number: int, revision: int) -> str:
    """One article; a revision changes its numbers, and so also the offsets of everything that follows them."""
    name = name_of(number)
    facts = "\n\n".join(
        f"Inspector Aldo Rask{n} counted {10 ** (revision % 4) + n} cracks in part {n} of the {name}. "
        f"Part {n} will be closed for {revision + n} days."
        for n in range(1, 7)
    )
    return (
        f"The {name} is inspected\nOutlet: River Post\nDate: 2024-03-{number % 28 + 1:02d}\n\n"
        f"The {name} was inspected for the {revision}th time on Monday.\n\n"
        f"The {name} cost {number + 2} million crowns when it was built.\n\n{facts}\n"
    )


def question(number: int) -> str:
    return f"How many million crowns did the {name_of(number)} cost when it was built?"


def write_article(place: Place, number: int, revision: int) -> None:
    """Write elsewhere, then rename: what is under test is the index, not half-written articles."""
    temporary = place.folder / "article.tmp"
    temporary.write_text(article(number, revision), encoding="utf-8")
    temporary.replace(place.corpus / f"article-{number:02d}.txt")


@dataclass
class Truth:
    """What may be answered: every article text that was ever in the corpus, and what stands in each generation."""

    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    generations: dict[int, Content] = field(default_factory=dict)

    def read_corpus(self, corpus: Path) -> Content:
        """The content that an index of the corpus as it is now must have."""
        content: Content = {}
        for file in scan_corpus(corpus).files:
            for found in read_file(corpus, file).articles:
                content[found.id] = found.content_sha256
                self.texts[(found.id, found.content_sha256)] = found.text
        return content


@dataclass
class Asked:
    """What one client saw."""

    answers: int = 0
    not_found: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    cited: list[tuple[int, str, str, int, int, str]] = field(default_factory=list)
    """(generation, article id, content hash, start, end, quote), checked at the end against all that was known."""
    seconds: list[float] = field(default_factory=list)


def ask_in_a_loop(port: int, stop: threading.Event, seed: int, seen: Asked) -> None:
    rng = random.Random(seed)
    client = Client(port)
    newest = 0
    while not stop.wait(PAUSE_SECONDS):
        try:
            status, reply, seconds = client.ask(question(rng.randrange(ARTICLES)))
        except (OSError, http.client.HTTPException, ValueError) as error:
            seen.lost.append(repr(error))
            time.sleep(0.05)
            continue
        seen.answers += 1
        seen.seconds.append(seconds)
        if status != http.HTTPStatus.OK:
            seen.lost.append(f"status {status}: {reply}")
            continue
        generation = reply["engine"]["generation"]
        if generation < newest:
            seen.wrong.append(f"generation {generation} after {newest}")
        newest = generation
        note(reply, generation, seen)
    client.close()


def note(reply: dict[str, Any], generation: int, seen: Asked) -> None:
    """Keep what an answer cites, to be held against the articles later."""
    if reply["status"] == "not_found":
        seen.not_found += 1
    elif not all(segment["citations"] for segment in reply["answer"]["segments"]):
        seen.wrong.append(f"a sentence without a citation: {reply['answer']['segments']}")
    hashes = {source["article_id"]: source["content_sha256"] for source in reply["sources"]}
    for cited in reply["citations"]:
        identity = cited["article_id"]
        where = (cited["source_start"], cited["source_end"])
        seen.cited.append((generation, identity, hashes[identity], *where, cited["quote"]))


def check_cited(seen: Asked, truth: Truth) -> list[str]:
    """Every quote must be the slice of the text that the article had in the generation that answered."""
    wrong = []
    for generation, identity, content, start, end_, quote in set(seen.cited):
        if truth.generations.get(generation, {}).get(identity) != content:
            wrong.append(f"generation {generation} has another version of {identity} than was cited")
        elif truth.texts[(identity, content)][start:end_] != quote:
            wrong.append(f"generation {generation}: {quote!r} is not at {start}:{end_} of {identity}")
    return wrong


def read_index(place: Place, *, stand_in: bool = False) -> tuple[int, Content]:
    """Open and verify the live generation as a reader would; return its number and content. Raises `QAError`.

    `stand_in`: a whole generation without a CURRENT will do.
    """
    embedder = HashingEmbedder()
    generation = IndexFolder(place.index).open_current()
    snapshot = Snapshot.open(generation, embedder)
    try:
        if generation.degraded and not stand_in:
            raise QAError(f"another generation had to stand in: {generation.degraded}")
        generation.verify()
        catalog: Catalog = snapshot.catalog
        for identity in catalog.article_ids():
            catalog.check_article(identity)
        for number, (chunk, owner) in catalog.chunks(catalog.chunk_ids().tolist()).items():
            vector = embedder.embed_query(embedding_text(owner.title, owner.text[chunk.start : chunk.end]))
            if number not in {hit.chunk_id for hit in snapshot.store.search(vector, 3) if hit.score > 0.999}:
                raise QAError(f"the vector of chunk {number} is not that of its text")
        return generation.number, catalog.content_hashes()
    finally:
        snapshot.close()


def unfinished(index: Path) -> set[tuple[str, int, int]]:
    """The folders of builds in progress or dead, told apart by inode and time: a new build may use an old name."""
    found = set()
    with contextlib.suppress(FileNotFoundError):  # swept away by the build while we look
        for path in index.glob("gen-*.tmp"):
            about = path.stat()
            found.add((path.name, about.st_ino, about.st_mtime_ns))
    return found


def phase(place: Place, before: int | None, kill: Kill) -> str:
    """Where a kill landed, read off what the dead process left."""
    if kill.too_late:
        return "nothing, it had ended before"
    stale = {name for name, *_ in kill.stale & unfinished(place.index)}
    names = {path.name for path in place.index.iterdir()} - stale if place.index.is_dir() else set()
    current = place.index / "CURRENT"
    now = int(re.findall(r'"generation": (\d+)', current.read_text())[0]) if current.exists() else None
    if now != before:
        return "switched, clearing up"
    later = {int(name[4:10]): name for name in names if name.startswith("gen-") and int(name[4:10]) > (before or 0)}
    if not later:
        return "before the first write"
    name = later[max(later)]
    if not name.endswith(".tmp"):
        return "named, not yet live"
    written = {path.name for path in (place.index / name).iterdir()}
    return "manifest written, checking" if "manifest.json" in written else "writing the files"


@dataclass(frozen=True)
class Kill:
    """One killed build: whether it had ended by itself before, and what dead builds had left when it began."""

    too_late: bool
    stale: set[tuple[str, int, int]]


@dataclass(frozen=True)
class Rhythm:
    """How long an uninterrupted build takes: until its first file, and from there to its end."""

    lead: float
    rest: float


def measure(place: Place, revision: int) -> Rhythm:
    """Let three builds run to their end."""
    leads, rests = [], []
    for turn in range(3):
        write_article(place, turn, revision + turn)
        stale = unfinished(place.index)
        process = place.start("index")
        started = time.perf_counter()
        wait_for(process, lambda: bool(unfinished(place.index) - stale))  # noqa: B023
        lead = time.perf_counter() - started
        if process.wait(ROUND_SECONDS) != 0:
            raise RuntimeError("an uninterrupted build failed")
        leads.append(lead)
        rests.append(time.perf_counter() - started - lead)
    return Rhythm(percentile(leads, 50), percentile(rests, 50))


def is_described(folder: Path) -> bool:
    """Whether the manifest is there, or the folder has its final name already."""
    return (folder / "manifest.json").exists() or not folder.exists()


def wait_for(process: Any, reached: Callable[[], bool]) -> None:
    """Spin until the build has come so far, or has ended."""
    deadline = time.perf_counter() + ROUND_SECONDS
    while process.poll() is None and time.perf_counter() < deadline and not reached():
        time.sleep(0.0005)


def kill_at_random(place: Place, rng: random.Random, rhythm: Rhythm) -> Kill:
    """Run `qa index` and kill it: one in four at any moment, the others where the order of writes matters."""
    stale = unfinished(place.index)
    process = place.start("index", log=place.folder / "index.log")
    try:
        draw = rng.random()
        if draw < 0.25:
            time.sleep(rng.uniform(0, rhythm.lead + rhythm.rest))
        else:
            wait_for(process, lambda: bool(unfinished(place.index) - stale))
            if draw < 0.65:
                time.sleep(rng.uniform(0, rhythm.rest))
            else:  # from the manifest to the switch takes a moment only, and is what all depends on
                new = unfinished(place.index) - stale
                wait_for(process, lambda: any(is_described(place.index / name) for name, *_ in new))
                time.sleep(rng.uniform(0, SWITCH_SECONDS))
        too_late = process.poll() is not None
        process.kill()
        process.wait(ROUND_SECONDS)
        return Kill(too_late, stale)
    finally:
        end(process)


@dataclass
class Outcome:
    """What the rounds found. A build that ended before it could be killed is a try, but no kill."""

    kills: int = 0
    tries: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    advanced: int = 0

    def count(self, kill: Kill, where: str) -> None:
        self.tries += 1
        self.kills += not kill.too_late
        self.phases[where] += 1


def kill_first_builds(folder: Path, kills: int, rng: random.Random, rhythm: Rhythm, outcome: Outcome) -> None:
    """Kill builds of an index that does not exist yet: afterwards there is none, or all of it."""
    place = Place(folder, HASHING)
    place.corpus.mkdir(parents=True)
    for number in range(ARTICLES):
        write_article(place, number, 1)
    wanted = Truth().read_corpus(place.corpus)
    until = outcome.kills + kills
    while outcome.kills < until and outcome.tries < MOST_TRIES * until:
        kill = kill_at_random(place, rng, rhythm)
        outcome.count(kill, phase(place, None, kill))
        try:
            # Killed between its name and CURRENT, the first generation is whole and may answer: there is no older one.
            _, content = read_index(place, stand_in=True)
            if content != wanted:
                outcome.mixed.append("first build")
            rebuild_first(place, wanted, outcome)
            place.index.rename(folder / f"done-{outcome.tries}")  # begin again with nothing
        except IndexMissing:
            pass
        except QAError as error:
            outcome.unreadable.append(f"first build: {error}")
    rebuild_first(place, wanted, outcome)


def rebuild_first(place: Place, wanted: Content, outcome: Outcome) -> None:
    """The next build has to leave a healthy index, whatever the kill left."""
    place.run("index").require()
    try:
        if read_index(place)[1] != wanted:
            outcome.mixed.append("first build, then another")
    except QAError as error:
        outcome.unreadable.append(f"first build, then another: {error}")


def kill_rebuilds(place: Place, kills: int, rng: random.Random, rhythm: Rhythm, truth: Truth, outcome: Outcome) -> None:
    """Change a file, kill the build, look; again and again, over whatever the kill before left."""
    number, content = read_index(place)
    until = outcome.kills + kills
    while outcome.kills < until and outcome.tries < MOST_TRIES * until:
        turn = outcome.tries
        write_article(place, rng.randrange(ARTICLES), 100 + turn)
        wanted = truth.read_corpus(place.corpus)
        kill = kill_at_random(place, rng, rhythm)
        outcome.count(kill, phase(place, number, kill))
        try:
            found, now = read_index(place)
        except QAError as error:
            outcome.unreadable.append(f"kill {turn}: {error}")
            continue
        if now != (content if found == number else wanted) or found < number:
            outcome.mixed.append(f"kill {turn}: generation {found} is neither the old nor the new content")
        outcome.advanced += found != number
        number, content = found, now
        truth.generations[number] = content
        if turn % FULL_CHECKS == 0 and (done := place.run("verify")).code:
            outcome.unreadable.append(f"kill {turn}: qa verify says {done.stdout}{done.stderr}")
    rebuilt = place.run("index")
    found, now = read_index(place)
    truth.generations[found] = now
    if rebuilt.code or now != truth.read_corpus(place.corpus):
        outcome.mixed.append(f"the last rebuild: exit code {rebuilt.code}, {rebuilt.stderr}")


HASHING = {"QA_EMBEDDING__BACKEND": "hashing", "QA_ANSWERS__MIN_CONFIDENCE": "0.3", "QA_SERVER__FOLLOW_SECONDS": "0.2"}


def run(folder: Path, kills: int, seed: int) -> int:
    rng = random.Random(seed)
    place = Place(folder / "served", HASHING)
    place.corpus.mkdir(parents=True)
    for number in range(ARTICLES):
        write_article(place, number, 1)
    truth, outcome = Truth(), Outcome()
    place.run("index").require()
    seen = [Asked() for _ in range(CLIENTS)]
    stop = threading.Event()
    with Server(place) as server:
        for revision in (10, 20):  # the first time with cold caches
            rhythm = measure(place, revision)
        number, content = read_index(place)
        truth.generations[number] = content
        truth.read_corpus(place.corpus)
        server.wait_for(number)
        print(
            f"{ARTICLES} articles; a build takes {rhythm.lead:.2f} s to its first file, {rhythm.rest:.2f} s from there"
        )
        threads = [
            threading.Thread(target=ask_in_a_loop, args=(server.port, stop, seed + n, asked), daemon=True)
            for n, asked in enumerate(seen)
        ]
        for thread in threads:
            thread.start()
        try:
            first = kills // FIRST_BUILDS
            kill_first_builds(folder / "first", first, rng, rhythm, outcome)
            kill_rebuilds(place, kills - first, rng, rhythm, truth, outcome)
            server.wait_for(max(truth.generations))
        finally:
            stop.set()
            for thread in threads:
                thread.join(ROUND_SECONDS)
    return summary(seed, outcome, seen, truth)


def summary(seed: int, outcome: Outcome, seen: list[Asked], truth: Truth) -> int:
    wrong = [problem for asked in seen for problem in (*asked.wrong, *check_cited(asked, truth))]
    lost = [problem for asked in seen for problem in asked.lost]
    answers, quotes = sum(asked.answers for asked in seen), sum(len(asked.cited) for asked in seen)
    generations = {cited[0] for asked in seen for cited in asked.cited}
    for name, count in outcome.phases.most_common():
        print(f"{count:5} hit: {name}")
    for problem in [*outcome.unreadable, *outcome.mixed, *wrong, *lost][:20]:
        print(f"PROBLEM {problem}")
    if not quotes:
        wrong.append("no answer cited anything, so nothing was checked")
    milliseconds = [1000 * second for asked in seen for second in asked.seconds]
    print(
        f"{answers:,} answers ({sum(asked.not_found for asked in seen):,} not found) with {quotes:,} quotes from "
        f"{len(generations)} generations; median {percentile(milliseconds, 50):.0f} ms, "
        f"p99 {percentile(milliseconds, 99):.0f} ms"
    )
    print(
        f"seed {seed}: {outcome.kills} kills, {outcome.advanced} of them after the switch, "
        f"unreadable {len(outcome.unreadable)}, neither old nor new {len(outcome.mixed)}, "
        f"lost answers {len(lost)}, errors {len(wrong)}"
    )
    return 1 if outcome.unreadable or outcome.mixed or wrong or lost else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it there")
    given = parser.parse_args()
    end_children_on_sigterm()
    print(f"seed {given.seed}", flush=True)
    with contextlib.ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kill-rebuild-")))
        folder.mkdir(exist_ok=True)
        return run(folder, given.kills, given.seed)


if __name__ == "__main__":
    sys.exit(main())
