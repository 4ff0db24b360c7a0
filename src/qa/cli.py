"""The command line: one function a verb. Answers go to stdout, everything else to stderr.

Exit codes: 0 done or answered, 1 any other error, 2 usage, 3 no answer found, 4 no index or another model's or no data,
5 some inputs failed and the rest were done, 6 damage found or a comparison failed, 130 interrupted.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qa.types import Writer

if TYPE_CHECKING:  # Importing these takes longer than `qa --help` may: each verb imports what it needs.
    import threading
    from datetime import date

    from rich.console import Console
    from rich.text import Text

    from qa.cases import Case
    from qa.engine import Engine
    from qa.errors import QAError
    from qa.index import BuildReport, Progress
    from qa.protocols import Embedder
    from qa.settings import Settings
    from qa.types import Answer, Filters, Note, Passage

NO_ANSWER, INPUTS_FAILED, CHECK_FAILED, INTERRUPTED = 3, 5, 6, 130

SHOWN_PASSAGES = 5
"""Passages of a failed question that are shown whether or not they bear the answer."""
LONGEST_INPUT = 1 << 20
"""Bytes read from standard input: far more than a question may have, so that the engine says how much is too much."""

# What a terminal obeys instead of showing: controls (a line feed apart), directions of writing, halves of characters.
_UNSHOWN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

app = typer.Typer(
    help="Ask a folder of news articles; every sentence of the answer links to the sentence that says it.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

CorpusOption = Annotated[Path | None, typer.Option("--corpus", help="Folder with the articles.", show_default=False)]
IndexOption = Annotated[Path | None, typer.Option("--index", help="Folder with the index.", show_default=False)]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file.", show_default="qa.toml")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
StarterOption = Annotated[bool, typer.Option("--starter", help="Use the articles that come with Sourceline.")]
PassagesOption = Annotated[int | None, typer.Option("-k", "--passages", min=1, max=100, help="Passages to search.")]
FromOption = Annotated[str | None, typer.Option("--from", help="Only articles from this day on, as 2026-01-31.")]
ToOption = Annotated[str | None, typer.Option("--to", help="Only articles up to this day.")]
PublisherOption = Annotated[list[str] | None, typer.Option("--publisher", help="Only this outlet; may be repeated.")]
AsOfOption = Annotated[
    str | None,
    typer.Option(help="The day that the question is asked on.", show_default="today, or the newest article's"),
]
NoDatesOption = Annotated[
    bool, typer.Option("--no-dates", help="Do not prefer articles from the time that the question calls for.")
]


def main() -> None:
    """Run the command line; turn every expected error into one line and its exit code."""
    from qa.errors import QAError

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        app()
    except QAError as error:
        _complain("error", str(error), "bold red")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        raise SystemExit(0) from None


def _version(wanted: bool) -> None:
    if wanted:
        from qa import __version__

        typer.echo(f"sourceline {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Ask a folder of news articles; every sentence of the answer links to the sentence that says it."""


