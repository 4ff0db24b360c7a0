"""Measure speed and memory: real processes, repeated and interleaved, as medians and ratios.

    python eval/bench.py [--corpus FOLDER] [--questions FILE.jsonl] [--only build,ask,page,add,cold,embedding]

The corpus is copied; nothing is written into it. Questions come from a JSONL file (``question`` or
``question_sentence``), else from the titles of the articles. The table goes to standard output as Markdown, all figures
to ``eval/results/``. On a machine that does other things, quote the ratios: what is compared takes turns.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_page import measure_waits
from processes import (
    ROOT,
    Client,
    Finished,
    Place,
    Server,
    copy_corpus,
    end_children_on_sigterm,
    median,
    percentile,
    read_questions,
)

RESULTS = ROOT / "eval" / "results"
SECTIONS = ("build", "ask", "page", "add", "cold", "embedding")
TENTH = 10
ADDED_SECONDS = 60.0
POLL_SECONDS = 0.02


@dataclass
class Row:
    """One line of the table. `limit` is what has to be reached, in words."""

    what: str
    value: str
    limit: str = ""


@dataclass
class Bench:
    """One run: what is asked of what, and the figures so far."""

    given: argparse.Namespace
    folder: Path
    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def say(self, what: str, value: str, limit: str = "") -> None:
        self.rows.append(Row(what, value, limit))
        print(f"  {what}: {value}", file=sys.stderr, flush=True)

    @property
    def repeats(self) -> int:
        return int(self.given.repeats)

    def place(self, name: str, corpus: Path | None = None, keep_every: int = 1, cache: Path | None = None) -> Place:
        """A working folder with a copy of a corpus, or of a part of it."""
        settings = {"QA_PATHS__CACHE": str(cache)} if cache else {}
        place = Place(self.folder / name, settings)
        if not place.corpus.is_dir():
            copy_corpus(corpus or self.given.corpus, place.corpus, keep_every)
        place.link_models()
        return place

    def built(self) -> Place:
        """The whole corpus, indexed; made once, by whichever section needs it first."""
        if (self.folder / "whole" / "index").is_dir():
            return Place(self.folder / "whole")
        place = self.place("whole")
        place.run("index", seconds=self.given.seconds).require(5)
        return place


# Building


def bench_build(bench: Bench) -> None:
    """The whole corpus with nothing cached, again from the cache, and again without a change."""
    runs: dict[str, list[Finished]] = {"empty cache": [], "from the cache": [], "nothing changed": []}
    place = bench.place("whole")
    for _ in range(bench.given.builds):
        shutil.rmtree(place.index, ignore_errors=True)
        for file in place.cache.glob("embeddings.sqlite*"):
            file.unlink()
        runs["empty cache"].append(place.run("index", "--json", seconds=bench.given.seconds).require(5))
    for _ in range(bench.repeats):
        shutil.rmtree(place.index)
        runs["from the cache"].append(place.run("index", "--json", seconds=bench.given.seconds).require(5))
        runs["nothing changed"].append(place.run("index", "--json", seconds=bench.given.seconds).require(5))
    report = runs["empty cache"][0].json()
    bench.figures["build"] = {name: [build_figures(run) for run in these] for name, these in runs.items()}
    counts = report["counts"]
    bench.say(
        "corpus",
        f"{counts['articles']:,} articles, {counts['sentences']:,} sentences, {counts['passages']:,} passages",
    )
    for name, these in runs.items():
        took, peak = median([run.seconds for run in these]), max(run.peak_mb for run in these)
        cpu = median([run.cpu_seconds for run in these])
        value = f"{took:.1f} s ({cpu:.1f} s of CPU), highest memory {peak:,.0f} MB"
        bench.say(f"build, {name}", value, "memory < 2,500 MB")
    rate = counts["passages"] / median([run.json()["stages"]["embedding"] for run in runs["empty cache"]])
    bench.say("build, embedding", f"{rate:.0f} passages/s")
    size = sum(file.stat().st_size for file in place.index.rglob("*") if file.is_file()) / 1e6
    bench.figures["build"]["index_mb"] = size
    bench.say("build, stages", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report["stages"].items()))
    bench.say("index folder", f"{size:,.0f} MB")


def build_figures(run: Finished) -> dict[str, Any]:
    report = run.json()
    kept = ("counts", "embedded", "from_cache", "seconds", "stages")
    measured = {"process_seconds": run.seconds, "cpu_seconds": run.cpu_seconds, "peak_mb": run.peak_mb}
    return {**measured, **{name: report[name] for name in kept}}


# Asking


def bench_ask(bench: Bench) -> None:
    """Every question once over one connection, after some to warm up; a request without work in between."""
    questions = bench_questions(bench)
    seconds: list[float] = []
    bare: list[float] = []
    stages: dict[str, list[float]] = {}
    outcomes: dict[str, int] = {}
    with Server(bench.built()) as server, server.client() as client:
        at_start = server.memory_mb()
        for question in questions[: bench.given.warm]:
            client.ask(question)
        for question in questions:
            bare.append(client.request("GET", "/livez")[2])
            status, reply, took = client.ask(question)
            if status != 200:
                raise RuntimeError(f"status {status}: {reply}")
            seconds.append(took)
            outcomes[reply["status"]] = outcomes.get(reply["status"], 0) + 1
            for stage, value in reply["timings_ms"].items():
                stages.setdefault(stage, []).append(value)
        at_end = server.memory_mb()
    note_ask(bench, [1000 * took for took in seconds], [1000 * took for took in bare], stages)
    bench.figures["ask"] |= {"outcomes": outcomes, "server_mb_start": at_start, "server_mb_end": at_end}
    bench.say("/ask, outcomes", ", ".join(f"{count} {name}" for name, count in outcomes.items()))
    bench.say(
        f"server memory after {len(questions) + bench.given.warm} questions",
        f"{at_end[0]:.0f} MB, highest {at_end[1]:.0f} MB",
        "< 700 MB",
    )


def note_ask(bench: Bench, seconds: list[float], bare: list[float], stages: dict[str, list[float]]) -> None:
    """Where each millisecond goes: the engine's own stages, what else the engine did, and HTTP around it."""
    total = stages.pop("total")
    named = [sum(values) for values in zip(*stages.values(), strict=True)]
    parts = {
        **{f"engine: {stage}": values for stage, values in stages.items()},
        "engine: all else": [whole - part for whole, part in zip(total, named, strict=True)],
        "HTTP, checking and writing JSON": [s - t - b for s, t, b in zip(seconds, total, bare, strict=True)],
        "a request and its reply without work": bare,
    }
    bench.say("/ask, whole, seen by the client", spread(seconds), "median < 60 ms")
    bench.say("/ask, engine", spread(total))
    for name, values in parts.items():
        bench.say(f"/ask, {name}", spread(values))
    bench.figures["ask"] = {
        "questions": len(seconds),
        "whole_ms": figures(seconds),
        "engine_ms": figures(total),
        **{name: figures(values) for name, values in parts.items()},
    }


