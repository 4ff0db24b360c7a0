"""The routes of the pages for people: what the API gives, rendered."""

from __future__ import annotations

import re
from contextlib import suppress
from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from qa.api import Admin, Api
from qa.contract import AnswerReply, AskRequest, FeedbackRequest, FiltersIn, Turn
from qa.errors import QAError
from qa.export import answer_markdown, file_name
from qa.guards import is_loopback, read_form, while_connected
from qa.openapi import build_document, list_operations
from qa.pages import EXAMPLES_SHOWN, Operating, Pages, Readers, SearchForm
from qa.problems import KINDS, ProblemError, trouble_for

__all__ = ["Site", "page_routes"]

RATINGS_SHOWN = 50


class Site:
    """The pages for people."""

    def __init__(self, api: Api, pages: Pages, app: FastAPI, admin: Admin | None) -> None:
        self.api = api
        self.pages = pages
        self.app = app
        self.admin = admin

    async def home(self, request: Request) -> Response:
        """The chat; with `q`, the answer to it."""
        form = SearchForm.read(request.query_params)
        if not form.question:
            return await run_in_threadpool(self._empty, form)
        try:
            reply = await while_connected(request, self.api.answered(_asked(form)))
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
        return self.pages.article(self.api.engine.status(), view, cite)

    def answer(self, answer_id: str, noted: str = "") -> Response:
        """An answer that was given before, shared or still remembered."""
        recalled = self.api.records.recall(answer_id)
        return self.pages.answer(self.api.engine.status(), recalled, noted=bool(noted))

    def markdown(self, request: Request, answer_id: str) -> Response:
        """An answer as Markdown with footnotes, to keep."""
        reply = self.api.records.recall(answer_id).reply
        text = answer_markdown(reply, str(request.base_url).rstrip("/"))
        return Response(text, media_type="text/markdown", headers={"Content-Disposition": file_name(reply.question)})

    def share(self, answer_id: str) -> Response:
        """Share an answer by form, then show it."""
        return RedirectResponse(self.api.records.share(answer_id).url, HTTPStatus.SEE_OTHER)

    async def rate(self, request: Request, answer_id: str) -> Response:
        """Rate an answer by form, then show it."""
        given = _rated(answer_id, await read_form(request))
        await run_in_threadpool(self.api.records.rate, given)
        return RedirectResponse(f"/a/{given.answer_id}?noted=1", HTTPStatus.SEE_OTHER)

    def status(self) -> Response:
        """What the index holds and how it was built; what readers asked only where nobody else can look."""
        server = self.api.engine.settings.server
        # A name of its own means that a proxy may stand in front, and that others look.
        alone = server.admin_token is None and is_loopback(server.host) and not server.allowed_hosts
        return self._status(private=alone)

    async def operate(self, request: Request) -> Response:
        """With the token: what readers asked and how they rated it, and a rebuild."""
        form = await read_form(request)
        if self.admin is None or not self.admin.permits(form.get("token", [""])[0]):
            return await run_in_threadpool(self._status, private=False, refused=True)
        if form.get("do") == ["rebuild"]:
            with suppress(ProblemError):  # one is running: the page shows it
                self.admin.jobs.start()
        return await run_in_threadpool(self._status, private=True)

    def _status(self, *, private: bool, refused: bool = False) -> Response:
        engine = self.api.engine
        status = engine.status()
        operating = Operating(
            outlets=engine.outlets(),
            with_token=self.admin is not None,
            refused=refused,
            readers=self._readers() if private and status.state != "unavailable" else None,
            job=self.admin.jobs.latest() if self.admin and private else None,
        )
        return self.pages.status(status, operating)

    def _readers(self) -> Readers:
        records = self.api.records
        ratings = records.low_rated(RATINGS_SHOWN)
        return Readers(records.refusals(), ratings, {it.answer_id for it in ratings if records.knows(it.answer_id)})

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


def _rated(answer_id: str, form: dict[str, list[str]]) -> FeedbackRequest:
    """The form as a request of the API, so that both are checked alike. Raises `RequestValidationError`."""
    number = form.get("citation", [""])[0]
    try:
        return FeedbackRequest.model_validate(
            {
                "answer_id": answer_id,
                "rating": form.get("rating", [""])[0],
                "citation": (int(number) if re.fullmatch("[0-9]{1,9}", number) else number) if number else None,
                "reasons": form.get("reason", []),
                "comment": form.get("comment", [""])[0],
            }
        )
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> RequestValidationError:
    return RequestValidationError([{**found, "loc": ("body", *found["loc"])} for found in error.errors()])


def _asked(form: SearchForm) -> AskRequest:
    """The form as a request of the API, so that both are checked alike. Raises `RequestValidationError`."""
    try:
        filters = FiltersIn(
            published_from=form.published_from or None,
            published_to=form.published_to or None,
            publishers=list(form.publishers),
        )
        history = [Turn(role="user", content=form.after)] if form.after else []
        return AskRequest(question=form.question, history=history, filters=filters, dates=form.dates)
    except ValidationError as error:
        raise _refused(error) from None


def page_routes(site: Site) -> APIRouter:
    """Every page."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/", site.home, methods=["GET"])
    router.add_api_route("/articles/{article_id}", site.article, methods=["GET"])
    router.add_api_route("/a/{answer_id}.md", site.markdown, methods=["GET"])
    router.add_api_route("/a/{answer_id}", site.answer, methods=["GET"])
    if site.api.records.sharing:
        router.add_api_route("/a/{answer_id}/share", site.share, methods=["POST"])
    if site.api.records.feedback:
        router.add_api_route("/a/{answer_id}/feedback", site.rate, methods=["POST"])
    router.add_api_route("/status", site.status, methods=["GET"])
    if site.admin is not None:
        router.add_api_route("/status", site.operate, methods=["POST"])
    router.add_api_route("/problems", site.problems, methods=["GET"])
    router.add_api_route("/problems/{slug}", site.problem, methods=["GET"])
    router.add_api_route("/docs", site.docs, methods=["GET"])
    return router
