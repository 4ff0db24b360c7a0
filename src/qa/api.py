"""The routes of the HTTP API over one `Engine`, and those that change something, for the operator.

The engine is synchronous: questions run in threads behind a `Gate`.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from qa.contract import (
    AnswerReply,
    ArticleReply,
    AskRequest,
    FeedbackReply,
    FeedbackRequest,
    IndexReply,
    JobReply,
    LiveReply,
    ReadyReply,
    SearchReply,
    SearchRequest,
    SharedReply,
)
from qa.engine import ArticleView, Engine
from qa.errors import ArticleNotFound
from qa.guards import Gate, JsonRoute, check_wanted, while_connected
from qa.jobs import Jobs
from qa.openapi import events, problems
from qa.problems import ProblemError
from qa.protocols import Listener
from qa.records import Records
from qa.replies import (
    answer_reply,
    article_reply,
    day_from,
    filters_from,
    history_from,
    index_reply,
    new_id,
    search_reply,
)
from qa.streaming import stream_answer, wants_events

__all__ = ["Admin", "Api", "admin_routes", "api_routes"]

Responses = dict[int | str, dict[str, Any]]
AnswerId = Annotated[str, Path(max_length=100, description="The `id` of the answer.")]


class Api:
    """The routes under /v1, over one engine."""

    def __init__(self, engine: Engine, gate: Gate, records: Records) -> None:
        self.engine = engine
        self.gate = gate
        self.records = records

    async def ask(self, asked: AskRequest, request: Request) -> AnswerReply | Response:
        """Answer a question from the articles, or say that they do not.

        That nothing was found is a result: status 200 with `status` = `not_found` and the closest sentences.

        With `stream` = `true`, or `Accept: text/event-stream`, the answer comes as server-sent events: `ask.created`,
        `ask.progress`, `ask.sources`, then `answer.delta` and `answer.citation` for each sentence, and last
        `ask.completed` with the whole reply, or `ask.failed` with a problem. Ignore events that you do not know.
        """
        if not wants_events(asked, request):
            return await while_connected(request, self.answered(asked))
        answer_id = new_id("ans_")
        return await stream_answer(self.gate, partial(self.answer, asked, answer_id), answer_id, request)

    async def answered(self, asked: AskRequest) -> AnswerReply:
        """Answer behind the gate; cancelled, the work ends too."""
        stop = threading.Event()
        return await self.gate.run(partial(self.answer, asked, new_id("ans_"), partial(check_wanted, stop)), stop)

    def answer(self, asked: AskRequest, answer_id: str, listen: Listener) -> AnswerReply:
        """Answer in the calling thread."""
        before = self.engine.status()
        filters = filters_from(asked.filters)
        answer = self.engine.ask(
            asked.question,
            history=history_from(asked.history),
            passages=asked.top_k,
            max_sentences=asked.max_sentences,
            filters=filters,
            as_of=day_from(asked.as_of),
            dates=None if asked.dates else False,
            answerer=asked.answerer,
            listen=listen,
        )
        # A new generation may have been swapped in meanwhile; its counts and dates say nothing about this answer.
        status = before if before.generation == answer.generation else self.engine.status()
        reply = answer_reply(
            answer,
            status if status.generation == answer.generation else None,
            answer_id=answer_id,
            include=asked.include,
            filtered=bool(filters),
        )
        self.records.remember(asked, reply)
        return reply

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

    def recall(self, answer_id: AnswerId) -> AnswerReply:
        """An answer that was given before, as it may be given out now: the JSON export.

        What comes from articles that were removed since is withheld; `state` of each citation says so.
        """
        return self.records.recall(answer_id).reply

    def share(self, answer_id: AnswerId) -> SharedReply:
        """Keep an answer on the disk, so that its address survives a restart."""
        return self.records.share(answer_id)

    def rate(self, given: FeedbackRequest) -> FeedbackReply:
        """Write down what a reader thinks of an answer; `qa eval feedback` reads it."""
        return self.records.rate(given)

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


def api_routes(api: Api) -> APIRouter:
    """Every route that needs no token."""
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
            response_model=AnswerReply,
            responses={200: {"content": events()}, **problems(*asking, 502)},
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
    router.add_api_route(
        "/v1/answers/{answer_id}",
        api.recall,
        methods=["GET"],
        responses=problems(404, 422, 503),
        response_description="The answer.",
    )
    if api.records.sharing:
        router.add_api_route(
            "/v1/answers/{answer_id}/share",
            api.share,
            methods=["POST"],
            responses=problems(404, 422, 503, 507),
            response_description="Shared.",
        )
    if api.records.feedback:
        router.add_api_route(
            "/v1/feedback",
            api.rate,
            methods=["POST"],
            status_code=201,
            responses=problems(400, 404, 408, 413, 415, 422, 503, 507),
            response_description="Written down.",
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


class Admin:
    """The routes that change something: only with the token."""

    def __init__(self, token: str, jobs: Jobs) -> None:
        self.token = token.encode()
        self.jobs = jobs

    def authorize(self, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
        """Compare in constant time, so that answering times tell nothing about the token."""
        if given is None or not self.permits(given.credentials):
            raise ProblemError("unauthorized")

    def permits(self, token: str) -> bool:
        """Whether this is the token."""
        return secrets.compare_digest(token.encode(), self.token)

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


def admin_routes(admin: Admin) -> APIRouter:
    """Every route that needs the token."""
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
