"""The limits: how much at once, how long, how slowly. The last part runs the real server in a process of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from qa.engine import Engine
from qa.errors import SettingsError
from qa.guards import Gate
from qa.index import BuildReport
from qa.problems import ProblemError
from qa.server import create_app, serve
from qa.settings import Settings

QUESTION = {"question": "What did Storm Ulla cut?"}


def test_the_gate_runs_so_many_and_lets_so_many_wait() -> None:
    async def run() -> None:
        gate, go, running, most = Gate(2, 3, 10), threading.Event(), 0, 0
        lock = threading.Lock()

        def work() -> int:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            go.wait(10)
            with lock:
                running -= 1
            return 1

        tasks = [asyncio.create_task(gate.run(work)) for _ in range(5)]
        await asyncio.sleep(0.05)
        with pytest.raises(ProblemError) as refused:
            await gate.run(work)
        assert refused.value.trouble.kind.slug == "overloaded" and dict(refused.value.trouble.headers)["Retry-After"]
        go.set()
        assert await asyncio.gather(*tasks) == [1] * 5 and most == 2
        assert await gate.run(work) == 1, "places are given back"

    asyncio.run(run())


def test_late_work_keeps_its_place_until_it_is_done() -> None:
    async def run() -> None:
        gate, go = Gate(1, 1, 0.05), threading.Event()
        late = await asyncio.gather(gate.run(lambda: go.wait(10)), gate.run(lambda: 1), return_exceptions=True)
        assert [error.trouble.kind.slug for error in late if isinstance(error, ProblemError)] == ["timeout"] * 2
        # The one that runs holds its place, the one that waited gave its place back.
        with pytest.raises(ProblemError, match="Ask again, or"):
            await gate.run(lambda: 1)
        go.set()
        for _ in range(500):
            try:
                assert await gate.run(lambda: 2) == 2
                return
            except ProblemError:
                await asyncio.sleep(0.01)
        pytest.fail("the place was not given back")

    asyncio.run(run())


def test_work_that_raises_gives_its_place_back() -> None:
    async def run() -> None:
        gate = Gate(1, 0, 5)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await gate.run(lambda: 1 / 0)

    asyncio.run(run())


@pytest.fixture
def slow(
    make_settings: Callable[..., Settings],
    settings: Settings,
    build: Callable[..., BuildReport],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[tuple[TestClient, threading.Event]]:
    """A server with one place, one waiting and so many seconds, whose answers wait for the event."""
    build()
    go, real = threading.Event(), Engine.ask

    def waiting(self: Engine, *args: Any, **options: Any) -> Any:
        go.wait(60)
        return real(self, *args, **options)

    monkeypatch.setattr(Engine, "ask", waiting)
    limits = {"max_concurrent": 1, "max_waiting": 1, "timeout_seconds": request.param}
    engine = Engine.open(make_settings(settings.paths.index.parent, server=limits))
    with TestClient(create_app(engine), base_url="http://127.0.0.1") as client:
        yield client, go
        go.set()
    engine.close()


@pytest.mark.parametrize("slow", [60], indirect=True)
def test_more_than_may_wait_are_told_when_to_come_back(slow: tuple[TestClient, threading.Event]) -> None:
    client, go = slow
    with ThreadPoolExecutor(6) as pool:
        posts = [pool.submit(client.post, "/ask", json=QUESTION) for _ in range(6)]
        while sum(post.done() for post in posts) < 4:
            time.sleep(0.01)
        assert client.get("/livez").status_code == 200 and client.get("/v1/index").status_code == 200
        page = client.get("/?q=storm")
        assert page.status_code == 503 and "Too many questions" in page.text and page.headers["retry-after"]
        go.set()
        responses = [post.result() for post in posts]
    statuses = sorted(response.status_code for response in responses)
    assert statuses == [200, 200, 503, 503, 503, 503]
    for response in responses:
        if response.status_code == 503:
            assert response.json()["type"] == "/problems/overloaded" and int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("slow", [0.5], indirect=True)
def test_an_answer_that_takes_too_long_is_a_504(slow: tuple[TestClient, threading.Event]) -> None:
    client, _ = slow
    began = time.monotonic()
    response = client.post("/ask", json=QUESTION)
    assert (response.status_code, response.json()["type"]) == (504, "/problems/timeout")
    assert 0.4 < time.monotonic() - began < 8


def test_a_port_in_use_is_a_settings_error(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port}: Address already in use"):
            serve(make_settings(tmp_path, server={"port": port}))


SERVER = """
import os, sys, time
from qa import guards
from qa.engine import Engine
from qa.server import serve
from qa.settings import load_settings
delay = float(sys.argv[1])
guards.READ_SECONDS = 1.0
ask = Engine.ask
def slowly(self, *args, **options):
    if delay:
        os.write(1, b"asked\\n")  # in one piece: eight threads say so at once
        time.sleep(delay)
    return ask(self, *args, **options)
