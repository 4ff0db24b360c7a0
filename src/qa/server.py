"""The web chat and the HTTP API over one `Engine`.

A thread of its own follows the index, so that loading a new generation never holds up the event loop.
"""

from __future__ import annotations

import logging
import math
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from signal import SIGINT, SIGTERM, signal

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles

from qa import __version__
from qa.api import Admin, Api, admin_routes, api_routes
from qa.completions import Completions, completion_routes
from qa.engine import Engine
from qa.errors import QAError, SettingsError
from qa.guards import Gate, Guard, PatientProtocol, is_loopback
from qa.jobs import Jobs, Rebuild, rebuild_in_child
from qa.openapi import build_document
from qa.pages import Pages
from qa.problems import ProblemError, problem_response, trouble_for
from qa.records import Records
from qa.resources import web_folder
from qa.settings import ServerSettings, Settings
from qa.site import Site, page_routes

__all__ = ["check_exposure", "create_app", "serve"]

CONNECTIONS = 768
"""More are turned away; below the usual limit of 1,024 open files."""
_NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}

_log = logging.getLogger("qa.server")


def create_app(engine: Engine, rebuild: Rebuild | None = None) -> FastAPI:
    """Make the application. `rebuild` is offered over HTTP when an admin token is set; it runs in a thread.

    Raises `SettingsError` when the address to listen on needs an admin token and there is none.
    """
    settings = engine.settings.server
    check_exposure(settings)
    pages = Pages(web_folder(), settings, engine.settings.llm)
    gate = Gate(settings.max_concurrent, settings.max_waiting, settings.timeout_seconds)
    app = FastAPI(
        title="Sourceline",
        version=__version__,
        summary="Answers from news articles, each sentence cited to the sentence that says it.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=partial(_lifespan, engine=engine),
        middleware=[Middleware(Guard, hosts=(*settings.allowed_hosts, settings.host))],
        telemetry=_NO_TELEMETRY,
    )
    for kind in (ProblemError, QAError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, partial(_on_error, engine=engine, pages=pages))
    api = Api(engine, gate, Records(engine))
    app.include_router(api_routes(api))
    app.include_router(completion_routes(Completions(api)))
    admin = None
    if settings.admin_token is not None and rebuild is not None:
        admin = Admin(settings.admin_token.get_secret_value(), Jobs(rebuild))
        app.include_router(admin_routes(admin))
    app.include_router(page_routes(Site(api, pages, app, admin)))
    app.mount("/static", StaticFiles(directory=pages.web / "static"))
    app.openapi = partial(build_document, app)  # type: ignore[method-assign]
    return app


def check_exposure(settings: ServerSettings) -> None:
    """Refuse to be reached from elsewhere by accident. Raises `SettingsError`."""
    if not is_loopback(settings.host) and settings.admin_token is None:
        raise SettingsError(
            f"server.host is {settings.host}, which other machines can reach: set server.admin_token as well "
            "(QA_SERVER__ADMIN_TOKEN), or listen on 127.0.0.1"
        )


@asynccontextmanager
async def _lifespan(_: FastAPI, engine: Engine) -> AsyncIterator[None]:
    stop = threading.Event()
    follower = threading.Thread(target=_follow, args=(engine, stop), name="follow", daemon=True)
    follower.start()
    yield
    stop.set()


def _follow(engine: Engine, stop: threading.Event) -> None:
    """Swap in new generations until told to stop."""
    while not stop.wait(engine.settings.server.follow_seconds):
        try:
            if engine.reload_if_changed():
                _log.info("generation %s answers", engine.status().generation)
        except Exception:  # noqa: BLE001 - a follower that dies would leave the server on an old index for good
            _log.exception("the index could not be followed")


async def _on_error(request: Request, error: Exception, engine: Engine, pages: Pages) -> Response:
    """A problem document, or a page for a browser that opened something other than the API."""
    trouble = trouble_for(error)
    path = request.url.path
    wants_page = "text/html" in request.headers.get("accept", "") and not path.startswith(("/v1/", "/ask", "/static/"))
    if wants_page:
        status = await run_in_threadpool(engine.status)
        return pages.trouble(status, trouble, request.state.request_id)
    return problem_response(trouble, request.scope)


def serve(settings: Settings, on_start: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; answers in flight are finished first.

    `on_start` is told the address once connections are accepted. Raises `SettingsError` if the address cannot be used.
    """
    check_exposure(settings.server)
    with _listen(settings.server.host, settings.server.port) as listener:
        engine = Engine.open(settings)
        app = create_app(engine, partial(rebuild_in_child, settings))
        host, port = listener.getsockname()[:2]
        (on_start or _announce)(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=math.ceil(settings.server.timeout_seconds),
            )
        )
        with _quiet_signals():
            server.run(sockets=[listener])
        engine.close()


def _announce(address: str) -> None:
    sys.stderr.write(f"Sourceline answers at {address} (Ctrl+C stops it)\n")
    sys.stderr.flush()


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}: {error.strerror}") from None
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except OSError as error:
            raise SettingsError(f"cannot listen on {host} port {port}: {error.strerror}") from None
        yield listener


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """Uvicorn raises the signal that stopped it once more when it is done: here that is a clean end, not a death."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal(number, lambda *_: None) for number in (SIGINT, SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal(number, handler)