def bench_questions(bench: Bench) -> list[str]:
    if bench.given.questions:
        return read_questions(bench.given.questions, bench.given.most)
    titles = re.compile(r'"title":\s*"((?:[^"\\]|\\.)+)"')
    found = (
        json.loads(f'"{title}"')
        for path in sorted(bench.given.corpus.rglob("*.json*"))
        for title in titles.findall(path.read_text(encoding="utf-8"))
    )
    questions = list(dict.fromkeys(found))[: bench.given.most]
    if not questions:
        raise SystemExit("no titles to make questions from: give --questions")
    return questions


# The page


def bench_page(bench: Bench) -> None:
    """The wait of a reader, in a real browser."""
    questions = bench_questions(bench)
    with Server(bench.built()) as server:
        waits = measure_waits(f"http://127.0.0.1:{server.port}/", questions, min(bench.given.warm, len(questions)))
    answered = [wait for wait in waits if wait.answered]
    bench.say("page, click to first text of an answer", spread([w.first for w in answered]), "median < 500 ms")
    bench.say("page, click to the whole answer", spread([w.whole for w in answered]))
    bench.figures["page"] = {
        "questions": len(waits),
        "answered": len(answered),
        "first_ms": figures(w.first for w in answered),
        "whole_ms": figures(w.whole for w in answered),
    }


# Adding an article


