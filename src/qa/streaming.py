"""An answer as server-sent events: what is being done, the sources, the text, and last the reply as it is without them.

The work runs in a thread behind the `Gate`, and what it reports crosses to the event loop in a queue. Once a client has
hung up, the next report ends the work.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from functools import partial
from itertools import count
from typing import Any

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from qa.contract import (
    AnswerCitation,
    AnswerDelta,
    AnswerReply,
    AskCompleted,
    AskCreated,
    AskFailed,
    AskProgress,
    AskRequest,
    AskSources,
    CitationOut,
    Event,
    Problem,
)
from qa.guards import Gate, check_wanted, while_connected
from qa.problems import problem_body, trouble_for
from qa.protocols import Listener
from qa.replies import found_sources, written_citations
from qa.types import Begun, Progress, Stage, Written

__all__ = ["Reports", "Stream", "Work", "begin", "failed", "follow", "stream_answer", "wants_events"]

Work = Callable[[Listener], AnswerReply]
Reports = AsyncGenerator[Begun | Progress | Written | AnswerReply | None]

PING_SECONDS = 15.0
"""Longest silence: proxies cut connections that say nothing."""
_MESSAGES: dict[Stage, tuple[str, str]] = {
    "searching": ("Searching {:,} article", "Searching"),
    "ranking": ("Reading {:,} passage", "Reading"),
    "writing": ("Writing {:,} sentence", "Writing the answer"),
    "checking": ("Checking {:,} sentence", "Checking"),
}
"""What a stage is called, with a count and without one."""

_log = logging.getLogger("qa.server")


def wants_events(asked: AskRequest, request: Request) -> bool:
    """Whether an answer is to be streamed: by the body, or by the media type that is accepted."""
    accepted = request.headers.get("accept", "").lower().split(",")
    return asked.stream or any(kind.partition(";")[0].strip() == EventSourceResponse.media_type for kind in accepted)


async def follow(gate: Gate, work: Work) -> Reports:
    """Yield what the work reports, None after `PING_SECONDS` without a report, and last what it returns.

    Closed early, it ends the work. Raises what the work raises, and `ProblemError` as `Gate.run` does.
    """
    loop, stop = asyncio.get_running_loop(), threading.Event()
    reports: asyncio.Queue[Begun | Progress | Written | None] = asyncio.Queue()

    def listen(report: Begun | Progress | Written) -> None:
        check_wanted(stop, report)
        loop.call_soon_threadsafe(reports.put_nowait, report)

    def ended(task: asyncio.Task[AnswerReply]) -> None:
        if not task.cancelled():
            task.exception()  # looked at, else one that nobody waits for any more is written to the log
        reports.put_nowait(None)

    task = asyncio.create_task(gate.run(partial(work, listen), stop))
    task.add_done_callback(ended)
    try:
        while True:
            try:
                report = await asyncio.wait_for(reports.get(), PING_SECONDS)
            except TimeoutError:
                yield None
                continue
            if report is None:
                break
            yield report
        yield await task
    finally:
        task.cancel()


class Stream(EventSourceResponse):
    """Sends events that are made of reports and, whatever becomes of the connection, ends the work that reports."""

    def __init__(self, events: AsyncGenerator[bytes], reports: Reports) -> None:
        super().__init__(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._events = events
        self._reports = reports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        async with aclosing(self._reports), aclosing(self._events):
            await super().__call__(scope, receive, send)


async def stream_answer(gate: Gate, work: Work, answer_id: str, request: Request) -> Stream:
    """Begin an answer and return its events; `answer_id` is the one that the work gives to its reply.

    Raises what keeps the work from beginning, while this can still be an ordinary response.
    """
    started = time.perf_counter()
    reports = follow(gate, work)
    begun = await while_connected(request, begin(reports))
    return Stream(_encode(_events(answer_id, begun, reports, started), request.scope), reports)


async def begin(reports: Reports) -> Begun:
    """Return the first report. Raises what keeps the work from beginning."""
    async for report in reports:
        if isinstance(report, Begun):
            return report
    raise AssertionError("the work ended without a report")


Draft = tuple[type[Event], dict[str, Any]]
"""An event and its fields, all but its number."""


async def _events(answer_id: str, begun: Begun, reports: Reports, started: float) -> AsyncGenerator[Draft | None]:
    latest = None
    told = 0
    yield AskCreated, {"id": answer_id, **asdict(begun)}
    async for report in reports:
        if report is None:
            yield None
        elif isinstance(report, AnswerReply):
            for event in _told(report, told):
                yield event
        elif isinstance(report, Written):
            told += 1
            for event in _segment(report.index, report.statement.text, written_citations(report)):
                yield event
        elif isinstance(report, Progress) and report.stage != latest:
            latest = report.stage
            yield _progress(report, started)
            if latest == "ranking":
                yield AskSources, {"sources": found_sources(report.passages)}


def _progress(report: Progress, started: float) -> Draft:
    counted, plain = _MESSAGES[report.stage]
    message = plain
    if report.count is not None:
        message = counted.format(report.count) + ("" if report.count == 1 else "s")
    elapsed = round((time.perf_counter() - started) * 1000, 2)
    return AskProgress, {"stage": report.stage, "message": message, "count": report.count, "elapsed_ms": elapsed}


def _told(reply: AnswerReply, told: int) -> Iterator[Draft]:
    """The segments that were not told before, and the reply."""
    citations = {citation.n: citation for citation in reply.citations}
    for segment in reply.answer.segments[told:]:
        yield from _segment(segment.index, segment.text, [citations[number] for number in segment.citations])
    yield AskCompleted, {"response": reply}


def _segment(index: int, text: str, citations: Sequence[CitationOut]) -> Iterator[Draft]:
    yield AnswerDelta, {"segment": index, "text": (" " if index else "") + text}
    for citation in citations:
        yield AnswerCitation, {"segment": index, "citation": citation}


async def _encode(events: AsyncGenerator[Draft | None], scope: Scope) -> AsyncGenerator[bytes]:
    """Number the events and write them down. Whatever goes wrong is the last of them."""
    numbers = count(1)

    def encode(kind: type[Event], fields: dict[str, Any]) -> bytes:
        event = kind(seq=next(numbers), **fields)
        return format_sse_event(data_str=event.model_dump_json(), event=event.event, id=str(event.seq))

    async with aclosing(events):
        try:
            async for event in events:
                yield KEEPALIVE_COMMENT if event is None else encode(*event)
        except Exception as error:  # noqa: BLE001 - the status has been sent: what went wrong can only be an event
            yield encode(AskFailed, {"problem": failed(error, scope)})


def failed(error: Exception, scope: Scope) -> Problem:
    """The problem that ends a stream; what nobody expects is written to the log."""
    trouble = trouble_for(error)
    if trouble.kind.slug == "internal":
        _log.error("request %s failed", scope["state"]["request_id"], exc_info=error)
    return problem_body(trouble, scope)