Engine.ask = slowly
serve(load_settings(), lambda url: print(url, flush=True))
print("stopped", flush=True)
"""


class Live:
    """`serve` in a process of its own; answers take `delay` seconds longer."""

    def __init__(self, settings: Settings, delay: float = 0.0) -> None:
        names = {"PATHS__CORPUS": settings.paths.corpus, "PATHS__INDEX": settings.paths.index}
        names |= {"PATHS__CACHE": settings.paths.cache, "EMBEDDING__BACKEND": "hashing", "SERVER__PORT": 0}
        names |= {"ANSWERS__MIN_CONFIDENCE": 0.3, "SERVER__MAX_CONCURRENT": 16, "SERVER__TIMEOUT_SECONDS": 30}
        environment = {**os.environ, **{f"QA_{name}": str(value) for name, value in names.items()}}
        command = [sys.executable, "-c", SERVER, str(delay)]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.port = int(self.process.stdout.readline().rstrip("/\n").rpartition(":")[2])

    def ask(self) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/ask", json.dumps(QUESTION), {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = json.loads(response.read())
        connection.close()
        return response.status, body

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def memory_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(15)
        assert self.process.stdout
        self.process.stdout.close()
        return code


@pytest.fixture
def live(settings: Settings, build: Callable[..., BuildReport]) -> Iterator[Callable[..., Live]]:
    build()
    started: list[Live] = []

    def start(**options: float) -> Live:
        started.append(Live(settings, **options))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.stop()


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


HEAD = b"POST /ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def test_sigterm_under_load_loses_no_answer(live: Callable[..., Live]) -> None:
    server = live(delay=0.7)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(server.ask) for _ in range(8)]
        assert server.process.stdout
        for _ in range(8):
            assert server.process.stdout.readline() == "asked\n"
        server.process.send_signal(signal.SIGTERM)
        answers = [one.result() for one in asked]
    assert [status for status, _ in answers] == [200] * 8
    assert {body["status"] for _, body in answers} == {"answered"}
    assert server.process.wait(15) == 0
    assert server.process.stdout.read() == "stopped\n"
    server.process.stdout.close()


def test_sigint_ends_well(live: Callable[..., Live]) -> None:
    server = live()
    assert server.ask()[0] == 200
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(15) == 0
    assert server.process.stdout
    server.process.stdout.close()


def test_concurrent_questions_are_all_answered(live: Callable[..., Live]) -> None:
    server = live()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: server.ask(), range(200)))
    assert {status for status, _ in answers} == {200}
    assert len({body["answer"]["text"] for _, body in answers}) == 1
    assert len({body["id"] for _, body in answers}) == 200


def test_large_bodies_cost_nothing(live: Callable[..., Live]) -> None:
    server = live()
    server.ask()
    before = server.memory_kib()
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 1073741824\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    with server.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        try:
            for _ in range(2000):
                connection.sendall(chunk)
        except OSError:
            pass  # the server closed the connection, as it should
        else:
            pytest.fail("125 MiB were taken")
    assert server.memory_kib() - before < 8 * 1024
    assert server.ask()[0] == 200


def test_a_chunked_body_in_time_is_answered(live: Callable[..., Live]) -> None:
    server = live()
    body = json.dumps(QUESTION).encode()
    with server.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        for byte in body:
            connection.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


def test_a_slow_body_is_a_408(live: Callable[..., Live]) -> None:
    server = live()
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        reply = read_all(connection)
        assert reply.startswith(b"HTTP/1.1 408 ") and b"/problems/request-timeout" in reply


def test_a_slow_head_is_cut_off(live: Callable[..., Live]) -> None:
    server = live()
    began = time.monotonic()
    with server.connect() as silent, server.connect() as slow, server.connect() as steady:
        steady.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert steady.recv(65536).startswith(b"HTTP/1.1 200 ")
        for byte in b"GET /livez HTTP/1.1\r\nX: ":
            try:
                slow.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.1)
        assert read_all(silent) == b""
        with pytest.raises(OSError):
            slow.sendall(b"x")
            read_all(slow)
            slow.sendall(b"x")
            slow.sendall(b"x")
    assert time.monotonic() - began < 20


def test_a_slow_second_head_is_cut_off_too(live: Callable[..., Live]) -> None:
    server = live()
    with server.connect() as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        with pytest.raises(OSError):
            for _ in range(100):
                connection.sendall(b"G")
                time.sleep(0.05)


def test_slow_clients_do_not_hold_up_others(live: Callable[..., Live]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1024 <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    server = live()
    server.ask()

    def timed() -> float:
        began = time.monotonic()
        assert server.ask()[0] == 200
        return time.monotonic() - began

    idle = sorted(timed() for _ in range(20))[18]
    slow = []
    for _ in range(300):
        connection = server.connect()
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        slow.append(connection)
    busy = sorted(timed() for _ in range(20))[18]
    for connection in slow:
        connection.close()
    assert busy < 10 * idle + 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /livez HTTP/1.0\r\n\r\n",
        b"GET http://evil.example/livez HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ],
    ids=lambda b: repr(bytes(b[:40])),
)
def test_broken_http_is_refused_and_survived(settings: Settings, shared_live: Live, request_bytes: bytes) -> None:
    with shared_live.connect() as connection:
        try:
            connection.sendall(request_bytes)
            reply = connection.recv(65536)
        except ConnectionError:
            reply = b""
        assert not reply.startswith(b"HTTP/1.1 5")
    assert shared_live.ask()[0] == 200


@pytest.fixture(scope="module")
def shared_live(engine: Engine) -> Iterator[Live]:
    server = Live(engine.settings)
    yield server
    assert server.stop() == 0


def test_headers_of_the_real_server(shared_live: Live) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared_live.port, timeout=10)
    connection.request("GET", "/static/app.js")
    response = connection.getresponse()
    response.read()
    assert response.getheader("Server") is None and response.getheader("Content-Type", "").startswith("text/javascript")
    connection.close()
