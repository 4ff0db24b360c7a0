"""Clients ask without pause while articles come, change and go: what the swaps of the index cost them.

    python eval/swap_under_load.py [--rounds 5] [--clients 8] [--builder watch|index] [--corpus FOLDER] [--hashing]

A real `qa serve` answers; `qa watch` (or a `qa index` for each change) builds beside it. Each round adds an article,
edits it and deletes it, and waits until the answers show it. It fails (exit code 1) when an answer is an error or cites
an article of another generation, when the generation that a client sees goes back, when the server takes more than two
seconds to follow a switch, or when a removed article can still be had. Latencies are compared with those of the same
clients while nothing is built.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import (
    ROOT,
    Client,
    Finished,
    Place,
    Server,
    end,
    end_children_on_sigterm,
    median,
    percentile,
    read_questions,
)

from qa.storage import IndexFolder

FOLLOW_LIMIT = 2.0
"""Seconds from the switch of CURRENT until the server must answer from the new generation."""
CITED_LIMIT = 30.0
"""Seconds from the change of a file until an answer must show it; far above what is seen."""
POLL_SECONDS = 0.02

SPEEDS = {"written": 41, "edited": 67}
"""Which number the article gives; the question is the same."""
QUESTION = "How many cables did engineer Ottoline Brackmoor count under the Vellisande viaduct?"


def article_text(version: str) -> str:
    return (
        "Cables counted under the Vellisande viaduct\nOutlet: River Post\nDate: 2024-05-02\n\n"
        "The Vellisande viaduct was inspected on Thursday.\n\n"
        f"Engineer Ottoline Brackmoor counted {SPEEDS[version]} cables under the Vellisande viaduct. "
        "The inspection took four hours.\n"
    )


@dataclass
class Seen:
    """What one client saw: (when sent, seconds, generation) of each answer, and what was wrong."""

    answers: list[tuple[float, float, int]] = field(default_factory=list)
    cited: list[tuple[int, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def ask_in_a_loop(port: int, questions: list[str], stop: threading.Event, seed: int, seen: Seen) -> None:
    rng = random.Random(seed)
    client = Client(port)
    newest = 0
    while not stop.is_set():
        sent = time.perf_counter()
        try:
            # The question about the article that comes and goes now and then, so that it could be cited too late.
            status, reply, seconds = client.ask(QUESTION if rng.random() < 0.2 else rng.choice(questions))
        except (OSError, http.client.HTTPException, ValueError) as error:
            seen.problems.append(f"no answer: {error!r}")
            time.sleep(0.05)
            continue
        if status != http.HTTPStatus.OK:
            seen.problems.append(f"status {status}: {reply}")
            continue
        generation = reply["engine"]["generation"]
        if generation < newest:
            seen.problems.append(f"generation {generation} after {newest}")
        newest = generation
        seen.answers.append((sent, seconds, generation))
        seen.cited += [(generation, cited["article_id"]) for cited in reply["citations"]]
    client.close()


class Follower(threading.Thread):
    """Notes when CURRENT switches and when the server answers from the new generation."""

    def __init__(self, place: Place, port: int) -> None:
        super().__init__(daemon=True)
        self.folder = IndexFolder(place.index)
        self.port = port
        self.stop = threading.Event()
        self.switched: dict[int, float] = {}
        self.followed: dict[int, float] = {}

    def run(self) -> None:
        client = Client(self.port)
        while not self.stop.wait(POLL_SECONDS):
            self._look(client)
        client.close()

    def _look(self, client: Client) -> None:
        number = self.folder.current_number()
        if number is not None:
            self.switched.setdefault(number, time.perf_counter())
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            generation = client.get("/v1/index")[1]["generation"]
            self.followed.setdefault(generation, time.perf_counter())

    def delays(self) -> list[float]:
        """Seconds from switch to follow of each generation that was live for long enough to be followed."""
        numbers = sorted(self.switched)[1:]
        followed = [min((t for g, t in self.followed.items() if g >= n), default=float("inf")) for n in numbers]
        return [max(0.0, when - self.switched[n]) for n, when in zip(numbers, followed, strict=True)]


@dataclass
class Round:
    """Seconds from each change of the file until the answers showed it."""

    added: float
    edited: float
    removed: float


class Changes:
    """Adds, edits and deletes one article, and waits for each to show."""

    def __init__(self, place: Place, server: Server, build: Callable[[], None]) -> None:
        self.place = place
        self.client = Client(server.port)
        self.build = build
        self.file = place.corpus / "vellisande.txt"
        self.problems: list[str] = []
        self.lives: list[tuple[int, int]] = []
        """First generation with the article and first without it, of each of its lives."""
        self.article_id = ""

    def round(self) -> Round:
        added = self._change("written", self._cites("written"))
        first = self.generation
        edited = self._change("edited", self._cites("edited"))
        removed = self._change(None, self._is_gone)
        self.lives.append((first, self.generation))
        return Round(added, edited, removed)

    def _change(self, version: str | None, shown: Callable[[], bool]) -> float:
        started = time.perf_counter()
        if version is None:
            self.file.unlink()
        else:
            temporary = self.place.folder / "article.tmp"
            temporary.write_text(article_text(version), encoding="utf-8")
            temporary.replace(self.file)
        self.build()
        while not shown():
            if time.perf_counter() - started > CITED_LIMIT:
                raise TimeoutError(f"the article is not {version or 'removed'} after {CITED_LIMIT:.0f} s")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - started

    def _ask(self) -> dict[str, Any]:
        status, reply, _ = self.client.ask(QUESTION)
        if status != http.HTTPStatus.OK:
            raise RuntimeError(f"status {status}: {reply}")
        self.generation: int = reply["engine"]["generation"]
        return reply

    def _cites(self, version: str) -> Callable[[], bool]:
        def shown() -> bool:
            for cited in self._ask()["citations"]:
                if f"{SPEEDS[version]} cables" in cited["quote"]:
                    self.article_id = cited["article_id"]
                    return True
            return False

        return shown

    def _is_gone(self) -> bool:
        """Gone from the answers; then it must be gone from the API and the pages too, at once."""
        if any(cited["article_id"] == self.article_id for cited in self._ask()["citations"]):
            return False
        for path in (f"/v1/articles/{self.article_id}", f"/articles/{self.article_id}"):
            if (status := self.client.request("GET", path)[0]) != http.HTTPStatus.NOT_FOUND:
                self.problems.append(f"{path} of a removed article: status {status}")
        return True


@contextlib.contextmanager
def watcher(place: Place) -> Iterator[Callable[[], None]]:
    """`qa watch` in another process: a change needs no more than itself."""
    process = place.start("watch", log=place.folder / "watch.log")
    try:
        time.sleep(2)  # its own first look at the corpus
        yield lambda: None
    finally:
        end(process)


@contextlib.contextmanager
def indexer(place: Place) -> Iterator[Callable[[], None]]:
    """A fresh `qa index` for each change."""

    def build() -> None:
        done: Finished = place.run("index")
        done.require()

    yield build


def run(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    place = make_place(folder, given)
    place.run("index").require(5)
    questions = read_questions(given.questions)
    stop, seen = threading.Event(), [Seen() for _ in range(given.clients)]
    with Server(place) as server:
        clients = [
            threading.Thread(target=ask_in_a_loop, args=(server.port, questions, stop, n, one), daemon=True)
            for n, one in enumerate(seen)
        ]
        follower = Follower(place, server.port)
        for thread in (*clients, follower):
            thread.start()
        try:
            time.sleep(given.idle / 4)  # warm
            idle = (time.perf_counter(), time.perf_counter() + given.idle)
            time.sleep(given.idle)
            with {"watch": watcher, "index": indexer}[given.builder](place) as build:
                changes = Changes(place, server, build)
                began = time.perf_counter()
                rounds = [changes.round() for _ in range(given.rounds)]
                ended = time.perf_counter()
            memory = server.memory_mb()
        finally:
            stop.set()
            follower.stop.set()
            for thread in (*clients, follower):
                thread.join(30)
    return report(given, Measured(seen, follower, changes, rounds, idle, (began, ended), memory))


def make_place(folder: Path, given: argparse.Namespace) -> Place:
    settings = {"QA_EMBEDDING__BACKEND": "hashing", "QA_ANSWERS__MIN_CONFIDENCE": "0.3"} if given.hashing else {}
    place = Place(folder, settings)
    shutil.copytree(given.corpus, place.corpus)
    if not given.hashing:
        place.link_models()
    return place


@dataclass
class Measured:
    """What one run saw; `idle` and `busy` are from when to when, `memory` is the server's, now and highest."""

    seen: list[Seen]
    follower: Follower
    changes: Changes
    rounds: list[Round]
    idle: tuple[float, float]
    busy: tuple[float, float]
    memory: tuple[float, float]

    def problems(self) -> list[str]:
        found = [problem for one in self.seen for problem in one.problems] + self.changes.problems
        for generation, cited in (pair for one in self.seen for pair in set(one.cited)):
            lives = self.changes.lives
            if cited == self.changes.article_id and not any(first <= generation < last for first, last in lives):
                found.append(f"generation {generation} cites the article that it does not have")
        return found + [f"followed after {delay:.1f} s" for delay in self.follower.delays() if delay > FOLLOW_LIMIT]

    def latencies(self) -> dict[str, list[float]]:
        """Seconds of the answers, by what went on meanwhile."""
        everything = list(itertools.chain.from_iterable(one.answers for one in self.seen))
        swaps = sorted(self.follower.followed.values())[1:]
        return {
            "idle": [s for at, s, _ in everything if self.idle[0] <= at < self.idle[1]],
            "while articles change": [s for at, s, _ in everything if self.busy[0] <= at < self.busy[1]],
            "within 0.5 s of a swap": [
                s for at, s, _ in everything if any(at < swap + 0.5 and at + s > swap - 0.5 for swap in swaps)
            ],
        }