def bench_add(bench: Bench) -> None:
    """One article more, from dropping its file until an answer cites it; on all and on a tenth, in turns."""
    sizes = {
        "all": bench.built(),
        "a tenth": bench.place("tenth", keep_every=TENTH, cache=bench.folder / "whole/cache"),
    }
    sizes["a tenth"].run("index", seconds=bench.given.seconds).require(5)
    found: dict[str, list[Added]] = {name: [] for name in sizes}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(Server(place)) for name, place in sizes.items()}
        for turn in range(bench.repeats + 1):
            for name, place in sizes.items():
                added = add_article(place, servers[name])
                if turn:  # the first time reads files that are in nobody's memory yet
                    found[name].append(added)
        memory = servers["all"].memory_mb()
    took = {name: median([a.until_cited for a in these]) for name, these in found.items()}
    for name, these in found.items():
        build = median([a.build for a in these])
        reports = [a.report for a in these]
        articles = reports[-1]["counts"]["articles"]
        stages = {"build": median([r["seconds"] for r in reports])}
        stages |= {stage: median([r["stages"][stage] for r in reports]) for stage in reports[0]["stages"]}
        slowest = max(a.until_cited for a in these)
        bench.say(
            f"one article more, on {name} ({articles:,} articles)",
            f"{took[name]:.2f} s until cited (slowest {slowest:.2f} s): `qa index` {build:.2f} s "
            f"({median([a.build_cpu for a in these]):.2f} s of CPU), then {took[name] - build:.2f} s",
            "< 3 s" if name == "all" else "",
        )
        bench.say(
            f"one article more, on {name}: within `qa index`",
            ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in stages.items()),
        )
    bench.say("one article more, all / a tenth", f"{took['all'] / took['a tenth']:.2f}", "at most 2")
    bench.say("server memory after the swaps", f"{memory[0]:.0f} MB, highest {memory[1]:.0f} MB")
    bench.figures["add"] = {
        **{name: [vars(added) for added in these] for name, these in found.items()},
        "ratio": took["all"] / took["a tenth"],
        "server_mb": memory,
    }


@dataclass
class Added:
    """Seconds until an answer cited the new article, and of `qa index`, by clock and CPU; the report of the build."""

    until_cited: float
    build: float
    build_cpu: float
    report: dict[str, Any]


def add_article(place: Place, server: Server) -> Added:
    """Drop an article whose words no other has, index, and ask until it is cited."""
    name = f"Zand{secrets.token_hex(4)}"  # never seen before, so that nothing of it can come from the cache
    text = (
        f"Beekeepers of {name} open a museum\nDate: 2024-05-02\n\n"
        f"The beekeepers of {name} opened a museum of 340 hives on Thursday.\n\n"
        "Visitors may taste honey of eleven kinds. The mayor cut the ribbon.\n"
    )
    temporary = place.folder / "article.tmp"
    temporary.write_text(text, encoding="utf-8")
    started = time.perf_counter()
    temporary.replace(place.corpus / f"{name}.txt")
    done = place.run("index", "--json", seconds=ADDED_SECONDS).require(5)
    with server.client() as client:
        while not cites(client, f"How many hives does the museum of the beekeepers of {name} have?", name):
            if time.perf_counter() - started > ADDED_SECONDS:
                raise TimeoutError("the new article is not cited")
            time.sleep(POLL_SECONDS)
    return Added(time.perf_counter() - started, done.seconds, done.cpu_seconds, done.json())


def cites(client: Client, question: str, name: str) -> bool:
    status, reply, _ = client.ask(question)
    return status == 200 and any(name in cited["quote"] for cited in reply["citations"])


# From a cold shell


def bench_cold(bench: Bench) -> None:
    """Commands as processes of their own, in turns, on the starter corpus; and what they import."""
    place = bench.place("starter", ROOT / "corpus")
    place.run("index").require(5)
    question = read_questions(ROOT / "eval" / "questions.jsonl")[1]
    commands = {"qa --help": ["--help"], "qa ask": ["ask", question]}
    took: dict[str, list[float]] = {name: [] for name in commands}
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    peak: dict[str, float] = {}
    for _ in range(bench.repeats + 1):
        for name, arguments in commands.items():
            done = place.run(*arguments).require(3)
            took[name].append(done.seconds)
            cpu[name].append(done.cpu_seconds)
            peak[name] = max(peak.get(name, 0), done.peak_mb)
    for name, limit in zip(commands, ("< 0.4 s", "< 2 s"), strict=True):
        again = took[name][1:]  # the first time fills the file cache
        value = f"{median(again):.2f} s (slowest {max(again):.2f} s; {median(cpu[name]):.2f} s of CPU)"
        bench.say(name, f"{value}, {peak[name]:.0f} MB", limit)
    imported = {name: heavy_imports(place, arguments) for name, arguments in commands.items()}
    with Server(place) as server:
        bench.say("qa serve until ready", f"{server.start_seconds:.2f} s, {server.memory_mb()[0]:.0f} MB")
        start = server.start_seconds
    for name, modules in imported.items():
        bench.say(f"{name}: torch, transformers imported", ", ".join(modules) or "none", "none")
    bench.figures["cold"] = {
        "seconds": took,
        "cpu_seconds": cpu,
        "peak_mb": peak,
        "imported": imported,
        "serve_ready": start,
    }


