"""The web chat and the HTTP API over one `Engine`.

The engine is synchronous: questions run in threads behind a `Gate`, and a thread of its own follows the index, so that
loading a new generation never holds up the event loop.
"""

from __future__ import annotations

import logging
import math
import secrets
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http import HTTPStatus
from signal import SIGINT, SIGTERM, signal
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.telemetry import TelemetryConfig
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.staticfiles import StaticFiles

from qa import __version__
from qa.contract import (
    AnswerReply,
    ArticleReply,
    AskRequest,
    FiltersIn,
    IndexReply,
    JobReply,
    LiveReply,
    ReadyReply,
    SearchReply,
    SearchRequest,
)
from qa.engine import ArticleView, Engine
from qa.errors import ArticleNotFound, QAError, SettingsError
from qa.guards import Gate, Guard, JsonRoute, PatientProtocol, is_loopback
from qa.jobs import Jobs, Rebuild, rebuild_in_child
from qa.openapi import build_document, list_operations, problems
from qa.pages import EXAMPLES_SHOWN, Pages, SearchForm
from qa.problems import KINDS, ProblemError, problem_response, trouble_for
from qa.replies import answer_reply, article_reply, day_from, filters_from, index_reply, search_reply
from qa.resources import web_folder
from qa.settings import ServerSettings, Settings

__all__ = ["check_exposure", "create_app", "serve"]

Responses = dict[int | str, dict[str, Any]]

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
    pages = Pages(web_folder())
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
    api = _Api(engine, gate)
    app.include_router(_api_routes(api))
    if settings.admin_token is not None and rebuild is not None:
        app.include_router(_admin_routes(_Admin(settings.admin_token.get_secret_value(), Jobs(rebuild))))
    app.include_router(_page_routes(_Site(api, pages, app)))
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