def report(given: argparse.Namespace, measured: Measured) -> dict[str, Any]:
    problems = measured.problems()
    return {
        "corpus": given.corpus.name,
        "embedder": "hashing" if given.hashing else "onnx",
        "builder": given.builder,
        "clients": given.clients,
        "rounds": given.rounds,
        "swaps": len(measured.follower.delays()),
        "answers": sum(len(one.answers) for one in measured.seen),
        "problems": problems[:20],
        "problem_count": len(problems),
        "shown_seconds": {name: [getattr(r, name) for r in measured.rounds] for name in ("added", "edited", "removed")},
        "follow_seconds": measured.follower.delays(),
        "latency_ms": {
            name: {"count": len(s), "median": 1000 * median(s), "p99": 1000 * percentile(s, 99)}
            for name, s in measured.latencies().items()
        },
        "server_mb": {"now": measured.memory[0], "peak": measured.memory[1]},
    }


def print_report(result: dict[str, Any]) -> None:
    print("| what | median | longest |\n|---|---|---|")
    for name, seconds in result["shown_seconds"].items():
        print(f"| {name} → answers show it | {median(seconds):.2f} s | {max(seconds):.2f} s |")
    delays = result["follow_seconds"]
    print(f"| switch of the index → server answers from it | {median(delays):.2f} s | {max(delays):.2f} s |\n")
    print("| /ask | answers | median | p99 | p99 / idle |\n|---|---|---|---|---|")
    idle = result["latency_ms"]["idle"]["p99"]
    for name, group in result["latency_ms"].items():
        print(
            f"| {name} | {group['count']:,} | {group['median']:.0f} ms | {group['p99']:.0f} ms "
            f"| {group['p99'] / idle:.2f} |"
        )
    print(f"\nserver memory {result['server_mb']['now']:.0f} MB, highest {result['server_mb']['peak']:.0f} MB")
    for problem in result["problems"]:
        print(f"PROBLEM {problem}")
    print(
        f"{result['swaps']} swaps under {result['clients']} clients: {result['answers']:,} answers, "
        f"{result['problem_count']} problems"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--corpus", type=Path, default=ROOT / "corpus")
    parser.add_argument("--questions", type=Path, default=ROOT / "eval" / "questions.jsonl")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=float, default=10.0, help="seconds of asking without builds, to compare with")
    parser.add_argument("--builder", choices=["watch", "index"], default="watch")
    parser.add_argument("--hashing", action="store_true", help="the embedder without a model, for tests")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    end_children_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="swap-under-load-") as folder:
        result = run(Path(folder), given)
    print_report(result)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if result["problem_count"] else 0


if __name__ == "__main__":
    sys.exit(main())
