"""The routes of the pages for people: what the API gives, rendered."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from qa.api import Api
from qa.contract import AnswerReply, AskRequest, FiltersIn
from qa.errors import QAError
from qa.openapi import build_document, list_operations
from qa.pages import EXAMPLES_SHOWN, Pages, SearchForm
from qa.problems import KINDS, ProblemError, trouble_for

__all__ = ["Site", "page_routes"]


class Site:
    """The pages for people."""

    def __init__(self, api: Api, pages: Pages, app: FastAPI) -> None:
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


def page_routes(site: Site) -> APIRouter:
    """Every page."""
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/", site.home, methods=["GET"])
    router.add_api_route("/articles/{article_id}", site.article, methods=["GET"])
    router.add_api_route("/problems", site.problems, methods=["GET"])
    router.add_api_route("/problems/{slug}", site.problem, methods=["GET"])
    router.add_api_route("/docs", site.docs, methods=["GET"])
    return router