class _Api:
    """The routes under /v1, over one engine."""

    def __init__(self, engine: Engine, gate: Gate) -> None:
        self.engine = engine
        self.gate = gate

    async def ask(self, asked: AskRequest) -> AnswerReply:
        """Answer a question from the articles, or say that they do not.

        That nothing was found is a result: status 200 with `status` = `not_found` and the closest sentences.
        """
        if asked.answerer == "llm":
            raise ProblemError("llm-unavailable")
        return await self.gate.run(partial(self.answer, asked))

    def answer(self, asked: AskRequest) -> AnswerReply:
        """Answer in the calling thread."""
        before = self.engine.status()
        filters = filters_from(asked.filters)
        answer = self.engine.ask(
            asked.question,
            passages=asked.top_k,
            max_sentences=asked.max_sentences,
            filters=filters,
            as_of=day_from(asked.as_of),
            dates=None if asked.dates else False,
        )
        # A new generation may have been swapped in meanwhile; its counts and dates say nothing about this answer.
        status = before if before.generation == answer.generation else self.engine.status()
        return answer_reply(
            answer,
            status if status.generation == answer.generation else None,
            include=asked.include,
            filtered=bool(filters),
            history=bool(asked.history),
        )

    async def search(self, asked: SearchRequest) -> SearchReply:
        """Find passages, best first, without an answer."""
        filters = filters_from(asked.filters)
        search = partial(
            self.engine.search,
            asked.question,
            k=asked.top_k,
            filters=filters,
            as_of=day_from(asked.as_of),
            dates=None if asked.dates else False,
        )
        return search_reply(asked.question, await self.gate.run(search))

    def article(
        self,
        article_id: Annotated[str, Path(max_length=200, description="As citations name it.")],
        if_none_match: Annotated[str | None, Header(description="The `ETag` of an earlier reply.")] = None,
    ) -> Response:
        """The stored text of an article, which all offsets refer to, and where its sentences are."""
        view = self.find_article(article_id)
        etag = f'"{view.generation}-{view.article.content_sha256[:32]}"'
        if etag in [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
        return JSONResponse(article_reply(view).model_dump(), headers={"ETag": etag})

    def find_article(self, article_id: str) -> ArticleView:
        """Look an article up. Raises `ArticleNotFound`, for any text that cannot be an id too."""
        if len(article_id) > 200 or not article_id.isprintable():
            raise ArticleNotFound("no article has such an id")
        return self.engine.article(article_id)

    def index(self) -> IndexReply:
        """What the index holds and which generation answers."""
        return index_reply(self.engine.status())

    async def live(self) -> LiveReply:
        """The process answers; nothing else is checked."""
        return LiveReply()

    def ready(self, response: Response) -> ReadyReply:
        """Whether questions can be answered: 503 with the reasons if not."""
        status = self.engine.status()
        if status.state == "unavailable":
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return ReadyReply(
            status=status.state, reasons=[status.reason] if status.reason else [], generation=status.generation
        )


def _api_routes(api: _Api) -> APIRouter:
    router = APIRouter(route_class=JsonRoute)
    asking = (400, 408, 413, 415, 422, 503, 504)
    unready: Responses = {503: {"model": ReadyReply, "description": "Nothing to answer from."}}
    unchanged: Responses = {
        200: {"model": ArticleReply, "description": "The article."},
        304: {"description": "As it was."},
    }
    for path in ("/v1/ask", "/ask"):
        router.add_api_route(
            path,
            api.ask,
            methods=["POST"],
            responses=problems(*asking, 502),
            response_description="The answer, or why there is none.",
        )
    router.add_api_route(
        "/v1/search", api.search, methods=["POST"], responses=problems(*asking), response_description="The passages."
    )
    router.add_api_route(
        "/v1/articles/{article_id}",
        api.article,
        methods=["GET"],
        response_class=JSONResponse,
        responses={**unchanged, **problems(404, 422, 503)},
    )
    looking: tuple[tuple[str, Callable[..., Any], Responses, str], ...] = (
        ("/v1/index", api.index, {}, "The index."),
        ("/livez", api.live, {}, "Alive."),
        ("/readyz", api.ready, unready, "Ready, or degraded: an older index answers."),
    )
    for path, endpoint, more, description in looking:
        router.add_api_route(
            path, endpoint, methods=["GET"], responses={**problems(), **more}, response_description=description
        )
    return router


_bearer = HTTPBearer(auto_error=False, description="The `server.admin_token`.")


class _Admin:
    """The routes that change something: only with the token."""

    def __init__(self, token: str, jobs: Jobs) -> None:
        self.token = token.encode()
        self.jobs = jobs

    def authorize(self, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
        """Compare in constant time, so that answering times tell nothing about the token."""
        if given is None or not secrets.compare_digest(given.credentials.encode(), self.token):
            raise ProblemError("unauthorized")

    def start(self, response: Response) -> JobReply:
        """Start a rebuild of the index; `Location` names the job to look at."""
        job = self.jobs.start()
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return job

    def look(self, job_id: Annotated[str, Path(max_length=100)]) -> JobReply:
        """How a rebuild is going."""
        job = self.jobs.get(job_id)
        if job is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return job


def _admin_routes(admin: _Admin) -> APIRouter:
    router = APIRouter(dependencies=[Depends(admin.authorize)])
    router.add_api_route(
        "/v1/index/rebuild",
        admin.start,
        methods=["POST"],
        status_code=202,
        responses=problems(401, 409),
        response_description="Started.",
    )
    router.add_api_route(
        "/v1/jobs/{job_id}",
        admin.look,
        methods=["GET"],
        responses=problems(401, 404, 422),
        response_description="The job.",
    )
    return router


class _Site:
    """The pages for people."""

    def __init__(self, api: _Api, pages: Pages, app: FastAPI) -> None:
        self.api = api
        self.pages = pages
        self.app = app

    async def home(self, request: Request) -> Response:
        """The chat; with `q`, the answer to it."""
        query = request.query_params
        form = SearchForm(
            query.get("q", "").strip(), query.get("from", ""), query.get("to", ""), query.get("outlet", "")
        )
        if not form.question:
            return await run_in_threadpool(self._empty, form)
        try:
            reply = await self.api.ask(_asked(form))
        except (ProblemError, QAError, RequestValidationError) as error:
            status = await run_in_threadpool(self.api.engine.status)
            return self.pages.home(status, form, trouble=trouble_for(error))
        return await run_in_threadpool(self._answered, form, reply)

    def _empty(self, form: SearchForm) -> Response:
        engine = self.api.engine
        return self.pages.home(engine.status(), form, suggestions=engine.suggestions(EXAMPLES_SHOWN))

    def _answered(self, form: SearchForm, reply: AnswerReply) -> Response:
        return self.pages.home(self.api.engine.status(), form, reply=reply)

    def article(self, article_id: str, cite: str = "") -> Response:
        """One article with the cited sentences marked."""
        view = self.api.find_article(article_id)
        cited = {int(number) for number in cite[:1000].split(",") if number.isascii() and number.isdecimal()}
        return self.pages.article(self.api.engine.status(), view, cited)

    def problems(self) -> Response:
        """The catalogue of problems."""
        return self.pages.problem(self.api.engine.status(), None)

    def problem(self, slug: str) -> Response:
        """One problem."""
        if slug not in KINDS:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return self.pages.problem(self.api.engine.status(), KINDS[slug])

    def docs(self) -> Response:
        """The description of the API, which needs nothing from other hosts."""
        return self.pages.docs(self.api.engine.status(), list_operations(build_document(self.app)))


def _asked(form: SearchForm) -> AskRequest:
    """The form as a request of the API, so that both are checked alike. Raises `RequestValidationError`."""
    try:
        filters = FiltersIn(
            published_from=form.published_from or None,
            published_to=form.published_to or None,
            publishers=[form.publisher] if form.publisher else [],
        )
        return AskRequest(question=form.question, filters=filters)
    except ValidationError as error:
        raise RequestValidationError([{**found, "loc": ("body", *found["loc"])} for found in error.errors()]) from None


def _page_routes(site: _Site) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/", site.home, methods=["GET"])
    router.add_api_route("/articles/{article_id}", site.article, methods=["GET"])
    router.add_api_route("/problems", site.problems, methods=["GET"])
    router.add_api_route("/problems/{slug}", site.problem, methods=["GET"])
    router.add_api_route("/docs", site.docs, methods=["GET"])
    return router


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