@app.command()
def index(
    full: Annotated[bool, typer.Option("--full", help="Build everything again.")] = False,
    starter: StarterOption = False,
    corpus: CorpusOption = None,
    index: IndexOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the index up to date with the corpus: only new and changed articles are read and embedded."""
    from qa.index import build_index

    settings = _settings(config, paths={"corpus": _starter() if starter else corpus, "index": index})
    embedder = _prepared(settings)
    with _progress() as progress:
        report = build_index(settings, embedder, full=full, progress=progress)
    if as_json:
        _print_json(report.to_dict())
    else:
        _print_report(report)
    if report.failed:
        raise typer.Exit(INPUTS_FAILED)


@app.command()
def watch(
    starter: StarterOption = False,
    corpus: CorpusOption = None,
    index: IndexOption = None,
    config: ConfigOption = None,
) -> None:
    """Build now and whenever articles arrive, change or go, until interrupted."""
    from qa.watch import watch_corpus

    settings = _settings(config, paths={"corpus": _starter() if starter else corpus, "index": index})

    def on_report(report: BuildReport) -> None:
        if report.built:
            _print_report(report)

    def on_error(error: QAError) -> None:
        _complain("error", str(error), "bold red")

    embedder = _prepared(settings)
    _complain("watching", f"{settings.paths.corpus} (Ctrl-C ends it)")
    with _stop_on_signals() as stop:
        watch_corpus(settings, embedder, on_report, on_error, stop)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question; `-` reads it from standard input.")],
    after: Annotated[
        list[str] | None, typer.Option(help="A question that was asked before; may be repeated, oldest first.")
    ] = None,
    passages: PassagesOption = None,
    max_sentences: Annotated[int | None, typer.Option(min=1, max=10, help="Sentences in the answer, at most.")] = None,
    published_from: FromOption = None,
    published_to: ToOption = None,
    publisher: PublisherOption = None,
    as_of: AsOfOption = None,
    no_dates: NoDatesOption = False,
    answerer: Annotated[
        Writer,
        typer.Option(help="What writes it: `llm` is a language model that is set, `extractive` quotes the articles."),
    ] = "auto",
    index: IndexOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question with citations, or say that the articles do not. Exit code 3: not found."""
    from qa.types import Turn

    settings = _settings(config, paths={"index": index})
    filters = _filters(published_from, published_to, publisher)
    day = _day(as_of)
    with _engine(settings) as engine:
        answer = engine.ask(
            _text(question),
            history=[Turn("user", earlier) for earlier in after or ()],
            passages=passages,
            max_sentences=max_sentences,
            filters=filters,
            as_of=day,
            dates=False if no_dates else None,
            answerer=answerer,
        )
        if as_json:
            from qa.replies import answer_reply

            _print_json(answer_reply(answer, engine.status(), filtered=bool(filters)).model_dump(mode="json"))
        else:
            _print_answer(answer)
    if answer.status == "not_found":
        raise typer.Exit(NO_ANSWER)


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="What to look for; `-` reads it from standard input.")],
    passages: PassagesOption = 10,
    published_from: FromOption = None,
    published_to: ToOption = None,
    publisher: PublisherOption = None,
    as_of: AsOfOption = None,
    no_dates: NoDatesOption = False,
    index: IndexOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the passages that an answer would be sought in, with their ranks: "why this answer?"."""
    from qa.engine import check_question

    settings = _settings(config, paths={"index": index})
    filters = _filters(published_from, published_to, publisher)
    day = _day(as_of)
    asked = check_question(_text(question))
    with _engine(settings) as engine:
        found = engine.search(asked, k=passages, filters=filters, as_of=day, dates=False if no_dates else None)
    if as_json:
        from qa.replies import search_reply

        _print_json(search_reply(asked, found).model_dump(mode="json"))
    else:
        _print_resolved(found.resolved_question)
        _print_passages(found.passages)
        _print_notes(found.notes)
    if not found.passages:
        raise typer.Exit(NO_ANSWER)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8000")] = None,
    corpus: CorpusOption = None,
    index: IndexOption = None,
    config: ConfigOption = None,
) -> None:
    """Serve the web chat and the HTTP API until interrupted; follows rebuilds by other processes."""
    from qa.server import serve as run_server

    run_server(_settings(config, paths={"corpus": corpus, "index": index}, server={"host": host, "port": port}))


@app.command()
def info(index: IndexOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the live generation, its counts and model, and the settings in force; secrets stay hidden."""
    from dataclasses import asdict

    from qa.storage import IndexFolder

    settings = _settings(config, paths={"index": index})
    with _engine(settings) as engine:
        status = asdict(engine.status())
    body = {
        "index": status,
        "generations": IndexFolder(settings.paths.index).generations(),
        "settings": settings.model_dump(),
    }
    if as_json:
        _print_json(body)
    else:
        _print_info(body)


