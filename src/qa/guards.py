"""What keeps the server standing: limits on requests, on connections and on work, and the headers of every response.

`Guard` wraps the whole application, `JsonRoute` reads bodies strictly, `Gate` bounds the questions that run at once and
`PatientProtocol` closes connections that never finish a request head.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote

from fastapi.routing import APIRoute
from h11 import IDLE
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from qa.errors import Stopped
from qa.problems import ProblemError, describe, problem_response, trouble_for
from qa.types import Begun, Progress, Written

__all__ = [
    "Gate",
    "Guard",
    "JsonRoute",
    "PatientProtocol",
    "check_wanted",
    "is_loopback",
    "read_form",
    "while_connected",
]

MAX_BODY = 64 * 1024
MAX_FIELDS = 50
"""Fields of a form."""
READ_SECONDS = 10.0
"""Longest time for the head of a request, and again for its body."""
_RETRY_SECONDS = 2

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_log = logging.getLogger("qa.server")
T = TypeVar("T")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """The outermost layer: host names, body size, request ids, security headers, one log line, and no bare 500."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else "req_" + secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            refusal = self._refuse(headers, scope)
            await (refusal or self.app)(scope, _bounded(receive), send_with_headers)
        except ClientDisconnect:
            status = 499
        except Exception as error:  # noqa: BLE001 - the last line of defence: a problem document, not a bare 500
            _log.exception("request %s failed", request_id)
            if not status:
                await problem_response(trouble_for(error), scope)(scope, receive, send_with_headers)
        finally:
            # The query stays out of the log: it holds the question.
            path, took = quote(scope["path"], errors="replace")[:300], (time.perf_counter() - started) * 1000
            _log.info("%s %s %d %.1f ms %s", scope["method"], path, status, took, request_id)

    def _refuse(self, headers: Headers, scope: Scope) -> Response | None:
        if not self._is_ours(headers.getlist("host")):
            return problem_response(describe("host-not-allowed"), scope)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > MAX_BODY:
            return problem_response(describe("payload-too-large"), scope)
        return None

    def _is_ours(self, hosts: list[str]) -> bool:
        """Loopback and listed names only: a foreign page that rebinds its own name to 127.0.0.1 gets nothing."""
        if len(hosts) != 1:
            return False
        match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?", hosts[0])
        if match is None:
            return False
        name = (match[1] or match[2]).lower()
        return is_loopback(name) or name in self.hosts


def _add_headers(headers: MutableHeaders, request_id: str) -> None:
    for name, value in _HEADERS.items():
        headers[name] = value
    headers["X-Request-Id"] = request_id
    # A removed article must be gone from caches too: they may keep a copy, but have to ask each time.
    headers.setdefault("Cache-Control", "no-cache")


def _bounded(receive: Receive) -> Receive:
    """Count a body that comes in pieces: its declared length, if there is one, proves nothing."""
    total = 0

    async def receive_bounded() -> Message:
        nonlocal total
        message = await receive()
        if message["type"] == "http.request":
            total += len(message.get("body", b""))
            if total > MAX_BODY:
                raise ProblemError("payload-too-large")
        return message

    return receive_bounded


class JsonRoute(APIRoute):
    """A route whose body must be declared and written as plain JSON, and must arrive in time."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Check the body before the framework parses it again."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            if self.body_field is not None:
                await _check_body(request)
            return await handle(request)

        return checked


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a form that a page sent. Raises `ProblemError`; whatever is read is text in UTF-8."""
    body = await _read_body(request, "application/x-www-form-urlencoded")
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise ProblemError("validation", "The form cannot be read.") from None


async def _read_body(request: Request, expected: str) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != expected:
        raise ProblemError("unsupported-media-type", f"Send `Content-Type: {expected}`.")
    try:
        return await asyncio.wait_for(request.body(), READ_SECONDS)
    except TimeoutError:
        raise ProblemError("request-timeout") from None


async def _check_body(request: Request) -> None:
    body = await _read_body(request, "application/json")
    try:
        text = body.decode("utf-8")
        # Writing it again finds what the parser lets through: NaN, infinities and lone surrogates.
        json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise ProblemError("malformed-json") from None


class Gate:
    """Runs synchronous work in threads: so many at once, so many waiting, each with a deadline.

    Work that nobody waits for any more never begins if it has not yet, and else is asked to stop. It keeps its place
    until it has ended, so that late work cannot pile up.
    """

    def __init__(self, at_once: int, waiting: int, seconds: float) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="ask")
        self._places = at_once + waiting
        self._seconds = seconds
        self._taken = 0
        self._lock = threading.Lock()

    async def run(self, work: Callable[[], T], stop: threading.Event | None = None) -> T:
        """Return what `work` returns; `stop` is set when nobody waits for it any more.

        Raises `ProblemError`: overloaded or timeout.
        """
        with self._lock:
            if self._taken >= self._places:
                raise ProblemError("overloaded", f"Ask again in {_RETRY_SECONDS} seconds.", retry_after=_RETRY_SECONDS)
            self._taken += 1
        future = self._pool.submit(work)
        future.add_done_callback(lambda _: self._leave())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._seconds)
        except TimeoutError:
            raise ProblemError("timeout", retry_after=_RETRY_SECONDS) from None
        finally:
            if stop is not None:
                stop.set()

    def _leave(self) -> None:
        with self._lock:
            self._taken -= 1


def check_wanted(stop: threading.Event, _: Begun | Progress | Written) -> None:
    """End the work of an answer that nobody waits for any more. Raises `Stopped`."""
    if stop.is_set():
        raise Stopped("nobody waits for this answer any more")


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns. When the client hangs up, cancel it and raise `ClientDisconnect`.

    The body of the request has been read before.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_hang_up(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with a deadline for the head of a request, which uvicorn does not have."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock: a client may also connect and say nothing."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(READ_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        """Stop the clock when a head is complete; start it with the first byte of the next one, not with each."""
        super().data_received(data)
        waiting = self.conn.their_state is IDLE and not self.transport.is_closing()
        if waiting and self._deadline is None:
            self._deadline = self.loop.call_later(READ_SECONDS, self.transport.close)
        elif not waiting:
            self._stop_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