def heavy_imports(place: Place, arguments: Sequence[str]) -> list[str]:
    """Which of the packages that may not be needed were imported by a real command."""
    done = place.run(*arguments, command=[sys.executable, "-X", "importtime", "-m", "qa"])
    imported = set(re.findall(r"\|\s+([A-Za-z_]\w*)\s*$", done.stderr, re.MULTILINE))
    if "qa" not in imported:
        raise RuntimeError("the list of imports could not be read")
    return sorted(imported & {"torch", "transformers", "sentence_transformers"})


# Embedding


def bench_embedding(bench: Bench) -> None:
    """The same pipeline with two embedders, and the bare session: `bench_pipeline.py`, on a part of the corpus."""
    file = bench.folder / "embedding.json"
    articles = count_articles(bench.given.corpus)
    every = max(1, articles // bench.given.embed)
    script = [sys.executable, str(ROOT / "eval" / "bench_pipeline.py")]
    arguments = ["--every", str(every), "--rounds", str(bench.repeats), "--json", str(file)]
    place = Place(bench.folder)
    place.run("--corpus", str(bench.given.corpus.resolve()), *arguments, command=script, seconds=3600).require()
    result = bench.figures["embedding"] = json.loads(file.read_text())
    bench.say("embedding, passages", f"{result['passages']:,} of {result['median_tokens']:.0f} tokens (median)")
    for name, rates in result["passages_per_second"].items():
        bench.say(f"embedding, {name}", f"{median(rates):.0f} passages/s")
    limits = {
        "pipeline, onnx / pipeline, torch": "at least 1.3",
        "embedding stage, onnx / bare session, batches": "at least 0.85",
        "embedding stage, onnx / bare session, one by one": "at least 0.85",
    }
    for name, value in result["ratios"].items():
        cpu = f" ({value['cpu']:.2f} by CPU time)" if "cpu" in value else ""
        bench.say(name, f"{value['clock']:.2f}{cpu}", limits.get(name, ""))


# Figures


def figures(values: Iterable[float]) -> dict[str, float]:
    values = list(values)
    return {"median": median(values), "p95": percentile(values, 95), "max": max(values)}


def spread(values: Sequence[float]) -> str:
    return f"median {median(values):.2f} ms, p95 {percentile(values, 95):.2f} ms"


def count_articles(corpus: Path) -> int:
    """About how many articles a corpus has: lines of JSONL, files otherwise."""
    count = 0
    for path in corpus.rglob("*"):
        if path.suffix in (".jsonl", ".ndjson"):
            with path.open("rb") as file:
                count += sum(1 for line in file if line.strip())
        else:
            count += path.is_file()
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--corpus", type=Path, default=ROOT / "corpus")
    parser.add_argument("--questions", type=Path, help="JSONL; for the starter corpus eval/questions.jsonl")
    parser.add_argument("--only", default=",".join(SECTIONS), help="some of " + ",".join(SECTIONS))
    parser.add_argument("--repeats", type=int, default=5, help="of everything but builds with an empty cache")
    parser.add_argument("--builds", type=int, default=1, help="builds with an empty cache")
    parser.add_argument("--most", type=int, default=200, help="questions at most")
    parser.add_argument("--warm", type=int, default=20, help="questions before those that are measured")
    parser.add_argument("--embed", type=int, default=40, help="articles for the comparison of embedders")
    parser.add_argument("--seconds", type=float, default=7200, help="longest time for one build")
    parser.add_argument("--folder", type=Path, help="work here and leave it, so that a next run finds the index built")
    given = parser.parse_args()
    end_children_on_sigterm()
    sections = given.only.split(",")
    if unknown := set(sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    if given.questions is None and given.corpus.resolve() == ROOT / "corpus":
        given.questions = ROOT / "eval" / "questions.jsonl"
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(given, folder)
        for section in sections:
            print(section, file=sys.stderr, flush=True)
            MEASURES[section](bench)
    write(bench)
    return 0


MEASURES: dict[str, Callable[[Bench], None]] = {
    "build": bench_build,
    "ask": bench_ask,
    "page": bench_page,
    "add": bench_add,
    "cold": bench_cold,
    "embedding": bench_embedding,
}


def write(bench: Bench) -> None:
    """The table on standard output, all figures as JSON."""
    print("| what | measured | to reach |\n|---|---|---|")
    for row in bench.rows:
        print(f"| {row.what} | {row.value} | {row.limit} |")
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = bench.given.corpus.resolve().name
    about = {"corpus": name, "cores": os.cpu_count(), "load_at_end": os.getloadavg(), "repeats": bench.repeats}
    path = RESULTS / f"bench-{name}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({**about, **bench.figures}, indent=1) + "\n", encoding="utf-8")
    print(f"\nall figures: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