@app.command()
def verify(index: IndexOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check every byte of the live generation against its manifest, and every stored offset against its text."""
    from qa.embedders import load_embedder
    from qa.snapshot import Snapshot
    from qa.storage import IndexFolder

    settings = _settings(config, paths={"index": index})
    generation = IndexFolder(settings.paths.index).open_current()
    embedder = load_embedder(settings.embedding, settings.paths.cache, prepare=False)
    snapshot = Snapshot.open(generation, embedder)
    try:
        generation.verify()
        for article_id in snapshot.catalog.article_ids():
            snapshot.catalog.check_article(article_id)
        body = {"generation": generation.number, "degraded": generation.degraded, **snapshot.counts}
    finally:
        snapshot.close()
    if as_json:
        _print_json(body)
    else:
        typer.echo(
            f"generation {body['generation']} is whole: {body['articles']:,} articles, {body['sentences']:,} sentences,"
            f" {body['passages']:,} passages"
        )
    if generation.degraded:
        _complain("degraded", generation.degraded, "bold red")
        raise typer.Exit(CHECK_FAILED)


@app.command()
def rollback(
    to: Annotated[int | None, typer.Option(help="Generation to return to.", show_default="the previous one")] = None,
    index: IndexOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the previous generation live again; the next build starts from it."""
    from qa.storage import IndexFolder

    settings = _settings(config, paths={"index": index})
    number = IndexFolder(settings.paths.index).rollback(to)
    if as_json:
        _print_json({"generation": number})
    else:
        typer.echo(f"generation {number} is live")


@app.command(name="eval")
def evaluate(
    dataset: Annotated[str, typer.Argument(help="Data set; eval/README.md lists them.")] = "starter",
    data: Annotated[
        Path | None,
        typer.Option(envvar="SOURCELINE_DATA", help="Folder with the data sets of others.", show_default=False),
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="Questions with gold sentences.", show_default="eval/questions.jsonl")
    ] = None,
    split: Annotated[str, typer.Option(help="Ask the questions of this split only: dev, test or all.")] = "test",
    compare: Annotated[Path | None, typer.Option(help="Compare with this stored report; fail on a real drop.")] = None,
    save: Annotated[Path | None, typer.Option(help="Store the report here.")] = None,
    failures: Annotated[int | None, typer.Option(min=1, help="Show as many questions that went wrong.")] = None,
    index: IndexOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure retrieval, citations, refusal and time on questions with known answers. Exit code 6: a real drop."""
    from dataclasses import asdict

    from qa.datasets import Request, evaluate_dataset
    from qa.report import changes_table, load_baseline
    from qa.report import compare as compare_reports

    if as_json and failures:
        raise typer.BadParameter("--failures is for reading: leave --json out")
    settings = _settings(config)
    baseline = load_baseline(compare) if compare else None
    # What keeps the index from being opened is raised by the first question: that is enough.
    logging.getLogger("qa.engine").setLevel(logging.ERROR)
    with _progress() as progress:
        found = evaluate_dataset(dataset, Request(settings, data, questions, split, index, progress))
    if save:
        save.write_text(json.dumps(found.report.to_dict(), indent=1) + "\n", encoding="utf-8")
    changes = compare_reports(found.report, baseline) if baseline is not None else []
    if as_json:
        _print_json({**found.report.to_dict(), "changes": [asdict(change) for change in changes]})
    else:
        typer.echo(found.report.markdown())
        if failures:
            _print_failures(found.cases, failures)
        if changes:
            typer.echo(changes_table(changes))
    worse = [change for change in changes if change.verdict == "worse"]
    for change in worse:
        _complain("worse", str(change), "bold red")
    if worse:
        raise typer.Exit(CHECK_FAILED)


def _settings(config: Path | None, **flags: Mapping[str, Any]) -> Settings:
    from qa.settings import load_settings

    return load_settings(flags, config)


def _starter() -> Path:
    from qa.resources import starter_corpus

    return starter_corpus()


def _prepared(settings: Settings) -> Embedder:
    """Load the embedding model for building; the first time it is exported, which takes a minute."""
    from qa.embedders import is_prepared, load_embedder

    if not is_prepared(settings.embedding, settings.paths.cache):
        _complain("preparing", f"{settings.embedding.model} (once; about a minute)")
    return load_embedder(settings.embedding, settings.paths.cache, prepare=True)


@contextmanager
def _engine(settings: Settings) -> Iterator[Engine]:
    """The engine over the live generation; tells when an older one has to stand in."""
    from qa.engine import Engine

    # What keeps the index from being opened is raised by the first question: that is enough.
    logging.getLogger("qa.engine").setLevel(logging.ERROR)
    engine = Engine.open(settings)
    try:
        status = engine.status()
        if status.state == "degraded":
            _complain("degraded", f"{status.reason}; generation {status.generation} answers", "bold red")
        yield engine
    finally:
        engine.close()


def _text(question: str) -> str:
    if question != "-":
        return question
    return sys.stdin.buffer.read(LONGEST_INPUT).decode("utf-8", "replace")


def _filters(published_from: str | None, published_to: str | None, publishers: list[str] | None) -> Filters:
    from qa.types import Filters

    for day in (published_from, published_to):
        _day(day)
    return Filters(published_from, published_to, tuple(publishers or ()))


def _day(text: str | None) -> date | None:
    from datetime import date

    from qa.errors import QuestionError

    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # The parser also takes 20260131 and 2026-W05-6, which do not compare with the dates of articles.
    if day is None or day.isoformat() != text:
        raise QuestionError(f"not a day: {text!r}; write it as 2026-01-31")
    return day


@contextmanager
def _progress() -> Iterator[Progress]:
    """Bars on a terminal with counts and time left; silence elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = _stderr()
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if total and stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            if stage in tasks:
                bars.update(tasks[stage], completed=done, total=total)

        yield report


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that a build in progress is finished; the second one ends it at once."""
    import signal
    import threading

    stop = threading.Event()

    def on_signal(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    previous = {name: signal.signal(name, on_signal) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for name, handler in previous.items():
            signal.signal(name, handler)


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _stdout() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _text_of(*parts: str | tuple[str, str]) -> Text:
    """Text to print as it stands, never as markup, with what a terminal would obey written out; (text, style) parts."""
    from rich.text import Text

    styled = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((_visible(text), style) for text, style in styled))


def _visible(text: str) -> str:
    return _UNSHOWN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _complain(label: str, message: str, style: str = "") -> None:
    """One line on stderr, however many the message has."""
    line = " ".join(message.split("\n"))
    _stderr().print(_text_of((f"{label}:", style) if style else label, f" {line}"), soft_wrap=True)


def _print_json(body: Mapping[str, Any]) -> None:
    text = json.dumps(body, ensure_ascii=False, indent=2, default=str)
    typer.echo(_UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def _print_report(report: BuildReport) -> None:
    for error in report.failed:
        _complain("failed", str(error), "bold red")
    for warning in report.warnings:
        _complain("note", warning, "yellow")
    if report.ignored:
        _complain("note", f"{len(report.ignored)} files of other formats ignored", "yellow")
    plan, counts = report.plan, report.counts
    changes = ", ".join(f"{len(getattr(plan, name))} {name}" for name in ("added", "changed", "removed", "unchanged"))
    if report.full and report.built:
        typer.echo(f"built everything: {report.full}")
    typer.echo(f"{changes}, {len(report.failed)} failed")
    typer.echo(
        f"generation {report.generation} {'built' if report.built else 'is up to date'}:"
        f" {counts['articles']:,} articles, {counts['sentences']:,} sentences, {counts['passages']:,} passages;"
        f" {report.embedded:,} embedded, {report.from_cache:,} from the cache; {report.seconds:.1f} s"
    )


def _print_answer(answer: Answer) -> None:
    console = _stdout()
    _print_resolved(answer.resolved_question)
    if answer.status == "not_found":
        _print_not_found(answer)
    if answer.statements:
        console.print(_text_of(*_marked_statements(answer)), soft_wrap=True)
    articles = {article.id: article for article in answer.articles}
    for citation in answer.citations:
        article = articles[citation.article_id]
        origin = ", ".join(part for part in (article.publisher, (article.published_at or "")[:10]) if part)
        place = " · ".join(filter(None, (origin, article.source_path, f"sentence {citation.sentence_index + 1}")))
        title = (article.title, f"bold link {article.url}" if article.url else "bold")
        console.print()
        console.print(_text_of((f"[{citation.number}] ", "bold cyan"), title), soft_wrap=True)
        console.print(_text_of((f"    {place}", "dim")), soft_wrap=True)
        console.print(_text_of(f"    “{citation.quote}”"), soft_wrap=True)
    _print_notes(answer.notes)
    timings = " · ".join(f"{stage} {value:.0f}" for stage, value in answer.timings_ms.items())
    console.print()
    console.print(_text_of((f"generation {answer.generation} · {timings} ms", "dim")), soft_wrap=True)


def _print_resolved(question: str | None) -> None:
    if question:
        _stdout().print(_text_of((f"Understood as: {question}\n", "dim")), soft_wrap=True)


def _print_not_found(answer: Answer) -> None:
    from qa.replies import answer_reply

    console = _stdout()
    if told := answer_reply(answer, None).not_found:
        console.print(told.message, soft_wrap=True)
    for closest in answer.closest:
        console.print()
        console.print(_text_of("  closest: ", (closest.article.title, "bold")), soft_wrap=True)
        console.print(_text_of(f"    “{closest.sentence.text}”"), soft_wrap=True)


def _print_notes(notes: tuple[Note, ...]) -> None:
    for note in notes:
        _stdout().print(_text_of(("\n" + note.message, "dim")), soft_wrap=True)


def _marked_statements(answer: Answer) -> Iterator[str | tuple[str, str]]:
    """The statements with the numbers of their citations, the short answer in bold."""
    from qa.replies import answer_reply, around_short_answer

    reply = answer_reply(answer, None)
    for segment in reply.answer.segments:
        before, short, after = around_short_answer(segment, reply)
        yield from (" " if segment.index else "", before, (short, "bold"), after)
        yield ("".join(f"[{n}]" for n in segment.citations), "bold cyan")


def _print_passages(passages: tuple[Passage, ...]) -> None:
    from textwrap import indent

    console = _stdout()
    if not passages:
        console.print("Nothing found.")
    for rank, passage in enumerate(passages, start=1):
        ranks = f"dense {passage.dense_rank or '–'}, lexical {passage.lexical_rank or '–'}"
        article = passage.article
        origin = f"{article.publisher or '–'} · {(article.published_at or '–')[:10]} · {article.source_path}"
        console.print(_text_of((f"{rank}. ", "bold cyan"), (article.title, "bold")), soft_wrap=True)
        console.print(_text_of((f"   {passage.score:.4f} ({ranks}) · {origin}", "dim")), soft_wrap=True)
        console.print(_text_of(indent(passage.text, "   ") + "\n"), soft_wrap=True)


def _print_failures(cases: Sequence[Case], most: int) -> None:
    """The first questions that went wrong, and how many were lost at which step."""
    from qa.cases import LOSSES

    console = _stdout()
    lost = [case for case in cases if case.loss]
    for case in lost[:most]:
        heading = f"{case.id} · as of {case.as_of}" if case.as_of else case.id
        console.print(_text_of((case.question, "bold"), (f"  {heading}", "dim")), soft_wrap=True)
        console.print(_text_of((f"  {case.loss}", "bold red"), f", confidence {case.confidence:.2f}"), soft_wrap=True)
        for gold in case.gold:
            console.print(_text_of(("  gold: ", "green"), gold), soft_wrap=True)
        for rank, (passage, bears) in enumerate(case.passages, start=1):
            if rank <= SHOWN_PASSAGES or bears:
                day = (passage.article.published_at or "–")[:10]
                text = f"{day} {passage.article.title or passage.article.id}"
                console.print(_text_of(_mark(bears), f" passage {rank}: {text}"), soft_wrap=True)
        for sentence, bears in case.chosen:
            console.print(_text_of(_mark(bears), f" chosen: {sentence.text}"), soft_wrap=True)
        console.print()
    counts = ", ".join(f"{sum(case.loss == loss for case in cases)} {loss}" for loss in LOSSES)
    console.print(f"{len(lost)} of {len(cases)} questions went wrong: {counts}", soft_wrap=True)


def _mark(bears: bool) -> tuple[str, str]:
    return ("  +", "bold green") if bears else ("  -", "dim")


def _print_info(body: Mapping[str, Any]) -> None:
    """A setting or a count to a line, so that `grep` finds it."""
    rows = {**body["index"], "generations": body["generations"]}
    for section, values in body["settings"].items():
        rows |= {f"{section}.{name}": value for name, value in values.items()}
    rows = {name: "" if value is None else value for name, value in rows.items()}
    width = max(map(len, rows))
    for name, value in rows.items():
        shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        _stdout().print(_text_of((f"{name:<{width}}", "bold"), f"  {shown or '–'}"), soft_wrap=True)
